"""Entries on their way into the log: who waits for them, since when, and what is in doubt."""

import asyncio
import time
from collections import deque
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field

from chatcore.journal.rows import Entry, Row

FIRST_BATCH, LEAST_BATCH, MAX_BATCH = 64, 32, 256
QUICK_SECONDS, SLOW_SECONDS = 0.15, 0.5
DOUBT_SECONDS = 60.0  # no database goes on with a write for longer after the client has turned away


@dataclass(slots=True, eq=False)
class Pending:
    """One entry. `done` is what the caller hears; `settled` means that its fate is known and dealt with.

    A caller whose time is up hears `unavailable` (given up) while the write is still under way (not settled). One that
    is cancelled has not given up: `done` ends without being heard. `rows` are the rows as numbered for the last try;
    empty as long as nothing was sent to the database.
    """

    entry: Entry
    done: asyncio.Future[Sequence[Row]]
    since: float = field(default_factory=time.monotonic)
    rows: list[Row] = field(default_factory=list)
    settled: bool = False
    given_up: bool = False

    def stored(self, rows: Sequence[Row]) -> None:
        self.settled = True
        if not self.done.done():
            self.done.set_result(rows)

    def failed(self, error: Exception) -> None:
        self.settled = True
        self.answer(error)

    def answer(self, error: Exception) -> None:
        """Tell the caller, whatever becomes of the rows."""
        self.given_up = True
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # seen here, so that a caller that went away leaves no warning


class Queue:
    """Entries that wait for their turn, oldest first.

    How many rows go together depends on how long the last ones took: more of them cost a quick database less, and a
    slow one must have done with them before their senders' time is up.
    """

    def __init__(self) -> None:
        self._waiting: deque[Pending] = deque()
        self._most = FIRST_BATCH

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Pending]:
        return iter(self._waiting)

    def add(self, pending: Pending) -> None:
        self._waiting.append(pending)

    @property
    def most(self) -> int:
        """Rows that go together now."""
        return self._most

    def wrote(self, rows: int, seconds: float) -> None:
        """So long the database took for so many."""
        if seconds > SLOW_SECONDS:
            self._most = max(LEAST_BATCH, self._most // 2)
        elif seconds < QUICK_SECONDS and rows >= self._most:
            self._most = min(MAX_BATCH, self._most * 2)

    def take(self) -> list[Pending]:
        """The next transaction alone, or as many plain entries as stand before the next transaction."""
        if not self._waiting:
            return []
        batch = [self._waiting.popleft()]
        if batch[0].entry.changes:
            return batch
        rows = len(batch[0].entry.rows)
        while self._waiting and not self._waiting[0].entry.changes and rows < self._most:
            rows += len(self._waiting[0].entry.rows)
            batch.append(self._waiting.popleft())
        return batch

    def take_plain(self, groups: Container[str]) -> list[Pending]:
        """The plain entries that stand in front, of these groups alone, up to a batch."""
        batch: list[Pending] = []
        rows = 0
        while self._waiting and rows < self._most:
            entry = self._waiting[0].entry
            if entry.changes or entry.group_id not in groups:
                break
            rows += len(entry.rows)
            batch.append(self._waiting.popleft())
        return batch

    def take_older_than(self, moment: float) -> list[Pending]:
        late: list[Pending] = []
        while self._waiting and self._waiting[0].since < moment:
            late.append(self._waiting.popleft())
        return late


class Doubts:
    """Groups in which a row may still turn up after its sender was told `unavailable`.

    A doubt ends when the log has reached the place the row was numbered for: whatever stands there now, the unique
    index keeps a late one out. A row that never comes is forgotten after `DOUBT_SECONDS`.
    """

    def __init__(self) -> None:
        self._places: dict[str, tuple[int, float]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._places))

    def __len__(self) -> int:
        return len(self._places)

    def add(self, row: Row, now: float) -> None:
        seq, _ = self._places.get(row.group_id, (0, 0.0))
        self._places[row.group_id] = max(seq, row.seq), now + DOUBT_SECONDS

    def drop(self, group_id: str) -> None:
        self._places.pop(group_id, None)

    def looked(self, group_id: str, seq: int | None, now: float) -> None:
        """The log was read up to `seq` (None: the group is not loaded any more, its log is read when it is)."""
        place, until = self._places.get(group_id, (0, 0.0))
        if seq is None or seq >= place or now > until:
            self.drop(group_id)
