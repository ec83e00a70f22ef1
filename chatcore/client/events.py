"""What a client tells its program: the server's events, and what became of the connection."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from chatcore.contract import groups, messages, people, presence
from chatcore.contract.base import Shape
from chatcore.contract.failures import ServerDraining

LOG_SHAPES: dict[str, type[Shape]] = {
    "new_message": messages.Message,
    "message_updated": messages.MessageUpdated,
    "message_deleted": messages.MessageDeleted,
    "reaction_changed": messages.ReactionChanged,
    "pins_changed": messages.PinsChanged,
    "member_joined": groups.MemberJoined,
    "member_left": groups.MemberLeft,
    "member_role_changed": groups.MemberRoleChanged,
    "group_updated": groups.GroupUpdated,
}
PASSING_SHAPES: dict[str, type[Shape]] = {
    "authentication_success": people.AuthenticationSuccess,
    "token_expiring": people.TokenExpiring,
    "user_groups": groups.UserGroups,
    "group_deleted": groups.GroupDeleted,
    "message_read": messages.MessageRead,
    "messages_read": messages.MessagesRead,
    "user_typing": presence.UserTyping,
    "user_stopped_typing": presence.UserStoppedTyping,
    "user_online": presence.UserOnline,
    "user_offline": presence.UserOffline,
    "user_status_changed": presence.UserStatusChanged,
    "report_created": messages.ReportCreated,
    "server_draining": ServerDraining,
}


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the server. Those of a group's log carry `group_id` and `seq` and come once each, without holes."""

    name: str
    data: dict[str, Any]
    group_id: str | None = None
    seq: int | None = None

    @property
    def shape(self) -> Shape:
        """The data, typed; fields that a newer server adds are ignored. KeyError for an event without a shape."""
        kind = LOG_SHAPES.get(self.name) or PASSING_SHAPES[self.name]
        return kind.model_validate(self.data, extra="ignore")


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """`retry_in_seconds` comes with `reconnecting`."""

    state: Literal["connected", "reconnecting", "closed"]
    reason: str = ""
    retry_in_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Resynced:
    """The server no longer keeps what came after our place: read history anew; the log goes on after `latest_seq`."""

    group_id: str
    latest_seq: int


@dataclass(frozen=True, slots=True)
class GroupLost:
    """We may not read this group any more."""

    group_id: str
    reason: str


Happening = Event | ConnectionChanged | Resynced | GroupLost


class TooSlow(Exception):
    """The program took events more slowly than they came, for too long."""


@dataclass(eq=False)
class Subscription:
    """One reader of a client's happenings, from the moment of subscribing on. Close it, or leave the loop, to stop."""

    on_close: Callable[["Subscription"], None]
    max_pending: int = 10_000
    _queue: asyncio.Queue[Happening | None] = field(default_factory=asyncio.Queue)
    _failure: Exception | None = None
    _ended: bool = False

    def put(self, happening: Happening) -> None:
        if self._ended:
            return
        if self._queue.qsize() >= self.max_pending:
            self.end(TooSlow(f"{self.max_pending} events are waiting"))
        else:
            self._queue.put_nowait(happening)

    def end(self, failure: Exception | None = None) -> None:
        """What is queued is still read; then the loop ends, or raises `failure`."""
        if not self._ended:
            self._ended, self._failure = True, failure
            self._queue.put_nowait(None)
            self.on_close(self)

    def __aiter__(self) -> AsyncIterator[Happening]:
        return self

    async def __anext__(self) -> Happening:
        happening = await self._queue.get()
        if happening is not None:
            return happening
        self._queue.put_nowait(None)
        if self._failure is not None:
            raise self._failure
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.end()
