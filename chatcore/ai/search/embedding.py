"""Giving each message its vector, in the background: a reader of every group's log with a bookmark.

The log is the queue. What a change of a message leaves here is only the group's id; what is to do is read from the log
after the bookmark, in batches: new messages and edited ones get a vector. (An edit or a deletion takes the old one away
in its own transaction.) So nothing is lost by a crash, an outage of the models or a burst, and a change of the model,
or of how vectors are kept, is a bookmark set back to the beginning. Several processes take turns by group.
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
from chatcore.ai.search.records import Claim, LogLine, Progress, Space, StoredVector
from chatcore.ai.search.store import SearchStore
from chatcore.ai.search.vectors import Embedded
from chatcore.errors import CapabilityUnavailable, ChatError
from chatcore.logs import get_logger
from chatcore.vault.envelope import SealBroken
from chatcore.vault.service import Vault

if TYPE_CHECKING:
    from chatcore.ai.search.vectors import Matrix, Vector

log = get_logger("search")
BATCH_ROWS: Final = 64
SAVED_AT_ONCE: Final = 8  # 8 to 30 ms of the embedded database on two cores
TOGETHER_SECONDS: Final = 0.25  # a change waits this long for others, so that they share a call
CLAIM_SECONDS: Final = 60.0
TAKEN_SECONDS: Final = 2.0  # until a group is tried again that another process works on
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0
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
            log.exception("embedding_failed", group=group_id)
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
        except (ChatError, SwitchedOff):
            await self._store.advance(progress, self._owner, LONG_AGO)
            raise
        if lines:
            progress = replace(progress, seq=lines[-1].seq)
        await self._store.advance(progress, self._owner, LONG_AGO)
        return len(lines) == BATCH_ROWS

    async def _serve(self, group_id: str, lines: Sequence[LogLine]) -> None:
        edited = await self._store.by_ids([line.target_id for line in lines if line.kind == "edit"])
        wanted = {line.id: line for line in (*lines, *edited.values()) if line.searchable}
        there = [line for line in wanted.values() if line.has_vector(self._space)]
        await self._keep_anew([line for line in there if line.vector and line.vector.space != self._space])
        missing = [line for line in wanted.values() if not line.has_vector(self._space)]
        if missing:
            if not await self._consent.group(group_id):
                raise SwitchedOff
            willing = await self._consent.people([line.sender_id for line in missing])
            await self._embed(group_id, [line for line in missing if willing.get(line.sender_id, False)])

    async def _embed(self, group_id: str, lines: Sequence[LogLine]) -> None:
        texts = await self._texts(lines)
        if not texts:
            return
        lines = [line for line in lines if line.id in texts]
        purpose = Purpose("embedding", group_id=group_id)
        called = await self._models.embed([texts[line.id] for line in lines], purpose, space=self._space.model)
        if called.served.model != self._space.model:
            raise CapabilityUnavailable("Another model answered; its vectors do not compare with those that are kept")
        vectors = [called.value[at] for at in range(len(lines))]
        await self._save({line.id: await self._kept(line, at) for line, at in zip(lines, vectors, strict=True)})
        await self._learn(group_id, [Embedded(line.id, line.seq, at) for line, at in zip(lines, vectors, strict=True)])

    async def _save(self, vectors: Mapping[str, StoredVector]) -> None:
        """A few at a time with a rest between: the embedded database does nothing else meanwhile."""
        kept = list(vectors.items())
        for start in range(0, len(kept), SAVED_AT_ONCE):
            began = time.monotonic()
            await self._store.save(dict(kept[start : start + SAVED_AT_ONCE]))
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

    async def _kept(self, line: LogLine, vector: "Vector") -> StoredVector:
        """Half precision is enough to rank by, and half of what is to be stored and opened."""
        stored = StoredVector(self._space, len(vector), line.rev)
        if self._space.in_clear:
            return replace(stored, clear=vector.astype("<f4").tobytes())
        key = await self._vault.key_of(line.group_id)
        return replace(stored, sealed=key.seal(line.vector_place, vector.astype("<f2").tobytes()))

    async def _keep_anew(self, lines: Sequence[LogLine]) -> None:
        """Sealed where they stood in clear, or the other way round, without asking a model again."""
        anew: dict[str, StoredVector] = {}
        for line in lines:
            vector = await self._vector_of(line)
            if vector is not None:
                anew[line.id] = await self._kept(line, vector)
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
