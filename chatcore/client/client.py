"""One person's connection to one server."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Literal, Self

import aiohttp

from chatcore.client.events import (
    LOG_SHAPES,
    ConnectionChanged,
    Event,
    GroupLost,
    Happening,
    Resynced,
    Subscription,
)
from chatcore.client.following import LogFollower
from chatcore.client.link import LinkLost
from chatcore.client.rest import Rest, read_as
from chatcore.client.session import Backoff, RenewToken, Session
from chatcore.client.verbs import Verbs
from chatcore.client.view import GroupView
from chatcore.contract.groups import Group, Groups
from chatcore.contract.people import AuthenticationSuccess, Me
from chatcore.errors import ChatError, Conflict, Draining

ACK_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 30.0
MAX_CONFLICTS, CONFLICT_PAUSE_SECONDS = 5, 0.1


class Client(Verbs):
    """Use it as `async with Client(url, token) as client`, or `await Client.connect(url, token)` and `close()`.

    Commands wait for a connection, are repeated after a lost one until the server answers, and raise the ChatError of
    a refusal; a refusal that says when to come again is waited out once, and so is `unavailable` where a `tempId` makes
    the repeat safe. `since` is `client.places` of an earlier run:
    the log is then handed over from there. `renew` is asked for a token before the present one expires. With
    `follow=False` the server's pushes are handed over as they come: no order, no `sync`, no views.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        renew: RenewToken | None = None,
        since: Mapping[str, int] | None = None,
        follow: bool = True,
        device_type: Literal["mobile", "web", "desktop"] = "desktop",
        backoff: Backoff | None = None,
        http: aiohttp.ClientSession | None = None,
    ):
        self.url = url
        self._token = token
        self._renew = renew
        self._follow = follow
        self._device_type = device_type
        self._backoff = backoff or Backoff()
        self._http = http
        self._own_http = http is None
        self._session: Session | None = None
        self._rest: Rest | None = None
        self._me: Me | None = None
        self._groups: dict[str, Group] = {}
        self._views: dict[str, GroupView] = {}
        self._subscriptions: set[Subscription] = set()
        self._loading: set[asyncio.Task[None]] = set()
        self._follower = LogFollower(self._ask_sync, self._deliver, dict(since or {}))

    @classmethod
    async def connect(cls, url: str, token: str, **options: Any) -> Self:
        """A started client. Raises LinkLost where no server answers, ChatError where it refuses the token."""
        client = cls(url, token, **options)
        await client.start()
        return client

    async def start(self, *, timeout_seconds: float = 10.0) -> None:
        self._http = self._http or aiohttp.ClientSession()
        self._session = Session(
            self._http,
            self.url,
            self._token,
            on_event=self._hear,
            on_change=self._changed,
            on_ready=self._ready,
            renew=self._renew,
            device_type=self._device_type,
            backoff=self._backoff,
        )
        session = self._session
        self._rest = Rest(self._http, self.url, lambda: session.token, session.renew_token)
        try:
            await session.start(timeout_seconds=timeout_seconds)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        await self._follower.stop()
        for task in self._loading:
            task.cancel()
        await asyncio.gather(*self._loading, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        for subscription in list(self._subscriptions):
            subscription.end()
        if self._own_http and self._http is not None:
            await self._http.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def user(self) -> Me:
        assert self._me is not None, "not connected yet"
        return self._me

    @property
    def groups(self) -> list[Group]:
        """One's groups, as far as pushes and replies have told."""
        return list(self._groups.values())

    @property
    def connected(self) -> bool:
        return self._session is not None and self._session.connected

    @property
    def places(self) -> dict[str, int]:
        """The last place handed over in each group's log: keep it and give it as `since` next time."""
        return self._follower.places

    @property
    def rest(self) -> Rest:
        assert self._rest is not None, "not started yet"
        return self._rest

    def find_group(self, name_or_id: str) -> Group | None:
        """One of one's own groups, by id or by name whatever its case."""
        wanted = name_or_id.casefold()
        return self._groups.get(name_or_id) or next(
            (group for group in self._groups.values() if group.name.casefold() == wanted), None
        )

    def events(self) -> Subscription:
        """What happens from this call on, as an async iterator. Ends with the client, raises if thrown out."""
        subscription = Subscription(self._subscriptions.discard)
        self._subscriptions.add(subscription)
        return subscription

    async def view(self, group_id: str, *, depth: int | None = 50) -> GroupView:
        """The group's newest `depth` messages (None: all), kept true from now on."""
        view = self._views.get(group_id)
        if view is None:
            view = self._views[group_id] = GroupView(group_id)
            try:
                await self._load(view)
            except BaseException:
                self._views.pop(group_id, None)
                raise
        while view.has_earlier and (depth is None or len(view.messages) < depth):
            await self.load_earlier(view)
        return view

    async def load_earlier(self, view: GroupView) -> None:
        """One more page of history, if there is any."""
        if view.has_earlier and view.messages:
            view.add_earlier(await self.history(view.group_id, before=view.messages[0].seq, limit=100))

    async def interrupt(self) -> None:
        """Drop the connection as a bad network would; the client comes back by itself."""
        if self._session is not None:
            await self._session.interrupt()

    async def typing(self, group_id: str, *, active: bool = True) -> None:
        """Not repeated and not confirmed: a lost hint that somebody types is no loss."""
        if self._session is not None:
            try:
                await self._session.emit("typing_start" if active else "typing_stop", {"groupId": group_id})
            except LinkLost:
                return

    # What goes out and what comes in

    async def command(self, event: str, payload: dict[str, Any]) -> Any:
        assert self._session is not None, "not started yet"
        waited, lost, conflicts = False, False, 0
        while True:
            try:
                data = await self._session.call(event, payload, timeout_seconds=ACK_SECONDS)
                self._note_place(data)
                return data
            except LinkLost:
                if self._session.failure is not None:
                    raise
                lost = True
            except Conflict:
                # The first try may still be under way in the server, and is what the repeat conflicts with.
                conflicts += 1
                if not lost or conflicts > MAX_CONFLICTS:
                    raise
                await asyncio.sleep(CONFLICT_PAUSE_SECONDS)
            except Draining as draining:
                await asyncio.sleep(_pause(draining))
            except ChatError as refused:
                heeded = refused.retry_after_ms is not None or "tempId" in payload
                if waited or not refused.retryable or not heeded:
                    raise
                waited = True
                await asyncio.sleep(_pause(refused))

    def _note_place(self, data: Any) -> None:
        """An ack that names a place in the log promises an event there, pushed or not."""
        if self._follow and isinstance(data, dict) and isinstance(seq := data.get("seq"), int):
            self._follower.heard_of(str(data.get("groupId")), seq)

    async def _ask_sync(self, payload: dict[str, Any]) -> Any:
        assert self._session is not None
        return await self._session.call("sync", payload, timeout_seconds=ACK_SECONDS)

    def _changed(self, change: ConnectionChanged) -> None:
        self._deliver(change)
        failure = self._session.failure if self._session is not None else None
        if failure is not None:
            for subscription in list(self._subscriptions):
                subscription.end(failure if isinstance(failure, ChatError) else None)

    def _ready(self) -> None:
        if self._follow:
            self._follower.ask_for_all()
        for view in self._views.values():
            self._in_background(self._load_members if view.loaded else self._load, view)

    def _hear(self, name: str, data: Any) -> None:
        if not isinstance(data, dict):
            return
        group_id, seq = data.get("groupId"), data.get("seq")
        if name in LOG_SHAPES and isinstance(seq, int):
            event = Event(name, data, group_id, seq)
            self._follower.take(event) if self._follow else self._deliver(event)
            return
        event = Event(name, data, group_id)
        if name == "authentication_success":
            self._me = read_as(AuthenticationSuccess, data).user
        elif name == "user_groups":
            self._know_groups(read_as(Groups, data).groups)
        elif name == "group_deleted" and group_id is not None:
            self._lose(group_id)
        elif name in ("message_read", "messages_read") and (view := self._views.get(str(group_id))):
            view.mark_read(data["readBy"], data["upToSeq"])
        self._deliver(event)

    def _know_groups(self, groups: list[Group]) -> None:
        self._groups = {group.id: group for group in groups}
        for group_id in self._follower.keep_only(self._groups):
            self._lose(group_id)
            self._deliver(GroupLost(group_id, "not_found"))
        if self._follow:
            for group in groups:
                self._follower.follow(group.id, group.latest_seq)

    def _entered(self, group: Group, latest_seq: int) -> None:
        self._groups[group.id] = group
        if self._follow:
            self._follower.follow(group.id, latest_seq)

    def _gone_from(self, group_id: str, *, still_member: bool) -> None:
        group = self._groups.get(group_id)
        self._lose(group_id)
        if group is not None and still_member:
            self._groups[group_id] = group

    def _lose(self, group_id: str) -> None:
        self._groups.pop(group_id, None)
        self._views.pop(group_id, None)
        self._follower.forget(group_id)

    def _deliver(self, happening: Happening) -> None:
        match happening:
            case Event(group_id=str() as group_id, seq=int()):
                if view := self._views.get(group_id):
                    view.apply(happening)
                self._learn(happening, group_id)
            case Resynced(group_id=group_id) if view := self._views.get(group_id):
                view.restart()
                self._in_background(self._load, view)
            case GroupLost(group_id=group_id):
                self._lose(group_id)
        for subscription in list(self._subscriptions):
            subscription.put(happening)

    def _learn(self, event: Event, group_id: str) -> None:
        known = self._groups.get(group_id)
        if event.name == "member_left" and self._me is not None and event.data.get("userId") == self._me.user_id:
            self._lose(group_id)
        elif event.name == "group_updated":
            group = read_as(Group, event.data["group"])
            mine = {"role": known.role, "unread": known.unread} if known else {}
            self._groups[group_id] = group.model_copy(update=mine)

    def _in_background(self, load: Callable[[GroupView], Coroutine[Any, Any, None]], view: GroupView) -> None:
        task = asyncio.create_task(self._loaded(load, view), name="chatcore-client-loading")
        self._loading.add(task)
        task.add_done_callback(self._loading.discard)

    async def _loaded(self, load: Callable[[GroupView], Coroutine[Any, Any, None]], view: GroupView) -> None:
        """What is lost with the connection is loaded anew at the next one."""
        while self._views.get(view.group_id) is view:
            try:
                await load(view)
            except LinkLost:
                return
            except ChatError as refused:
                if not refused.retryable:
                    return
                await asyncio.sleep(_pause(refused))
            else:
                return

    async def _load(self, view: GroupView) -> None:
        page, _ = await asyncio.gather(self.history(view.group_id), self._load_members(view))
        view.start(page)

    async def _load_members(self, view: GroupView) -> None:
        """Roles and read marks; the latter are pushed but stand in no log."""
        for member in (await self.members(view.group_id)).members:
            view.roles[member.user_id] = member.role
            view.mark_read(member.user_id, member.read_seq or 0)


def _pause(refused: ChatError) -> float:
    return min((refused.retry_after_ms or 500) / 1000, LONGEST_PAUSE_SECONDS)
