"""Giving each message its vector, in the background: a reader of every group's log with a bookmark.

The log is the queue. What a change of a message leaves here is only the group's id; what is to do is read from the log
after the bookmark, in batches: new messages and edited ones get a vector. (An edit or a deletion takes the old one away
in its own transaction.) So nothing is lost by a crash, an outage of the models or a burst, and a change of the model,
or of how vectors are kept, is a bookmark set back to the beginning. Several processes take turns by group.

A batch that the models refuse again and again while they answer to something harmless is taken apart; the texts that
they refuse alone stay without a vector, found by their words, and hold up nothing.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol
from uuid import uuid4

from chatcore.ai.calls import Called, Purpose
from chatcore.ai.search.records import Claim, LogLine, PlacedVector, Progress, Space, StoredVector
from chatcore.ai.search.store import SearchStore
from chatcore.ai.search.vectors import Embedded
from chatcore.errors import CapabilityUnavailable, ChatError, RateLimited
from chatcore.logs import get_logger
from chatcore.vault.envelope import SealBroken
from chatcore.vault.service import Vault

if TYPE_CHECKING:
    from chatcore.ai.search.vectors import Matrix, Vector

log = get_logger("search")
BATCH_ROWS: Final = 64
SAVED_AT_ONCE: Final = 16  # 12 to 25 ms of the embedded database on two cores
TOGETHER_SECONDS: Final = 0.25  # a change waits this long for others, so that they share a call
CLAIM_SECONDS: Final = 60.0
TAKEN_SECONDS: Final = 2.0  # until a group is tried again that another process works on
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0
REFUSALS: Final = 3  # of one batch, until it is looked for the text that causes them
HARMLESS: Final = "Good morning"
REST_SHARE: Final = 1.0  # of the time a batch took: half of the time at most goes to this work
LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)

Learn = Callable[[str, Sequence[Embedded]], Awaitable[None]]


class SwitchedOff(Exception):
    """No model may read this group; its bookmark waits where it is."""


class EmbedsTexts(Protocol):
    async def embed(self, texts: Sequence[str], purpose: Purpose, *, space: str = "") -> "Called[Matrix]": ...


@dataclass(frozen=True, slots=True)
class Consent:
    """Whose messages a model may read: groups and people can switch that off. Asked at the moment of the call."""

    group: Callable[[str], Awaitable[bool]]
    people: Callable[[Sequence[str]], Awaitable[Mapping[str, bool]]]


class Embedder:
    """`wake` is all that others call; `run` works until it is cancelled."""

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
    ):
        self._store = store
        self._vault = vault
        self._models = models
        self._space = space
        self._consent = consent
        self._learn = learn
        self._owner = owner or uuid4().hex
        self._pause = pause
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._woken = asyncio.Event()
        self._failures = 0
        self._refused: dict[str, int] = {}

    def __len__(self) -> int:
        """Groups that wait."""
        return len(self._waiting)

    def wake(self, group_id: str) -> None:
        """There is something new in this group's log, or its switch was turned on."""
        self._waiting.setdefault(group_id)
        self._woken.set()

    async def run(self) -> None:
        """First whatever was left undone in any group, then what comes."""
        await self._begin()
        while True:
            await self._woken.wait()
            await self._pause(TOGETHER_SECONDS)
            while self._waiting:
                began = time.monotonic()
                await self._next()
                await self._pause(REST_SHARE * (time.monotonic() - began))
            self._woken.clear()

    async def drain(self) -> None:
        """Until nothing waits or the models refuse: for tools and tests."""
        before = self._failures
        while self._waiting and self._failures == before:
            await self._next()

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

    async def _next(self) -> None:
        """One batch of the group that waits longest; it goes to the end of the line while it has more."""
        group_id, _ = self._waiting.popitem(last=False)
        try:
            if await self._step(group_id):
                self.wake(group_id)
            self._failures = 0
        except SwitchedOff:
            pass
        except ChatError as error:
            self.wake(group_id)
            self._failures += 1
            log.info("embedding_waits", code=error.code, queued=len(self._waiting), attempt=self._failures)
            await self._pause(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(self._failures - 1, 10)))
        except Exception:
            self._failures += 1
            log.exception("embedding_failed", group=group_id)
            asyncio.get_running_loop().call_later(LONGEST_PAUSE_SECONDS, self.wake, group_id)
            await self._pause(FIRST_PAUSE_SECONDS)

    async def _step(self, group_id: str) -> bool:
        """Whether there may be more to do. The bookmark moves only over what is stored."""
        now = datetime.now(UTC)
        claim = Claim(self._owner, now + timedelta(seconds=CLAIM_SECONDS))
        progress = await self._store.claim(group_id, claim, now)
        if progress is None:
            asyncio.get_running_loop().call_later(TAKEN_SECONDS, self.wake, group_id)
            return False
        if progress.space != self._space:
            progress = Progress(group_id, self._space)
        lines = await self._store.window(group_id, progress.seq, progress.seq + BATCH_ROWS)
        try:
            await self._serve(group_id, lines)
        except Exception:
            await self._store.advance(progress, self._owner, LONG_AGO)
            raise
        if lines:
            progress = replace(progress, seq=lines[-1].seq)
        await self._store.advance(progress, self._owner, LONG_AGO)
        return len(lines) == BATCH_ROWS

    async def _serve(self, group_id: str, lines: Sequence[LogLine]) -> None:
        edited = await self._store.by_ids([line.target_id for line in lines if line.kind == "edit"])
        wanted = {line.id: line for line in (*lines, *edited.values()) if line.searchable}
        await self._store.remove([line.target_id for line in lines if line.kind == "delete"])
        there = [line for line in wanted.values() if line.vector is not None and line.has_vector(self._space)]
        await self._keep_anew([line for line in there if line.vector and not self._is_in_place(line.vector)])
        missing = [line for line in wanted.values() if not line.has_vector(self._space)]
        if missing:
            if not await self._consent.group(group_id):
                raise SwitchedOff
            willing = await self._consent.people([line.sender_id for line in missing])
            await self._embed(group_id, [line for line in missing if willing.get(line.sender_id, False)])

    def _is_in_place(self, vector: StoredVector) -> bool:
        return vector.space == self._space and not vector.in_message

    async def _embed(self, group_id: str, lines: Sequence[LogLine]) -> None:
        texts = await self._texts(lines)
        vectors = await self._vectors(group_id, texts) if texts else {}
        lines = [line for line in lines if line.id in vectors]
        await self._save([await self._placed(line, vectors[line.id]) for line in lines])
        await self._learn(group_id, [Embedded(line.id, line.seq, vectors[line.id]) for line in lines])

    async def _vectors(self, group_id: str, texts: Mapping[str, str]) -> "dict[str, Vector]":
        """By message id; all of them, unless one of the texts was found to be what the models refuse."""
        try:
            vectors = await self._asked(group_id, texts)
        except RateLimited:
            raise
        except (ChatError, ValueError):
            self._refused[group_id] = self._refused.get(group_id, 0) + 1
            if self._refused[group_id] < REFUSALS:
                raise
            await self._asked(group_id, {"": HARMLESS})
            vectors = await self._apart(group_id, texts)
        self._refused.pop(group_id, None)
        return vectors

    async def _apart(self, group_id: str, texts: Mapping[str, str]) -> "dict[str, Vector]":
        """By halves, so that one bad text of 64 takes a dozen calls. Those refused alone are left out."""
        try:
            return await self._asked(group_id, texts)
        except RateLimited:
            raise
        except (ChatError, ValueError) as error:
            if len(texts) == 1:
                log.warning("text_not_embedded", group=group_id, message=next(iter(texts)), error=type(error).__name__)
                return {}
        ids = list(texts)
        half = len(ids) // 2
        parts = [{id_: texts[id_] for id_ in some} for some in (ids[:half], ids[half:])]
        return await self._apart(group_id, parts[0]) | await self._apart(group_id, parts[1])

    async def _asked(self, group_id: str, texts: Mapping[str, str]) -> "dict[str, Vector]":
        purpose = Purpose("embedding", group_id=group_id)
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
