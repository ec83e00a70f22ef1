"""How vectors are kept in memory: what each way finds, how long it takes and what it weighs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from chatcore.ai.search.matrix import GroupMatrix, Matrix, Precision
from chatcore.lab import statistics as st
from chatcore.lab.datasets.vocabulary import Dataset
from chatcore.lab.pages import Table, facts, number
from chatcore.lab.plots import COLOURS, INK, finished
from chatcore.lab.searching.corpus import Corpus, embedded, numbered

K: Final = 10
NOISE: Final = 0.35  # length of what is added to a mixture of two real vectors, which have length 1
MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class IndexSetting:
    """`dimensions` 0: all numbers of a vector; else the first so many, made length 1 again."""

    precision: Precision = "int8"
    dimensions: int = 0

    @property
    def name(self) -> str:
        return self.precision + (f", first {self.dimensions}" if self.dimensions else "")

    @classmethod
    def read(cls, name: str) -> "IndexSetting":
        """From `int8` or `int8/192`. Raises ValueError."""
        precision, _, dimensions = name.partition("/")
        if precision not in ("float32", "float16", "int8"):
            raise ValueError(f"{precision}: the precisions are float32, float16 and int8")
        return cls(precision, int(dimensions or 0))  # type: ignore[arg-type]  # it was just compared

    def cut(self, vectors: Matrix) -> Matrix:
        if not self.dimensions:
            return vectors
        part = vectors[:, : self.dimensions]
        shorter: Matrix = part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-9)
        return shorter


@dataclass(frozen=True)
class IndexReport:
    """`table`: setting, recall, low, high, p50_ms, p95_ms (both CPU time), mib_per_1000, frontier.

    `recalls`: setting, sample, score, conversation.
    """

    table: pd.DataFrame
    recalls: pd.DataFrame
    messages: int
    real: int

    def recall(self, setting: str) -> "st.Interval":
        """recall@10 against exact products in double precision, clustered by conversation."""
        rows = self.recalls[self.recalls["setting"] == IndexSetting.read(setting).name]
        return _recall(rows)

    def row(self, setting: str) -> "pd.Series[float]":
        name = IndexSetting.read(setting).name
        found: pd.Series[float] = self.table.set_index("setting").loc[name]
        return found

    def smallest(self, *, recall: float, within_ms: float) -> str:
        """The setting that weighs least of those whose recall's lower bound and 95th percentile hold; "" for none."""
        good = self.table[(self.table["low"] >= recall) & (self.table["p95_ms"] <= within_ms)]
        return str(good.sort_values("mib_per_1000")["setting"].iloc[0]) if len(good) else ""

    def plot(self, *, recall: float, within_ms: float) -> Figure:
        """Recall and time against memory, with intervals and up to the 95th percentile. Filled: beaten by no other in
        all three."""
        figure, axes = plt.subplots(1, 2, figsize=(9, 3.6))
        for place, row in self.table.iterrows():
            colour = COLOURS[int(str(place)) % len(COLOURS)]
            sides = ((axes[0], "recall", row["low"], row["high"]), (axes[1], "p50_ms", row["p50_ms"], row["p95_ms"]))
            for side, column, low, high in sides:
                weight = row["mib_per_1000"]
                side.plot([weight, weight], [low, high], color=colour, lw=3, alpha=0.35, solid_capstyle="round")
                fill = colour if row["frontier"] else "none"
                side.scatter(weight, row[column], s=60, color=fill, edgecolors=colour, linewidths=2, zorder=3)
                side.annotate(row["setting"], (weight, row[column]), xytext=(8, -3), textcoords="offset points",
                              fontsize=8, color=INK)  # fmt: skip
        for side, label in ((axes[0], f"recall@{K}"), (axes[1], "CPU ms, median to 95th percentile")):
            side.set(xlabel="MiB for 1,000 messages", ylabel=label)
            side.margins(x=0.3, y=0.15)
        axes[0].axhline(recall, color=INK, lw=1, ls=":")
        axes[0].set(title=f"What is found (asked: {recall:g})")
        axes[1].set(title=f"How long it takes (budget {within_ms:g} ms)", ylim=(0, None))
        return finished(figure)

    def _repr_html_(self) -> str:
        told = {"messages": f"{self.messages:,}", "of them real": f"{self.real:,}"}
        rows = [
            [row["setting"], *(number(row[column]) for column in self.table.columns[1:-1]),
             "yes" if row["frontier"] else "no"]
            for _, row in self.table.iterrows()
        ]  # fmt: skip
        heads = ["setting", f"recall@{K}", "low", "high", "p50 CPU ms", "p95 CPU ms", "MiB / 1,000", "unbeaten"]
        return facts("Vector indexes", told) + Table(heads, rows, frozenset(range(1, 7))).html()


