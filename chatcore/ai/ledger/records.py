"""Rows of the decision ledger."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from chatcore.ai.calls import Feature, Served
from chatcore.vault.envelope import Sealed

Mode = Literal["live", "shadow", "replay"]
Change = Callable[[Any, Sequence[Any]], Awaitable[None]]
"""As the journal's: a write in a transaction that somebody else opens."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer of a model, as it was asked for and as it was used.

    `decision_id` comes from `Ledger.new_id`. `input` and `output` are JSON objects and hold content: they are sealed
    with the group's key, or the server's own where there is no group. `user_id` is stored as a keyed hash. `prompt`
    is a version's id, "" where no prompt was used. `seq` is the log position of the message that was decided on.
    `unreadable` is set where it is read back and its content is gone: erased, over the bound, or its key destroyed.
    """

    decision_id: str
    feature: Feature
    served: Served
    input: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] = field(default_factory=dict)
    group_id: str = ""
    message_id: str = ""
    seq: int | None = None
    user_id: str = ""
    prompt: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    thresholds_version: str = ""
    action: str = ""
    mode: Mode = "live"
    arm: str = ""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    replay_of: str = ""
    shadow_of: str = ""
    input_sha256: str = ""
    human: Mapping[str, Any] | None = None
    appeal: Mapping[str, Any] | None = None
    exposure: Mapping[str, Any] | None = None
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """As it lies in the database: content sealed or left out, the person hashed."""

    decision: Decision
    input: Sealed | None
    output: Sealed | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Query:
    """`since <= at < until`; what is "" is not asked for."""

    since: datetime
    until: datetime
    feature: str = ""
    group_id: str = ""
    prompt: str = ""
    mode: str = ""
    limit: int = 100


class LedgerStore(Protocol):
    async def add(self, rows: Sequence[StoredDecision]) -> None:
        """A repeat after an unknown outcome adds nothing."""
        ...

    async def find(self, decision_id: str) -> StoredDecision | None: ...
    async def window(self, query: Query) -> list[StoredDecision]:
        """Newest first, without their sealed content."""
        ...

    async def of_person(self, person: str, limit: int) -> list[StoredDecision]:
        """Newest first, without their sealed content; `person` is the keyed hash."""
        ...

    async def add_outcomes(self, decision_id: str, outcomes: Mapping[str, Mapping[str, Any]]) -> bool:
        """False where there is no such decision."""
        ...

    def outcomes_added(self, decision_id: str, outcomes: Mapping[str, Mapping[str, Any]]) -> Change:
        """The same within somebody else's transaction; nothing where there is no such decision (any more)."""
        ...

    async def erase_group(self, group_id: str) -> None: ...
    async def erase_person(self, person: str) -> None: ...
