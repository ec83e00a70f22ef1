"""What a hostile or broken client may try. Each guard here fails its test when it is taken out."""

import asyncio
import logging

import pytest
import structlog.testing

from chatcore.transport.addresses import AddressCaps, PeerAddresses
from chatcore.transport.server import Connection, SocketOptions
from tests.transport.conftest import Serve
from tests.transport.talk import Application, Served, eventually, masked_frame

FOREIGN = {"X-Forwarded-For": "203.0.113.7"}
BEHIND_PROXY = {"trusted_proxies": ("127.0.0.1",)}


class TestEventNames:
    @pytest.mark.parametrize(
        "name",
        [
            '"connect"', '"disconnect"', '"disconnecting"', '"connect_error"', '"newListener"', '"removeListener"',
            '"*"', '""', "1", "null", "{}", "[]",
        ],
    )  # fmt: skip
    async def test_a_reserved_or_impossible_name_never_reaches_the_application(self, served: Served, name: str) -> None:
        websocket = await served.join()
        websocket.send(f'42[{name},{{"fake":true}}]')
        assert await websocket.is_alive()
        assert served.application.order == ["connect", "echo"]
        assert served.metrics.violations == ["event_name"]

    async def test_the_third_violation_aborts(self, served: Served) -> None:
        websocket = await served.join()
        for _ in range(2):
            websocket.send('42["connect",{}]')
        assert await websocket.is_alive()
        websocket.send('42["disconnect"]')
        assert await websocket.closed()
        assert websocket.close_code is None
        assert served.application.gone == ["protocol violation"]
        assert served.is_empty

    async def test_what_follows_the_third_violation_is_not_done(self, served: Served) -> None:
        websocket = await served.join()
        websocket.send('42["connect"]')
        websocket.send('42["connect"]')
        websocket.send('42["connect"]')
        websocket.send('42["tell"]')
        assert await websocket.closed()
        assert served.application.heard == []


class TestBinary:
    async def test_binary_frames_and_attachments_are_refused_and_nothing_of_them_is_kept(self, served: Served) -> None:
        websocket = await served.join()
        websocket.send('451-["tell",{"_placeholder":true,"num":0}]')
        websocket.send_frame(0x82, b"\x01\x02")
        assert await websocket.is_alive()
        websocket.send_frame(0x82, b"\x01\x02")
        assert await websocket.closed()
        assert served.metrics.violations == ["binary"] * 3
        assert served.application.order == ["connect", "echo", "disconnect"]

    async def test_binary_over_polling_is_refused(self, served: Served) -> None:
        session = await served.poll()
        await session.connect()
        await session.post("bAQIDBA==\x1ebAQIDBA==\x1ebAQIDBA==")
        assert (await session.get())[0] == 400
        assert served.metrics.violations == ["binary"] * 3


class TestText:
    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (r"\ud800", "lone_surrogate"),
            (r"a\udc00b", "lone_surrogate"),
            (r"\u0000", "nul_character"),
            (r"a\u0000b", "nul_character"),
        ],
    )
    async def test_text_that_no_database_takes_is_refused_with_an_answer(
        self, served: Served, text: str, problem: str
    ) -> None:
        websocket = await served.join()
        websocket.send(f'421["tell",{{"a":[{{"b":"{text}"}}]}}]')
        assert await websocket.next() == f'431[{{"ok":false,"problem":"{problem}"}}]'
        websocket.send(f'421["tell",{{"{text}":1}}]')
        assert await websocket.next() == f'431[{{"ok":false,"problem":"{problem}"}}]'
        assert served.application.heard == []

    async def test_text_that_only_looks_like_an_escape_is_taken(self, served: Served) -> None:
        websocket = await served.join()
        websocket.send(r'421["echo","\\u0000 \\ud800"]')
        assert await websocket.next() == r'431[["\\u0000 \\ud800"]]'

    @pytest.mark.parametrize("text", ["[" * 60_000, '{"a":' * 10_000, "NaN", "1e", "'a'", '"\0"', '"a'])
    async def test_broken_json_closes_the_session_only(self, served: Served, text: str) -> None:
        websocket, other = await served.join(), await served.join()
        websocket.send(f'42["tell",{text}]')
        assert await websocket.closed()
        assert await other.is_alive()

    async def test_a_lone_surrogate_from_the_application_goes_out_as_a_replacement(self, served: Served) -> None:
        websocket = await served.join()
        served.application.opened[0].emit("odd", {"a\ud800": ["b\udc00", "\U0001f600"]})
        assert await websocket.event() == ["odd", {"a\ufffd": ["b\ufffd", "\U0001f600"]}]


