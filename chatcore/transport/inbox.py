"""Socket.IO on top of the engine: a client's packets are worked off in order, by a task that exists only meanwhile."""

import asyncio
from typing import Any, Protocol

from chatcore.logs import get_logger
from chatcore.transport import frames
from chatcore.transport.connection import Connection, Refused, SocketHandlers
from chatcore.transport.drains import Drains
from chatcore.transport.engine import Engine
from chatcore.transport.metrics import SocketMetrics
from chatcore.transport.options import SocketOptions
from chatcore.transport.packets import (
    CONNECT,
    DISCONNECT,
    EVENT,
    ForbiddenPacketError,
    MalformedPacketError,
    Packet,
    read_packet,
)
from chatcore.transport.session import Session

log = get_logger("transport")

# So that a client which keeps its inbox full, with handlers that never wait, does not keep the event loop.
PACKETS_PER_TURN = 32
MAX_REFUSED_CONNECTS = 5
UNAUTHENTICATED_EVENT = "authenticate"


class Connections(Protocol):
    """What the server keeps of connections."""

    options: SocketOptions
    metrics: SocketMetrics
    engine: Engine

    def connection_opening(self, connection: Connection) -> None: ...

    def connection_opened(self, connection: Connection) -> None: ...

    def connection_refused(self, connection: Connection) -> None: ...

    def connection_closing(self, connection: Connection, reason: str) -> None: ...


class Inboxes:
    """Takes the Socket.IO packets of all sessions.

    Violations (labels for metrics): `binary`, `event_name`. The third of one session aborts it; a packet that is not
    of the protocol at all ends it at once.
    """

    def __init__(self, server: Connections, handlers: SocketHandlers) -> None:
        self._server = server
        self._handlers = handlers
        self._drains = Drains(self._drain)

    def add(self, session: Session, text: str) -> None:
        session.inbox.append(text)
        self._server.metrics.inbox_depth(len(session.inbox))
        self._work_off(session)

    def session_ended(self, session: Session) -> None:
        """What the client sent before it left is still done; what it sent before it was thrown out is not."""
        if session.reason not in ("client disconnect", "transport close", "ping timeout"):
            session.inbox.clear()
        if session.connection is not None:
            self._work_off(session)

    async def finish(self, timeout_seconds: float) -> None:
        """Wait for what is under way, then cancel it."""
        await self._drains.finish(timeout_seconds)

    def __len__(self) -> int:
        return len(self._drains)

    def _work_off(self, session: Session) -> None:
        if not session.draining:
            self._drains.start(session)

    async def _drain(self, session: Session) -> None:
        done, inbox = 0, session.inbox
        while inbox:
            packet, connection = self._read(session, inbox.pop(0)), session.connection
            if packet is None:
                pass
            elif packet.kind == EVENT and connection is not None and packet.namespace == "/":
                await self._event(session, connection, packet)
            else:
                await self._take(session, packet)
            done += 1
            if session.feed is not None and session.feed.spilled:
                await session.feed.refill()
                if not session.feed.spilled:
                    self._server.engine.reading_resumed(session)
            if session.room_waiter is not None and not session.full and not session.room_waiter.done():
                session.room_waiter.set_result(None)
            if done % PACKETS_PER_TURN == 0:
                await asyncio.sleep(0)
        if session.closed:
            await self._say_goodbye(session)

    def _read(self, session: Session, text: str) -> Packet | None:
        try:
            return read_packet(text)
        except ForbiddenPacketError as refused:
            self.violation(session, refused.kind)
        except MalformedPacketError:
            session.end("parse error")
        return None

    async def _take(self, session: Session, packet: Packet) -> None:
        """All but an event on an open connection."""
        if packet.namespace != "/":
            self._take_for_elsewhere(session, packet)
        elif packet.kind == CONNECT:
            await self._connect(session, packet)
        elif session.connection is None:
            session.end("parse error")
        elif packet.kind == DISCONNECT:
            session.connection.disconnect_reason = "client disconnect"
            session.end("client disconnect")

    def violation(self, session: Session, kind: str) -> None:
        self._server.metrics.violation(kind)
        session.violations += 1
        if session.violations >= self._server.options.max_violations:
            session.end("protocol violation", abort=True)

    def _take_for_elsewhere(self, session: Session, packet: Packet) -> None:
        if packet.kind == CONNECT:
            session.send_frame(frames.frame_of(b"44" + packet.namespace.encode() + b',{"message":"Invalid namespace"}'))
        else:
            session.end("parse error")

    # -- connect and disconnect --------------------------------------------------------------------------------

    async def _connect(self, session: Session, packet: Packet) -> None:
        if session.connection is not None or session.closed:
            session.end("parse error")
            return
        auth = packet.data if isinstance(packet.data, dict) and packet.unreadable is None else {}
        connection = Connection(session, self._server.engine.generate_id(), auth)
        session.connection = connection
        self._server.connection_opening(connection)
        session.hold()
        refusal = await self._ask_to_connect(connection)
        connection.auth = {}
        if refusal is not None:
            self._refuse(session, connection, refusal)
        else:
            self._accept(session, connection)

    def _accept(self, session: Session, connection: Connection) -> None:
        if not session.closed:
            session.release(frames.frame_of(frames.CONNECTED_HEAD + connection.id.encode() + b'"}'))
            self._server.connection_opened(connection)

    async def _ask_to_connect(self, connection: Connection) -> dict[str, Any] | None:
        """The body of the CONNECT_ERROR, if it is refused."""
        try:
            async with asyncio.timeout(self._server.options.authenticate_deadline_seconds):
                await self._handlers.on_connect(connection)
        except Refused as refused:
            return {"message": refused.message, "data": refused.data}
        except Exception as error:  # noqa: BLE001 - the funnel: a client must get an answer
            _log_failure("on_connect", error)
            return {"message": "Connection failed"}
        return None

    def _refuse(self, session: Session, connection: Connection, refusal: dict[str, Any]) -> None:
        session.connection = None
        if session.closed:
            return
        self._server.connection_refused(connection)
        session.release(frames.frame_of(b"44" + frames.json_of(refusal)), drop=True)
        session.refused_connects += 1
        if session.refused_connects >= MAX_REFUSED_CONNECTS:
            session.end("no connect")

    async def _say_goodbye(self, session: Session) -> None:
        connection = session.connection
        if connection is None:
            return
        session.connection = None
        try:
            await self._handlers.on_disconnect(connection, connection.disconnect_reason)
        except Exception as error:  # noqa: BLE001 - nobody is left to tell
            _log_failure("on_disconnect", error)

    # -- events ------------------------------------------------------------------------------------------------

    async def _event(self, session: Session, connection: Connection, packet: Packet) -> None:
        event = packet.data[0]
        if not connection.authenticated and event != UNAUTHENTICATED_EVENT:
            return
        try:
            if packet.unreadable is not None:
                answer = await self._handlers.on_unreadable(connection, event, packet.unreadable)
            else:
                answer = await self._handlers.on_event(connection, event, packet.data[1:])
        except Exception as error:  # noqa: BLE001 - the application has its own funnel; this is its safety net
            _log_failure("on_event", error)
            return
        if packet.ack_id is not None:
            session.send_frame(frames.ack_frame(packet.ack_id, answer))


def _log_failure(where: str, error: Exception) -> None:
    log.error("handler_failed", command=where, exc_info=error)
