"""How many deliveries one CPU-second of the server buys, without a database: ours, stock python-socketio, Node.

    python benchmarks/fanout.py [--servers ours,stock,node] [--seconds 3]

The server runs in a process of its own, pinned to the first core; the load generator, here, to the last one. CPU
time is the server process's, so the load generator's own speed matters only as long as it keeps the server busy.
A row "rooms x members": each room keeps `window` messages in flight; a sender sends the next one when its own
broadcast has come back. Node needs socket.io in ~/.cache/chatcore-npm; `make bench` installs it there.
"""

import argparse
import asyncio
import contextlib
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import uvloop

CACHE = Path.home() / ".cache" / "chatcore-npm"
TEXT = "x" * 200
CONNECTIONS = 1_000
FIRST_CORE, LAST_CORE = 0, (os.cpu_count() or 1) - 1

NODE_SERVER = """
const { Server } = require("socket.io");
const http = require("http").createServer();
const io = new Server(http, { perMessageDeflate: false, pingInterval: 60000, pingTimeout: 60000 });
io.on("connection", (socket) => {
  const room = socket.handshake.auth.room;
  socket.join(room);
  socket.on("send", (data) => io.to(room).emit("msg", data));
  socket.on("ask", (data, answer) => answer(data));
});
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
"""


@dataclass(frozen=True)
class Load:
    name: str
    rooms: int
    members: int
    window: int


LOADS = tuple(
    Load(f"{rooms} x {members}, {window} in flight", rooms, members, window)
    for rooms, members in ((1, 1_000), (100, 10), (10, 100))
    for window in (1, 4)
)


# -- servers ---------------------------------------------------------------------------------------------------


async def serve_ours() -> None:
    from aiohttp import web  # noqa: PLC0415

    from chatcore.transport.server import Connection, SocketOptions, SocketServer, tune_garbage_collector  # noqa: PLC0415

    class Handlers:
        async def on_connect(self, connection: Connection) -> None:
            connection.authenticated = True
            connection.state = connection.auth["room"]
            server.enter(connection, connection.state)

        async def on_event(self, connection: Connection, event: str, args: list[Any]) -> Any:
            if event == "send":
                server.publish(connection.state, "msg", args[0])
                return None
            return args[0]

        async def on_unreadable(self, connection: Connection, event: str, problem: str) -> Any:
            return problem

        async def on_disconnect(self, connection: Connection, reason: str) -> None:
            return None

        def authentication_timed_out(self, connection: Connection) -> None:
            return None

    server = SocketServer(SocketOptions(ping_interval_ms=60_000), Handlers())
    app = web.Application()
    server.attach(app)
    tune_garbage_collector()
    await serve_app(app)


async def serve_stock() -> None:
    import socketio  # noqa: PLC0415
    from aiohttp import web  # noqa: PLC0415

    sio = socketio.AsyncServer(async_mode="aiohttp", ping_interval=60, ping_timeout=60)
    rooms: dict[str, str] = {}

    async def connect(sid: str, environ: dict[str, Any], auth: dict[str, str]) -> None:
        rooms[sid] = auth["room"]
        await sio.enter_room(sid, auth["room"])

    async def send(sid: str, data: Any) -> None:
        await sio.emit("msg", data, room=rooms[sid])

    async def ask(sid: str, data: Any) -> Any:
        return data

    for handler in (connect, send, ask):
        sio.on(handler.__name__, handler)
    app = web.Application()
    sio.attach(app)
    await serve_app(app)


async def serve_app(app: Any) -> None:
    from aiohttp import web  # noqa: PLC0415

    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1_024).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


