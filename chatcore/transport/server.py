"""A hardened Socket.IO server for aiohttp. It knows no feature of the application.

Protocol: Socket.IO 5 on Engine.IO 4, namespace "/", no binary packets. Faster than one task and one queue entry for
each recipient: a broadcast is encoded once, framed once, and written once per recipient and turn of the event loop
together with whatever else that recipient gets.
"""

import asyncio
import gc
import logging
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from aiohttp import web

from chatcore.transport import frames
from chatcore.transport.connection import Connection, Refused, SocketHandlers
from chatcore.transport.engine import Engine
from chatcore.transport.frames import Json
from chatcore.transport.inbox import Inboxes
from chatcore.transport.metrics import NoMetrics, SocketMetrics
from chatcore.transport.options import SocketOptions
from chatcore.transport.rooms import Rooms
from chatcore.transport.session import Reason, Session

__all__ = [
    "Connection",
    "Json",
    "NoMetrics",
    "Refused",
    "SocketHandlers",
    "SocketMetrics",
    "SocketOptions",
    "SocketServer",
    "tune_garbage_collector",
]


class SocketServer:
    """All methods belong on the event loop. `connections` holds the clients whose `on_connect` was accepted."""

    def __init__(self, options: SocketOptions, handlers: SocketHandlers, metrics: SocketMetrics | None = None) -> None:
        silence_libraries()
        self.options = options
        self.metrics: SocketMetrics = metrics or NoMetrics()
        self.engine = Engine(options, self, self.metrics)
        self._handlers = handlers
        self._inboxes = Inboxes(self, handlers)
        self._rooms = Rooms()
        self._connections: dict[str, Connection] = {}
        self.connections: Mapping[str, Connection] = MappingProxyType(self._connections)
        self._connect_due = self.engine.timers.deadlines(options.connect_deadline_seconds, self._miss_connect)
        self._authenticate_due = self.engine.timers.deadlines(
            options.authenticate_deadline_seconds, self._miss_authentication
        )

    def attach(self, app: web.Application) -> None:
        self.engine.attach(app)
        app.on_shutdown.append(self._close_with)

    # -- rooms and publishing ----------------------------------------------------------------------------------

    def enter(self, connection: Connection, room: str) -> None:
        self._rooms.enter(connection, room)

    def leave(self, connection: Connection, room: str) -> None:
        self._rooms.leave(connection, room)

    def rooms_of(self, connection: Connection) -> frozenset[str]:
        return frozenset(connection.rooms or ())

    def members(self, room: str) -> Iterable[Connection]:
        return self._rooms.members(room)

    def publish(self, room: str, event: str, data: Any, *, skip: str | None = None, volatile: bool = False) -> int:
        """Queue an event for everybody in the room but the connection `skip`; returns to how many.

        `volatile` is not queued for a reader who is behind already.
        """
        sessions = self._rooms.sessions(room)
        if not sessions:
            return 0
        skipped = self._connections.get(skip) if skip is not None else None
        skipped_session = skipped.session if skipped is not None else None
        recipients = len(sessions) - (skipped_session in sessions)
        if volatile:
            ready = [session for session in sessions if not session.is_behind or session is skipped_session]
            self.metrics.volatile_dropped(len(sessions) - len(ready))
            recipients -= len(sessions) - len(ready)
            self.engine.outbox.add_frame(ready, frames.event_frame(event, data), skipped_session)
        else:
            self.engine.outbox.add_frame(sessions, frames.event_frame(event, data), skipped_session)
        self.metrics.packets_sent(recipients)
        return recipients

    # -- the end -----------------------------------------------------------------------------------------------

    async def drain(self, *, retry_after_ms: int) -> None:
        """Refuse new sessions and tell the clients, who may go elsewhere. `close` ends those that stay."""
        self.engine.draining = True
        for connection in list(self._connections.values()):
            connection.emit("server_draining", {"retryAfterMs": retry_after_ms})
        await asyncio.sleep(0)

    async def close(self) -> None:
        """End every session: what is queued goes out within the grace time, `on_disconnect` is called for each."""
        self.engine.draining = True
        for session in list(self.engine.sockets.values()):
            if session.connection is not None:
                session.connection.disconnect_reason = "server shutdown"
            session.end("server disconnect")
        grace_seconds = self.options.disconnect_grace_seconds
        await self._inboxes.finish(grace_seconds)
        await self._until_all_gone(grace_seconds)
        await self.engine.shutdown()

    async def _until_all_gone(self, timeout_seconds: float) -> None:
        until = self.engine.now() + timeout_seconds
        while self.engine.lingering and self.engine.now() < until:  # noqa: ASYNC110 - once in the server's life
            await asyncio.sleep(0.02)

    async def _close_with(self, app: web.Application) -> None:
        await self.close()

    # -- what the engine tells ---------------------------------------------------------------------------------

    def session_opened(self, session: Session) -> None:
        self._connect_due.start(session)

    def message_arrived(self, session: Session, text: str) -> None:
        self.metrics.packets_received(1)
        self._inboxes.add(session, text)

    def violation(self, session: Session, kind: str) -> None:
        self._inboxes.violation(session, kind)

    def session_ended(self, session: Session, reason: Reason) -> None:
        self._connect_due.stop(session)
        if session.connection is not None:
            self.connection_closing(session.connection, reason)
        self._inboxes.session_ended(session)

    # -- what the inboxes tell ---------------------------------------------------------------------------------

    def connection_opening(self, connection: Connection) -> None:
        self._connect_due.stop(connection.session)

    def connection_opened(self, connection: Connection) -> None:
        self._connections[connection.id] = connection
        self.metrics.connections_changed(len(self._connections))
        if not connection.authenticated:
            self._authenticate_due.start(connection)

    def connection_refused(self, connection: Connection) -> None:
        self._rooms.leave_all(connection)
        connection.closed = True
        self._connect_due.start(connection.session)

    def connection_closing(self, connection: Connection, reason: str) -> None:
        """At once, whatever its handlers are doing: nobody sends to it any more."""
        self._rooms.leave_all(connection)
        connection.closed = True
        connection.disconnect_reason = connection.disconnect_reason or reason
        self._authenticate_due.stop(connection)
        if self._connections.pop(connection.id, None) is not None:
            self.metrics.connections_changed(len(self._connections))

    # -- deadlines ---------------------------------------------------------------------------------------------

    def _miss_connect(self, session: Session) -> None:
        session.end("no connect")

    def _miss_authentication(self, connection: Connection) -> None:
        if connection.authenticated or connection.closed:
            return
        try:
            self._handlers.authentication_timed_out(connection)
        finally:
            connection.close(reason="authentication timeout")


def silence_libraries() -> None:
    """Below WARNING these log what clients send, tokens included."""
    for name in ("engineio", "engineio.server", "engineio.client", "socketio", "socketio.server", "socketio.client"):
        logger = logging.getLogger(name)
        if logger.level < logging.WARNING:
            logger.setLevel(logging.WARNING)


def tune_garbage_collector() -> None:
    """Call once when the app is up: cyclic collection over everything that lives long is a third of the CPU else."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
