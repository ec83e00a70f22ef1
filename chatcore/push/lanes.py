"""Notices that wait for a sender, a lane for each person: whoever's push service hangs holds up nobody else."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chatcore.push.records import News, Subscription

WAITING_NOTICES: Final = 256
WAITING_A_PERSON: Final = 40  # two rounds of the most browsers that one person has
AT_ONCE_A_PERSON: Final = 2
REST_SECONDS: Final = 30.0
LONGEST_REST_SECONDS: Final = 3_600.0
MOST_RESTING: Final = 10_000


@dataclass(frozen=True, slots=True)
class Notice:
    to: Subscription
    news: News
    count: int

    @property
    def user_id(self) -> str:
        return self.to.user_id


class Lanes:
    """First come, first served, but that of one person two at most are under way; who waits for that is overtaken."""

    def __init__(
        self, most: int = WAITING_NOTICES, a_person: int = WAITING_A_PERSON, at_once: int = AT_ONCE_A_PERSON
    ) -> None:
        self._most, self._a_person, self._at_once = most, a_person, at_once
        self._waiting: OrderedDict[str, deque[Notice]] = OrderedDict()
        self._under_way: dict[str, int] = {}
        self._ready: OrderedDict[str, None] = OrderedDict()
        self._changed = asyncio.Condition()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    async def put(self, notice: Notice) -> bool:
        """Waits while too many people's notices wait. False where too many of this person's own do: it is dropped."""
        if len(self._waiting.get(notice.user_id, ())) >= self._a_person:
            return False
        async with self._changed:
            await self._changed.wait_for(lambda: self._count < self._most)
            self._waiting.setdefault(notice.user_id, deque()).append(notice)
            self._count += 1
            self._make_ready(notice.user_id)
            self._changed.notify_all()
        return True

    async def take(self) -> Notice:
        """The next that may go now. Tell `done` when it went."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._ready))
            user_id, _ = self._ready.popitem(last=False)
            lane = self._waiting[user_id]
            notice = lane.popleft()
            if not lane:
                del self._waiting[user_id]
            self._count -= 1
            self._under_way[user_id] = self._under_way.get(user_id, 0) + 1
            self._make_ready(user_id)
            self._changed.notify_all()
            return notice

    async def done(self, notice: Notice) -> None:
        async with self._changed:
            left = self._under_way.pop(notice.user_id) - 1
            if left:
                self._under_way[notice.user_id] = left
            self._make_ready(notice.user_id)
            self._changed.notify_all()

    def _make_ready(self, user_id: str) -> None:
        if user_id in self._waiting and self._under_way.get(user_id, 0) < self._at_once:
            self._ready.setdefault(user_id)


class Resting:
    """Browsers whose push service did not answer: left alone for 30 s, twice as long with each time, an hour at most.

    A longer rest that the service itself asks for is kept as well.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def rests(self, subscription_id: str) -> bool:
        return self._failures.get(subscription_id, (0, 0.0))[1] > self._clock()

    def failed(self, subscription_id: str, asked_seconds: float = 0.0) -> None:
        times, _ = self._failures.pop(subscription_id, (0, 0.0))
        rest = min(max(REST_SECONDS * 2.0 ** min(times, 10), asked_seconds), LONGEST_REST_SECONDS)
        self._failures[subscription_id] = times + 1, self._clock() + rest
        while len(self._failures) > MOST_RESTING:
            self._failures.popitem(last=False)

    def answered(self, subscription_id: str) -> None:
        self._failures.pop(subscription_id, None)