def measure_indexes(
    corpus: Corpus,
    queries: Dataset,
    settings: Sequence[str],
    *,
    messages: int = 0,
    rounds: int = 3,
    seed: int = 0,
) -> IndexReport:
    """Each setting in the server's own matrix. Where `messages` are more than the corpus has, mixtures of its vectors
    fill up: as near to each other as real ones, so that they crowd the neighbourhood of a query."""
    vectors = filled_up(corpus.vectors, messages, np.random.default_rng(seed))
    asked, _ = embedded([sample.text for sample in queries])
    exact = nearest_exactly(vectors, asked)
    chosen = [IndexSetting.read(setting) for setting in settings]
    built = [_built(setting, vectors) for setting in chosen]
    times: list[list[float]] = [[] for _ in chosen]
    found: list[list[set[int]]] = [[] for _ in chosen]
    for turn in range(rounds):  # in turns, so that a busy moment of the machine meets all of them
        for place, (setting, matrix) in enumerate(zip(chosen, built, strict=True)):
            for vector in setting.cut(asked):
                began = time.thread_time()  # one thread does it all, so on an idle core this is what a query waits
                hits = matrix.nearest("", vector, 0, K)
                times[place].append((time.thread_time() - began) * 1_000)
                if turn == 0:
                    found[place].append({hit.seq - 1 for hit in hits})
    recalls = pd.DataFrame(
        [
            {"setting": setting.name, "sample": sample.id, "score": len(hits & right) / len(right),
             "conversation": sample.conversation or sample.id}
            for setting, all_hits in zip(chosen, found, strict=True)
            for sample, hits, right in zip(queries, all_hits, exact, strict=True)
        ]
    )  # fmt: skip
    rows = [_row(*given, recalls) for given in zip(chosen, built, times, strict=True)]
    return IndexReport(_with_frontier(pd.DataFrame(rows)), recalls, len(vectors), min(len(corpus), len(vectors)))


def _row(setting: IndexSetting, matrix: GroupMatrix, times: list[float], recalls: pd.DataFrame) -> dict[str, object]:
    own = recalls[recalls["setting"] == setting.name]
    recall = _recall(own)
    p50, p95 = np.percentile(times, [50, 95])
    weight = matrix.bytes / MIB / len(matrix) * 1_000
    return {
        "setting": setting.name, "recall": recall.estimate, "low": recall.low, "high": recall.high,
        "p50_ms": p50, "p95_ms": p95, "mib_per_1000": weight,
    }  # fmt: skip


def _recall(rows: pd.DataFrame) -> "st.Interval":
    found = st.clustered_mean(rows["score"].to_numpy(), clusters=[rows["conversation"].to_numpy()])
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def _built(setting: IndexSetting, vectors: Matrix) -> GroupMatrix:
    rows = setting.cut(vectors)
    matrix = GroupMatrix(rows.shape[1], setting.precision)
    matrix.put(numbered(len(rows)), rows)
    return matrix


def filled_up(vectors: Matrix, count: int, dice: np.random.Generator) -> Matrix:
    """The vectors, then mixtures of two of them with some noise; as they are where there are enough."""
    missing = count - len(vectors)
    if missing <= 0:
        return vectors
    one, other = (vectors[dice.integers(0, len(vectors), missing)] for _ in range(2))
    share = dice.uniform(0.5, 1.0, (missing, 1)).astype(np.float32)
    noise = dice.normal(0, NOISE / np.sqrt(vectors.shape[1]), one.shape).astype(np.float32)
    mixed = share * one + (1 - share) * other + noise
    return np.concatenate([vectors, mixed / np.linalg.norm(mixed, axis=1, keepdims=True)])


def nearest_exactly(vectors: Matrix, queries: Matrix) -> list[set[int]]:
    """The K nearest rows of each query, in double precision."""
    return [set(np.argsort(-(vectors.astype(np.float64) @ query))[:K].tolist()) for query in queries.astype(np.float64)]


def _with_frontier(table: pd.DataFrame) -> pd.DataFrame:
    """Whether no other setting is at least as good in recall, time and weight, and better in one."""
    figures = table[["recall", "p50_ms", "mib_per_1000"]].to_numpy() * [-1, 1, 1]
    beaten = [
        any(bool((other <= own).all() and (other < own).any()) for other in figures) for own in figures
    ]  # fmt: skip
    return table.assign(frontier=[not one for one in beaten])
