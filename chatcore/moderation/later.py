"""What is decided after the commit: bounded, and never in the way of a send."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Final

from chatcore.errors import ChatError, Unavailable
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Mark
from chatcore.logs import get_logger
from chatcore.metrics import Metrics
from chatcore.moderation.decide import masked
from chatcore.moderation.judge import Judge, Judged, Place
from chatcore.moderation.records import SEVERITY, Deed, Review, Ruling, Source, Subject
from chatcore.moderation.sanctions import Sanctions
from chatcore.moderation.scene import Scene
from chatcore.moderation.store import ModerationStore
from chatcore.moderation.thresholds import PERSON_ONLY
from chatcore.moderation.together import Said

log = get_logger("moderation")

MAX_WAITING: Final = 1_000
MAX_UNCHECKED: Final = 200
WORKERS: Final = 2
BATCH: Final = 16
TOGETHER_SECONDS: Final = 0.1  # the first of a batch waits this long for others, so that they share a call
ATTEMPTS: Final = 3
DECIDED_AT_ONCE: Final = 4
"""Between so many, half a millisecond of work, the event loop has its turn."""
RETRY_SECONDS: Final = 0.5
LONGEST_REST_SECONDS: Final = 0.25
ASKED_AGAIN: Final = 4
BREATHER_SECONDS: Final = 2.0
"""After models on this machine did not answer in time: where cores are short, waiting is what helps."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A stored text that is not decided yet, or (`finished`) decided but not told of."""

    text: str
    subject: Subject
    place: Place
    judged: Judged
    finished: bool = False
    masked: bool = False
    asked: int = 0
    """How often models on this machine have had no time for it."""


