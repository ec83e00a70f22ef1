"""The other processes that write to the same logs, as the journal sees them: told what is stored, and telling."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chatcore.journal.rows import Row


@dataclass(frozen=True, slots=True)
class News:
    """Somebody says that a group's log has reached `up_to` (None: look for yourself).

    `rows` are the rows that end there, if they came along. They must be somebody's who is trusted as the database is.
    """

    group_id: str
    up_to: int | None
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadMark:
    """A read watermark that is stored."""

    user_id: str
    seq: int
    n: int
    at: datetime


class Peers(Protocol):
    """No call waits, and none may be relied upon: what they carry is a hint, the database is the truth."""

    def appended(self, rows: Sequence[Row]) -> None:
        """Rows of one group that this process stored, in order."""

    def followed(self, group_id: str) -> None:
        """From now on this process keeps up with the group's log."""

    def unfollowed(self, group_id: str) -> None: ...

    def read(self, group_id: str, marks: Sequence[ReadMark]) -> None: ...


class NoPeers:
    """One process alone, or several that look at the database only."""

    def appended(self, rows: Sequence[Row]) -> None:
        return None

    def followed(self, group_id: str) -> None:
        return None

    def unfollowed(self, group_id: str) -> None:
        return None

    def read(self, group_id: str, marks: Sequence[ReadMark]) -> None:
        return None
