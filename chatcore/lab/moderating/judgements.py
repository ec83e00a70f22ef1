"""What moderation said of each sample, kept so that other limits can be tried without asking any model again."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from chatcore.lab import statistics as st
from chatcore.lab.datasets.vocabulary import Dataset, Sample
from chatcore.lab.evaluation.tasks import Report
from chatcore.lab.pages import Table, facts, number, preview
from chatcore.moderation.decide import Policy, rule
from chatcore.moderation.judge import evidence_from_json
from chatcore.moderation.records import Evidence, Ruling

Floats = npt.NDArray[np.float64]
ANY: Final = "any"
UNKNOWN: Final = math.nan
SUMMARIES: Final[Mapping[str, frozenset[str]]] = {"toxic": frozenset({"harassment", "hate"})}
"""Scores of the embedded model that are no category: what they stand for in labelled data."""

LEARNED: Final = ("public/openai-moderation", "public/surge-toxicity")
"""What the embedded models were trained on: see training/moderation.py."""


def caution(report: Report) -> str:
    """What a reader must know before believing the numbers, "" where a provider answered."""
    if not report.totals["degraded"]:
        return ""
    if report.dataset.startswith(LEARNED):
        return "The embedded models LEARNED from these texts: recall here is no estimate for others; take another set."
    return "An embedded model answered (degraded): a provider's scores mean something else, and need their own limits."


@dataclass(frozen=True)
class Judgements:
    """`samples` and `evidence` in one order; a sample that could not be judged has no evidence and is missing data."""

    dataset: str
    samples: tuple[Sample, ...] = field(repr=False)
    evidence: tuple[tuple[Evidence, ...] | None, ...] = field(repr=False)
    policy: Policy = field(default_factory=Policy, repr=False)

    @property
    def missing(self) -> int:
        return sum(each is None for each in self.evidence)

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """Those that are labelled here and that a model scores."""
        labelled = {name for sample in self.samples for name in _labels(sample.target)}
        scored = {name for seen in self.evidence if seen for each in seen for name in each.scores}
        return tuple(sorted(labelled & scored))

    def truth(self, category: str = ANY) -> Floats:
        """1 and 0, NaN where nobody knows. `any`: harmful in whatever way."""
        return np.array([truth_of(sample.target, category) for sample in self.samples])

    def scores(self, category: str, *, first: bool = False) -> Floats:
        """Of the first tier, else the highest of the others; NaN where none of them spoke of it."""
        found = []
        for seen in self.evidence:
            told = [each.scores[category] for each in seen or () if (each.tier == "first") == first
                    and category in each.scores]  # fmt: skip
            found.append(max(told, default=math.nan))
        return np.array(found)

    def rulings(self, policy: Policy | None = None) -> list[Ruling | None]:
        """By the server's own `rule`, under this policy or the one in force."""
        chosen = policy or self.policy
        pairs = zip(self.samples, self.evidence, strict=True)
        return [None if seen is None else rule(sample.text, seen, chosen) for sample, seen in pairs]

    def flagged(self, policy: Policy | None = None) -> Floats:
        """1 where anything at all follows, 0 where the text passes, NaN for missing data."""
        return np.array([UNKNOWN if one is None else float(one.action != "allow") for one in self.rulings(policy)])

    def recall(self, policy: Policy | None = None, *, category: str = ANY) -> "st.Interval":
        """The share of the harmful that is flagged, for whatever reason: a person will look at it."""
        return _share(self.flagged(policy), self.truth(category) == 1)

    def false_alarms(self, policy: Policy | None = None) -> "st.Interval":
        """The share of the harmless that is flagged."""
        return _share(self.flagged(policy), self.truth() == 0, rate=st.event_rate)

    def by(self, column: str, policy: Policy | None = None) -> pd.DataFrame:
        """A row for each value of a slice: how much of it is harmful, and which share of either kind is flagged."""
        values = np.array([sample.slices.get(column, "") for sample in self.samples], dtype=object)
        flagged, truth = self.flagged(policy), self.truth()
        rows = []
        for value in sorted(set(values)):
            here = values == value
            for kind, known in (("harmful", truth == 1), ("harmless", truth == 0)):
                if (here & known).any():
                    found = _share(flagged, here & known)
                    rows.append({column: value, "texts": kind, "n": found.n, "share": found.estimate,
                                 "low": found.low, "high": found.high})  # fmt: skip
        return pd.DataFrame(rows)

    def wrong(self, count: int = 10, policy: Policy | None = None) -> pd.DataFrame:
        """Harmless texts that were flagged, then the harmful ones that were missed, the most certain first."""
        rows = []
        for sample, ruling, truth in zip(self.samples, self.rulings(policy), self.truth(), strict=True):
            if ruling is None or math.isnan(truth) or (ruling.action != "allow") == bool(truth):
                continue
            highest = max(ruling.scores.values(), default=0.0)
            rows.append({"what": "missed" if truth else "false alarm", "score": ruling.score or highest,
                         "as": ruling.category, "labels": ", ".join(sorted(_labels(sample.target))) or "harmless",
                         "text": preview(sample.text, 100)})  # fmt: skip
        rows.sort(key=lambda row: (row["what"], -float(str(row["score"]))))
        return pd.DataFrame(rows[:count], columns=["what", "score", "as", "labels", "text"])

    def _repr_html_(self) -> str:
        truth = self.truth()
        told = {"data": self.dataset, "samples": f"{len(self.samples):,}", "harmful": f"{int((truth == 1).sum()):,}",
                "harmless": f"{int((truth == 0).sum()):,}", "missing": f"{self.missing:,}",
                "limits": self.policy.thresholds.version}  # fmt: skip
        rows = [
            [name, *_told(found)]
            for name, found in (("flagged of the harmful", self.recall()), ("of the harmless", self.false_alarms()))
        ]
        return (
            facts("Moderation", told) + Table(["", "share", "low", "high", "n"], rows, frozenset({1, 2, 3, 4})).html()
        )


