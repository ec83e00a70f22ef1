"""What is kept of a suggestion. Its text is in the ledger, sealed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from chatcore.vault.envelope import Sealed

Kind = Literal["reply", "typing"]


@dataclass(frozen=True, slots=True)
class SuggestionRecord:
    """`place` counts from 0, best first. `ratings` tells when each kind of rating was given first."""

    suggestion_id: str
    decision_id: str
    kind: Kind
    place: int
    user_id: str
    group_id: str
    prompt: str
    arm: str
    at: datetime
    ratings: Mapping[str, datetime] = field(default_factory=dict)
    feedback: Sealed | None = None


class SuggestionStore(Protocol):
    async def add(self, suggestions: Sequence[SuggestionRecord]) -> None: ...

    async def find(self, suggestion_id: str) -> SuggestionRecord | None: ...

    async def of_decision(self, decision_id: str) -> list[SuggestionRecord]:
        """Best first."""
        ...

    async def rate(self, suggestion_id: str, rating: str, at: datetime, feedback: Sealed | None) -> None:
        """The first time of a rating stays; the newest feedback counts."""
        ...

    async def of_user(self, user_id: str) -> list[SuggestionRecord]: ...

    async def erase_group(self, group_id: str) -> None: ...

    async def erase_user(self, user_id: str) -> None: ...
