"""The Engine.IO 4 server: sessions over long-polling and WebSocket, upgrade, heartbeat, deadlines.

Protocol: https://github.com/socketio/engine.io-protocol. It knows nothing of Socket.IO: packets of type MESSAGE go
to the `Messages` it was given.
"""

import asyncio
from http import HTTPStatus
from typing import Protocol

import engineio
import orjson
from aiohttp import web

from chatcore.transport import frames
from chatcore.transport.addresses import AddressCaps, PeerAddresses
from chatcore.transport.metrics import SocketMetrics
from chatcore.transport.options import SocketOptions
from chatcore.transport.origins import Origins
from chatcore.transport.outbox import Outbox
from chatcore.transport.session import Reason, Session
from chatcore.transport.timers import Timers
from chatcore.transport.upgrade import Probe
from chatcore.transport.websocket import Feed, FeedingWebSocket

PROTOCOL = "4"
# The order of Node's engine.io, whose clients may look at the code
UNKNOWN_TRANSPORT, UNKNOWN_SID, BAD_METHOD, BAD_REQUEST, FORBIDDEN, BAD_PROTOCOL = range(6)
MESSAGES = (
    "Transport unknown",
    "Session ID unknown",
    "Bad handshake method",
    "Bad request",
    "Forbidden",
    "Unsupported protocol version",
)


class Messages(Protocol):
    """The protocol above: what it is told of each session."""

    def session_opened(self, session: Session) -> None: ...

    def message_arrived(self, session: Session, text: str) -> None: ...

    def violation(self, session: Session, kind: str) -> None: ...

    def session_ended(self, session: Session, reason: Reason) -> None: ...


