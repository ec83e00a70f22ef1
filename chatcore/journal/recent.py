"""The rows that people read last, in memory: for a process that has the database to itself.

The newest page of a group is by far the one asked for most, and the embedded database needs 75 us of its one thread for
each row it finds (4 ms a page). Every write to the log passes here, so nothing read from memory is older than what is
stored. With other writers on the database that would not hold: a process that shares it reads there.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chatcore.errors import Conflict
from chatcore.journal.pending import DOUBT_SECONDS
from chatcore.journal.rows import Change, IdTaken, Inserted, Row, SeqTaken
from chatcore.journal.store import JournalStore

MAX_BYTES = 16 * 1024 * 1024
MAX_ROWS = 256  # of one group: two pages of the largest size, and what came since
ROW_BYTES = 900  # measured, besides the ciphertext


@dataclass(slots=True)
class _Span:
    """Rows of one group that follow each other without holes."""

    rows: list[Row]
    size: int

    @property
    def first(self) -> int:
        return self.rows[0].seq

    @property
    def last(self) -> int:
        return self.rows[-1].seq


class RecentRows:
    """A JournalStore in front of another one. Of each group it keeps one span of rows, the newest that was read.

    A change of stored rows drops the group's span; one whose outcome is unknown keeps the group out until the database
    must have given it up.
    """

    def __init__(self, store: JournalStore, *, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic):
        self._store = store
        self._max_bytes = max_bytes
        self._clock = clock
        self._spans: OrderedDict[str, _Span] = OrderedDict()
        self._bytes = 0
        self._unsure: dict[str, float] = {}
        self._changes = 0

    def __len__(self) -> int:
        """Rows in memory."""
        return sum(len(span.rows) for span in self._spans.values())

    # --- reading

    async def window(self, group_id: str, after: int, up_to: int) -> list[Row]:
        span = self._spans.get(group_id)
        if span is not None and span.first <= after + 1 and up_to <= span.last:
            self._spans.move_to_end(group_id)
            return span.rows[after + 1 - span.first : up_to + 1 - span.first]
        changes = self._changes
        rows = await self._store.window(group_id, after, up_to)
        if changes == self._changes and self._is_sure(group_id):
            self._keep(group_id, rows)
        return rows

    async def by_ids(self, ids: Iterable[str]) -> dict[str, Row]:
        return await self._store.by_ids(ids)

    def _keep(self, group_id: str, rows: Sequence[Row]) -> None:
        """Put before, after or instead of what is there; an older stretch that does not touch it is not kept."""
        if not rows or rows[-1].seq - rows[0].seq != len(rows) - 1:
            return
        span = self._spans.get(group_id)
        kept = span.rows if span is not None else []
        if kept and rows[-1].seq + 1 < kept[0].seq:
            return
        before = [row for row in rows if not kept or row.seq < kept[0].seq]
        beyond = [row for row in rows if kept and row.seq > kept[-1].seq]
        joined = list(rows) if kept and kept[-1].seq + 1 < rows[0].seq else [*before, *kept, *beyond]
        self._put(group_id, joined[-MAX_ROWS:])

    def _put(self, group_id: str, rows: list[Row]) -> None:
        self._drop(group_id)
        size = sum(map(_size, rows))
        self._spans[group_id] = _Span(rows, size)
        self._bytes += size
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._spans)))

    def _drop(self, group_id: str) -> None:
        span = self._spans.pop(group_id, None)
        if span is not None:
            self._bytes -= span.size

    def _is_sure(self, group_id: str) -> bool:
        if group_id in self._unsure and self._clock() > self._unsure[group_id]:
            del self._unsure[group_id]
        return group_id not in self._unsure

    # --- writing

    async def insert(self, rows: Sequence[Row]) -> Inserted:
        outcome = await self._store.insert(rows)
        for row in rows[: outcome.count]:
            span = self._spans.get(row.group_id)
            if span is not None:
                self._append(row, span)
        return outcome

    def _append(self, row: Row, span: _Span) -> None:
        if row.seq != span.last + 1:
            self._drop(row.group_id)
            return
        span.rows.append(row)
        span.size += _size(row)
        self._bytes += _size(row)
        if len(span.rows) > 2 * MAX_ROWS or self._bytes > self._max_bytes:
            self._put(row.group_id, span.rows[-MAX_ROWS:])

    async def transact(self, rows: Sequence[Row], changes: Sequence[Change], *, claim: bool = False) -> None:
        group_ids = {row.group_id for row in rows}
        self._forget(group_ids)
        try:
            await self._store.transact(rows, changes, claim=claim)
        except (SeqTaken, IdTaken, Conflict):
            raise
        except BaseException:
            until = self._clock() + DOUBT_SECONDS
            self._unsure |= dict.fromkeys(group_ids, until)
            raise
        finally:
            self._forget(group_ids)

    def _forget(self, group_ids: Iterable[str]) -> None:
        """Also what is being read right now, of whatever group, is not kept."""
        self._changes += 1
        for group_id in group_ids:
            self._drop(group_id)

    async def release(self) -> None:
        await self._store.release()

    async def erase_group(self, group_id: str, after: int, up_to: int) -> None:
        self._forget([group_id])
        try:
            await self._store.erase_group(group_id, after, up_to)
        finally:
            self._forget([group_id])

    async def erase_due(self, now: datetime, limit: int = 100) -> int:
        """What is erased may be anywhere, so nothing is kept."""
        erased = await self._store.erase_due(now, limit)
        if erased:
            self._forget(list(self._spans))
        return erased

    def content_replaced(self, row: Row) -> Change:
        return self._store.content_replaced(row)

    def marked_deleted(self, row: Row, erase_at: datetime) -> Change:
        return self._store.marked_deleted(row, erase_at)

    def restored(self, row: Row) -> Change:
        return self._store.restored(row)

    def reaction_counted(self, message_id: str, emoji: str, before: int, step: int) -> Change:
        return self._store.reaction_counted(message_id, emoji, before, step)


def _size(row: Row) -> int:
    return ROW_BYTES + (len(row.sealed.ct) if row.sealed is not None else 0)
