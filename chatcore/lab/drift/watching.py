"""What a ledger says over time, as control charts, and the alarms among them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from chatcore.lab.drift.limits import Chart, TooLittle, ewma_chart, p_chart, psi_chart, u_chart
from chatcore.lab.pages import Table, facts, number

FLAGGED: Final = ("flag", "mask", "block")
TAKEN: Final = ("accepted", "edited")
LIKED: Final = ("positive", "helpful")
DISLIKED: Final = ("negative", "not_helpful", "inappropriate")
ASKED: Final = ("smart_reply", "typing", "summary", "topics", "ask", "translate", "action_items")
LEAST_REVIEWED: Final = 5
"""Reviews and appeals are few; shares of fewer than these a bucket are not judged."""


@dataclass(frozen=True)
class Watch:
    """`charts` by name; `left_out` says of which there was too little to judge, and why."""

    charts: Mapping[str, Chart]
    left_out: Mapping[str, str]
    every: str
    reference: int
    source: str = ""

    @property
    def alarms(self) -> pd.DataFrame:
        """One row for each point beyond its limits: chart, bucket, value, low, high, n, episode.

        Neighbouring points of a chart are one episode: it is one change that they tell of.
        """
        names = ["chart", "bucket", "value", "low", "high", "n", "episode"]
        rows = [row for chart in self.charts.values() for row in _alarms(chart)]
        return pd.DataFrame(rows, columns=names)

    @property
    def episodes(self) -> pd.DataFrame:
        """One row for each run of alarms: chart, first, last, points, farthest (value), limit, direction."""
        names = ["chart", "first", "last", "points", "value", "limit", "direction"]
        rows = []
        for (chart, _), part in self.alarms.groupby(["chart", "episode"], sort=False):
            beyond = np.maximum(part["value"] - part["high"], part["low"] - part["value"])
            worst = part.loc[beyond.idxmax()]
            up = bool(worst["value"] > worst["high"])
            rows.append([chart, part["bucket"].min(), part["bucket"].max(), len(part), worst["value"],
                         worst["high"] if up else worst["low"], "up" if up else "down"])  # fmt: skip
        return pd.DataFrame(rows, columns=names)

    @property
    def expected_false(self) -> float:
        """Alarms that chance alone would give over all charts."""
        return sum(chart.expected_false for chart in self.charts.values())

    def first_alarm(self, chart: str, since: pd.Timestamp) -> pd.Timestamp | None:
        """Of this chart, at or after a moment."""
        found = self.alarms
        found = found[(found["chart"] == chart) & (found["bucket"] >= since)]
        return None if found.empty else pd.Timestamp(found["bucket"].min())

    @property
    def sentence(self) -> str:
        judged = sum(chart.judged for chart in self.charts.values())
        found = self.episodes
        chance = f"chance alone would cross a limit about {self.expected_false:.1f} times"
        if found.empty:
            return f"No limit was crossed in {judged:,} points of {len(self.charts)} charts ({chance})."
        told = found.groupby(["chart", "direction"], sort=False)["points"].sum().sort_values(ascending=False)
        worst = ", ".join(f"{chart} {way} ({points} points)" for (chart, way), points in told.items())
        return f"{len(found)} episodes of alarms in {judged:,} points of {len(self.charts)} charts ({chance}): {worst}."

    def _repr_html_(self) -> str:
        told = {"source": self.source, "each point": self.every, "reference": f"the first {self.reference} points",
                "charts": f"{len(self.charts)}"}  # fmt: skip
        rows = [
            [name, chart.kind, f"{chart.judged:,}", f"{len(chart.alarms):,}", number(chart.expected_false, digits=2),
             number(float(chart.points["centre"].iloc[0]), digits=3)]
            for name, chart in self.charts.items()
        ]  # fmt: skip
        rows += [[name, "", "0", "", "", f"left out: {why}"] for name, why in self.left_out.items()]
        head = ["chart", "kind", "points judged", "alarms", "by chance", "centre"]
        return facts("Drift watch", told) + Table(head, rows, frozenset({2, 3, 4})).html()


def watch(rows: pd.DataFrame, *, every: str = "1D", reference: int = 14) -> Watch:
    """All charts that the decisions allow; `every` is a pandas frequency, `reference` how many points set the limits.

    A last bucket that is not over yet is judged like the others: its limits are as wide as its cases are few.
    Raises ValueError where there are not more buckets than the reference takes.
    """
    kept = rows[rows["mode"] == "live"].assign(bucket=lambda one: one["at"].dt.floor(every))
    buckets = pd.date_range(kept["bucket"].min(), kept["bucket"].max(), freq=every) if len(kept) else []
    if len(buckets) <= reference:
        raise ValueError(
            f"{len(buckets)} points of {every}, of which {reference} set the limits: nothing is left to judge; "
            "ask for a longer time or take a smaller reference"
        )
    view = _View(kept, pd.DatetimeIndex(buckets), reference)
    charts: dict[str, Chart] = {}
    left_out: dict[str, str] = {}
    for name, make in view.charts():
        try:
            charts[name] = make()
        except TooLittle as little:
            left_out[name] = str(little).removeprefix(f"{name}: ")
    return Watch(charts, left_out, every, reference, str(rows.attrs.get("dataset", "")))


class _View:
    """The ledger by bucket, from the side of each chart."""

    def __init__(self, rows: pd.DataFrame, buckets: pd.DatetimeIndex, reference: int):
        self._rows, self._buckets, self._reference = rows, buckets, reference
        self._moderated = rows[rows["feature"] == "moderation"]
        suggested = rows[rows["exposure"].map(bool)]
        ratings = suggested["exposure"].map(ratings_of)
        self._shown = suggested.assign(ratings=ratings)[ratings.map(lambda told: "shown" in told)]

    def charts(self) -> Iterator[tuple[str, Callable[[], Chart]]]:
        rows, moderated, shown = self._rows, self._moderated, self._shown
        yield "flagged messages", self._share("flagged messages", moderated, moderated["action"].isin(FLAGGED))
        yield (
            "label mix",
            self._mix("label mix", moderated, moderated.apply(label_of, axis=1) if len(moderated) else []),
        )
        reviewed = moderated[moderated["human"].map(bool)]
        overruled = reviewed["human"].map(lambda told: told.get("agrees") is False)
        yield "overrules", self._share("overrules", reviewed, overruled, least=LEAST_REVIEWED)
        appealed = moderated[moderated["appeal"].map(bool)]
        upheld = appealed["appeal"].map(lambda told: told.get("outcome") == "upheld")
        yield "appeals upheld", self._share("appeals upheld", appealed, upheld, least=LEAST_REVIEWED)
        yield "suggestions taken", self._share("suggestions taken", shown, shown["ratings"].map(_any_of(TAKEN)))
        thumbs = shown[shown["ratings"].map(_any_of((*LIKED, *DISLIKED)))]
        down = thumbs["ratings"].map(_any_of(DISLIKED))
        yield "thumbs down", self._share("thumbs down", thumbs, down, least=LEAST_REVIEWED)
        yield "prompt length", self._lengths
        written = rows[rows["prompt_tokens"] > 0]
        yield "length mix", self._mix("length mix", written, written["prompt_tokens"])
        if "language" in rows.columns:
            # Several decisions about one text are no several texts.
            spoken = rows[rows["language"].notna() & (rows["language"] != "")].drop_duplicates("input_sha256")
            yield "language mix", self._mix("language mix", spoken, spoken["language"])
        yield "fallbacks", self._share("fallbacks", rows, rows["fallback"] != "")
        yield "asked by a person", self._asked_by_a_person

    def _share(self, name: str, cases: pd.DataFrame, yes: pd.Series, *, least: int = 20) -> Callable[[], Chart]:
        return lambda: p_chart(
            name, self._by(cases[yes.astype(bool)]), self._by(cases), reference=self._reference, least=least
        )

    def _mix(self, name: str, cases: pd.DataFrame, values: Any) -> Callable[[], Chart]:
        grouped = cases.assign(value=values).groupby("bucket")["value"].agg(list) if len(cases) else {}
        told = {bucket: list(grouped.get(bucket, [])) for bucket in self._buckets}
        return lambda: psi_chart(name, told, reference=self._reference)

    def _lengths(self) -> Chart:
        """Of logarithms, since lengths have a long tail."""
        asked = self._rows[(self._rows["feature"] == "smart_reply") & (self._rows["prompt_tokens"] > 0)]
        logs = np.log2(asked["prompt_tokens"].astype(float)).groupby(asked["bucket"]).mean().reindex(self._buckets)
        cases = self._by(asked)
        return ewma_chart("prompt length", logs, cases, reference=self._reference, unit="log2 tokens")

    def _asked_by_a_person(self) -> Chart:
        asked = self._rows[self._rows["feature"].isin(ASKED) & (self._rows["person"] != "")]
        people = asked.groupby("bucket")["person"].nunique().reindex(self._buckets, fill_value=0)
        return u_chart("asked by a person", self._by(asked), people, reference=self._reference, least=5)

    def _by(self, cases: pd.DataFrame) -> pd.Series:
        return cases.groupby("bucket").size().reindex(self._buckets, fill_value=0)


def ratings_of(exposure: Mapping[str, Any] | None) -> frozenset[str]:
    """All that was said of any suggestion of one decision."""
    return frozenset(name for item in (exposure or {}).get("items", ()) for name in item.get("ratings", {}))


def label_of(row: pd.Series) -> str:
    """The category that a flag is about, as far as scores tell: the highest but for the two that sum up; or none."""
    if row["action"] not in FLAGGED:
        return "none"
    scores = {name: score for name, score in row["scores"].items() if name not in ("any", "toxic")}
    return str(max(scores, key=lambda name: scores[name])) if scores else "unknown"


def _any_of(names: tuple[str, ...]) -> Callable[[frozenset[str]], bool]:
    return lambda told: bool(told & set(names))


def _alarms(chart: Chart) -> Iterator[list[Any]]:
    """An episode ends with the first judged point within the limits."""
    episode = 0
    before = False
    for row in chart.points.itertuples():
        if row.alarm:
            episode += not before
            yield [chart.name, row.bucket, row.value, row.low, row.high, row.n, episode]
        if row.judged:
            before = bool(row.alarm)
