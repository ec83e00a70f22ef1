"""The clients people use: `socket.io-client` on Node, and python-socketio's own."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import socketio

from chatcore.transport.server import Connection
from tests.transport.conftest import Serve
from tests.transport.talk import Application, Served, eventually

CACHE = Path.home() / ".cache" / "chatcore-npm"
CLIENT = "socket.io-client@4.8"
INSTALL_SECONDS = 90

SCRIPT = """
const { io } = require("socket.io-client");
const socket = io(process.argv[1], { transports: JSON.parse(process.argv[2]), auth: { token: "t" } });
const say = (kind, value) => console.log(JSON.stringify([kind, value]));
socket.on("connect", () => say("connect", socket.id));
socket.on("connect_error", (error) => { say("refused", [error.message, error.data]); socket.close(); });
socket.on("greeting", (value) => say("greeting", value));
socket.io.engine.on("upgrade", (transport) => say("upgrade", transport.name));
socket.on("go", async () => {
  say("transport", socket.io.engine.transport.name);
  say("ack", await socket.emitWithAck("echo", { text: "\\u00e9 \\ud83d\\ude00" }, [1, null]));
  socket.emit("tell", 1); socket.emit("tell", 2);
  say("late", await socket.emitWithAck("echo", "x".repeat(30000)).then((args) => args[0].length));
});
socket.on("disconnect", (reason) => { say("disconnect", reason); socket.close(); });
"""


class Node:
    """One `socket.io-client` in a process of its own; it reports what happens to it as lines of JSON."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._unheard: dict[str, list[Any]] = {}

    async def hear(self, kind: str) -> Any:
        """The value of the first such report that was not heard yet, whatever came before it."""
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            while kind not in self._unheard:
                line = await self._process.stdout.readline()
                assert line, f"the client ended without {kind}"
                reported, value = json.loads(line)
                self._unheard.setdefault(reported, []).append(value)
        values = self._unheard[kind]
        if len(values) == 1:
            del self._unheard[kind]
        return values.pop(0)


StartNode = Callable[[Served, list[str]], Awaitable[Node]]


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Installs the client once, outside the work tree."""
    import subprocess  # noqa: PLC0415

    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    if not (CACHE / "node_modules" / "socket.io-client").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(CACHE), CLIENT]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS)
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"npm could not install {CLIENT}: {type(error).__name__}")
    return CACHE


@pytest.fixture
async def start_node(node_modules: Path) -> AsyncIterator[StartNode]:
    processes: list[asyncio.subprocess.Process] = []

    async def start(served: Served, transports: list[str]) -> Node:
        arguments = ["-e", SCRIPT, served.url, json.dumps(transports)]
        process = await asyncio.create_subprocess_exec(
            "node", *arguments, cwd=node_modules, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        processes.append(process)
        return Node(process)

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def greet(connection: Connection) -> None:
    connection.emit("greeting", {"auth": connection.auth})


class TestNode:
    @pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]])
    async def test_the_whole_conversation(self, serve: Serve, start_node: StartNode, transports: list[str]) -> None:
        served = await serve(Application(greet=greet), ping_interval_ms=200, ping_timeout_ms=2_000)
        node = await start_node(served, transports)
        connection_id = await node.hear("connect")
        assert connection_id in served.server.connections
        assert await node.hear("greeting") == {"auth": {"token": "t"}}
        if len(transports) == 2:
            assert await node.hear("upgrade") == "websocket"
        served.server.connections[connection_id].emit("go", None)
        assert await node.hear("transport") == transports[-1]
        assert await node.hear("ack") == [{"text": "\u00e9 \U0001f600"}, [1, None]]
        assert await node.hear("late") == 30_000
        assert [args for event, args in served.application.heard if event == "tell"] == [[1], [2]]
        # several heartbeats later
        await asyncio.sleep(0.7)
        served.server.connections[connection_id].close(reason="test")
        assert await node.hear("disconnect") == "io server disconnect"
        await eventually(lambda: served.application.gone == ["test"])

    async def test_a_refusal_is_a_connect_error_with_its_data(self, serve: Serve, start_node: StartNode) -> None:
        served = await serve(Application(refuse={"code": "token_expired"}))
        node = await start_node(served, ["websocket"])
        assert await node.hear("refused") == ["refused", {"code": "token_expired"}]

    async def test_one_told_to_reconnect_sees_only_its_transport_close(
        self, serve: Serve, start_node: StartNode
    ) -> None:
        served = await serve()
        node = await start_node(served, ["websocket"])
        connection_id = await node.hear("connect")
        served.server.connections[connection_id].close(reason="drained", reconnect=True)
        assert await node.hear("disconnect") == "transport close"


class TestPython:
    @pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]])
    async def test_the_whole_conversation(self, serve: Serve, transports: list[str]) -> None:
        served = await serve(Application(greet=greet), ping_interval_ms=200, ping_timeout_ms=2_000)
        client, greetings = socketio.AsyncClient(reconnection=False), []
        client.on("greeting", greetings.append)
        await client.connect(served.url, transports=transports, auth={"token": "t"})
        assert await client.call("echo", {"text": "\u00e9"}, timeout=5) == [{"text": "\u00e9"}]
        await eventually(lambda: greetings == [{"auth": {"token": "t"}}])
        assert client.transport() == transports[-1]
        await asyncio.sleep(0.5)
        assert await client.call("echo", 2, timeout=5) == [2]
        await client.disconnect()
        await eventually(lambda: served.application.gone and served.is_empty)

    async def test_a_refusal_is_a_connection_error(self, serve: Serve) -> None:
        served = await serve(Application(refuse={"code": "token_expired"}))
        client = socketio.AsyncClient(reconnection=False)
        refusals: list[Any] = []
        client.on("connect_error", refusals.append)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.connect(served.url, transports=["websocket"])
        assert refusals == [{"message": "refused", "data": {"code": "token_expired"}}]
