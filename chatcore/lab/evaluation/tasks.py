"""Task, Scorer and the frozen report of an evaluation, in the vocabulary of Inspect."""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from chatcore.lab import statistics as st
from chatcore.lab.datasets.vocabulary import Dataset, Sample
from chatcore.lab.pages import Table, facts, number, preview


@dataclass(frozen=True, slots=True)
class Output:
    """What a solver answered to one sample in one epoch. `degraded`: by an embedded model, weaker than a provider's.

    `evidence` is what the answer rests on, as JSON, for whoever asks what other settings would have answered.
    """

    value: Any
    model: str = ""
    degraded: bool = False
    tokens: int = 0
    cost_usd: float = 0.0
    evidence: Mapping[str, Any] = field(default_factory=dict)


Solver = Callable[[Sample, int], Awaitable[Output] | Output]
"""Of a sample and an epoch. What it raises is kept as an error of that sample: missing data, never a zero."""

Scorer = Callable[[Sample, Output], Awaitable[float] | float]
"""NaN: it could not judge, which is not zero."""


@dataclass(frozen=True, slots=True)
class Task:
    """`name` and `version` tell solvers apart in the cache: a changed solver needs another version. `span` is the width
    of the score's scale."""

    dataset: Dataset
    solve: Solver
    score: Scorer
    name: str = "task"
    version: str = "1"
    epochs: int = 1
    span: float = 1.0

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError("a task has at least one epoch")


@dataclass(frozen=True)
class Report:
    """`table` has one row for each sample and epoch: sample, epoch, score, error, conversation, sender, the slices,
    text, answer, evidence, latency_ms, tokens, cost_usd, degraded, cached."""

    name: str
    dataset: str
    table: pd.DataFrame = field(repr=False)
    span: float = 1.0
    against: "Report | None" = None

    @property
    def mean(self) -> "st.Interval":
        scores = st.by_sample(self.table)
        return st.clustered_mean(
            scores["score"], clusters=[scores["conversation"], scores["sender"]], span=self.span
        )  # fmt: skip

    @property
    def difference(self) -> "st.Difference":
        """Against the other report, paired by sample. Raises ValueError without one."""
        return st.paired_difference(self.table, self._other.table, span=self.span)

    @property
    def paired(self) -> pd.DataFrame:
        """One row a sample: `live` and `candidate`, the mean scores over its epochs. Raises ValueError without a
        comparison."""
        ours, theirs = (st.by_sample(one.table).set_index("sample")["score"] for one in (self, self._other))
        return pd.DataFrame({"live": theirs, "candidate": ours})

    @property
    def _other(self) -> "Report":
        if self.against is None:
            raise ValueError("this report stands alone: evaluate(task, against=...) compares")
        return self.against

    @property
    def failures(self) -> pd.DataFrame:
        """Samples that raised, and what."""
        failed = self.table[self.table["error"] != ""]
        return failed[["sample", "epoch", "error", "text"]].reset_index(drop=True)

    def worst(self, count: int = 10) -> pd.DataFrame:
        """The samples with the lowest scores, or, in a comparison, those that lost most."""
        ours = st.by_sample(self.table).set_index("sample")
        if self.against is not None:
            ours = ours.assign(lost=st.by_sample(self._other.table).set_index("sample")["score"] - ours["score"])
            return ours.nlargest(count, "lost")[["lost", "score", "text", "answer"]].reset_index()
        return ours.nsmallest(count, "score")[["score", "text", "answer"]].reset_index()

    def by(self, column: str) -> pd.DataFrame:
        """A row for each value of a slice: in a comparison the differences, with Holm's correction."""
        if self.against is not None:
            return st.difference_by_slice(self.table, self._other.table, column, span=self.span)
        rows = []
        for value, part in self.table.groupby(column, sort=True, dropna=False):
            scores = st.by_sample(part)
            found = st.clustered_mean(scores["score"], clusters=[scores["conversation"]], span=self.span)
            rows.append({column: value, "n": found.n, "mean": found.estimate, "low": found.low, "high": found.high})
        return pd.DataFrame(rows)

    def slices(self, *columns: str) -> pd.DataFrame:
        """The differences by each value of several slices, with Holm's correction over all of them together."""
        parts = [
            self.by(name).rename(columns={name: "value"}).assign(slice=name)
            for name in columns
            if name in self.table.columns
        ]
        table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["value", "slice", "p"])
        table["p_holm"] = st.holm(table["p"].tolist())
        table["slice"] = table["slice"].str.replace("_", " ") + ": " + table["value"].astype(str)
        wanted = ["slice", "n", "live", "candidate", "difference", "low", "high", "p_holm"]
        return table[wanted]

    @property
    def totals(self) -> Mapping[str, float]:
        """Calls, cached ones, errors, tokens, cost and the latency of what was really asked."""
        asked = self.table[~self.table["cached"]]
        return {
            "calls": len(self.table),
            "cached": int(self.table["cached"].sum()),
            "errors": int((self.table["error"] != "").sum()),
            "tokens": int(self.table["tokens"].sum()),
            "cost_usd": float(self.table["cost_usd"].sum()),
            "latency_p95_ms": float(asked["latency_ms"].quantile(0.95)) if len(asked) else math.nan,
            "degraded": int(self.table["degraded"].sum()),
        }

    def _repr_html_(self) -> str:
        rows = [[self.name, *_of(self.mean)]]
        if self.against is not None:
            rows += [[self.against.name, *_of(self.against.mean)], ["difference", *_of(self.difference.interval)]]
        told = {"data": self.dataset} | {name.replace("_", " "): number(value) for name, value in self.totals.items()}
        page = facts("Evaluation", told)
        page += Table(["", "mean", "low", "high", "n", "missing"], rows, frozenset({1, 2, 3, 4, 5})).html()
        failed = [[row.sample, preview(row.error, 120)] for row in self.failures.head(3).itertuples()]
        return page + (Table(["failed", "why"], failed).html() if failed else "")


def _of(found: "st.Interval") -> list[str]:
    return [number(found.estimate), number(found.low), number(found.high), f"{found.n:,}", f"{found.missing:,}"]
