"""What the log holds, and what one asks it to add."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from chatcore.vault.envelope import Place, Sealed

Kind = Literal["message", "edit", "delete", "reaction", "pin", "membership", "group"]


@dataclass(frozen=True, slots=True)
class Mark:
    """What moderation did to a message, and by which decision."""

    action: Literal["mask", "block"]
    category: str
    decision_id: str


@dataclass(slots=True)
class Row:
    """One line of a group's log, as stored. Never changed once made: `replace` makes another.

    Not frozen, because a frozen one takes four times as long to make (5.4 us), and a page of history makes fifty.

    `seq` is its place. `n` counts the messages people wrote up to here, `p` all messages shown up to here (with system
    messages): pages and unread counts are subtractions. `fingerprint` is a keyed hash of the first content, so that a
    retry can be told from another message under the same `tempId`. `data` holds the plain facts of other rows.
    """

    id: str
    group_id: str
    kind: Kind
    sender_id: str
    created_at: datetime
    seq: int = 0
    n: int = 0
    p: int = 0
    type: str = ""
    sealed: Sealed | None = None
    rev: int = 0
    fingerprint: bytes = b""
    reply_to: str | None = None
    media_id: str | None = None
    mentions: tuple[str, ...] = ()
    reactions: dict[str, int] = field(default_factory=dict)
    is_deleted: bool = False
    updated_at: datetime | None = None
    mark: Mark | None = None
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> bool:
        return self.kind == "message"

    @property
    def counted(self) -> bool:
        return self.kind == "message" and self.type != "system"

    @property
    def place(self) -> Place:
        return Place(self.group_id, self.id, self.sender_id, self.type, self.rev)

    def at(self, head: "Head") -> "Row":
        """This row as the next one after `head`."""
        return replace(self, seq=head.seq + 1, n=head.n + self.counted, p=head.p + self.shown)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a group's log."""

    seq: int = 0
    n: int = 0
    p: int = 0


Change = Callable[[Any, Sequence[Row]], Awaitable[None]]
"""A write to other documents in the same transaction: gets the store's own session and the numbered rows. Made by
stores only."""


@dataclass(slots=True)
class Entry:
    """Rows to append together, in order, for one group.

    With `changes` the rows and the changes become visible as one (a transaction); without, rows of many entries share
    one durable write (such an entry has one row). `deliver` is called once after the commit, in the group's order, with
    the rows as stored. `authorize` is called right before each try, with all that was committed before applied: it
    raises to withdraw the entry, which fences a sender who was removed in the meantime exactly.
    """

    group_id: str
    rows: Sequence[Row]
    deliver: Callable[[Sequence[Row]], None]
    changes: Sequence[Change] = ()
    authorize: Callable[[], None] | None = None


class SeqTaken(Exception):
    """Another process has appended to this group's log."""


class IdTaken(Exception):
    """A row with this id is stored already: the entry is a retry, and `row` is the first one."""

    def __init__(self, row: Row):
        super().__init__(row.id)
        self.row = row


@dataclass(frozen=True, slots=True)
class Inserted:
    """Outcome of one shared write: the first `count` rows are stored; `clash` tells what stopped the next one."""

    count: int
    clash: Literal["seq", "id"] | None = None
