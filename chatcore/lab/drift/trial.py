"""Does the watch notice what it should, and how soon? Tried on a history whose changes are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from chatcore.lab.drift.history import FIRST_DAY, Change, What
from chatcore.lab.drift.watching import Watch
from chatcore.lab.pages import Table

CHART_OF: Final[Mapping[What, str]] = {
    "flags": "flagged messages",
    "lengths": "prompt length",
    "languages": "language mix",
    "acceptance": "suggestions taken",
    "overrides": "overrules",
}


@dataclass(frozen=True)
class Trial:
    """`table`: change, chart, day, noticed after (days, NaN for never). `false`: episodes that no change explains."""

    table: pd.DataFrame
    false: int

    @property
    def noticed(self) -> int:
        return int(self.table["noticed after"].notna().sum())

    def _repr_html_(self) -> str:
        rows = [
            [row["change"], row["chart"], f"{row['day']}",
             "never" if pd.isna(row["noticed after"]) else f"{row['noticed after']:.0f} days"]
            for _, row in self.table.iterrows()
        ]  # fmt: skip
        return Table(["change made", "chart", "from day", "noticed after"], rows, frozenset({2, 3})).html()


def tried(watched: Watch, changes: Sequence[Change]) -> Trial:
    """An alarm of the chart of a change counts for it from its day on; anything else that lies before every change,
    or belongs to no changed chart, is false."""
    rows = []
    for change in changes:
        begins = pd.Timestamp(FIRST_DAY) + pd.Timedelta(days=change.day)
        first = watched.first_alarm(CHART_OF[change.what], begins)
        days = None if first is None else (first - begins).days
        rows.append([change.what, CHART_OF[change.what], change.day, days])
    table = pd.DataFrame(rows, columns=["change", "chart", "day", "noticed after"])
    told = [_explained(row, changes) for _, row in watched.episodes.iterrows()]
    return Trial(table, told.count(False))


def _explained(episode: pd.Series, changes: Sequence[Change]) -> bool:
    touched = {CHART_OF[one.what]: one.day for one in changes}
    # What moves one number moves its neighbours: a flag has a label, and a longer text more tokens.
    touched |= {near: touched[chart] for near, chart in NEIGHBOURS.items() if chart in touched}
    begins = touched.get(episode["chart"])
    return begins is not None and episode["last"] >= pd.Timestamp(FIRST_DAY) + pd.Timedelta(days=begins)


NEIGHBOURS: Final[Mapping[str, str]] = {
    "label mix": "flagged messages",
    "length mix": "prompt length",
    "thumbs down": "suggestions taken",
}