class TestInbox:
    async def test_events_of_one_client_are_handled_one_by_one_and_in_order(self, serve: Serve) -> None:
        running, most, done = 0, 0, []

        async def slow(connection: Connection, args: list[int]) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01 / (1 + args[0]))
            done.append(args[0])
            running -= 1

        served = await serve(Application(handlers={"slow": slow}))
        websocket = await served.join()
        for number in range(40):
            websocket.send(f'42["slow",{number}]')
        await eventually(lambda: len(done) == 40)
        assert done == list(range(40))
        assert most == 1

    async def test_a_flood_is_not_read_while_its_handlers_are_busy_and_none_of_it_is_lost(self, serve: Serve) -> None:
        gate, done = asyncio.Event(), []

        async def wait(connection: Connection, args: list[int]) -> None:
            await gate.wait()
            done.append(args[0])

        served = await serve(Application(handlers={"wait": wait}), inbox_size=8)
        websocket = await served.join()
        flood = b"".join(masked_frame(0x81, b'42["wait",%d,"%s"]' % (n, b"a" * 1_000)) for n in range(20_000))
        websocket.writer.write(flood)
        # what the kernel does not take shows that the server has stopped reading
        await asyncio.sleep(0.3)
        unread = websocket.transport.get_write_buffer_size()
        assert unread > 10_000_000
        assert served.metrics.deepest_inbox <= 8
        session = next(iter(served.server.engine.sockets.values()))
        assert session.feed is not None
        assert session.feed.spilled < 200
        other = await served.join()
        assert await other.is_alive()
        gate.set()
        async with asyncio.timeout(20):
            while len(done) < 20_000:
                await asyncio.sleep(0.02)
        assert done == list(range(20_000))

    async def test_a_client_we_do_not_read_is_not_taken_for_dead(self, serve: Serve) -> None:
        gate = asyncio.Event()

        async def wait(connection: Connection, args: list[object]) -> None:
            await gate.wait()

        served = await serve(
            Application(handlers={"wait": wait}), inbox_size=2, ping_interval_ms=50, ping_timeout_ms=100
        )
        websocket = await served.join()
        filler = "a" * 4_000
        for _ in range(2_000):
            websocket.send(f'42["wait","{filler}"]')
        pings = 0
        async with asyncio.timeout(5):
            while pings < 6:
                first, body = await websocket.frame()
                assert (first, body) == (0x81, b"2")
                websocket.send("3")
                pings += 1
        gate.set()
        async with asyncio.timeout(10):
            assert await websocket.is_alive()

    async def test_a_heartbeat_is_seen_while_a_handler_is_slow(self, serve: Serve) -> None:
        gate = asyncio.Event()

        async def wait(connection: Connection, args: list[object]) -> None:
            await gate.wait()

        served = await serve(
            Application(handlers={"wait": wait}), inbox_size=2, ping_interval_ms=50, ping_timeout_ms=60_000
        )
        websocket = await served.join()
        for _ in range(10):
            websocket.send('42["wait"]')
        for _ in range(8):
            assert await websocket.frame() == (0x81, b"2")
            websocket.send("3")
        gate.set()
        assert await websocket.is_alive()

    async def test_the_answer_to_a_post_waits_until_the_inbox_has_room(self, serve: Serve) -> None:
        gate = asyncio.Event()

        async def wait(connection: Connection, args: list[object]) -> None:
            await gate.wait()

        served = await serve(
            Application(handlers={"wait": wait}), inbox_size=4, ping_interval_ms=100, ping_timeout_ms=100
        )
        session = await served.poll()
        await session.connect()
        post = asyncio.create_task(session.post("\x1e".join(['42["wait"]'] * 20)))
        # four timeouts pass, and the session lives although its client cannot answer a ping
        done, _ = await asyncio.wait([post], timeout=0.5)
        assert not done
        gate.set()
        assert await post == (200, "ok")
        assert await session.post('3\x1e421["echo"]') == (200, "ok")
        assert "431[[]]" in await session.packets()

    async def test_what_a_client_sent_before_it_left_is_still_done(self, serve: Serve) -> None:
        async def slow(connection: Connection, args: list[object]) -> None:
            await asyncio.sleep(0.01)

        served = await serve(Application(handlers={"slow": slow}))
        websocket = await served.join()
        for _ in range(5):
            websocket.send('42["slow"]')
        websocket.send_frame(0x88, (1000).to_bytes(2, "big"))
        await eventually(lambda: served.application.gone)
        assert served.application.order == ["connect", *["slow"] * 5, "disconnect"]

    async def test_what_a_client_sent_before_it_was_thrown_out_is_not_done(self, serve: Serve) -> None:
        gate = asyncio.Event()

        async def leave(connection: Connection, args: list[object]) -> None:
            await gate.wait()
            connection.close(reason="banned")

        served = await serve(Application(handlers={"leave": leave}))
        websocket = await served.join()
        for name in ("leave", "tell", "tell"):
            websocket.send(f'42["{name}"]')
        session = served.application.opened[0].session
        await eventually(lambda: len(session.inbox) == 2)
        gate.set()
        await eventually(lambda: served.application.gone)
        assert served.application.order == ["connect", "leave", "disconnect"]
        assert served.application.gone == ["banned"]

    async def test_a_post_that_waits_for_room_is_answered_when_its_session_ends(self, serve: Serve) -> None:
        async def stuck(connection: Connection, args: list[object]) -> None:
            await asyncio.Event().wait()

        served = await serve(Application(handlers={"stuck": stuck}), inbox_size=1)
        session = await served.poll()
        await session.connect()
        post = asyncio.create_task(session.post('42["stuck"]\x1e42["stuck"]\x1e42["stuck"]'))
        await eventually(lambda: served.application.heard)
        served.application.opened[0].abort(reason="test")
        assert (await post)[0] == 200

    async def test_a_client_whose_events_never_wait_does_not_keep_the_event_loop(self, serve: Serve) -> None:
        loop = asyncio.get_running_loop()
        turn, turns = 0, []

        def tick() -> None:
            nonlocal turn
            turn += 1
            if len(turns) < 3_000:
                loop.call_soon(tick)

        async def note(connection: Connection, args: list[object]) -> None:
            turns.append(turn)

        served = await serve(Application(handlers={"note": note}))
        websocket = await served.join()
        tick()
        websocket.writer.write(masked_frame(0x81, b'42["note"]') * 3_000)
        await eventually(lambda: len(turns) == 3_000)
        assert max(turns.count(number) for number in set(turns)) <= 64

    async def test_a_handler_that_raises_harms_nobody_and_nothing_a_client_sent_is_logged(
        self, serve: Serve, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail(connection: Connection, args: list[object]) -> None:
            raise ValueError(args[0])

        served = await serve(Application(handlers={"fail": fail}))
        websocket = await served.join()
        with caplog.at_level(logging.DEBUG), structlog.testing.capture_logs() as lines:
            websocket.send('421["fail","canary-5321"]')
            assert await websocket.is_alive()
        assert [line["event"] for line in lines] == ["handler_failed"]
        assert "canary-5321" not in caplog.text


class TestLogs:
    async def test_no_library_logs_what_clients_send(
        self, serve: Serve, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        for library in ("engineio.server", "engineio.client", "socketio.server", "socketio.client"):
            logging.getLogger(library).setLevel(logging.DEBUG)
        served = await serve()
        root = logging.getLogger()
        root.setLevel(logging.DEBUG)
        try:
            websocket, session = await served.join('{"token":"canary-token"}'), await served.poll()
            await session.connect()
            await session.post('42["echo","canary-polling"]')
            await websocket.ask("echo", "canary-websocket")
            websocket.send('42["canary')
            assert await websocket.closed()
        finally:
            root.setLevel(logging.WARNING)
        assert "canary" not in caplog.text + "".join(capfd.readouterr())
        for library in ("engineio.server", "engineio.client", "socketio.server", "socketio.client"):
            assert not logging.getLogger(library).isEnabledFor(logging.INFO)


class TestAddresses:
    async def test_the_address_is_the_peers_and_not_what_the_client_says(self, served: Served) -> None:
        await served.join(headers={"X-Forwarded-For": "203.0.113.7", "User-Agent": "a phone"})
        connection = served.application.opened[0]
        assert connection.remote == "127.0.0.1"
        assert connection.user_agent == "a phone"

    async def test_a_trusted_proxy_is_believed(self, serve: Serve) -> None:
        served = await serve(**BEHIND_PROXY)
        await served.join(headers=FOREIGN)
        assert served.application.opened[0].remote == "203.0.113.7"

    @pytest.mark.parametrize(
        ("forwarded", "address"),
        [
            ("1.2.3.4, 203.0.113.7", "203.0.113.7"),
            ("1.2.3.4, 203.0.113.7, 10.1.2.3", "203.0.113.7"),
            ("garbage, 203.0.113.7", "203.0.113.7"),
            ("203.0.113.7, garbage", "127.0.0.1"),
            ("10.1.2.3", "10.1.2.3"),
            ("", "127.0.0.1"),
        ],
    )
    async def test_only_what_stands_right_of_the_first_stranger_is_believed(
        self, serve: Serve, forwarded: str, address: str
    ) -> None:
        served = await serve(trusted_proxies=("127.0.0.1", "10.0.0.0/8"))
        await served.join(headers={"X-Forwarded-For": forwarded})
        assert served.application.opened[0].remote == address

    def test_a_mapped_address_is_the_ipv4_one(self) -> None:
        assert PeerAddresses(["127.0.0.1"]).trusts("::ffff:127.0.0.1")

    async def test_one_address_opens_no_more_sessions_than_it_may(self, serve: Serve) -> None:
        served = await serve(max_connections_per_address=2, **BEHIND_PROXY)
        first, _ = await served.open(headers=FOREIGN), await served.open(headers=FOREIGN)
        assert (await served.handshake(headers=FOREIGN))[0] == 429
        assert (await served.get("EIO=4&transport=polling", headers=FOREIGN))[0] == 429
        assert (await served.handshake(headers={"X-Forwarded-For": "203.0.113.8"}))[0] == 101
        assert served.metrics.refusals == ["connections"] * 2
        first.reset()
        await eventually(lambda: len(served.server.engine.sockets) == 2)
        assert (await served.handshake(headers=FOREIGN))[0] == 101

    async def test_one_address_opens_sessions_no_faster_than_it_may(self, serve: Serve) -> None:
        served = await serve(connects_per_second_per_address=0.001, connect_burst_per_address=3, **BEHIND_PROXY)
        statuses = [(await served.handshake(headers=FOREIGN))[0] for _ in range(4)]
        assert statuses == [101, 101, 101, 429]
        assert served.metrics.refusals == ["rate"]

    async def test_loopback_is_not_capped(self, serve: Serve) -> None:
        served = await serve(max_connections_per_address=1, connect_burst_per_address=1)
        for _ in range(3):
            assert (await served.handshake())[0] == 101

    async def test_an_ipv6_network_counts_as_one_address(self) -> None:
        caps = AddressCaps(max_sessions=1, per_second=1, burst=10)
        caps.opened("2001:db8::1")
        assert caps.refusal("2001:db8::2") == "connections"
        assert caps.refusal("2001:db8:0:1::2") is None

    async def test_addresses_that_have_gone_are_forgotten(self) -> None:
        caps = AddressCaps(max_sessions=1, per_second=1_000_000, burst=1)
        for number in range(10_050):
            address = f"10.0.{number // 256}.{number % 256}"
            assert caps.refusal(address) is None
            caps.opened(address)
            caps.closed(address)
        assert caps._open == {}
        assert len(caps._buckets) < 10_050


class TestOrigins:
    async def status(self, served: Served, origin: str) -> tuple[int, int]:
        polling = (await served.get("EIO=4&transport=polling", headers={"Origin": origin}))[0]
        return polling, (await served.handshake(headers={"Origin": origin}))[0]

    async def test_a_page_of_this_server_is_admitted_and_any_other_is_not(self, served: Served) -> None:
        assert await self.status(served, served.url) == (200, 101)
        assert await self.status(served, served.url.replace("http", "https")) == (200, 101)
        for foreign in ("http://evil.example", "null", "", f"http://127.0.0.1:{served.port + 1}"):
            assert await self.status(served, foreign) == (403, 403)
        assert len(served.server.engine.sockets) == 4

    async def test_listed_origins_are_admitted_and_told_so(self, serve: Serve) -> None:
        served = await serve(allowed_origins=("https://chat.example",))
        assert await self.status(served, "https://chat.example") == (200, 101)
        assert await self.status(served, "https://other.example") == (403, 403)
        assert await self.status(served, "https://chat.example.evil") == (403, 403)
        headers = {"Origin": "https://chat.example"}
        _, _, answer = await served.request("GET", "EIO=4&transport=polling", headers=headers)
        assert answer["access-control-allow-origin"] == "https://chat.example"
        status, _, answer = await served.request("OPTIONS", "EIO=4&transport=polling", headers=headers)
        assert status == 204
        assert answer["access-control-allow-methods"] == "GET, POST"

    async def test_a_client_without_an_origin_is_no_browser_and_admitted(self, serve: Serve) -> None:
        served = await serve(allowed_origins=("https://chat.example",))
        assert (await served.handshake())[0] == 101

    async def test_any_origin_may_be_listed_but_then_without_credentials(self, serve: Serve) -> None:
        served = await serve(allowed_origins=("*",))
        assert await self.status(served, "https://anything.example") == (200, 101)
        _, _, answer = await served.request("GET", "EIO=4&transport=polling", headers={"Origin": "https://a.example"})
        assert "access-control-allow-credentials" not in answer


class TestDisconnect:
    async def test_a_closed_client_that_ignores_it_is_cut_after_the_grace_time(self, serve: Serve) -> None:
        served = await serve(disconnect_grace_seconds=0.2)
        websocket = await served.join()
        served.application.opened[0].emit("last", 1)
        served.application.opened[0].close(reason="test")
        assert await websocket.event() == ["last", 1]
        assert await websocket.next() == "41"
        assert await websocket.next() is None
        assert websocket.close_code == 1000
        assert served.server.engine.lingering == 1
        # it neither answers nor closes; the end of its TCP connection comes from the server
        assert await websocket.closed()
        await eventually(lambda: served.is_empty)
        assert served.application.gone == ["test"]

    async def test_a_client_told_to_reconnect_is_not_told_to_disconnect(self, served: Served) -> None:
        websocket = await served.join()
        served.application.opened[0].close(reason="drained", reconnect=True)
        assert await websocket.next() is None
        assert websocket.close_code == 1000

    async def test_an_abort_sends_nothing_more(self, served: Served) -> None:
        websocket = await served.join()
        connection = served.application.opened[0]
        connection.emit("unsent", 1)
        connection.abort(reason="test")
        assert await websocket.frame() == (0, b"")
        await eventually(lambda: served.application.gone == ["test"])

    async def test_a_closed_connection_takes_nothing_and_enters_nothing(self, served: Served) -> None:
        websocket = await served.join()
        connection = served.application.opened[0]
        served.server.enter(connection, "room")
        connection.close(reason="test")
        served.server.enter(connection, "room")
        connection.emit("late", 1)
        assert served.server.publish("room", "late", 1) == 0
        assert await websocket.next() == "41"
        assert await websocket.next() is None

    async def test_a_reset_while_connecting_still_ends_in_order(self, serve: Serve) -> None:
        gate = asyncio.Event()
        application = Application(hold_connect=gate)
        served = await serve(application)
        websocket = await served.open()
        websocket.send("40")
        await eventually(lambda: application.order == ["connect"])
        websocket.reset()
        await eventually(lambda: not served.server.engine.sockets)
        gate.set()
        await eventually(lambda: application.order == ["connect", "disconnect"])
        assert served.is_empty

    async def test_churn_leaves_nothing_behind(self, served: Served) -> None:
        for round_number in range(60):
            websocket = await served.join()
            served.server.enter(served.application.opened[-1], f"room {round_number}")
            if round_number % 3 == 0:
                websocket.reset()
            elif round_number % 3 == 1:
                websocket.send("1")
            else:
                websocket.send("41")
        await eventually(lambda: len(served.application.gone) == 60 and served.is_empty)


class TestDrain:
    async def test_a_draining_server_tells_its_clients_and_takes_no_new_ones(self, served: Served) -> None:
        websocket = await served.join()
        await served.server.drain(retry_after_ms=1_500)
        assert await websocket.event() == ["server_draining", {"retryAfterMs": 1_500}]
        assert (await served.handshake())[0] == 503
        assert (await served.get("EIO=4&transport=polling"))[0] == 503
        assert await websocket.is_alive()

    async def test_a_server_that_closes_ends_everybody_and_waits_for_their_handlers(self, serve: Serve) -> None:
        async def slow(connection: Connection, args: list[object]) -> None:
            await asyncio.sleep(0.1)

        served = await serve(Application(handlers={"slow": slow}), disconnect_grace_seconds=1)
        websocket = await served.join()
        websocket.send('421["slow"]')
        await eventually(lambda: served.application.heard)
        closing = asyncio.create_task(served.server.close())
        assert await websocket.next() is None
        websocket.send_frame(0x88, (1000).to_bytes(2, "big"))
        await closing
        assert served.application.order == ["connect", "slow", "disconnect"]
        assert served.application.gone == ["server shutdown"]
        assert served.is_empty

    async def test_a_handler_that_never_ends_does_not_keep_the_server(self, serve: Serve) -> None:
        async def stuck(connection: Connection, args: list[object]) -> None:
            await asyncio.Event().wait()

        served = await serve(Application(handlers={"stuck": stuck}), disconnect_grace_seconds=0.2)
        websocket = await served.join()
        websocket.send('42["stuck"]')
        await eventually(lambda: served.application.heard)
        async with asyncio.timeout(3):
            await served.server.close()
        assert served.is_empty


def test_the_defaults_are_those_of_the_wire_contract() -> None:
    options = SocketOptions()
    assert (options.ping_interval_ms, options.ping_timeout_ms) == (25_000, 60_000)
    assert (options.max_frame_bytes, options.max_queue_packets, options.max_buffer_bytes) == (65_536, 256, 1_048_576)
    assert (options.slow_reader_seconds, options.inbox_size, options.max_violations) == (20, 64, 3)
    assert options.disconnect_grace_seconds == 2
