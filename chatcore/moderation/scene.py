"""What moderation needs of groups and messages, which stand above it and implement this."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from chatcore.contract.people import User
from chatcore.journal.rows import Mark

Change = Callable[[Any, Sequence[Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Seen:
    """A message as the people who review see it: deleted ones too, as long as their content is kept."""

    message_id: str
    group_id: str
    group_name: str
    author: User
    text: str
    seq: int
    rev: int
    is_deleted: bool
    mark: Mark | None
    created_at: datetime


class Scene(Protocol):
    """Each deed is one event of the group's log, with `changes` in the same transaction."""

    async def find(self, message_id: str) -> Seen | None: ...

    async def mask(self, message_id: str, rev: int, text: str, mark: Mark, changes: Sequence[Change]) -> bool:
        """Put another text in its place. False, with nothing changed, where it was edited or deleted since `rev`."""
        ...

    async def remove(
        self, message_id: str, mark: Mark | None, changes: Sequence[Change], *, rev: int | None = None
    ) -> bool:
        """Delete it for everybody. False, with nothing changed, where it is deleted or, with `rev`, was edited."""
        ...

    async def restore(self, message_id: str, decision_id: str, text: str, changes: Sequence[Change]) -> bool:
        """Bring back what this decision masked or removed, with this text. False, with nothing changed, where the
        message does not bear that decision's mark any more. Conflict where its content was erased."""
        ...

    async def expel(self, group_id: str, user_id: str, by: User, *, ban: bool, reason: str) -> None:
        """Raises NotFound, or Conflict for the owner of a group with others in it."""
        ...

    async def transact(self, changes: Sequence[Change]) -> None:
        """Changes that touch no message."""
        ...