@contextlib.contextmanager
def running(name: str) -> Iterator[tuple[int, psutil.Process]]:
    """The port and the process of a server."""
    here = [sys.executable, str(Path(__file__).resolve()), "--serve", name]
    command = ["node", "-e", NODE_SERVER] if name == "node" else here
    root = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root)}
    directory = CACHE if name == "node" else root
    with subprocess.Popen(command, cwd=directory, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            pin(process.pid, FIRST_CORE)
            yield port, psutil.Process(process.pid)
        finally:
            process.kill()


def pin(pid: int, core: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        for thread in psutil.Process(pid).threads():
            with contextlib.suppress(OSError):
                os.sched_setaffinity(thread.id, {core})


# -- load ------------------------------------------------------------------------------------------------------


def masked(text: str) -> bytes:
    body = text.encode()
    size = len(body)
    head = bytes((0x81, 0x80 | size)) if size < 126 else bytes((0x81, 0xFE)) + size.to_bytes(2, "big")
    return head + b"\0\0\0\0" + body


def frame_bytes(text: str) -> int:
    size = len(text.encode())
    return size + (2 if size < 126 else 4)


class Client(asyncio.Protocol):
    """Counts bytes: all frames of one load are equally long."""

    def __init__(self, room: str) -> None:
        self.ready = asyncio.get_running_loop().create_future()
        self.room = room
        self.received = 0
        self.answer_bytes = 0
        self.question = b""
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        if not self.ready.done():
            self._shake_hands(data)
            return
        self.received += len(data)
        while self.question and self.received >= self.answer_bytes:
            self.received -= self.answer_bytes
            Count.answers += 1
            self.transport.write(self.question)
        if not self.question:
            Count.bytes += len(data)

    def _shake_hands(self, data: bytes) -> None:
        self._head += data
        if b'40{"sid"' in self._head and self._head.endswith(b"}"):
            self.ready.set_result(None)
        elif b'0{"sid"' in self._head and self._head.endswith(b"}") and self.question == b"":
            self.question = b"-"
            self.transport.write(masked(f'40{{"room":"{self.room}"}}'))
        if self.ready.done():
            self.question, self._head = b"", b""


class Count:
    """Of all clients of this process."""

    bytes = 0
    answers = 0


async def connect_all(port: int, rooms: int, members: int) -> list[Client]:
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    for start in range(0, rooms * members, 50):
        batch = []
        for number in range(start, min(start + 50, rooms * members)):
            room = f"room{number % rooms}"
            _, client = await loop.create_connection(partial(Client, room), "127.0.0.1", port)
            batch.append(client)
        await asyncio.gather(*(client.ready for client in batch))
        clients += batch
    await asyncio.sleep(0.2)
    return clients


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def measure(process: psutil.Process, seconds: float) -> tuple[float, float, int, int]:
    """(CPU seconds, wall seconds, bytes, answers) of the server, after a second to warm up."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(1)
    cpu, began, received, answers = cpu_seconds(process), loop.time(), Count.bytes, Count.answers
    await asyncio.sleep(seconds)
    spent, wall = cpu_seconds(process) - cpu, loop.time() - began
    return spent, wall, Count.bytes - received, Count.answers - answers


async def fan_out(name: str, load: Load, seconds: float) -> tuple[float, float]:
    """Deliveries per CPU-second and KB of memory per connection."""
    with running(name) as (port, process):
        idle = process.memory_info().rss
        clients = await connect_all(port, load.rooms, load.members)
        memory = (process.memory_info().rss - idle) / len(clients) / 1024
        size = frame_bytes(f'42["msg",{{"text":"{TEXT}"}}]')
        question = masked(f'42["send",{{"text":"{TEXT}"}}]')
        for client in clients[: load.rooms]:
            client.answer_bytes = size
            client.question = question
            for _ in range(load.window):
                client.transport.write(question)
        spent, _, received, answers = await measure(process, seconds)
        for client in clients:
            client.transport.abort()
        return (received / size + answers) / spent, memory


async def round_trips(name: str, seconds: float) -> float:
    with running(name) as (port, process):
        clients = await connect_all(port, 100, 1)
        for client in clients:
            client.answer_bytes = frame_bytes(f'431[{{"text":"{TEXT}"}}]')
            client.question = masked(f'421["ask",{{"text":"{TEXT}"}}]')
            client.transport.write(client.question)
        spent, _, _, answers = await measure(process, seconds)
        for client in clients:
            client.transport.abort()
        return answers / spent


async def compare(names: list[str], seconds: float) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {LAST_CORE})
    print(
        f"{os.cpu_count()} cores; server on core {FIRST_CORE}, load on core {LAST_CORE}; per CPU-second of the server"
    )
    rows: dict[str, dict[str, float]] = {}
    for load in LOADS:
        for name in names:
            gc.collect()
            rows.setdefault(load.name, {})[name], memory = await fan_out(name, load, seconds)
            if load is LOADS[0]:
                rows.setdefault("KB a connection", {})[name] = memory
    for name in names:
        rows.setdefault("ack round trips", {})[name] = await round_trips(name, seconds)
    for title, row in rows.items():
        base = row.get("node", row[names[0]])
        print(f"{title:24}", *(f"{name} {value:10,.0f} ({value / base:.2f})" for name, value in row.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", choices=["ours", "stock"])
    parser.add_argument("--servers", default="ours,stock,node")
    parser.add_argument("--seconds", type=float, default=3)
    arguments = parser.parse_args()
    if arguments.serve:
        uvloop.run(serve_ours() if arguments.serve == "ours" else serve_stock())
        return
    names = arguments.servers.split(",")
    if "node" in names and not (CACHE / "node_modules" / "socket.io").exists():
        names.remove("node")
        print(f"without Node: socket.io is not installed in {CACHE}")
    uvloop.run(compare(names, arguments.seconds))


if __name__ == "__main__":
    main()
