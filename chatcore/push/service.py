"""Tells people of new messages where they have no connection and want to be told."""

import asyncio
import json
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, Protocol
from urllib.parse import urlsplit

from chatcore.contract import push as p
from chatcore.errors import CapabilityUnavailable, Conflict, Invalid, NotFound
from chatcore.logs import get_logger
from chatcore.ports import Caller
from chatcore.push.courier import Courier
from chatcore.push.lanes import Lanes, Notice, Resting
from chatcore.push.pacing import Pacing
from chatcore.push.places import require_allowed
from chatcore.push.records import News, Payload, PushStore, Subscription, subscription_id
from chatcore.push.sealing import SECRET_BYTES, read_point
from chatcore.push.vapid import Vapid, as_bytes

log = get_logger("push")
MOST_A_PERSON: Final = 20
WAITING_NEWS: Final = 1_000
SENDERS: Final = 8
TICK_SECONDS: Final = 1.0
# One question to the database for so many people, and how long its answer is believed: a browser that was added
# through another process gets its first notice this much later at worst.
ASKED_AT_ONCE: Final = 500
BELIEVED_SECONDS: Final = 60.0
KNOWN_PEOPLE: Final = 50_000


class Whereabouts(Protocol):
    def is_here(self, user_id: str) -> bool:
        """Whether the person has a connection, to whichever process."""
        ...

    def belongs(self, user_id: str, group_id: str) -> bool:
        """Whether the person is a member now."""
        ...

    def has_signed_out(self, user_id: str, session_id: str, since: datetime) -> bool:
        """Whether this sign-in of the person, or all of them, ended after `since`."""
        ...

    async def name_of(self, user_id: str) -> str: ...