class Later:
    """Two workers that take BATCH texts at a time from a queue of MAX_WAITING. Over that the newest is dropped: a share
    of what is dropped goes to people, and the number of all is counted, so that it is known how much nobody looked at.
    """

    def __init__(
        self,
        *,
        judge: Judge,
        scene: Scene,
        sanctions: Sanctions,
        store: ModerationStore,
        metrics: Metrics,
        clock: Callable[[], datetime],
        sample_share: float,
        max_waiting: int = MAX_WAITING,
    ):
        self._judge = judge
        self._scene = scene
        self._sanctions = sanctions
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._share = sample_share
        self._max_waiting = max_waiting
        self._queue: deque[Waiting] = deque()
        self._unchecked: deque[Waiting] = deque(maxlen=MAX_UNCHECKED)
        self._news = asyncio.Event()
        self._collecting = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._on_this_machine = False
        self._rested_at = 0.0
        self._busy = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._queue) + len(self._unchecked) + self._busy

    def add(self, waiting: Waiting) -> None:
        """Never waits."""
        if len(self._queue) >= self._max_waiting:
            self.dropped += 1
            self._metrics.moderation_unchecked.labels("dropped").inc()
            if sampled(waiting.judged.decision_id, self._share):
                self._unchecked.append(waiting)
        else:
            self._queue.append(waiting)
        self._metrics.queue_depth.labels("moderation").set(len(self._queue))
        self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(WORKERS):
                workers.create_task(self._work())

    async def _work(self) -> None:
        while True:
            if not self._queue and not self._unchecked:
                self._news.clear()
                await self._news.wait()
                continue
            if batch := await self._collected():
                await self._busy_with(len(batch), self._decide_all(batch))
            elif self._unchecked:
                waiting = self._unchecked.popleft()
                await self._busy_with(1, self._guard(self._review(waiting, waiting.judged, "unchecked")))

    async def _collected(self) -> list[Waiting]:
        """One worker at a time, or each would go with half of what comes in the same while."""
        async with self._collecting:
            if len(self._queue) < BATCH and (self._queue or self._unchecked):
                await asyncio.sleep(TOGETHER_SECONDS)
            return [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]

    async def _busy_with(self, count: int, work: Awaitable[None]) -> None:
        self._busy += count
        try:
            await work
        finally:
            self._busy -= count
            self._metrics.queue_depth.labels("moderation").set(len(self._queue))

    @staticmethod
    async def _guard(work: Awaitable[None]) -> None:
        """What fails for one text concerns no other."""
        try:
            await work
        except ChatError as error:
            log.warning("moderation_failed", code=error.code)
        except Exception:
            log.exception("moderation_failed")

    async def _decide_all(self, batch: Sequence[Waiting]) -> None:
        """One call to the model for all of them. Models on this machine take its cores from the chat: half of the time
        they are left in peace."""
        if not self._judge.first.ready:
            await self._guard(self._judge.first.prepare())
        said = await self._ask_in_turn(batch)
        again = {at for at, each in enumerate(batch) if self._may_be_asked_again(each, said.get(at))}
        self._queue.extend(replace(batch[at], asked=batch[at].asked + 1) for at in again)
        async with asyncio.TaskGroup() as deciding:
            for at, each in enumerate(batch):
                if at in again:
                    continue
                if at and at % DECIDED_AT_ONCE == 0:
                    await asyncio.sleep(0)
                deciding.create_task(self._guard(self._decide(each, said.get(at))))

    def _may_be_asked_again(self, waiting: Waiting, said: Said | None) -> bool:
        """What a provider does not answer is decided without it, and told. Models on this machine come back when the
        chat leaves them a core: until then a text waits, while there is room."""
        late = said is not None and isinstance(said.refusal, Unavailable)
        room = len(self._queue) < self._max_waiting // 2
        return self._on_this_machine and late and room and waiting.asked < ASKED_AGAIN

    async def _ask_in_turn(self, batch: Sequence[Waiting]) -> dict[int, Said]:
        """Models on this machine answer one call after the other anyway: two at a time would both take twice as long,
        and meet their deadlines where cores are short. Between two calls they rest as long as the last one took."""
        async with self._asking if self._on_this_machine else nullcontext():
            await asyncio.sleep(self._rested_at - time.monotonic())
            started = time.monotonic()
            said = await self._ask(batch)
            if served := [each.served.provider for each in said.values() if each.served is not None]:
                self._on_this_machine = "embedded" in served
            if self._on_this_machine and said:
                now, spoke = time.monotonic(), any(each.served is not None for each in said.values())
                self._rested_at = now + (min(now - started, LONGEST_REST_SECONDS) if spoke else BREATHER_SECONDS)
        return said

    async def _ask(self, batch: Sequence[Waiting]) -> dict[int, Said]:
        """By place in the batch; without those that are decided, or that no model may read."""
        asked = [at for at, each in enumerate(batch) if not each.finished and each.subject.ai]
        if not asked:
            return {}
        said = await self._judge.ask_together([batch[at].text for at in asked])
        return dict(zip(asked, said, strict=True))

    async def _decide(self, waiting: Waiting, said: Said | None) -> None:
        judged = waiting.judged
        if not waiting.finished:
            judged = await self._judge.judge(waiting.text, waiting.subject, judged, said=said)
            if not judged.model_spoke:
                self._metrics.moderation_unchecked.labels("no_model").inc()
        done = await self._patiently(waiting, judged)
        await self._judge.record(judged, waiting.text, waiting.subject, waiting.place, action=done)
        self._metrics.moderation_decisions.labels(waiting.subject.kind, done).inc()
        await self._judge.shadow(judged, waiting.text, waiting.subject, waiting.place)

    async def _patiently(self, waiting: Waiting, judged: Judged) -> str:
        """A decision outlives a short outage of the database."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._act(waiting, judged)
            except Unavailable:
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(RETRY_SECONDS * attempt)
        raise AssertionError

    async def _act(self, waiting: Waiting, judged: Judged) -> str:
        """What was really done, as the ledger calls it."""
        ruling = judged.ruling
        if SEVERITY[ruling.action] > SEVERITY["flag"] and not self._done_already(waiting, ruling):
            if await self._sanctions.may_stand(waiting.text, waiting.subject):
                return "allow"
            if await self._enforce(waiting, judged):
                await self._review_if_needed(waiting, judged)
                return ruling.action
            return "allow"  # its author was faster: what stands there now has a decision of its own
        await self._review_if_needed(waiting, judged)
        return "mask" if waiting.masked else ruling.action

    @staticmethod
    def _done_already(waiting: Waiting, ruling: Ruling) -> bool:
        return waiting.masked and ruling.action == "mask"

    async def _enforce(self, waiting: Waiting, judged: Judged) -> bool:
        if waiting.masked:  # the mask keeps its own decision
            judged = replace(judged, decision_id=self._judge.new_id())
        deed: Deed = "removed" if judged.ruling.action == "block" else "masked"
        place, subject = waiting.place, waiting.subject
        sanction = await self._sanctions.make(waiting.text, subject, judged, deed, place.message_id)
        changes = [self._store.sanction_added(sanction)]
        if deed == "removed":
            mark = Mark("block", judged.ruling.category, judged.decision_id)
            return await self._scene.remove(place.message_id, mark, changes, rev=place.rev)
        mark = Mark("mask", judged.ruling.category, judged.decision_id)
        text = masked(waiting.text, judged.ruling)
        return await self._scene.mask(place.message_id, place.rev, text, mark, changes)

    async def _review_if_needed(self, waiting: Waiting, judged: Judged) -> None:
        if for_a_person(judged.ruling):
            await self._review(waiting, judged, "flag")
        elif not judged.model_spoke and waiting.subject.ai and waiting.subject.mode == "strict":
            await self._review(waiting, judged, "unchecked")
        elif judged.ruling.action == "allow" and sampled(judged.decision_id, self._share):
            await self._review(waiting, judged, "sample" if judged.model_spoke else "unchecked")

    async def _review(self, waiting: Waiting, judged: Judged, source: Source) -> None:
        now = self._clock()
        review = Review(
            id=new_id(now),
            message_id=waiting.place.message_id,
            group_id=waiting.subject.group_id,
            user_id=waiting.subject.user_id,
            source=source,
            created_at=now,
            decision_id=judged.decision_id,
            category=judged.ruling.category,
            action=judged.ruling.action,
            score=judged.ruling.score,
        )
        await self._store.add_review(review)
        self._metrics.moderation_reviews.labels(source).inc()


def for_a_person(ruling: Ruling) -> bool:
    return ruling.action == "flag" or (ruling.action == "mask" and ruling.category in PERSON_ONLY)


def sampled(decision_id: str, share: float) -> bool:
    """By the decision's own random id: the same in a replay, and nobody can foresee it."""
    return int.from_bytes(sha256(decision_id.encode()).digest()[:8], "big") < share * 2**64
