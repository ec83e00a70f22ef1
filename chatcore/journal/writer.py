"""Group commit: appends queue up while one durable write is under way and go together in the next.

There is one writer per process, so an idle server commits at once and a busy one shares each journal sync among up to
`MAX_BATCH` rows (measured on the embedded database, 1,000 clients on 2 cores: 1,700 to 1,900 messages/s in batches of
64, 1,900 to 2,700 in batches of 256). While a batch is delivered, the next one is at the database already: neither
waits for the other.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from chatcore.errors import ChatError, Conflict, NotFound, Unavailable
from chatcore.journal.peers import News, NoPeers, Peers
from chatcore.journal.pending import Doubts, Pending, Queue
from chatcore.journal.rows import Entry, Head, IdTaken, Inserted, Row, SeqTaken
from chatcore.journal.store import JournalStore
from chatcore.journal.told import Told

CATCH_UP_ROWS = 200
ANSWER_SECONDS = 2.75  # a send answers within 3 s, whatever the database does
LOOK_SECONDS = 0.2
SETTLE_SECONDS = 1.0
MAX_QUEUED = 20_000
MAX_FRUITLESS = 20
FEW = 8  # entries that are sent after a clash where the one before it stored none
PATIENT_TRIES = 3  # of a transaction; then it takes its place in the log first, or those who write faster always win
DELIVERED_IN_A_ROW = 64
MAX_STREAMED = 8  # writes in a row before whoever waits for his turn gets it


@dataclass(slots=True)
class _Write:
    """Plain entries on their way to the database. `ends` are the ends of their groups' logs once they are there."""

    entries: list[Pending]
    rows: int
    ends: Mapping[str, Head]
    since: float
    outcome: asyncio.Task[Inserted]


