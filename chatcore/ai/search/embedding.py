"""Giving each message its vector, in the background: a reader of every group's log with a bookmark.

The log is the queue. What is to do is read from it after the bookmark: new messages and edited ones get a vector. (An
edit or a deletion takes the old one away in its own transaction.) So nothing is lost by a crash, an outage of models or
a burst, and a change of the model, or of how vectors are kept, is a bookmark set back to the beginning. What this
process has just stored itself is not read again, where it continues the bookmark.

A round serves many groups with one call of the models. Several processes take turns by group, see `turns`.

A batch that the models refuse again and again while they answer to something harmless is taken apart; the texts that
they refuse alone stay without a vector, found by their words, and hold up nothing.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

from chatcore.ai.calls import Called, Purpose
from chatcore.ai.search.fresh import FreshLines
from chatcore.ai.search.records import LogLine, PlacedVector, Space, StoredVector
from chatcore.ai.search.store import SearchStore
from chatcore.ai.search.turns import Turn, Turns, advanced
from chatcore.ai.search.vectors import Embedded
from chatcore.errors import CapabilityUnavailable, ChatError, RateLimited
from chatcore.logs import get_logger
from chatcore.vault.envelope import SealBroken
from chatcore.vault.service import Vault

if TYPE_CHECKING:
    from chatcore.ai.search.vectors import Matrix, Vector

log = get_logger("search")
BATCH_ROWS: Final = 64  # of a round, from all groups together: what the models take in one request
ROUND_GROUPS: Final = 64
SAVED_AT_ONCE: Final = 16  # 12 to 25 ms of the embedded database on two cores
# A change waits this long for others, so that they share a call and a write. With the round itself and the rest after
# it a message is found by its meaning about 2 s after it was sent, by its words at once.
TOGETHER_SECONDS: Final = 1.0
TAKEN_SECONDS: Final = 2.0  # until a group is looked at again that another process works on
TIDY_SECONDS: Final = 30.0
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0
REFUSALS: Final = 3  # of one batch, until it is looked for the text that causes them
HARMLESS: Final = "Good morning"
REST_SHARE: Final = 1.0  # of the time a batch took: half of the time at most goes to this work

Learn = Callable[[str, Sequence[Embedded]], Awaitable[None]]


class EmbedsTexts(Protocol):
    async def embed(self, texts: Sequence[str], purpose: Purpose, *, space: str = "") -> "Called[Matrix]": ...


@dataclass(frozen=True, slots=True)
class Consent:
    """Whose messages a model may read: groups and people can switch that off. Asked at the moment of the call."""

    group: Callable[[str], Awaitable[bool]]
    people: Callable[[Sequence[str]], Awaitable[Mapping[str, bool]]]


@dataclass(frozen=True, slots=True)
class Portion:
    """What one group has in a round. `more`: there may be further lines after these."""

    turn: Turn
    lines: Sequence[LogLine]
    more: bool


def _now() -> datetime:
    return datetime.now(UTC)


class Embedder:
    """Others tell what there is to do by `stored`, `heard` and `wake`; `run` works until it is cancelled."""

    def __init__(
        self,
        store: SearchStore,
        vault: Vault,
        models: EmbedsTexts,
        space: Space,
        *,
        consent: Consent,
        learn: Learn,
        owner: str = "",
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], datetime] = _now,
    ):
        self._store = store
        self._vault = vault
        self._models = models
        self._space = space
        self._consent = consent
        self._learn = learn
        self._turns = Turns(store, space, owner or uuid4().hex, clock)
        self._fresh = FreshLines()
        self._pause = pause
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._woken = asyncio.Event()
        self._failures = 0
        self._refused: dict[str, int] = {}
        self._alone: set[str] = set()  # groups of a round that met a fault of ours: one of them may be the cause

    def __len__(self) -> int:
        """Groups that wait."""
        return len(self._waiting)

    def wake(self, group_id: str) -> None:
        """There is something new in this group's log, or its switch was turned on."""
        self._waiting.setdefault(group_id)
        self._woken.set()

    def stored(self, line: LogLine) -> None:
        """A message that this process has just committed; told in log order."""
        self._fresh.put(line)
        self.wake(line.group_id)

    def heard(self, group_id: str) -> None:
        """Another process wrote to this group. It would have to wait for us, if the group is ours now."""
        if self._turns.holds(group_id):
            self.wake(group_id)

    def forget(self, group_id: str) -> None:
        """The group is gone."""
        self._turns.forget(group_id)
        self._fresh.forget(group_id)
        self._refused.pop(group_id, None)

    async def run(self) -> None:
        """First whatever was left undone in any group, then what comes."""
        await self._begin()
        while True:
            await self._woken.wait()
            await self._pause(TOGETHER_SECONDS)
            while self._waiting:
                began = time.monotonic()
                is_full = await self._next()
                rest = REST_SHARE * (time.monotonic() - began)
                await self._pause(rest if is_full else max(rest, TOGETHER_SECONDS))
            self._woken.clear()

    async def drain(self) -> None:
        """Until nothing waits or the models refuse: for tools and tests."""
        before = self._failures
        while self._waiting and self._failures == before:
            await self._next()

    async def tidy(self) -> None:
        await self._turns.tidy()

    async def leave(self) -> None:
        """At an orderly stop: write the bookmarks down and give every group back."""
        await self._turns.leave()

    async def wake_all(self) -> None:
        for group_id in await self._store.group_ids():
            self.wake(group_id)

    async def _begin(self) -> None:
        while True:
            try:
                await self.wake_all()
            except ChatError:
                await self._pause(FIRST_PAUSE_SECONDS)
            else:
                return

    async def _next(self) -> bool:
        """One round of the groups that wait longest; they go to the end of the line while they have more. Whether it
        was a full one."""
        groups = self._next_groups()
        is_full = True
        try:
            is_full = await self._round(groups)
            self._failures = 0
            self._alone.difference_update(groups)
        except ChatError as error:
            for group_id in groups:
                self.wake(group_id)
            self._failures += 1
            log.info("embedding_waits", code=error.code, queued=len(self._waiting), attempt=self._failures)
            await self._pause(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(self._failures - 1, 10)))
        except Exception:
            self._failures += 1
            log.exception("embedding_failed", group=groups[0], queued=len(groups))
            self._try_singly(groups)
            await self._pause(FIRST_PAUSE_SECONDS)
        return is_full

    def _next_groups(self) -> list[str]:
        groups: list[str] = []
        while self._waiting and len(groups) < ROUND_GROUPS:
            group_id = next(iter(self._waiting))
            if group_id in self._alone and groups:
                break
            del self._waiting[group_id]
            groups.append(group_id)
            if group_id in self._alone:
                break
        return groups

    def _try_singly(self, groups: Sequence[str]) -> None:
        """A group that meets a fault of ours waits, and none other does."""
        if len(groups) == 1:
            self._alone.discard(groups[0])
            asyncio.get_running_loop().call_later(LONGEST_PAUSE_SECONDS, self.wake, groups[0])
            return
        self._alone.update(groups)
        for group_id in groups:
            self.wake(group_id)

    async def _round(self, groups: Sequence[str]) -> bool:
        """Whether as much was done as a round may do. The bookmarks move only over what is stored."""
        taken = await self._turns.take(groups)
        for group_id in taken.busy:
            asyncio.get_running_loop().call_later(TAKEN_SECONDS, self.wake, group_id)
        portions = await self._portions(taken.free)
        try:
            done = await self._serve(portions)
        except Exception:
            await self._turns.let_go([portion.turn for portion in portions])
            raise
        for portion in done:
            advanced(portion.turn, portion.lines[-1].seq)
            self._fresh.done(portion.turn.group_id, portion.lines[-1].seq)
            if portion.more:
                self.wake(portion.turn.group_id)
        return sum(len(portion.lines) for portion in portions) >= BATCH_ROWS

    async def _portions(self, turns: Sequence[Turn]) -> list[Portion]:
        portions: list[Portion] = []
        left = BATCH_ROWS
        for turn in turns:
            if left <= 0:
                self.wake(turn.group_id)
                continue
            if turn.off and not await self._consent.group(turn.group_id):
                continue
            portion = await self._portion(turn, left)
            if not portion.lines:
                continue
            if await self._turns.claim(turn):
                portions.append(portion)
                left -= len(portion.lines)
            else:
                self.wake(turn.group_id)
        return portions

    async def _portion(self, turn: Turn, limit: int) -> Portion:
        """From what was just stored here where that comes next, else from the log."""
        group_id, seq = turn.group_id, turn.progress.seq
        lines = self._fresh.after(group_id, seq, limit) or await self._store.window(group_id, seq, seq + limit)
        return Portion(turn, lines, more=len(lines) == limit)

    async def _serve(self, portions: Sequence[Portion]) -> list[Portion]:
        """Those that are done; a group that no model may read keeps its bookmark."""
        lines = [line for portion in portions for line in portion.lines]
        gone = {line.target_id for line in lines if line.kind == "delete"}
        edited = await self._store.by_ids([line.target_id for line in lines if line.kind == "edit"])
        await self._store.remove(list(gone))
        done: list[Portion] = []
        missing: list[LogLine] = []
        for portion in portions:
            changed = [edited[line.target_id] for line in portion.lines if line.target_id in edited]
            present = {line.id: line for line in portion.lines if line.id not in gone}
            wanted = [line for line in (present | {line.id: line for line in changed}).values() if line.searchable]
            there = [line for line in wanted if line.has_vector(self._space)]
            await self._keep_anew([line for line in there if line.vector and not self._is_in_place(line.vector)])
            bare = [line for line in wanted if not line.has_vector(self._space)]
            if bare and not await self._consent.group(portion.turn.group_id):
                portion.turn.off = True
                continue
            missing += bare
            done.append(portion)
        if missing:
            willing = await self._consent.people(list({line.sender_id for line in missing}))
            await self._embed([line for line in missing if willing.get(line.sender_id, False)])
        return done

    def _is_in_place(self, vector: StoredVector) -> bool:
        return vector.space == self._space and not vector.in_message

    async def _embed(self, lines: Sequence[LogLine]) -> None:
        texts = await self._texts(lines)
        lines = [line for line in lines if line.id in texts]
        groups = {line.group_id: None for line in lines}
        vectors = await self._vectors(list(groups), texts) if texts else {}
        lines = [line for line in lines if line.id in vectors]
        await self._save([await self._placed(line, vectors[line.id]) for line in lines])
        for group_id in groups:
            learned = [Embedded(line.id, line.seq, vectors[line.id]) for line in lines if line.group_id == group_id]
            await self._learn(group_id, learned)

    async def _vectors(self, groups: Sequence[str], texts: Mapping[str, str]) -> "dict[str, Vector]":
        """By message id; all of them, unless one of the texts was found to be what the models refuse."""
        try:
            vectors = await self._asked(groups, texts)
        except RateLimited:
            raise
        except (ChatError, ValueError):
            for group_id in groups:
                self._refused[group_id] = self._refused.get(group_id, 0) + 1
            if max(self._refused[group_id] for group_id in groups) < REFUSALS:
                raise
            await self._asked(groups, {"": HARMLESS})
            vectors = await self._apart(groups, texts)
        for group_id in groups:
            self._refused.pop(group_id, None)
        return vectors

    async def _apart(self, groups: Sequence[str], texts: Mapping[str, str]) -> "dict[str, Vector]":
        """By halves, so that one bad text of 64 takes a dozen calls. Those refused alone are left out."""
        try:
            return await self._asked(groups, texts)
        except RateLimited:
            raise
        except (ChatError, ValueError) as error:
            if len(texts) == 1:
                log.warning("text_not_embedded", message=next(iter(texts)), error=type(error).__name__)
                return {}
        ids = list(texts)
        half = len(ids) // 2
        parts = [{id_: texts[id_] for id_ in some} for some in (ids[:half], ids[half:])]
        return await self._apart(groups, parts[0]) | await self._apart(groups, parts[1])

    async def _asked(self, groups: Sequence[str], texts: Mapping[str, str]) -> "dict[str, Vector]":
        purpose = Purpose("embedding", group_id=groups[0] if len(groups) == 1 else "")
        called = await self._models.embed(list(texts.values()), purpose, space=self._space.model)
        if called.served.model != self._space.model:
            raise CapabilityUnavailable("Another model answered; its vectors do not compare with those that are kept")
        return {id_: called.value[at] for at, id_ in enumerate(texts)}

    async def _save(self, vectors: Sequence[PlacedVector]) -> None:
        """A few at a time with a rest between: the embedded database does nothing else meanwhile."""
        for start in range(0, len(vectors), SAVED_AT_ONCE):
            began = time.monotonic()
            await self._store.save(vectors[start : start + SAVED_AT_ONCE])
            await self._pause(REST_SHARE * (time.monotonic() - began))

    async def _texts(self, lines: Sequence[LogLine]) -> dict[str, str]:
        """What a destroyed key or a broken seal hides stays without a vector."""
        texts: dict[str, str] = {}
        for line in lines:
            assert line.sealed is not None
            try:
                texts[line.id] = (await self._vault.open(line.place, line.sealed)).decode()
            except SealBroken:
                continue
        return texts

    async def _placed(self, line: LogLine, vector: "Vector") -> PlacedVector:
        """Half precision is enough to rank by, and half of what is to be stored and opened."""
        was_inside = line.vector is not None and line.vector.in_message
        stored = StoredVector(self._space, len(vector), line.rev, in_message=was_inside)
        if self._space.in_clear:
            stored = replace(stored, clear=vector.astype("<f4").tobytes())
        else:
            key = await self._vault.key_of(line.group_id)
            stored = replace(stored, sealed=key.seal(line.vector_place, vector.astype("<f2").tobytes()))
        return PlacedVector(line.group_id, line.seq, line.id, stored)

    async def _keep_anew(self, lines: Sequence[LogLine]) -> None:
        """Sealed where they stood in clear, or the other way round, or moved, without asking a model again."""
        anew: list[PlacedVector] = []
        for line in lines:
            assert line.vector is not None
            if line.vector.space == self._space:
                anew.append(PlacedVector(line.group_id, line.seq, line.id, line.vector))
            elif (vector := await self._vector_of(line)) is not None:
                anew.append(await self._placed(line, vector))
        await self._save(anew)

    async def _vector_of(self, line: LogLine) -> "Vector | None":
        import numpy as np  # noqa: PLC0415 - a server that was never asked to embed does without

        stored = line.vector
        assert stored is not None
        if stored.clear is not None:
            return np.frombuffer(stored.clear, "<f4")
        assert stored.sealed is not None
        try:
            return np.frombuffer(await self._vault.open(line.vector_place, stored.sealed), "<f2").astype(np.float32)
        except SealBroken:
            return None
