"""The groups whose messages are ready to be searched: made from their logs, following them, the least used dropped.

A group is read window by window the first time somebody searches it, its newest messages at most `MOST_MESSAGES`. Later
searches read only what the log has gained since, also from other processes; so nothing has to tell this index of new,
edited or deleted messages, and it is never behind the log position it was asked for.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chatcore.ai.search.keywords import KeywordIndex
from chatcore.ai.search.lane import Lane
from chatcore.ai.search.matrix import Slots, Vector, best
from chatcore.ai.search.records import LogLine, Space, StoredVector
from chatcore.ai.search.store import SearchStore
from chatcore.ai.search.vectors import Embedded, Hit, Scope, Status, VectorIndex
from chatcore.background import end
from chatcore.logs import get_logger
from chatcore.vault.envelope import GroupKey, SealBroken
from chatcore.vault.service import Vault

log = get_logger("search")
WINDOW_ROWS: Final = 250
MOST_ROWS: Final = 100_000  # of a group's log: about 200 MB with vectors of 384 numbers
MEMORY_BYTES: Final = 256 * 1024 * 1024
LOOKED_UP: Final = 200  # vectors that were missing, looked for again at one search
READERS: Final = 2  # groups read at the same moment
ROUNDS: Final = 3  # of reading what came while a group was read
FIRST_LOOK_SECONDS: Final = 1.0  # until vectors that were missing are looked for again
LAST_LOOK_SECONDS: Final = 60.0


@dataclass
class Shelf:
    """One group. `seq` is the log position up to which it was read; `bare` are messages whose vector was not there."""

    group_id: str
    seq: int = 0
    slots: Slots = field(default_factory=Slots)
    keywords: KeywordIndex = field(default_factory=KeywordIndex)
    bare: dict[int, str] = field(default_factory=dict)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    look_at: float = 0.0
    pause_seconds: float = FIRST_LOOK_SECONDS

    @property
    def bytes(self) -> int:
        return self.slots.bytes + self.keywords.bytes + 200 * len(self.bare)


@dataclass
class Opened:
    """A window of the log as the indexes take it."""

    messages: list[tuple[int, str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    vectors: list[Embedded] = field(default_factory=list)
    bare: dict[int, str] = field(default_factory=dict)


class Library:
    """Works for one space of vectors. Searches wait for a group to be read at most as long as they say."""

    def __init__(
        self,
        store: SearchStore,
        vault: Vault,
        vectors: VectorIndex,
        space: Space,
        *,
        lane: Lane,
        memory_bytes: int = MEMORY_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._store = store
        self._vault = vault
        self._lane = lane
        self.vectors = vectors
        self.space = space
        self._memory_bytes = memory_bytes
        self._clock = clock
        self._shelves: OrderedDict[str, Shelf] = OrderedDict()
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._readers = asyncio.Semaphore(READERS)

    async def open(self, group_id: str, latest_seq: int) -> None:
        """Read the group's log up to this position. Many who ask at once share the work, which a cancelled caller
        does not end. Raises Unavailable."""
        for _ in range(ROUNDS):
            if self.is_current(group_id, latest_seq):
                return
            task = self._reading.get(group_id)
            if task is None:
                task = self._reading[group_id] = asyncio.create_task(self._read(group_id, latest_seq))
                task.add_done_callback(lambda done: self._has_read(group_id, done))
            await asyncio.shield(task)

    def is_current(self, group_id: str, latest_seq: int) -> bool:
        """Whether nothing is to be read; the group counts as searched now."""
        shelf = self._shelves.get(group_id)
        if shelf is None:
            return False
        self._shelves.move_to_end(group_id)
        return shelf.seq >= latest_seq and not self._should_look(shelf)

    def _should_look(self, shelf: Shelf) -> bool:
        return bool(shelf.bare) and self.vectors.in_memory and self._clock() >= shelf.look_at

    def is_open(self, group_id: str) -> bool:
        return group_id in self._shelves

    async def keywords(self, query: str, groups: Sequence[Scope], limit: int) -> list[Hit]:
        """The messages that share words with the query, best first; groups that are not open are left out."""
        return await self._lane.run(self._keywords, query, groups, limit)

    async def learn(self, group_id: str, entries: Sequence[Embedded]) -> None:
        """Vectors that were just made. A group that is not open will find them in its documents."""
        shelf = self._shelves.get(group_id)
        if not self.vectors.in_memory:
            await self.vectors.upsert(group_id, entries)
        elif shelf is not None:
            async with shelf.turn:
                known = [entry for entry in entries if shelf.slots.find(entry.seq) is not None]
                await self.vectors.upsert(group_id, known)
                for entry in known:
                    shelf.bare.pop(entry.seq, None)

    async def drop(self, group_id: str) -> None:
        """Forget a group that is gone."""
        if (reading := self._reading.get(group_id)) is not None:
            await asyncio.wait([reading])
        self._shelves.pop(group_id, None)
        await self.vectors.delete(group_id)

    def status(self) -> Status:
        vectors = self.vectors.status()
        shelves = list(self._shelves.values())
        taken = vectors.bytes + sum(shelf.bytes for shelf in shelves)
        return Status(vectors.kind, len(shelves), sum(len(shelf.slots) for shelf in shelves), taken)

    async def close(self) -> None:
        await end(self._reading.values())
        self._lane.close()

    # --- reading

    def _has_read(self, group_id: str, done: asyncio.Task[None]) -> None:
        self._reading.pop(group_id, None)
        if not done.cancelled() and (error := done.exception()) is not None:
            log.warning("group_not_read", group=group_id, error=type(error).__name__)

    async def _read(self, group_id: str, latest_seq: int) -> None:
        shelf = self._shelves.get(group_id)
        if shelf is None:
            async with self._readers:
                shelf = Shelf(group_id, max(0, latest_seq - MOST_ROWS))
                await self._follow(shelf, latest_seq)
                self._shelves[group_id] = shelf
        else:
            await self._follow(shelf, latest_seq)
            if self._should_look(shelf):
                await self._look_again(shelf)
        await self._make_room(keep=group_id)

    async def _follow(self, shelf: Shelf, latest_seq: int) -> None:
        if shelf.seq >= latest_seq:
            return
        bounds = [min(after + WINDOW_ROWS, latest_seq) for after in range(shelf.seq, latest_seq, WINDOW_ROWS)]
        ahead = asyncio.ensure_future(self._store.window(shelf.group_id, shelf.seq, bounds[0]))
        try:
            for up_to, next_up_to in zip(bounds, [*bounds[1:], None], strict=True):
                lines = await ahead
                if next_up_to is not None:  # the database reads while this window is opened
                    ahead = asyncio.ensure_future(self._store.window(shelf.group_id, up_to, next_up_to))
                async with shelf.turn:
                    await self._take(shelf, lines)
                    shelf.seq = up_to
        finally:
            await end([ahead])
        shelf.pause_seconds = FIRST_LOOK_SECONDS
        shelf.look_at = self._clock() + shelf.pause_seconds

    async def _take(self, shelf: Shelf, lines: Sequence[LogLine]) -> None:
        """The present state of every message the window tells of; what it was before dies."""
        edited = [line.target_id for line in lines if line.kind == "edit"]
        gone = [line.target_seq for line in lines if line.kind == "delete"]
        gone += [line.seq for line in lines if line.is_deleted]
        present = {line.seq: line for line in lines if line.searchable}
        for line in (await self._store.by_ids(edited)).values() if edited else ():
            if line.searchable:
                present[line.seq] = line
            else:
                gone.append(line.seq)
        keys = await self._vault.versions(shelf.group_id)
        opened = await self._lane.run(self._open, list(present.values()), keys)
        gone += opened.bare  # an edited message: its old vector says what it no longer says
        await self._lane.run(_put, shelf, opened, [seq for seq in gone if seq not in present])
        if self.vectors.in_memory:
            await self.vectors.delete(shelf.group_id, gone)
            await self.vectors.upsert(shelf.group_id, opened.vectors)

    async def _look_again(self, shelf: Shelf) -> None:
        """Another process may have made the vectors that were missing."""
        newest = sorted(shelf.bare, reverse=True)[:LOOKED_UP]
        lines = await self._store.by_ids([shelf.bare[seq] for seq in newest])
        ready = [line for line in lines.values() if line.searchable and line.has_vector(self.space)]
        keys = await self._vault.versions(shelf.group_id)
        opened = await self._lane.run(self._open, ready, keys)
        await self.learn(shelf.group_id, opened.vectors)
        shelf.pause_seconds = FIRST_LOOK_SECONDS if ready else min(2 * shelf.pause_seconds, LAST_LOOK_SECONDS)
        shelf.look_at = self._clock() + shelf.pause_seconds

    def _open(self, lines: Sequence[LogLine], keys: Mapping[int, GroupKey]) -> Opened:
        """What a key that is gone or a broken seal hides is left out."""
        opened, with_vector, numbers = Opened(), [], []
        for line in lines:
            assert line.sealed is not None
            key = keys.get(line.sealed.kv)
            if key is None:
                continue
            try:
                text = key.open(line.place, line.sealed).decode()
                vector = _numbers_of(line, line.vector, keys) if line.has_vector(self.space) else None
            except SealBroken:
                continue
            opened.messages.append((line.seq, line.id))
            opened.texts.append(text)
            if vector is not None:
                with_vector.append(line)
                numbers.append(vector)
            elif self.space.model:  # without a model there is none to wait for
                opened.bare[line.seq] = line.id
        opened.vectors = [
            Embedded(line.id, line.seq, vector)
            for line, vector in zip(with_vector, _of_length_one(numbers), strict=True)
        ]
        return opened

    async def _make_room(self, keep: str) -> None:
        """The least recently searched groups go; the one that was just asked for stays."""
        while len(self._shelves) > 1 and self.status().bytes > self._memory_bytes:
            oldest = next(group_id for group_id in self._shelves if group_id != keep)
            del self._shelves[oldest]
            await self.vectors.delete(oldest)

    # --- searching, in the lane

    def _keywords(self, query: str, groups: Sequence[Scope], limit: int) -> list[Hit]:
        found: list[Hit] = []
        for scope in groups:
            shelf = self._shelves.get(scope.group_id)
            if shelf is None:
                continue
            scores = shelf.keywords.score(query, shelf.slots.readable(scope.after))
            slots = best(scores, limit)
            slots = slots[scores[slots] > 0]
            found += shelf.slots.hits(scope.group_id, slots, scores[slots].tolist())
        return sorted(found, key=lambda hit: hit.score, reverse=True)[:limit]


def _put(shelf: Shelf, opened: Opened, gone: Sequence[int]) -> None:
    shelf.slots.remove(gone)
    shelf.slots.put(opened.messages)
    shelf.keywords.add(opened.texts)
    for seq in (*gone, *(seq for seq, _ in opened.messages)):
        shelf.bare.pop(seq, None)
    shelf.bare.update(opened.bare)


def _numbers_of(
    line: LogLine, stored: StoredVector | None, keys: Mapping[int, GroupKey]
) -> NDArray[np.floating] | None:
    """As they are kept. Raises SealBroken."""
    if stored is None:
        return None
    if stored.clear is not None:
        return np.frombuffer(stored.clear, "<f4")
    assert stored.sealed is not None
    key = keys.get(stored.sealed.kv)
    return np.frombuffer(key.open(line.vector_place, stored.sealed), "<f2") if key is not None else None


def _of_length_one(numbers: Sequence[NDArray[np.floating]]) -> Iterable[Vector]:
    """In single precision. Of one model all are of one length, and so they are worked on together."""
    if len({len(vector) for vector in numbers}) > 1:
        return [one for vector in numbers for one in _of_length_one([vector])]
    if not numbers:
        return []
    vectors = np.stack(numbers).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-9))
    return vectors