class Writer:
    """Assigns `seq`, commits, delivers. `append` returns the rows as stored.

    `load_head` finds a group's end at first use; `missed` is awaited with rows that other processes appended, before
    anything of ours comes after them; `committed` hears of each durable write (rows, seconds); `peers` hear what was
    stored here and which groups this process keeps up with.
    """

    def __init__(
        self,
        store: JournalStore,
        *,
        load_head: Callable[[str], Awaitable[Head]],
        missed: Callable[[str, Sequence[Row]], Awaitable[None]],
        committed: Callable[[int, float], None] = lambda rows, seconds: None,
        peers: Peers | None = None,
    ):
        self._store = store
        self._load_head = load_head
        self._missed = missed
        self._committed = committed
        self._peers: Peers = NoPeers() if peers is None else peers
        self._heads: dict[str, Head] = {}
        self._queue = Queue()
        self._in_flight: list[Pending] = []
        self._doubts = Doubts()
        self._told = Told()
        self._task: asyncio.Task[None] | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._one_at_a_time = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def told(self) -> int:
        """Groups of which peers told something that is not followed yet."""
        return len(self._told)

    def head(self, group_id: str) -> Head | None:
        """The end of a group's log as this process knows it, or None where it has not looked yet."""
        return self._heads.get(group_id)

    def set_head(self, group_id: str, head: Head) -> None:
        """Note what a first look found; an older look never wins over what was written since."""
        known = self._heads.get(group_id)
        if known is None or head.seq >= known.seq:
            self._heads[group_id] = head
        if known is None:
            self._peers.followed(group_id)

    def forget(self, group_id: str) -> None:
        self._told.drop(group_id)
        if self._heads.pop(group_id, None) is not None:
            self._peers.unfollowed(group_id)

    def followed(self) -> list[str]:
        """Groups whose end this process knows."""
        return list(self._heads)

    def busy_with(self) -> set[str]:
        """Groups for which something is queued or under way: they must stay loaded."""
        return {pending.entry.group_id for pending in (*self._queue, *self._in_flight)}

    async def append(self, entry: Entry) -> Sequence[Row]:
        """Commit the entry durably and return its rows as stored.

        Raises IdTaken for a retry, whatever `authorize` raises, and Unavailable after `ANSWER_SECONDS`: an entry that
        waited that long in the queue is not stored any more; one that was under way may be, and is then delivered. A
        caller that is cancelled does not take its entry out of the queue: it may still be stored.
        """
        if len(self._queue) >= MAX_QUEUED:
            raise Unavailable("The server cannot store this fast; try again", retry_after_ms=1_000)
        pending = Pending(entry, asyncio.get_running_loop().create_future())
        self._queue.add(pending)
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name="journal-writer")
        return await pending.done

    async def catch_up(self, group_id: str) -> None:
        """Learn what other processes appended; used on a hint from outside. In order with our own appends."""
        async with self._one_at_a_time:
            await self._read_missed(group_id)

    async def follow(self, told: Iterable[News]) -> list[str]:
        """Apply and deliver what peers tell of: their rows where they are next, else what the database holds.

        Returns the groups that had to be looked up there. Raises Unavailable where that cannot be done now.
        """
        looked_up: list[str] = []
        groups: dict[str, None] = {}
        for news in told:
            self.hear(news)
            groups[news.group_id] = None
        async with self._one_at_a_time:
            for group_id in groups:
                try:
                    if await self._follow(group_id):
                        looked_up.append(group_id)
                except Unavailable:
                    raise
                except Exception as error:  # noqa: BLE001 - other groups must not miss theirs because of this one
                    raise_later(error)
        return looked_up

    def hear(self, news: News) -> None:
        """Keep for `follow`, and for writes of ours to that log before it comes to that: they would be overtaken."""
        if news.group_id in self._heads:
            self._told.add(news)

    async def _follow(self, group_id: str) -> bool:
        """Whether the database was asked."""
        try:
            await self._take_next(group_id)
            head = self._heads.get(group_id)
            if head is None or not self._told.is_behind(group_id, head.seq):
                return False
            await self._read_missed(group_id)
            return True
        finally:
            self._told.drop(group_id)

    async def _take_next(self, group_id: str) -> None:
        head = self._heads.get(group_id)
        if head is not None and (rows := self._told.next_rows(group_id, head.seq)):
            await self._take_over(group_id, rows)

    async def _take_told(self, busy: Container[str] = ()) -> None:
        """Rows that peers told of, where they are next, but for groups with rows of ours that wait for delivery.

        Writes come in between: while processes write to the same groups, each of them would otherwise be overtaken in
        most of these, again and again (measured: nine rows sent for each that was stored; then not two).
        """
        for group_id in self._told:
            if group_id not in busy:
                try:
                    await self._take_next(group_id)
                except Exception as error:  # noqa: BLE001 - `follow` comes to it
                    raise_later(error)

    async def deliver_again(self, group_id: str, first_seq: int) -> None:
        """From this row on, as far as the end is known: for somebody who came in between. At most one page."""
        async with self._one_at_a_time:
            head = self._heads.get(group_id)
            if head is not None:
                up_to = min(head.seq, first_seq - 1 + CATCH_UP_ROWS)
                await self._missed(group_id, await self._store.window(group_id, first_seq - 1, up_to))

    async def recheck(self) -> None:
        """End what an error left open, and deliver rows that were stored after we had given up on them."""
        try:
            await self._store.release()
        except Unavailable:
            return
        for group_id in self._doubts:
            try:
                await self.catch_up(group_id)
            except Unavailable:
                return  # the database is still away; the next round asks again
            except Exception as error:  # noqa: BLE001 - other groups must not wait for this one
                raise_later(error)
            head = self._heads.get(group_id)
            self._doubts.looked(group_id, None if head is None else head.seq, time.monotonic())

    async def idle(self) -> None:
        """Until everything queued is settled."""
        while self._task is not None:
            await asyncio.shield(self._task)

    # --- the queue

    async def _drain(self) -> None:
        self._watch_the_clock()
        try:
            while self._queue:
                async with self._one_at_a_time:
                    self._in_flight = self._queue.take()
                    await self._commit(self._in_flight)
        finally:
            self._task, self._in_flight = None, []
            assert self._clock is not None
            self._clock.cancel()

    def _watch_the_clock(self) -> None:
        self._clock = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._answer_late)

    def _answer_late(self) -> None:
        """What has not been tried yet is withdrawn; what is under way is settled later, its caller told now."""
        moment = time.monotonic() - ANSWER_SECONDS
        for pending in self._queue.take_older_than(moment):
            pending.failed(Unavailable())
        for pending in self._in_flight:
            if pending.since < moment:
                pending.answer(Unavailable())
        self._watch_the_clock()

    async def _commit(self, batch: list[Pending]) -> None:
        """Nobody is left waiting, whatever goes wrong."""
        known = await self._with_heads(batch)
        await self._take_told()
        if known and known[0].entry.changes:
            await self._transact_one(known[0])
            return
        write = self._begin(known, {})
        for left in reversed(range(MAX_STREAMED)):
            if write is None:
                return
            write = await self._finish(write, stream=left > 0)

    async def _transact_one(self, pending: Pending) -> None:
        started = time.monotonic()
        failure: ChatError = Unavailable()
        try:
            await self._transact(pending)
            self._committed(len(pending.rows), time.monotonic() - started)
        except ChatError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - what is stored decides
            raise_later(error)
        await self._settle([pending], failure)

    async def _with_heads(self, batch: list[Pending]) -> list[Pending]:
        """Look up groups that are new to the writer; one that is gone fails alone."""
        for group_id in dict.fromkeys(pending.entry.group_id for pending in batch):
            if group_id not in self._heads:
                try:
                    self.set_head(group_id, await self._load_head(group_id))
                except Exception as error:  # noqa: BLE001 - told to those who wait for this group
                    self._fail_group(batch, group_id, error)
        return [pending for pending in batch if not pending.settled]

    def _fail_group(self, batch: list[Pending], group_id: str, error: Exception) -> None:
        """For entries of which nothing is stored."""
        if not isinstance(error, ChatError):
            raise_later(error)
        for pending in batch:
            if pending.entry.group_id == group_id and not pending.settled:
                pending.failed(error if isinstance(error, ChatError) else Unavailable())

    # --- one write

    def _begin(self, batch: list[Pending], ends: Mapping[str, Head]) -> _Write | None:
        """Number what may be stored and send it off; `ends` are those of logs with rows that wait for delivery."""
        try:
            waiting = self._authorized(batch)
            ahead = dict(ends)
            rows = [row for pending in waiting for row in self._number(pending, ahead)]
        except Exception as error:  # noqa: BLE001 - nothing was sent
            raise_later(error)
            for pending in batch:
                pending.failed(Unavailable())
            return None
        if not waiting:
            return None
        mine = {pending.entry.group_id: ahead[pending.entry.group_id] for pending in waiting}
        return _Write(waiting, len(rows), mine, time.monotonic(), asyncio.create_task(self._store.insert(rows)))

    async def _finish(self, write: _Write, *, stream: bool) -> _Write | None:
        """Deliver what is stored. Where that is all, the next plain entries leave before, and are returned."""
        following: _Write | None = None
        failure: ChatError = Unavailable()
        try:
            try:
                outcome = await write.outcome
            finally:
                seconds = time.monotonic() - write.since
                self._queue.wrote(write.rows, seconds)
            self._committed(outcome.count, seconds)
            if outcome.clash is None and stream:
                await self._take_told(write.ends)
                following = self._begin(self._queue.take_plain(self._heads), write.ends)
                if following is not None:
                    self._in_flight = [*write.entries, *following.entries]
                    await asyncio.sleep(0)  # now it leaves
            await self._resolve_around(write.entries, outcome)
        except ChatError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - what is stored decides
            raise_later(error)
        await self._settle(write.entries, failure)
        self._in_flight = [] if following is None else following.entries
        return following

    async def _resolve_around(self, waiting: list[Pending], outcome: Inserted) -> None:
        """Deliver what is stored; deal with each clash, and store the rest after it.

        Where another process writes to the same groups, the next clash is near: what stands behind it would be sent,
        and read by the database, in vain.
        """
        fruitless, at_once = 0, len(waiting)
        while waiting := await self._resolve(waiting, outcome.count):
            if outcome.clash == "id":
                await self._refuse_repeat(waiting.pop(0))
            elif outcome.clash == "seq":
                at_once = max(FEW, 2 * outcome.count)
                moved = await self._overtaken(waiting, waiting[0].entry.group_id, fruitless)
                fruitless = 0 if moved else fruitless + 1
            else:
                at_once *= 2
            if not (waiting := self._authorized(waiting)):
                return
            ahead: dict[str, Head] = {}
            tried = waiting[:at_once]
            outcome = await self._store.insert([row for pending in tried for row in self._number(pending, ahead)])

    async def _transact(self, pending: Pending) -> None:
        fruitless = tries = 0
        while self._authorized([pending]):
            rows = self._number(pending, {})
            try:
                await self._store.transact(rows, pending.entry.changes, claim=tries >= PATIENT_TRIES)
            except SeqTaken:
                tries += 1
                moved = await self._overtaken([pending], pending.entry.group_id, fruitless)
                fruitless = 0 if moved else fruitless + 1
            except Conflict:
                # A change met its twin: if another process made it, `authorize` has better words for that.
                if not await self._give_way([pending], pending.entry.group_id, 0):
                    raise
            except IdTaken:  # its ids are fresh: an earlier commit landed, and its answer was lost
                await self._settle([pending], Unavailable())
                return
            else:
                await self._resolve([pending], len(rows))
                return

    async def _overtaken(self, waiting: list[Pending], group_id: str, fruitless: int) -> bool:
        """Whether the log's end moved, by what peers told (which may move others too) or what the database holds."""
        before = self._heads.get(group_id)
        await self._take_told()
        return self._heads.get(group_id) != before or await self._give_way(waiting, group_id, fruitless)

    async def _give_way(self, waiting: list[Pending], group_id: str, fruitless: int) -> bool:
        """Another process was first: read what it wrote; whether the log's end moved.

        It may not have, for some moments, where a majority has to confirm rows first. How often one is overtaken has
        no limit but the callers' patience: a transaction takes longer than the plain writes it competes with.
        """
        if fruitless > MAX_FRUITLESS:
            self._fail_group(waiting, group_id, Unavailable())
            return False
        before = self._heads.get(group_id)
        try:
            await self._read_missed(group_id)
        except Exception as error:  # noqa: BLE001 - told to those who wait for this group
            self._fail_group(waiting, group_id, error)
            return False
        if moved := self._heads.get(group_id) != before:
            return moved
        await asyncio.sleep(0.005 * (fruitless + 1))
        return False

    async def _refuse_repeat(self, pending: Pending) -> None:
        """A retry: answer with the row that is stored, once it is durable and everybody has been told of it.

        A first try that was given up as lost may have landed without anybody here knowing.
        """
        row_id = pending.rows[0].id
        stored = (await self._look_up([row_id], until_there=True)).get(row_id)
        if stored is None:
            pending.failed(Unavailable())
            self._doubts.add(pending.rows[0], time.monotonic())
            return
        head = self._heads.get(stored.group_id)
        if head is not None and stored.seq > head.seq:
            await self._give_way([pending], stored.group_id, 0)
        pending.failed(IdTaken(stored))

    def _number(self, pending: Pending, ahead: dict[str, Head]) -> list[Row]:
        """Give the entry's rows the next places; `ahead` holds the ends of logs as they will be after this batch."""
        group_id = pending.entry.group_id
        head = ahead.get(group_id) or self._heads[group_id]
        pending.rows = []
        for row in pending.entry.rows:
            numbered = row.at(head)
            head = Head(numbered.seq, numbered.n, numbered.p)
            pending.rows.append(numbered)
        ahead[group_id] = head
        return pending.rows

    async def _resolve(self, waiting: list[Pending], stored_rows: int) -> list[Pending]:
        """Deliver the entries whose rows are stored, in order; the rest is returned."""
        index = 0
        while index < len(waiting) and stored_rows >= len(waiting[index].rows):
            stored_rows -= len(waiting[index].rows)
            await self._deliver(waiting[index])
            index += 1
            if index % DELIVERED_IN_A_ROW == 0:
                await asyncio.sleep(0)  # others have waited for the loop
        return waiting[index:]

    async def _deliver(self, pending: Pending) -> None:
        """Whoever was told `unavailable` meanwhile sees the message appear as everybody else does."""
        last = pending.rows[-1]
        if pending.given_up and not pending.entry.changes and await self._told_as_missed(pending):
            return
        if pending.entry.group_id in self._heads:
            self._heads[pending.entry.group_id] = Head(last.seq, last.n, last.p)
        try:
            pending.entry.deliver(pending.rows)
        except Exception as error:  # noqa: BLE001 - the rows are stored: whoever waits must learn it
            raise_later(error)
        pending.stored(pending.rows)
        self._peers.appended(pending.rows)

    async def _told_as_missed(self, pending: Pending) -> bool:
        try:
            await self._take_over(pending.entry.group_id, pending.rows)
        except Exception as error:  # noqa: BLE001 - the entry's own delivery reaches all but its sender
            raise_later(error)
            return False
        pending.stored(pending.rows)
        self._peers.appended(pending.rows)
        return True

    def _authorized(self, waiting: list[Pending]) -> list[Pending]:
        """Entries that may still go on, now that everything committed so far is applied."""
        kept: list[Pending] = []
        for pending in waiting:
            try:
                if pending.settled or pending.given_up:  # and not stored by the tries before it
                    raise Unavailable()
                if pending.entry.group_id not in self._heads:
                    raise NotFound("There is no such group, or you are not a member of it")
                if pending.entry.authorize is not None:
                    pending.entry.authorize()
                kept.append(pending)
            except ChatError as refusal:
                pending.failed(refusal)
        return kept

    async def _read_missed(self, group_id: str) -> None:
        """Apply and deliver what stands after the known end, as far as it is without holes."""
        while (head := self._heads.get(group_id)) is not None:
            rows = _without_holes(await self._store.window(group_id, head.seq, head.seq + CATCH_UP_ROWS), head.seq)
            if not rows:
                return
            await self._take_over(group_id, rows)

    async def _take_over(self, group_id: str, rows: Sequence[Row]) -> None:
        await self._missed(group_id, rows)
        if group_id in self._heads:
            self._heads[group_id] = Head(rows[-1].seq, rows[-1].n, rows[-1].p)

    # --- after a lost answer

    async def _settle(self, tried: list[Pending], failure: ChatError) -> None:
        """The rows' ids tell what is stored; what cannot be told in time is refused, and stays in doubt."""
        if not (tried := [pending for pending in tried if not pending.settled]):
            return
        sent = [row.id for pending in tried for row in pending.rows]
        stored = await self._look_up(sent) if failure.retryable else {}
        for pending in tried:
            found = [stored[row.id] for row in pending.rows if row.id in stored]
            if not pending.rows or len(found) < len(pending.rows):
                pending.failed(failure)
                if failure.retryable and pending.rows:
                    self._doubts.add(pending.rows[-1], time.monotonic())
            elif self._is_next(pending, found):
                pending.rows = found
                await self._deliver(pending)
            else:
                pending.failed(IdTaken(found[0]))

    def _is_next(self, pending: Pending, found: list[Row]) -> bool:
        """Whether these are our rows right after the known end, and not those of an earlier send under the same id."""
        head = self._heads.get(pending.entry.group_id)
        same = all(mine.fingerprint == theirs.fingerprint for mine, theirs in zip(pending.rows, found, strict=True))
        return head is not None and found[0].seq == head.seq + 1 and same

    async def _look_up(self, ids: list[str], *, until_there: bool = False) -> dict[str, Row]:
        """Rows with these ids that are durable; empty where the database does not tell in time."""
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                while ids:
                    try:
                        found = await self._store.by_ids(ids)
                        if found or not until_there:
                            return found
                    except Unavailable:
                        pass
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pass
        except Exception as error:  # noqa: BLE001 - not told, so in doubt
            raise_later(error)
        return {}


def _without_holes(rows: Sequence[Row], after: int) -> Sequence[Row]:
    for count, row in enumerate(rows):
        if row.seq != after + 1 + count:
            return rows[:count]
    return rows


def raise_later(error: Exception) -> None:
    """Show a fault of ours in the log without stopping the writer."""
    asyncio.get_running_loop().call_exception_handler({"message": "journal writer failed", "exception": error})
