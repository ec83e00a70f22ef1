"""A client that does not read costs a bounded amount of memory and nobody else's time."""

import asyncio
from typing import Any

from tests.transport.conftest import Serve
from tests.transport.talk import Application, Polling, Served, WebSocket, eventually

SMALL_BUFFER = 4_096
# More than the kernel takes for a socket that nobody reads (about 4 MB on loopback), in packets of 10 kB
PLENTY = 2_000
BIG = {"text": "a" * 10_000}


async def publish(served: Served, count: int, data: Any = None, *, volatile: bool = False) -> None:
    for _ in range(count):
        served.server.publish("room", "news", BIG if data is None else data, volatile=volatile)
        await asyncio.sleep(0)


async def reader_and_sleeper(serve: Serve, **options: Any) -> tuple[Served, WebSocket, WebSocket]:
    """Two members of "room": one reads in the background, the other has stopped."""
    application = Application()
    served = await serve(application, **options)
    application.greet = lambda connection: served.server.enter(connection, "room")
    return served, await served.join(), await served.join(receive_buffer=SMALL_BUFFER)


async def count_news(websocket: WebSocket) -> int:
    count = 0
    while (await websocket.next() or "41") != '42["end",0]':
        count += 1
    return count


class TestWebSocket:
    async def test_a_reader_over_the_packet_limit_is_cut_and_the_others_get_everything(self, serve: Serve) -> None:
        served, reader, _ = await reader_and_sleeper(serve, max_buffer_bytes=1 << 30)
        reading = asyncio.create_task(count_news(reader))
        await publish(served, PLENTY)
        served.server.publish("room", "end", 0)
        assert served.application.gone == ["slow reader"]
        assert served.metrics.slow_readers == 1
        assert await reading == PLENTY

    async def test_a_reader_over_the_byte_limit_is_cut(self, serve: Serve) -> None:
        served, reader, _ = await reader_and_sleeper(serve, max_queue_packets=1 << 30)
        reading = asyncio.create_task(count_news(reader))
        await publish(served, PLENTY)
        served.server.publish("room", "end", 0)
        assert served.application.gone == ["slow reader"]
        assert await reading == PLENTY

    async def test_a_reader_that_answers_pings_but_reads_nothing_is_cut_in_time(self, serve: Serve) -> None:
        served, _, sleeper = await reader_and_sleeper(
            serve, max_queue_packets=1 << 30, max_buffer_bytes=1 << 30, slow_reader_seconds=0.4
        )
        connection = served.application.opened[1]
        for _ in range(1_000):
            connection.emit("news", BIG)
        for _ in range(20):
            sleeper.send("3")
            await asyncio.sleep(0.01)
        await eventually(lambda: served.application.gone == ["slow reader"])
        assert served.metrics.slow_readers == 1

    async def test_a_reader_that_is_slow_but_reads_is_not_cut(self, serve: Serve) -> None:
        served, _, sleeper = await reader_and_sleeper(
            serve, max_queue_packets=1 << 30, max_buffer_bytes=1 << 30, slow_reader_seconds=0.5
        )
        for _ in range(1_000):
            served.application.opened[1].emit("news", BIG)
        await asyncio.sleep(0.05)
        session = served.application.opened[1].session
        assert session.backlog is not None
        for _ in range(12):
            for _ in range(80):
                assert await sleeper.next() is not None
            await asyncio.sleep(0.1)
        assert served.metrics.slow_readers == 0

    async def test_one_packet_over_the_byte_limit_arrives_and_more_behind_it_do_not(self, serve: Serve) -> None:
        served, _, sleeper = await reader_and_sleeper(serve, max_buffer_bytes=100_000)
        large = {"text": "a" * 12_000_000}  # three times what the kernel takes
        served.application.opened[1].emit("news", large)
        await asyncio.sleep(0.05)
        assert served.metrics.slow_readers == 0
        received = await sleeper.next()
        assert received is not None
        assert len(received) > 12_000_000
        for _ in range(2):
            served.application.opened[1].emit("news", large)
        await eventually(lambda: served.application.gone == ["slow reader"])

    async def test_one_large_packet_that_is_read_slowly_is_not_cut(self, serve: Serve) -> None:
        served, _, sleeper = await reader_and_sleeper(serve, slow_reader_seconds=0.5)
        served.application.opened[1].emit("news", {"text": "a" * 12_000_000})
        await asyncio.sleep(0.05)
        for _ in range(12):
            await sleeper.reader.readexactly(500_000)
            await asyncio.sleep(0.1)
        assert served.metrics.slow_readers == 0

    async def test_the_backlog_counts_what_has_not_left_and_no_more(self, serve: Serve) -> None:
        served, _, sleeper = await reader_and_sleeper(serve, max_queue_packets=1 << 30, max_buffer_bytes=1 << 30)
        connection = served.application.opened[1]
        transport = connection.session.transport
        assert transport is not None
        for _ in range(1_000):
            connection.emit("news", BIG)
        await asyncio.sleep(0)
        await eventually(lambda: connection.session.backlog)
        backlog = connection.session.backlog
        assert backlog is not None
        buffered = transport.get_write_buffer_size()
        backlog.shrink_to(buffered, 0)
        frame_bytes = len('42["news",{"text":""}]') + 10_000 + 4
        assert (backlog.packets - 1) * frame_bytes < buffered <= backlog.packets * frame_bytes
        reading = asyncio.create_task(count_news(sleeper))
        await eventually(lambda: transport.get_write_buffer_size() == 0)
        served.server.publish("room", "end", 0)
        assert await reading == 1_000
        assert connection.session.backlog is None

    async def test_volatile_packets_are_the_first_to_go(self, serve: Serve) -> None:
        served, reader, sleeper = await reader_and_sleeper(serve, max_queue_packets=1 << 30, max_buffer_bytes=1 << 30)
        reading = asyncio.create_task(count_news(reader))
        await publish(served, 1_000)
        await publish(served, 50, {"typing": True}, volatile=True)
        served.server.publish("room", "end", 0)
        assert served.metrics.dropped == 50
        assert await reading == 1_050
        assert await count_news(sleeper) == 1_000

    async def test_volatile_packets_reach_a_client_that_reads(self, serve: Serve) -> None:
        served, reader, _ = await reader_and_sleeper(serve)
        assert served.server.publish("room", "news", 1, volatile=True) == 2
        assert await reader.event() == ["news", 1]

    async def test_a_client_that_closes_without_reading_is_cut_after_the_grace_time(self, serve: Serve) -> None:
        served, _, sleeper = await reader_and_sleeper(
            serve, max_queue_packets=1 << 30, max_buffer_bytes=1 << 30, disconnect_grace_seconds=0.2
        )
        connection = served.application.opened[1]
        transport = connection.session.transport
        assert transport is not None
        for _ in range(1_000):
            connection.emit("news", BIG)
        await asyncio.sleep(0.05)
        assert transport.get_write_buffer_size() > 1_000_000
        sleeper.send_frame(0x88, (1000).to_bytes(2, "big"))
        await eventually(lambda: transport.get_write_buffer_size() == 0)
        await eventually(lambda: served.server.engine.lingering == 0)


