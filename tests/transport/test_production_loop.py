"""The other tests run on asyncio's own loop; what depends on the loop's transports runs here on production's."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from chatcore.transport.server import SocketOptions
from tests.transport.talk import Application, Served, eventually, masked_frame, serving

uvloop = pytest.importorskip("uvloop", reason="uvloop is not for this platform")

BIG = {"text": "a" * 10_000}


async def a_slow_reader_is_cut(served: Served) -> None:
    await served.join(receive_buffer=4_096)
    connection = served.application.opened[0]
    while not connection.closed:
        connection.emit("news", BIG)
        await asyncio.sleep(0)
    await eventually(lambda: served.application.gone == ["slow reader"])


async def a_flood_is_not_read_and_not_lost(served: Served) -> None:
    gate, done = asyncio.Event(), []

    async def wait(connection: object, args: list[int]) -> None:
        await gate.wait()
        done.append(args[0])

    served.application.handlers["wait"] = wait
    websocket = await served.join()
    websocket.writer.write(
        b"".join(masked_frame(0x81, b'42["wait",%d,"%s"]' % (n, b"a" * 1_000)) for n in range(9_000))
    )
    await asyncio.sleep(0.2)
    assert websocket.transport.get_write_buffer_size() > 1_000_000
    assert served.metrics.deepest_inbox <= 64
    gate.set()
    await eventually(lambda: len(done) == 9_000)
    assert done == list(range(9_000))


async def a_closed_client_that_does_not_read_is_cut(served: Served) -> None:
    await served.join(receive_buffer=4_096)
    connection = served.application.opened[0]
    transport = connection.session.transport
    assert transport is not None
    for _ in range(200):
        connection.emit("news", BIG)
    await asyncio.sleep(0.01)
    connection.close(reason="test")
    await eventually(lambda: transport.is_closing() and served.is_empty)


async def a_poll_becomes_a_websocket(served: Served) -> None:
    session = await served.poll()
    await session.connect()
    _, websocket = await served.handshake(f"EIO=4&transport=websocket&sid={session.sid}")
    websocket.send("2probe")
    assert await websocket.next() == "3probe"
    served.application.opened[0].emit("held", 1)
    websocket.send("5")
    assert await websocket.event() == ["held", 1]
    assert await websocket.is_alive()
    websocket.reset()
    await eventually(lambda: served.is_empty)


@pytest.mark.parametrize(
    "scenario",
    [
        a_slow_reader_is_cut,
        a_flood_is_not_read_and_not_lost,
        a_closed_client_that_does_not_read_is_cut,
        a_poll_becomes_a_websocket,
    ],
)
def test_on_uvloop(scenario: Callable[[Served], Awaitable[None]]) -> None:
    async def play() -> None:
        options = SocketOptions(disconnect_grace_seconds=0.2, ping_interval_ms=200, ping_timeout_ms=2_000)
        async with serving(Application(), options) as served:
            await scenario(served)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play())
