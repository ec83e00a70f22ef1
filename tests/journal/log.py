"""A process that writes to logs, reduced to what the journal needs, and stores that misbehave."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chatcore.errors import NotFound, Unavailable
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Change, Entry, Head, Inserted, Row
from chatcore.journal.store import JournalStore
from chatcore.journal.writer import Writer

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WINDOW = 5_000


def a_message(group_id: str, sender_id: str = "ana", *, id: str = "", content: bytes = b"") -> Row:  # noqa: A002
    return Row(id or new_id(NOW), group_id, "message", sender_id, NOW, type="text", fingerprint=content)


def a_removal(group_id: str, user_id: str) -> Row:
    facts = {"event": "member_left", "userId": user_id, "reason": "kicked"}
    return Row(new_id(NOW), group_id, "membership", "owner", NOW, data=facts)


class Process:
    """One server process: a writer, who was removed as far as it knows, and what it has pushed, in order."""

    def __init__(self, store: JournalStore):
        self.store = store
        self.pushed: dict[str, list[int]] = {}
        self.removed: set[str] = set()
        self.missed: list[int] = []
        self.writer = Writer(store, load_head=self._load_head, missed=self._missed)

    async def _load_head(self, group_id: str) -> Head:
        rows = await self.store.window(group_id, 0, WINDOW)
        return Head(rows[-1].seq, rows[-1].n, rows[-1].p) if rows else Head()

    async def _missed(self, group_id: str, rows: Sequence[Row]) -> None:
        await asyncio.sleep(0)
        self.missed += [row.seq for row in rows]
        self._apply(rows)

    def _apply(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if row.kind == "membership":
                self.removed.add(row.data["userId"])
            self.pushed.setdefault(row.group_id, []).append(row.seq)

    async def write(self, *rows: Row, changes: Sequence[Change] = ()) -> Sequence[Row]:
        sender = rows[0].sender_id

        def authorize() -> None:
            if sender in self.removed:
                raise NotFound(f"{sender} was removed")

        return await self.writer.append(Entry(rows[0].group_id, rows, self._apply, changes, authorize))

    async def kick(self, group_id: str, user_id: str) -> Sequence[Row]:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            return None

        return await self.write(a_removal(group_id, user_id), changes=[change])


async def stored_log(store: JournalStore, group_id: str) -> list[Row]:
    return await store.window(group_id, 0, WINDOW)


class UnreliableStore:
    """A store behind a bad line. Set one of the three; each is used up by one write.

    `lost_answer`: the write happens, its answer does not arrive. `lost_write`: neither. `late_write`: no answer, and
    the write happens when `land` is called. `away` refuses everything.
    """

    def __init__(self, store: JournalStore):
        self._store = store
        self.lost_answer = self.lost_write = self.late_write = self.away = False
        self.inserts: list[int] = []
        self._late: list[Sequence[Row]] = []
        self.before_insert: Callable[[], object] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def insert(self, rows: Sequence[Row]) -> Inserted:
        self.before_insert()
        self._answer()
        self.inserts.append(len(rows))
        if self.lost_write:
            self.lost_write = False
            raise Unavailable()
        if self.late_write:
            self.late_write = False
            self._late.append(list(rows))
            raise Unavailable()
        outcome = await self._store.insert(rows)
        if self.lost_answer:
            self.lost_answer = False
            raise Unavailable()
        return outcome

    async def transact(self, rows: Sequence[Row], changes: Sequence[Change], *, claim: bool = False) -> None:
        self._answer()
        await self._store.transact(rows, changes, claim=claim)
        if self.lost_answer:
            self.lost_answer = False
            raise Unavailable()

    async def window(self, group_id: str, after: int, up_to: int) -> list[Row]:
        self._answer()
        return await self._store.window(group_id, after, up_to)

    async def by_ids(self, ids: Iterable[str]) -> dict[str, Row]:
        self._answer()
        return await self._store.by_ids(ids)

    async def land(self) -> None:
        for rows in self._late:
            await self._store.insert(rows)
        self._late = []

    def _answer(self) -> None:
        if self.away:
            raise Unavailable()


def numbered(rows: Sequence[Row], first: int = 1) -> list[Row]:
    return [replace(row, seq=first + index, n=first + index, p=first + index) for index, row in enumerate(rows)]