class Push:
    """`told` never waits: news goes into a queue, and where that is full it is dropped and counted."""

    def __init__(
        self,
        *,
        store: PushStore,
        courier: Courier,
        vapid: Vapid,
        whereabouts: Whereabouts,
        clock: Callable[[], datetime],
        payload: Payload,
        loopback: bool = False,
        counted: Callable[[str], None] = lambda outcome: None,
        pacing: Pacing | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._store = store
        self._courier = courier
        self._vapid = vapid
        self._whereabouts = whereabouts
        self._clock = clock
        self._payload = payload
        self._loopback = loopback
        self._counted = counted
        self._monotonic = monotonic
        self._pacing = pacing or Pacing()
        self._news: asyncio.Queue[tuple[News, Sequence[str]]] = asyncio.Queue(WAITING_NEWS)
        self._notices = Lanes()
        self._resting = Resting(monotonic)
        self._known: OrderedDict[str, tuple[float, tuple[Subscription, ...]]] = OrderedDict()

    # --- what people ask

    async def subscribe(self, caller: Caller, request: p.MakePushSubscription) -> p.PushSubscription:
        """This browser tells its owner from now on. A repeat changes what it is told of; the oldest browsers go where
        there are more than 20.

        A browser in which somebody else signs in is theirs, and the one before hears no more. That takes the keys as
        well as the address: Conflict for whoever has learned another's address alone.
        """
        self._require_on()
        require_allowed(request.endpoint, loopback=self._loopback)
        subscription = Subscription(
            id=subscription_id(request.endpoint),
            user_id=caller.user_id,
            session_id=caller.session_id,
            endpoint=request.endpoint,
            point=_point(request.keys.p256dh),
            secret=_secret(request.keys.auth),
            scope=request.scope,
            created_at=self._clock(),
        )
        if not await self._store.save(subscription):
            raise Conflict("Another account has this browser with other keys: end it in the browser and subscribe anew")
        mine = await self._store.of_people([caller.user_id])
        if surplus := [each.id for each in mine[:-MOST_A_PERSON]]:
            await self._store.remove(caller.user_id, surplus)
        self._known.clear()  # the browser may have been somebody else's
        return _shape(subscription)

    async def unsubscribe(self, caller: Caller, request: p.PushSubscriptionPath) -> None:
        if not await self._store.remove(caller.user_id, [request.subscription_id]):
            raise NotFound("You have no such subscription")
        self._known.pop(caller.user_id, None)

    async def mine(self, caller: Caller) -> p.PushSubscriptions:
        subscriptions = await self._store.of_people([caller.user_id])
        return p.PushSubscriptions(
            payload=self._payload,
            public_key=self._vapid.public_key,
            subscriptions=[_shape(subscription) for subscription in subscriptions],
        )

    async def signed_out(self, user_id: str, session_id: str | None) -> None:
        """A sign-in was ended, or all of a person's: nothing is told to those browsers any more."""
        await self._store.remove_session(user_id, session_id)
        self._known.pop(user_id, None)

    async def erase_user(self, user_id: str) -> None:
        await self.signed_out(user_id, None)

    # --- what happens

    def told(self, news: News, members: Iterable[str]) -> None:
        """A message was stored. Whoever has a connection gets it there."""
        if self._payload == "off":
            return
        absent = []
        for user_id in members:
            if user_id == news.sender_id:
                continue
            if self._whereabouts.is_here(user_id):
                self._pacing.forget(user_id, news.group_id)
            else:
                absent.append(user_id)
        if absent:
            self._queue(news, absent)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_again(self._look_up))
            for _ in range(SENDERS):
                tasks.create_task(_again(self._send_next))

    async def tick(self) -> None:
        """Call every second: people who were told a while ago hear what came since."""
        for held in self._pacing.due():
            if self._is_missing(held.user_id, held.news.group_id):
                await self._offer(held.user_id, held.news, held.count)

    async def close(self) -> None:
        await self._courier.close()

    async def _look_up(self) -> None:
        news, absent = await self._news.get()
        for start in range(0, len(absent), ASKED_AT_ONCE):
            people = absent[start : start + ASKED_AT_ONCE]
            await self._learn(people)
            for user_id in people:
                await self._offer(user_id, news, 1)

    async def _offer(self, user_id: str, news: News, count: int) -> None:
        """To those browsers of the person that want to hear of it; waits where senders are behind."""
        calls = news.calls(user_id)
        wanting = [each for each in await self._subscriptions(user_id) if calls or each.scope == "all"]
        if wanting and self._pacing.lets(user_id, news):
            for subscription in wanting:
                if not await self._notices.put(Notice(subscription, news, count)):
                    self._counted("dropped")

    async def _send_next(self) -> None:
        notice = await self._notices.take()
        try:
            await self._send(notice)
        finally:
            await self._notices.done(notice)

    async def _send(self, notice: Notice) -> None:
        to, news = notice.to, notice.news
        if self._resting.rests(to.id):
            self._counted("dropped")
            return
        answer = await self._courier.send(
            to,
            await self._written(notice),
            topic=self._vapid.topic(news.group_id),
            urgent=news.calls(to.user_id),
            still=lambda: self._may_hear(notice),
        )
        self._counted(answer.outcome)
        if answer.outcome == "failed":
            self._resting.failed(to.id, answer.wait_seconds)
        elif answer.outcome != "stale":
            self._resting.answered(to.id)
        if answer.outcome == "gone":
            await self._store.remove(to.user_id, [to.id])
            self._known.pop(to.user_id, None)

    async def _may_hear(self, notice: Notice) -> bool:
        """As it is now: the person may have come, left the group or signed out, and the browser be another's."""
        to = notice.to
        if not self._is_missing(to.user_id, notice.news.group_id):
            return False
        if self._whereabouts.has_signed_out(to.user_id, to.session_id, to.created_at):
            return False
        kept = await self._store.find(to.id)
        same = kept is not None and (kept.user_id, kept.session_id, kept.point, kept.secret) == (
            to.user_id, to.session_id, to.point, to.secret
        )  # fmt: skip
        if not same:
            self._known.pop(to.user_id, None)
        return same

    def _is_missing(self, user_id: str, group_id: str) -> bool:
        """A member still, and not here to see it."""
        return self._whereabouts.belongs(user_id, group_id) and not self._whereabouts.is_here(user_id)

    async def _written(self, notice: Notice) -> bytes:
        if self._payload == "bare":
            return b"{}"
        news = notice.news
        facts = {
            "groupId": news.group_id,
            "group": news.group_name,
            "sender": await self._whereabouts.name_of(news.sender_id),
            "direct": news.direct,
            "mentioned": notice.to.user_id in news.mentions,
            "count": notice.count,
        }
        return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()

    async def _subscriptions(self, user_id: str) -> tuple[Subscription, ...]:
        await self._learn([user_id])
        return self._known[user_id][1]

    async def _learn(self, user_ids: Sequence[str]) -> None:
        """So that `_known` holds a fresh answer for each of them."""
        now = self._monotonic()
        asked = [each for each in user_ids if self._known.get(each, (-math.inf, ()))[0] + BELIEVED_SECONDS <= now]
        if not asked:
            return
        found: dict[str, list[Subscription]] = {user_id: [] for user_id in asked}
        for subscription in await self._store.of_people(asked):
            found[subscription.user_id].append(subscription)
        for user_id, mine in found.items():
            self._known.pop(user_id, None)
            self._known[user_id] = now, tuple(mine)
        while len(self._known) > KNOWN_PEOPLE:
            self._known.popitem(last=False)

    def _queue(self, news: News, absent: Sequence[str]) -> None:
        try:
            self._news.put_nowait((news, absent))
        except asyncio.QueueFull:
            self._counted("dropped")

    def _require_on(self) -> None:
        if self._payload == "off":
            raise CapabilityUnavailable("This server sends no notices")


async def _again(work: Callable[[], Awaitable[object]]) -> None:
    """What one notice breaks on concerns no other."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("push_broken")


def _point(text: str) -> bytes:
    try:
        point = as_bytes(text)
        read_point(point)
    except ValueError:
        raise Invalid("This is no public key of a browser", field="p256dh") from None
    return point


def _secret(text: str) -> bytes:
    try:
        secret = as_bytes(text)
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise Invalid("This is no secret of a browser", field="auth")
    return secret


def _shape(subscription: Subscription) -> p.PushSubscription:
    return p.PushSubscription(
        id=subscription.id,
        host=urlsplit(subscription.endpoint).hostname or "",
        scope=subscription.scope,
        created_at=subscription.created_at,
    )
