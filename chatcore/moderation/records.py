"""What is looked at, what was seen in it, what follows from that, and what is kept about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from chatcore.vault.envelope import Place, Sealed

Action = Literal["allow", "flag", "mask", "block"]
SEVERITY: dict[Action, int] = {"allow": 0, "flag": 1, "mask": 2, "block": 3}
TierName = Literal["first", "embedded", "provider", "prompt"]
Kind = Literal["message", "edit", "group_name", "display_name", "content"]
Mode = Literal["off", "fast", "strict"]
Limit = Literal["flag", "mask", "block"]
Overrides = Mapping[str, Mapping[Limit, float]]
"""By category; what is left out keeps the table's limit."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A text's place. `mode` and `overrides` are the group's own wishes; "" stands for what is not known yet."""

    kind: Kind
    user_id: str = ""
    group_id: str = ""
    message_id: str = ""
    temp_id: str | None = None
    ai: bool = True
    mode: Mode = "fast"
    overrides: Overrides = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """A known word at text[start:end]. `severity` goes from 1 (mild) to 3 (severe)."""

    start: int
    end: int
    category: str
    severity: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one tier saw: `scores` by category, 0 to 1; `spans` where it knows the words."""

    tier: TierName
    scores: Mapping[str, float]
    spans: tuple[Span, ...] = ()
    model: str = ""


@dataclass(frozen=True, slots=True)
class Ruling:
    """`category` and `score` are those that decided, "" and 0 for `allow`. `scores` holds the highest of each category
    over all tiers, `flags` the categories at or above their limit, `spans` what a mask covers; none: all of the text.
    `missing` names a tier that could not answer.
    """

    action: Action
    category: str
    score: float
    tiers: tuple[TierName, ...]
    scores: Mapping[str, float]
    flags: tuple[str, ...]
    thresholds_version: str
    spans: tuple[Span, ...] = ()
    missing: str = ""


Standing = Literal["standing", "undone"]
Deed = Literal["rejected", "masked", "removed"]


@dataclass(frozen=True, slots=True)
class Sanction:
    """What moderation did to somebody's text: `rejected` before it was stored, `masked` or `removed` after.

    `sealed` is the text as it was written, under the group's key, until its retention has passed.
    """

    decision_id: str
    deed: Deed
    kind: Kind
    group_id: str
    user_id: str
    message_id: str
    category: str
    sealed: Sealed | None
    created_at: datetime
    due_at: datetime
    state: Standing = "standing"

    def holding(self, sealed: Sealed) -> "Sanction":
        return replace(self, sealed=sealed)

    @property
    def place(self) -> Place:
        return Place(self.group_id, self.decision_id, self.user_id, "sanction")


Source = Literal["flag", "report", "sample", "unchecked"]
ReviewState = Literal["open", "assigned", "resolved"]
Resolution = Literal["dismiss", "remove", "restore", "warn", "kick", "ban"]


@dataclass(frozen=True, slots=True)
class Review:
    """One message that a person shall look at; there is one for each message, opened again by news about it.

    `source` is why: `flag` and `report`; `sample`, a random share of what no tier flagged, which alone tells how much
    is missed; `unchecked`, what the models had no time or no answer for.
    """

    id: str
    message_id: str
    group_id: str
    user_id: str
    source: Source
    created_at: datetime
    decision_id: str = ""
    category: str = ""
    action: Action = "allow"
    score: float = 0.0
    reports: int = 0
    state: ReviewState = "open"
    assignee: str = ""
    resolution: Resolution | None = None
    resolved_by: str = ""
    resolved_at: datetime | None = None
    note: str = ""

    @property
    def order(self) -> str:
        """Sorts oldest first, without ties."""
        return order_of(self.created_at, self.id)


AppealState = Literal["open", "upheld", "denied"]


@dataclass(frozen=True, slots=True)
class Appeal:
    """The author's objection to a sanction: one for each. `upheld` is in the author's favour."""

    id: str
    decision_id: str
    group_id: str
    user_id: str
    reason: str
    created_at: datetime
    state: AppealState = "open"
    resolved_by: str = ""
    resolved_at: datetime | None = None
    note: str = ""

    @property
    def order(self) -> str:
        return order_of(self.created_at, self.id)


def order_of(moment: datetime, id_: str) -> str:
    return f"{round(moment.timestamp() * 1000):014d}-{id_}"
