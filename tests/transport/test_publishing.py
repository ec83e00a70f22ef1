"""Rooms and broadcasts: who gets what, in which order, in how few writes."""

import asyncio
import json
from typing import Any

from chatcore.transport import frames, outbox
from chatcore.transport.server import Connection, Json
from tests.transport.conftest import Serve
from tests.transport.talk import Application, Served, WebSocket


class CountingTransport:
    """Passes everything on to the real transport, and counts the writes."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


async def members(serve: Serve, count: int) -> tuple[Served, list[WebSocket], list[Connection]]:
    application = Application()
    served = await serve(application)
    application.greet = lambda connection: served.server.enter(connection, "room")
    websockets = [await served.join() for _ in range(count)]
    return served, websockets, application.opened


async def test_everybody_in_the_room_gets_an_event_and_nobody_else(serve: Serve) -> None:
    served, websockets, connections = await members(serve, 3)
    served.server.leave(connections[2], "room")
    assert served.server.publish("room", "news", {"a": 1}) == 2
    for websocket in websockets[:2]:
        assert await websocket.event() == ["news", {"a": 1}]
    connections[2].emit("alone", None)
    assert await websockets[2].event() == ["alone", None]


async def test_the_sending_connection_may_be_left_out(serve: Serve) -> None:
    served, websockets, connections = await members(serve, 2)
    assert served.server.publish("room", "news", 1, skip=connections[0].id) == 1
    assert served.server.publish("room", "more", 2, skip=connections[0].id, volatile=True) == 1
    assert served.server.publish("room", "last", 3, skip="nobody") == 2
    assert await websockets[0].event() == ["last", 3]
    assert [await websockets[1].event() for _ in range(3)] == [["news", 1], ["more", 2], ["last", 3]]


async def test_an_empty_room_costs_nothing(served: Served) -> None:
    class Unencodable:
        pass

    assert served.server.publish("nobody here", "news", Unencodable()) == 0


async def test_ready_json_goes_out_as_it_is(serve: Serve) -> None:
    served, websockets, _ = await members(serve, 1)
    served.server.publish("room", "news", Json(b'{"a" : 1.0}'))
    assert await websockets[0].next() == '42["news",{"a" : 1.0}]'


async def test_a_broadcast_is_one_frame_object_for_all(serve: Serve) -> None:
    served, _, connections = await members(serve, 4)
    served.server.publish("room", "news", {"a": 1})
    pending = [connection.session.pending for connection in connections]
    assert all(frame is pending[0][0] for (frame,) in pending if pending[0])  # type: ignore[misc]


async def test_all_packets_of_one_turn_leave_in_one_write_and_in_order(serve: Serve) -> None:
    async def burst(connection: Connection, args: list[Any]) -> str:
        connection.emit("one", 1)
        served.server.publish("room", "two", 2)
        connection.emit("three", 3)
        return "done"

    served, websockets, connections = await members(serve, 2)
    served.application.handlers["burst"] = burst
    session = connections[0].session
    assert session.transport is not None
    counting = CountingTransport(session.transport)
    session.transport = counting  # type: ignore[assignment]
    websockets[0].send('425["burst"]')
    assert [await websockets[0].next() for _ in range(4)] == [
        '42["one",1]',
        '42["two",2]',
        '42["three",3]',
        '435["done"]',
    ]
    assert len(counting.writes) == 1


async def test_packets_of_many_turns_keep_their_order_for_each_member(serve: Serve) -> None:
    served, websockets, connections = await members(serve, 3)
    for number in range(300):
        served.server.publish("room", "n", number)
        if number % 7 == 0:
            connections[number % 3].emit("n", number + 0.5)
        if number % 5 == 0:
            await asyncio.sleep(0)
    for place, websocket in enumerate(websockets):
        got: list[float] = []
        while not got or got[-1] != 299:
            got.append((await websocket.event())[1])
        assert got == sorted(got)
        assert len(got) == 300 + len([n for n in range(300) if n % 7 == 0 and n % 3 == place])


async def test_a_large_room_is_written_in_parts_between_which_others_get_their_turn(serve: Serve) -> None:
    served, websockets, connections = await members(serve, 8)
    written: list[str] = []

    class Noting(CountingTransport):
        def write(self, data: bytes) -> None:
            written.append("write")
            super().write(data)

    for connection in connections:
        assert connection.session.transport is not None
        connection.session.transport = Noting(connection.session.transport)  # type: ignore[assignment]
    whole, outbox.SESSIONS_PER_TURN = outbox.SESSIONS_PER_TURN, 3
    try:
        served.server.publish("room", "first", 1)
        loop = asyncio.get_running_loop()
        loop.call_soon(written.append, "another's turn")
        served.server.publish("room", "second", 2)
        for websocket in websockets:
            assert [await websocket.event(), await websocket.event()] == [["first", 1], ["second", 2]]
    finally:
        outbox.SESSIONS_PER_TURN = whole
    assert written == ["write"] * 3 + ["another's turn"] + ["write"] * 5


async def test_a_room_nobody_is_in_is_forgotten(serve: Serve) -> None:
    served, _, connections = await members(serve, 2)
    served.server.enter(connections[0], "other")
    assert served.server.rooms_of(connections[0]) == {"room", "other"}
    assert list(served.server.members("room")) == connections
    served.server.leave(connections[0], "other")
    served.server.leave(connections[0], "other")
    served.server.leave(connections[1], "never entered")
    assert len(served.server._rooms) == 1
    connections[0].close(reason="test")
    connections[1].abort(reason="test")
    assert len(served.server._rooms) == 0
    assert served.server.rooms_of(connections[0]) == frozenset()


async def test_entering_twice_delivers_once(serve: Serve) -> None:
    served, websockets, connections = await members(serve, 1)
    served.server.enter(connections[0], "room")
    assert served.server.publish("room", "news", 1) == 1
    served.server.publish("room", "end", 0)
    assert [await websockets[0].event() for _ in range(2)] == [["news", 1], ["end", 0]]


async def test_an_idle_connection_has_no_task_of_its_own_that_drains(served: Served) -> None:
    websocket = await served.join()
    session = next(iter(served.server.engine.sockets.values()))
    assert not session.draining
    before = len(asyncio.all_tasks())
    await websocket.ask("echo", 1)
    assert not session.draining
    assert len(asyncio.all_tasks()) == before


def test_frames_of_every_length_lose_only_their_header() -> None:
    for size in (0, 1, 125, 126, 65_535, 65_536, 70_000):
        packet = b"4" * size
        assert frames.packet_of(frames.frame_of(packet)) == packet
    assert json.loads(frames.packet_of(frames.event_frame('a"b', [1]))[2:]) == ['a"b', [1]]