def judgements(report: Report, dataset: Dataset, policy: Policy | None = None) -> Judgements:
    """Of an evaluation with `moderate`; of several epochs the first that was answered. Raises ValueError for a report
    on other data."""
    if report.dataset != dataset.pinned:
        raise ValueError(f"the report is about {report.dataset}, and these samples are {dataset.pinned}")
    answered = report.table[report.table["error"] == ""].drop_duplicates("sample").set_index("sample")["evidence"]
    told = [evidence_from_json(answered[one.id]["tiers"]) if one.id in answered.index else None for one in dataset]
    return Judgements(report.dataset, tuple(dataset), tuple(told), policy or Policy())


def truth_of(target: Any, category: str = ANY) -> float:
    """1, 0, or NaN for unknown: a text that is labelled with one thing only may well be another thing too.

    >>> truth_of(["violence"], "violence"), truth_of([], "violence"), truth_of(["violence"])
    (1.0, 0.0, 1.0)
    """
    labels = _labels(target)
    if category == ANY:
        return float(any(labels.values())) if labels or _harmless(target) else UNKNOWN
    wanted = SUMMARIES.get(category, frozenset({category}))
    told = [labels[name] for name in wanted if name in labels]
    if any(told):
        return 1.0
    return 0.0 if _harmless(target) or len(told) == len(wanted) else UNKNOWN


def _labels(target: Any) -> dict[str, bool]:
    """What is known, in whatever form a dataset tells it."""
    if isinstance(target, Mapping):
        return {str(name): bool(value) for name, value in target.items()}
    if isinstance(target, bool):
        return {"harassment": True} if target else {}
    if isinstance(target, str):
        return {"hate": {"hate": True}, "offensive": {"harassment": True}}.get(target, {})
    return dict.fromkeys(map(str, target or ()), True)


def _harmless(target: Any) -> bool:
    """Labelled as nothing bad at all; a mapping says it category by category."""
    return not isinstance(target, Mapping) and target in (False, "neither", [], ())


def _share(
    flagged: Floats, wanted: npt.NDArray[np.bool_], *, rate: "Callable[[int, int], st.Interval] | None" = None
) -> "st.Interval":
    here = flagged[wanted]
    known = here[np.isfinite(here)]
    return (rate or st.wilson)(int(known.sum()), len(known))


def _told(found: "st.Interval") -> Sequence[str]:
    return [number(found.estimate), number(found.low), number(found.high), f"{found.n:,}"]