class TestPolling:
    async def joined(self, serve: Serve, **options: Any) -> tuple[Served, Polling]:
        application = Application()
        served = await serve(application, **options)
        application.greet = lambda connection: served.server.enter(connection, "room")
        session = await served.poll()
        await session.connect()
        return served, session

    async def test_a_client_that_does_not_poll_is_cut_at_the_packet_limit(self, serve: Serve) -> None:
        served, session = await self.joined(serve)
        await publish(served, 256, 1)
        await asyncio.sleep(0.01)
        assert served.metrics.slow_readers == 0
        await publish(served, 2, 1)
        await eventually(lambda: served.application.gone == ["slow reader"])
        assert served.metrics.slow_readers == 1
        assert (await session.get())[0] == 400

    async def test_a_client_that_does_not_poll_is_cut_at_the_byte_limit(self, serve: Serve) -> None:
        served, session = await self.joined(serve)
        await publish(served, 110)
        await eventually(lambda: served.application.gone == ["slow reader"])
        assert (await session.get())[0] == 400

    async def test_a_client_that_does_not_poll_is_cut_in_time(self, serve: Serve) -> None:
        served, session = await self.joined(serve, slow_reader_seconds=0.3)
        await publish(served, 1, 1)
        await session.post("3")
        await eventually(lambda: served.application.gone == ["slow reader"])

    async def test_a_client_that_polls_gets_everything_in_order(self, serve: Serve) -> None:
        served, session = await self.joined(serve)
        got: list[str] = []
        for number in range(600):
            served.server.publish("room", "n", number)
            if number % 200 == 199:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                got += await session.packets()
        assert got == [f'42["n",{number}]' for number in range(600)]

    async def test_volatile_packets_are_the_first_to_go(self, serve: Serve) -> None:
        served, session = await self.joined(serve)
        await publish(served, 40, 1, volatile=True)
        await asyncio.sleep(0.01)
        assert 16 <= len(await session.packets()) < 20
        assert served.metrics.dropped >= 20

    async def test_an_answer_that_is_not_read_is_cut_in_time(self, serve: Serve) -> None:
        served, session = await self.joined(
            serve, slow_reader_seconds=0.4, max_buffer_bytes=1 << 30, max_queue_packets=1 << 30
        )
        await publish(served, 1_500)
        await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=SMALL_BUFFER)
        query = f"EIO=4&transport=polling&sid={session.sid}"
        writer.write(f"GET /socket.io/?{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await eventually(lambda: served.application.gone == ["slow reader"])
        received = 0
        try:
            while chunk := await reader.read(1 << 20):
                received += len(chunk)
        except ConnectionError:
            pass
        assert received < 15_000_000
        writer.close()
