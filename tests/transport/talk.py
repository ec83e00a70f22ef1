"""Both ends of a test: a real server with a small application, and clients that speak raw packets."""

import asyncio
import base64
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession, web

from chatcore.transport.server import Connection, NoMetrics, Refused, SocketOptions, SocketServer

SOON_SECONDS = 5.0

EventHandler = Callable[[Connection, list[Any]], Awaitable[Any]]


async def eventually(condition: Callable[[], Any]) -> None:
    """Fails only if the condition does not come true within seconds; returns as soon as it does."""
    async with asyncio.timeout(SOON_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


class Counted(NoMetrics):
    def __init__(self) -> None:
        self.slow_readers = 0
        self.violations: list[str] = []
        self.refusals: list[str] = []
        self.deepest_inbox = 0
        self.dropped = 0

    def slow_reader_aborted(self) -> None:
        self.slow_readers += 1

    def violation(self, kind: str) -> None:
        self.violations.append(kind)

    def connect_refused(self, why: str) -> None:
        self.refusals.append(why)

    def inbox_depth(self, packets: int) -> None:
        self.deepest_inbox = max(self.deepest_inbox, packets)

    def volatile_dropped(self, packets: int) -> None:
        self.dropped += packets


@dataclass
class Application:
    """Accepts everybody, answers `echo` with its arguments, and writes down what it is told."""

    accept: bool = True
    handlers: dict[str, EventHandler] = field(default_factory=dict)
    greet: Callable[[Connection], None] = lambda connection: None
    refuse: dict[str, Any] | None = None
    hold_connect: asyncio.Event | None = None
    opened: list[Connection] = field(default_factory=list)
    auths: list[dict[str, Any]] = field(default_factory=list)
    heard: list[tuple[str, list[Any]]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)

    async def on_connect(self, connection: Connection) -> None:
        self.order.append("connect")
        self.auths.append(dict(connection.auth))
        if self.hold_connect is not None:
            await self.hold_connect.wait()
        if self.refuse is not None:
            raise Refused(self.refuse, "refused")
        connection.authenticated = self.accept
        self.opened.append(connection)
        self.greet(connection)

    async def on_event(self, connection: Connection, event: str, args: list[Any]) -> Any:
        self.order.append(event)
        self.heard.append((event, args))
        handler = self.handlers.get(event)
        return args if handler is None else await handler(connection, args)

    async def on_unreadable(self, connection: Connection, event: str, problem: str) -> Any:
        self.unreadable.append((event, problem))
        return {"ok": False, "problem": problem}

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.order.append("disconnect")
        self.gone.append(reason)

    def authentication_timed_out(self, connection: Connection) -> None:
        connection.emit("authentication_error", {"code": "token_missing"})


class Polling:
    """A long-polling client that sends what it is told, right or wrong."""

    def __init__(self, served: "Served") -> None:
        self._served = served
        self.handshake: dict[str, Any] = {}

    async def open(self) -> "Polling":
        status, body = await self._served.get("EIO=4&transport=polling")
        assert status == 200
        assert body.startswith("0")
        self.handshake = json.loads(body[1:])
        return self

    @property
    def sid(self) -> str:
        return str(self.handshake["sid"])

    async def get(self) -> tuple[int, str]:
        return await self._served.get(f"EIO=4&transport=polling&sid={self.sid}")

    async def packets(self) -> list[str]:
        status, body = await self.get()
        assert status == 200, body
        return body.split("\x1e")

    async def post(self, body: str | bytes) -> tuple[int, str]:
        return await self._served.post(f"EIO=4&transport=polling&sid={self.sid}", body)

    async def connect(self) -> str:
        """As Socket.IO; returns the connection's id."""
        assert await self.post("40") == (200, "ok")
        packets = await self.packets()
        assert packets[0].startswith("40{")
        return str(json.loads(packets[0][2:])["sid"])


class WebSocket:
    """A WebSocket client on plain streams, so that it can misbehave: read slowly, reset, break frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.close_code: int | None = None
        self.answer_pings = True

    @property
    def transport(self) -> asyncio.Transport:
        return self.writer.transport  # type: ignore[return-value]

    def send(self, text: str) -> None:
        self.send_frame(0x81, text.encode())

    def send_frame(self, first_byte: int, body: bytes) -> None:
        self.writer.write(masked_frame(first_byte, body))

    async def frame(self) -> tuple[int, bytes]:
        """(first byte, body); EOF or a reset is (0, b"")."""
        try:
            async with asyncio.timeout(SOON_SECONDS):
                first, length = await self.reader.readexactly(2)
                if length == 126:
                    length = int.from_bytes(await self.reader.readexactly(2), "big")
                elif length == 127:
                    length = int.from_bytes(await self.reader.readexactly(8), "big")
                return first, await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, b""

    async def next(self) -> str | None:
        """The next packet that is no heartbeat; None when the WebSocket is closed."""
        while True:
            first, body = await self.frame()
            if first == 0x81:
                text = body.decode()
                if text != "2":
                    return text
                if self.answer_pings:
                    self.send("3")
            elif first == 0x88:
                self.close_code = int.from_bytes(body[:2], "big")
                return None
            elif first == 0:
                return None

    async def event(self) -> list[Any]:
        packet = await self.next()
        assert packet is not None, "closed"
        assert packet.startswith("42"), packet
        return list(json.loads(packet[2:]))

    async def connect(self, auth: str = "") -> str:
        self.send("40" + auth)
        packet = await self.next()
        assert packet is not None
        assert packet.startswith("40{"), packet
        return str(json.loads(packet[2:])["sid"])

    async def ask(self, event: str, *args: Any) -> Any:
        self.send("427" + json.dumps([event, *args]))
        while True:
            packet = await self.next()
            assert packet is not None, "closed"
            if packet.startswith("437"):
                return json.loads(packet[3:])[0]

    async def is_alive(self) -> bool:
        return bool(await self.ask("echo", 1) == [1])

    async def closed(self) -> bool:
        """Reads to the end; True once the TCP connection itself is gone."""
        while await self.next() is not None:
            pass
        try:
            async with asyncio.timeout(SOON_SECONDS):
                return await self.reader.read() == b""
        except ConnectionError:
            return True

    def reset(self) -> None:
        self.transport.abort()


@dataclass
class Served:
    """A server that listens."""

    server: SocketServer
    application: Application
    metrics: Counted
    port: int
    http: ClientSession
    sockets: list[WebSocket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def request(
        self, method: str, query: str, body: str | bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str, dict[str, str]]:
        url = f"{self.url}/socket.io/?{query}"
        async with asyncio.timeout(SOON_SECONDS):
            async with self.http.request(method, url, data=body, headers=headers) as response:
                return response.status, await response.text(), {k.lower(): v for k, v in response.headers.items()}

    async def get(self, query: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
        status, body, _ = await self.request("GET", query, headers=headers)
        return status, body

    async def post(self, query: str, body: str | bytes) -> tuple[int, str]:
        status, text, _ = await self.request("POST", query, body)
        return status, text

    async def poll(self) -> Polling:
        return await Polling(self).open()

    async def handshake(
        self, query: str = "EIO=4&transport=websocket", headers: dict[str, str] | None = None, receive_buffer: int = 0
    ) -> tuple[int, WebSocket]:
        """(HTTP status, WebSocket); 101 when it was accepted."""
        raw = socket.socket()
        if receive_buffer:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.port))
        reader, writer = await asyncio.open_connection(sock=raw, limit=receive_buffer or 65_536)
        lines = [
            f"GET /socket.io/?{query} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Extensions: permessage-deflate",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SOON_SECONDS)
        assert b"permessage-deflate" not in head
        websocket = WebSocket(reader, writer)
        self.sockets.append(websocket)
        return int(head.split()[1]), websocket

    async def open(self, **more: Any) -> WebSocket:
        """An Engine.IO session over a WebSocket, not yet connected as Socket.IO."""
        status, websocket = await self.handshake(**more)
        assert status == 101
        opened = await websocket.next()
        assert opened is not None
        assert opened.startswith("0{")
        return websocket

    async def join(self, auth: str = "", **more: Any) -> WebSocket:
        websocket = await self.open(**more)
        await websocket.connect(auth)
        return websocket

    @property
    def is_empty(self) -> bool:
        """Nothing at all is kept of anybody."""
        engine = self.server.engine
        tables = engine.timers._tables
        return not any(
            [
                self.server.connections,
                engine.sockets,
                engine.lingering,
                len(self.server._rooms),
                len(self.server._inboxes),
                len(engine.outbox),
                engine._caps._open,
                *(len(table) for table in tables if table is not engine._slow),
            ]
        )


def masked_frame(first_byte: int, body: bytes) -> bytes:
    size = len(body)
    if size < 126:
        head = bytes((first_byte, 0x80 | size))
    elif size < 65_536:
        head = bytes((first_byte, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first_byte, 0x80 | 127)) + size.to_bytes(8, "big")
    # a mask of zeros is as good as any between two ends of one test
    return head + b"\0\0\0\0" + body


@asynccontextmanager
async def serving(application: Application, options: SocketOptions) -> AsyncIterator[Served]:
    metrics = Counted()
    server = SocketServer(options, application, metrics)
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with ClientSession() as http:
        served = Served(server, application, metrics, int(runner.addresses[0][1]), http)
        try:
            yield served
        finally:
            for websocket in served.sockets:
                websocket.reset()
            await runner.cleanup()
