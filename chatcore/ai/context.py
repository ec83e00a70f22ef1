"""What a feature may read of conversations: always as somebody, always checked at the moment of reading."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chatcore.ports import Caller


@dataclass(frozen=True, slots=True)
class Line:
    """One message as its reader sees it; deleted, system and unreadable ones are never among them."""

    message_id: str
    group_id: str
    seq: int
    sender_id: str
    sender_name: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """What AI features ask of a group. `floor`: the caller reads only what comes after this log position."""

    group_id: str
    ai: bool
    moderation: str
    floor: int
    latest_seq: int
    member_count: int


class Conversations(Protocol):
    """Raises NotFound for a group or message that the caller may not read now."""

    async def facts(self, caller: Caller, group_id: str) -> GroupFacts: ...

    async def groups_of(self, caller: Caller) -> list[GroupFacts]: ...

    async def recent(self, caller: Caller, group_id: str, limit: int, *, before: int | None = None) -> list[Line]:
        """At most `limit` of the newest messages below `before` (a log position), oldest first."""

    async def since(self, caller: Caller, group_id: str, start: datetime, limit: int) -> list[Line]:
        """At most `limit` of the newest messages sent at or after `start`, oldest first."""

    async def by_ids(self, caller: Caller, message_ids: Sequence[str]) -> list[Line]:
        """Those of these that the caller may read now, in the given order; the others are left out."""