class Engine(engineio.AsyncServer):
    """The library's server with its own request handling, sockets and clock.

    Kept of the library: session ids and the registry `sockets`, and with them its calls `send`, `transport` and
    `disconnect`. Its handling of requests deviates from the protocol in a dozen places (tests/transport/
    test_conformance.py names each), and costs a task a socket and one a ping.
    """

    def __init__(self, options: SocketOptions, messages: Messages, metrics: SocketMetrics) -> None:
        super().__init__(async_mode="aiohttp", monitor_clients=False, max_http_buffer_size=options.max_frame_bytes)
        self.options = options
        self.metrics = metrics
        self.outbox = Outbox()
        self.draining = False
        self.sockets: dict[str, Session] = {}
        self._messages = messages
        self._origins = Origins(options.allowed_origins)
        self._peers = PeerAddresses(options.trusted_proxies)
        self._caps = AddressCaps(
            options.max_connections_per_address,
            options.connects_per_second_per_address,
            options.connect_burst_per_address,
        )
        interval, timeout = options.ping_interval_ms / 1000, options.ping_timeout_ms / 1000
        shortest = min(interval, timeout, options.disconnect_grace_seconds, options.connect_deadline_seconds)
        self.timers = Timers(resolution_seconds=min(0.1, max(0.001, shortest / 50)))
        self._ping_due = self.timers.deadlines(interval, self._send_ping)
        self._pong_due = self.timers.deadlines(timeout, self._miss_pong)
        self._graces = self.timers.deadlines(options.disconnect_grace_seconds, self._end_grace)
        self._slow = self.timers.deadlines(min(1, options.slow_reader_seconds / 4), self._judge_slow)
        self._upgrades_due = self.timers.deadlines(options.connect_deadline_seconds, Probe.fail)
        self._closing: dict[str, Session] = {}

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def attach(self, app: web.Application, engineio_path: str = "") -> None:
        path = "/" + (engineio_path or self.options.path).strip("/")
        app.router.add_route("*", path, self.handle_request)
        app.router.add_route("*", path + "/", self.handle_request)

    # -- requests ----------------------------------------------------------------------------------------------

    async def handle_request(self, request: web.Request) -> web.StreamResponse:
        if not self._origins.admit(request):
            self.metrics.connect_refused("origin")
            return _refusal(FORBIDDEN, HTTPStatus.FORBIDDEN)
        if request.method == "OPTIONS":
            return web.Response(status=HTTPStatus.NO_CONTENT, headers=self._origins.preflight_headers(request))
        response = await self._route(request)
        if not response.prepared:
            response.headers.update(self._origins.headers(request))
        return response

    async def _route(self, request: web.Request) -> web.StreamResponse:
        wants_websocket = request.query.get("transport") == "websocket"
        sid = request.query.get("sid")
        problem = _find_problem(request, sid)
        if problem is not None:
            return _refusal(problem)
        if sid is None:
            return await self._open(request, wants_websocket)
        session = self.sockets.get(sid) or self._closing.get(sid)
        if session is None:
            return _refusal(UNKNOWN_SID)
        if session.upgraded:
            return _refusal(BAD_REQUEST)
        if request.method == "POST":
            return await self._post(request, session)
        return await (self._upgrade if wants_websocket else self._poll)(request, session)

    async def _open(self, request: web.Request, wants_websocket: bool) -> web.StreamResponse:
        if request.query.get("EIO") != PROTOCOL:
            return _refusal(BAD_PROTOCOL)
        address = self._peers.of(request)
        refusal = "draining" if self.draining else self._caps.refusal(address)
        if refusal is not None:
            self.metrics.connect_refused(refusal)
            return _busy(refusal)
        session = Session(self, self.generate_id(), address, request.headers.get("User-Agent", "")[:256])
        if wants_websocket:
            return await self._open_websocket(request, session)
        self._register(session)
        body = frames.packet_of(self._open_frame(session, upgrades=["websocket"]))
        return await self._answer_poll(request, session, body)

    async def _open_websocket(self, request: web.Request, session: Session) -> web.StreamResponse:
        def started(feed: Feed) -> None:
            transport = request.transport
            if transport is None:
                return
            session.attach(transport, feed)
            self._register(session)
            transport.write(self._open_frame(session, upgrades=[]))

        return await self._serve_websocket(request, session, FeedingWebSocket(session, self._max_frame, started))

    @property
    def _max_frame(self) -> int:
        return self.options.max_frame_bytes

    async def _serve_websocket(
        self, request: web.Request, session: Session, websocket: FeedingWebSocket
    ) -> web.StreamResponse:
        try:
            await websocket.prepare(request)
        except (web.HTTPException, ConnectionError):
            session.end("transport error", abort=True)
            return _refusal(BAD_REQUEST)
        await session.lost()
        return websocket

    async def _upgrade(self, request: web.Request, session: Session) -> web.StreamResponse:
        if session.upgrading or session.closed:
            return _refusal(BAD_REQUEST)
        probe = Probe(session, request.transport)
        websocket = FeedingWebSocket(probe, self._max_frame, probe.started)
        self._upgrades_due.start(probe)
        session.upgrading = True
        try:
            await websocket.prepare(request)
            upgraded = await probe.result
        except (web.HTTPException, ConnectionError):
            upgraded = False
        finally:
            self._upgrades_due.stop(probe)
            probe.fail()
        if upgraded:
            await session.lost()
        return websocket if websocket.prepared else _refusal(BAD_REQUEST)

    def _open_frame(self, session: Session, upgrades: list[str]) -> bytes:
        return frames.frame_of(
            b"0"
            + orjson.dumps(
                {
                    "sid": session.sid,
                    "upgrades": upgrades,
                    "pingInterval": self.options.ping_interval_ms,
                    "pingTimeout": self.options.ping_timeout_ms,
                    "maxPayload": self.options.max_frame_bytes,
                }
            )
        )

    # -- polling -----------------------------------------------------------------------------------------------

    async def _poll(self, request: web.Request, session: Session) -> web.StreamResponse:
        if session.poll is not None or session.is_answering_poll:
            session.end("transport error")
            return _refusal(BAD_REQUEST)
        if session.upgrading:
            return await self._answer_poll(request, session, frames.packet_of(frames.NOOP))
        session.poll = asyncio.get_running_loop().create_future()
        try:
            if not session.queue and session.farewell is None:
                await session.poll
        finally:
            session.poll = None
        return await self._deliver(request, session)

    async def _deliver(self, request: web.Request, session: Session) -> web.StreamResponse:
        if request.transport is None or request.transport.is_closing():
            session.end("transport close", abort=True)
            return _refusal(BAD_REQUEST)
        if session.upgrading and not session.closed:
            return await self._answer_poll(request, session, frames.packet_of(frames.NOOP))
        taken = session.take_queue()
        if session.closed and session.farewell is None:
            self.stop_grace(session)
        if not taken:
            return _refusal(UNKNOWN_SID)
        return await self._answer_poll(request, session, frames.payload_of(taken))

    async def _answer_poll(self, request: web.Request, session: Session, body: bytes) -> web.StreamResponse:
        """Written here, so that the session knows which TCP connection is its own while the answer is under way."""
        headers = {"Cache-Control": "no-store", **self._origins.headers(request)}
        response = web.Response(body=body, content_type="text/plain", charset="UTF-8", headers=headers)
        session.poll_answering(request.transport)
        try:
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:
            session.end("transport close", abort=True)
        finally:
            session.poll_answering(None)
        return response

    async def _post(self, request: web.Request, session: Session) -> web.StreamResponse:
        if session.closed:
            return _refusal(UNKNOWN_SID)
        if session.posting:
            session.end("transport error")
            return _refusal(BAD_REQUEST)
        session.posting = True
        try:
            return await self._take_post(request, session)
        finally:
            session.posting = False

    async def _take_post(self, request: web.Request, session: Session) -> web.StreamResponse:
        body = await self._read_body(request)
        if body is None:
            session.end("transport error")
            response = web.Response(status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            response.force_close()
            return response
        packets = _split_payload(body, self.options.max_packets_per_post)
        if packets is None:
            session.end("parse error")
            return _refusal(BAD_REQUEST)
        for packet in packets:
            if session.closed:
                break
            session.text_arrived(packet)
        await self._room_in_inbox(session)
        return web.Response(text="ok", content_type="text/html")

    async def _read_body(self, request: web.Request) -> bytes | None:
        """None when it is longer than announced to clients, or does not come."""
        limit = self.options.max_frame_bytes
        if (request.content_length or 0) > limit:
            return None
        body = bytearray()
        try:
            async with asyncio.timeout(self.options.connect_deadline_seconds):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > limit:
                        return None
        except (TimeoutError, ConnectionError):
            return None
        return bytes(body)

    async def _room_in_inbox(self, session: Session) -> None:
        """The answer to a POST waits for room, so that a client can fill the inbox only as fast as it is worked off."""
        while session.full and not session.closed:
            session.room_waiter = asyncio.get_running_loop().create_future()
            await session.room_waiter
            self.reading_resumed(session)
        session.room_waiter = None

    # -- what sessions tell ------------------------------------------------------------------------------------

    def packet_arrived(self, session: Session, text: str) -> None:
        """One Engine.IO packet as text, from either transport."""
        kind = text[:1]
        if session.closed:
            return
        if kind == "4":
            self._messages.message_arrived(session, text[1:])
        elif kind == "3":
            self.pong_arrived(session)
        elif kind == "2":
            session.send_frame(frames.frame_of(b"3" + text[1:].encode()))
        elif kind == "1":
            session.end("client disconnect", last=frames.NOOP)
        elif kind == "b":
            self._messages.violation(session, "binary")
        else:
            session.end("parse error")

    def binary_arrived(self, session: Session) -> None:
        self._messages.violation(session, "binary")

    def pong_arrived(self, session: Session) -> None:
        if session in self._pong_due:
            self._pong_due.stop(session)
            self._ping_due.start(session)

    def reading_resumed(self, session: Session) -> None:
        """We had stopped reading, so a PONG may have waited: its time starts anew."""
        if session in self._pong_due:
            self._pong_due.start(session)

    def session_ended(self, session: Session, reason: Reason) -> None:
        if self.sockets.pop(session.sid, None) is None:
            return
        self._ping_due.stop(session)
        self._pong_due.stop(session)
        self._caps.closed(session.address)
        self.metrics.sessions_changed(len(self.sockets))
        self._messages.session_ended(session, reason)

    def watch_slow(self, session: Session) -> None:
        if session not in self._slow:
            self._slow.start(session)

    def start_grace(self, session: Session) -> None:
        self._closing[session.sid] = session
        self._graces.start(session)

    def stop_grace(self, session: Session) -> None:
        self._closing.pop(session.sid, None)
        self._graces.stop(session)

    @property
    def lingering(self) -> int:
        """Sessions that have ended but whose last packets or TCP connections are still there."""
        return len(self._closing)

    def _register(self, session: Session) -> None:
        self.sockets[session.sid] = session
        self._caps.opened(session.address)
        self._ping_due.start(session)
        self.metrics.sessions_changed(len(self.sockets))
        self._messages.session_opened(session)

    # -- deadlines ---------------------------------------------------------------------------------------------

    def _send_ping(self, session: Session) -> None:
        session.send_frame(frames.PING)
        self._pong_due.start(session)

    def _miss_pong(self, session: Session) -> None:
        if session.reading_is_behind:
            # The PONG may lie in what we have not read; the client must go on hearing from us meanwhile
            self._send_ping(session)
        else:
            session.end("ping timeout")

    def _end_grace(self, session: Session) -> None:
        self._closing.pop(session.sid, None)
        session.cut()

    def _judge_slow(self, session: Session) -> None:
        if not session.closed and session.judge_backlog(self.now()):
            self._slow.start(session)

    async def shutdown(self) -> None:
        """Cut what is left. `disconnect` the sessions first to let them end in order."""
        for session in [*self.sockets.values(), *self._closing.values()]:
            session.end("server disconnect", abort=True)
        self._closing.clear()
        self.timers.stop()


def _find_problem(request: web.Request, sid: str | None) -> int | None:
    transport = request.query.get("transport")
    if transport not in ("polling", "websocket"):
        return UNKNOWN_TRANSPORT
    if (transport == "websocket") != ("websocket" in request.headers.get("Upgrade", "").lower()):
        return BAD_REQUEST
    may_post = transport == "polling" and sid is not None
    return None if request.method == "GET" or (request.method == "POST" and may_post) else BAD_METHOD


def _split_payload(body: bytes, max_packets: int) -> list[str] | None:
    """The packets of one POST, or None if any is malformed: nothing of such a POST is taken."""
    try:
        packets = body.decode().split("\x1e")
    except UnicodeDecodeError:
        return None
    if len(packets) > max_packets or not all(packet[:1] and packet[0] in "1234b" for packet in packets):
        return None
    return packets


def _refusal(code: int, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> web.Response:
    return web.json_response({"code": code, "message": MESSAGES[code]}, status=status)


def _busy(why: str) -> web.Response:
    status = HTTPStatus.SERVICE_UNAVAILABLE if why == "draining" else HTTPStatus.TOO_MANY_REQUESTS
    return web.json_response({"code": BAD_REQUEST, "message": why}, status=status, headers={"Retry-After": "5"})
