"""Engine.IO 4 and Socket.IO 5 as their protocol documents have them, on both transports.

https://github.com/socketio/engine.io-protocol and https://github.com/socketio/socket.io-protocol. A docstring
that names a deviation says what stock python-socketio 5.18 does instead; it was not run against these tests.
"""

import asyncio
import json

import pytest

from tests.transport.conftest import Serve
from tests.transport.talk import Application, Served, WebSocket, eventually

QUICK_HEARTBEAT = {"ping_interval_ms": 300, "ping_timeout_ms": 200}
POLLING = "EIO=4&transport=polling"
WEBSOCKET = "EIO=4&transport=websocket"


class TestHandshake:
    async def test_polling_announces_limits_in_milliseconds_and_bytes(self, serve: Serve) -> None:
        """Deviation: `pingInterval` was rounded to whole seconds."""
        served = await serve(**QUICK_HEARTBEAT)
        handshake = (await served.poll()).handshake
        assert set(handshake) == {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
        assert isinstance(handshake["sid"], str)
        assert handshake["upgrades"] == ["websocket"]
        assert (handshake["pingInterval"], handshake["pingTimeout"]) == (300, 200)
        assert handshake["maxPayload"] == 65_536

    async def test_websocket_announces_the_same_and_no_upgrades(self, serve: Serve) -> None:
        served = await serve(**QUICK_HEARTBEAT)
        status, websocket = await served.handshake()
        assert status == 101
        packet = await websocket.next()
        assert packet is not None
        handshake = json.loads(packet[1:])
        assert handshake["upgrades"] == []
        assert (handshake["pingInterval"], handshake["pingTimeout"]) == (300, 200)

    @pytest.mark.parametrize("query", ["transport=polling", "EIO=abc&transport=polling", "EIO=3&transport=polling"])
    async def test_another_protocol_version_is_refused(self, served: Served, query: str) -> None:
        assert (await served.get(query))[0] == 400

    @pytest.mark.parametrize("query", ["EIO=4", "EIO=4&transport=abc", "EIO=4&transport=websocket"])
    async def test_an_invalid_transport_is_refused(self, served: Served, query: str) -> None:
        """Deviation: a missing transport was taken for polling, with 200."""
        assert (await served.get(query))[0] == 400

    @pytest.mark.parametrize("query", ["transport=websocket", "EIO=abc&transport=websocket", "EIO=4", POLLING])
    async def test_an_invalid_websocket_handshake_is_refused(self, served: Served, query: str) -> None:
        assert (await served.handshake(query))[0] == 400

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
    async def test_an_invalid_method_is_refused(self, served: Served, method: str) -> None:
        """Deviation: 405."""
        assert (await served.request(method, POLLING))[0] == 400
        session = await served.poll()
        if method != "POST":
            assert (await served.request(method, f"{POLLING}&sid={session.sid}"))[0] == 400

    async def test_an_unknown_session_is_refused(self, served: Served) -> None:
        assert (await served.get(f"{POLLING}&sid=unknown"))[0] == 400
        assert (await served.post(f"{POLLING}&sid=unknown", "40"))[0] == 400
        assert (await served.handshake(f"{WEBSOCKET}&sid=unknown"))[0] == 400


class TestPolling:
    async def test_packets_go_both_ways(self, served: Served) -> None:
        """Deviation: a POST was answered with `OK`."""
        session = await served.poll()
        await session.connect()
        assert await session.post('421["echo","a"]') == (200, "ok")
        assert await session.packets() == ['431[["a"]]']

    async def test_several_packets_in_one_post_are_answered_in_one_poll(self, served: Served) -> None:
        session = await served.poll()
        await session.connect()
        body = "\x1e".join(f'42{number}["echo",{number}]' for number in range(3))
        assert await session.post(body) == (200, "ok")
        await eventually(lambda: len(served.application.heard) == 3)
        assert await session.packets() == ["430[[0]]", "431[[1]]", "432[[2]]"]

    async def test_256_packets_in_one_post_all_arrive(self, served: Served) -> None:
        """Deviation: a POST of more than 16 packets was dropped whole, with 200."""
        session = await served.poll()
        await session.connect()
        assert await session.post("\x1e".join(f'42["tell",{number}]' for number in range(256))) == (200, "ok")
        await eventually(lambda: len(served.application.heard) == 256)
        assert [args for _, args in served.application.heard] == [[number] for number in range(256)]

    async def test_257_packets_in_one_post_close_the_session_and_none_is_heard(self, served: Served) -> None:
        session = await served.poll()
        await session.connect()
        assert (await session.post("\x1e".join(['42["tell"]'] * 257)))[0] == 400
        assert (await session.get())[0] == 400
        assert served.application.heard == []

    @pytest.mark.parametrize("body", ["abc", "", '42["tell"]\x1e', '42["tell"]\x1eabc', b"4\xff", "0{}", "5", "6"])
    async def test_a_malformed_packet_closes_the_session(self, served: Served, body: str | bytes) -> None:
        """Deviation: malformed packets were accepted."""
        session = await served.poll()
        await session.connect()
        assert (await session.post(body))[0] == 400
        assert (await session.get())[0] == 400
        assert served.application.heard == []

    async def test_two_polls_at_once_close_the_session(self, served: Served) -> None:
        """Deviation: they were both served."""
        session = await served.poll()
        first = asyncio.create_task(session.get())
        await eventually(lambda: served.server.engine.sockets[session.sid].poll is not None)
        assert (await session.get())[0] == 400
        assert await first == (200, "1")
        assert (await session.get())[0] == 400

    async def test_two_posts_at_once_close_the_session(self, serve: Serve) -> None:
        application, release = Application(), asyncio.Event()

        async def wait(connection: object, args: object) -> None:
            await release.wait()

        application.handlers["wait"] = wait
        served = await serve(application, inbox_size=1)
        session = await served.poll()
        await session.connect()
        first = asyncio.create_task(session.post('42["wait"]\x1e42["wait"]'))
        await eventually(lambda: served.server.engine.sockets[session.sid].posting)
        assert (await session.post("3"))[0] == 400
        release.set()
        await first
        assert (await session.get())[0] == 400

    async def test_a_body_over_the_announced_size_is_answered_at_once(self, served: Served) -> None:
        """Deviation: such a POST hung, and the next request got 500."""
        session = await served.poll()
        waiting = asyncio.create_task(session.get())
        await eventually(lambda: served.server.engine.sockets[session.sid].poll is not None)
        assert (await session.post("4" + "a" * 65_536))[0] == 413
        assert await waiting == (200, "1")
        assert (await session.post("3"))[0] == 400

    async def test_a_body_announced_over_the_size_is_refused_before_it_comes(self, served: Served) -> None:
        session = await served.poll()
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        head = f"POST /socket.io/?{POLLING}&sid={session.sid} HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n"
        writer.write(head.encode())
        assert b"413" in await asyncio.wait_for(reader.readline(), 5)
        writer.close()

    async def test_a_body_that_hides_its_size_is_cut_at_the_limit(self, served: Served) -> None:
        session = await served.poll()
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        head = f"POST /socket.io/?{POLLING}&sid={session.sid} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode() + b"10000\r\n" + b"4" * 65_536 + b"\r\n1\r\n4\r\n")
        assert b"413" in await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        assert (await session.get())[0] == 400

    async def test_a_body_of_exactly_the_announced_size_is_taken(self, served: Served) -> None:
        session = await served.poll()
        await session.connect()
        text = "a" * (65_536 - len('42["tell",""]'))
        assert await session.post(f'42["tell","{text}"]') == (200, "ok")
        await eventually(lambda: served.application.heard == [("tell", [text])])


class TestWebSocket:
    async def test_a_packet_that_is_none_closes_it(self, served: Served) -> None:
        websocket = await served.open()
        websocket.send("abc")
        assert await websocket.closed()

    async def test_a_message_over_the_announced_size_closes_it_with_1009(self, served: Served) -> None:
        websocket = await served.open()
        websocket.send("4" * 65_537)
        assert await websocket.next() is None
        assert websocket.close_code == 1009

    async def test_a_message_of_exactly_the_announced_size_is_taken(self, served: Served) -> None:
        websocket = await served.join()
        text = "a" * (65_536 - len('42["tell",""]'))
        websocket.send(f'42["tell","{text}"]')
        await eventually(lambda: served.application.heard == [("tell", [text])])

    async def test_text_that_is_no_utf8_closes_it_with_1007(self, served: Served) -> None:
        websocket = await served.open()
        websocket.send_frame(0x81, b"4\xff")
        assert await websocket.next() is None
        assert websocket.close_code == 1007

    async def test_a_fragmented_message_is_put_together(self, served: Served) -> None:
        websocket = await served.join()
        websocket.send_frame(0x01, b'421["ech')
        websocket.send_frame(0x89, b"are you there")
        websocket.send_frame(0x80, b'o",1]')
        assert await websocket.frame() == (0x8A, b"are you there")
        assert await websocket.next() == "431[[1]]"

    async def test_a_closing_handshake_is_answered(self, served: Served) -> None:
        websocket = await served.join()
        websocket.send_frame(0x88, (1000).to_bytes(2, "big"))
        assert await websocket.next() is None
        assert websocket.close_code == 1000
        assert await asyncio.wait_for(websocket.reader.read(), 5) == b""
        await eventually(lambda: served.application.gone == ["transport close"] and served.is_empty)


class TestHeartbeat:
    async def test_the_server_pings_and_a_client_that_answers_stays(self, serve: Serve) -> None:
        served = await serve(ping_interval_ms=100, ping_timeout_ms=80)
        websocket = await served.open()
        for _ in range(5):
            assert await websocket.frame() == (0x81, b"2")
            websocket.send("3")
        await websocket.connect()
        assert await websocket.is_alive()

    async def test_a_websocket_that_does_not_answer_is_closed(self, serve: Serve) -> None:
        served = await serve(**QUICK_HEARTBEAT)
        websocket = await served.join()
        websocket.answer_pings = False
        assert await websocket.closed()
        await eventually(lambda: served.application.gone == ["ping timeout"] and served.is_empty)

    async def test_a_polling_client_is_pinged_and_stays_while_it_answers(self, serve: Serve) -> None:
        served = await serve(ping_interval_ms=100, ping_timeout_ms=1_000)
        session = await served.poll()
        for _ in range(3):
            assert await session.packets() == ["2"]
            assert await session.post("3") == (200, "ok")

    async def test_a_polling_client_that_does_not_answer_is_gone(self, serve: Serve) -> None:
        """Deviation: the session went on answering after its ping had timed out."""
        served = await serve(**QUICK_HEARTBEAT)
        session = await served.poll()
        await eventually(lambda: not served.server.engine.sockets)
        assert (await session.get())[0] == 400
        assert (await session.post("3"))[0] == 400

    async def test_a_ping_of_the_client_is_answered_on_both_transports(self, served: Served) -> None:
        websocket = await served.open()
        websocket.send("2hello")
        assert await websocket.next() == "3hello"
        session = await served.poll()
        assert await session.post("2") == (200, "ok")
        assert await session.packets() == ["3"]


class TestClose:
    async def test_a_client_that_closes_ends_its_pending_poll_with_a_noop(self, served: Served) -> None:
        """Deviation: the pending GET got 400."""
        session = await served.poll()
        waiting = asyncio.create_task(session.get())
        await eventually(lambda: served.server.engine.sockets[session.sid].poll is not None)
        assert await session.post("1") == (200, "ok")
        assert await waiting == (200, "6")
        assert (await session.get())[0] == 400

    async def test_a_server_that_closes_ends_a_pending_poll_with_close(self, served: Served) -> None:
        session = await served.poll()
        await session.connect()
        waiting = asyncio.create_task(session.packets())
        await eventually(lambda: served.server.engine.sockets[session.sid].poll is not None)
        served.application.opened[0].emit("last", 1)
        served.application.opened[0].close(reason="test")
        assert await waiting == ['42["last",1]', "41"]
        assert await session.packets() == ["1"]
        assert (await session.get())[0] == 400

    async def test_the_last_packets_wait_for_a_poll_that_is_not_there_yet(self, serve: Serve) -> None:
        served = await serve(disconnect_grace_seconds=5)
        session = await served.poll()
        await session.connect()
        served.application.opened[0].emit("last", 1)
        served.application.opened[0].close(reason="test")
        assert (await session.post("3"))[0] == 400
        assert await session.packets() == ['42["last",1]', "41"]
        assert await session.packets() == ["1"]
        assert (await session.get())[0] == 400
        assert served.is_empty

    async def test_a_websocket_client_that_closes_is_closed(self, served: Served) -> None:
        websocket = await served.open()
        websocket.send("1")
        assert await websocket.closed()


class TestUpgrade:
    async def probe(self, served: Served, sid: str) -> WebSocket:
        status, websocket = await served.handshake(f"{WEBSOCKET}&sid={sid}")
        assert status == 101
        websocket.send("2probe")
        assert await websocket.next() == "3probe"
        return websocket

    async def upgraded(self, served: Served) -> tuple[str, WebSocket]:
        session = await served.poll()
        await session.connect()
        websocket = await self.probe(served, session.sid)
        websocket.send("5")
        assert await websocket.is_alive()
        return session.sid, websocket

    async def test_packets_move_to_the_websocket_with_none_lost_and_no_stray_noop(self, served: Served) -> None:
        """Deviation: a noop went out on the WebSocket after the upgrade."""
        session = await served.poll()
        await session.connect()
        websocket = await self.probe(served, session.sid)
        served.application.opened[0].emit("while probing", 1)
        await asyncio.sleep(0)
        assert await session.get() == (200, "6")
        websocket.send("5")
        served.application.opened[0].emit("then", 2)
        assert await websocket.event() == ["while probing", 1]
        assert await websocket.event() == ["then", 2]
        assert await websocket.is_alive()

    async def test_a_pending_poll_ends_with_a_noop(self, served: Served) -> None:
        session = await served.poll()
        waiting = asyncio.create_task(session.get())
        await eventually(lambda: served.server.engine.sockets[session.sid].poll is not None)
        await self.probe(served, session.sid)
        assert await waiting == (200, "6")

    async def test_polling_is_refused_after_the_upgrade(self, served: Served) -> None:
        """Deviation: the session went on answering over polling."""
        sid, websocket = await self.upgraded(served)
        assert (await served.get(f"{POLLING}&sid={sid}"))[0] == 400
        assert (await served.post(f"{POLLING}&sid={sid}", "3"))[0] == 400
        assert await websocket.is_alive()

    async def test_a_second_websocket_is_refused_after_the_upgrade(self, served: Served) -> None:
        """Deviation: it was accepted."""
        sid, websocket = await self.upgraded(served)
        assert (await served.handshake(f"{WEBSOCKET}&sid={sid}"))[0] == 400
        assert await websocket.is_alive()

    async def test_a_second_websocket_is_refused_during_the_probe(self, served: Served) -> None:
        session = await served.poll()
        await self.probe(served, session.sid)
        assert (await served.handshake(f"{WEBSOCKET}&sid={session.sid}"))[0] == 400

    @pytest.mark.parametrize("packet", ["5", "2other", "40", "abc"])
    async def test_a_wrong_probe_leaves_the_session_on_polling(self, served: Served, packet: str) -> None:
        session = await served.poll()
        await session.connect()
        _, websocket = await served.handshake(f"{WEBSOCKET}&sid={session.sid}")
        websocket.send(packet)
        assert await websocket.closed()
        assert await session.post('421["echo"]') == (200, "ok")
        assert await session.packets() == ["431[[]]"]

    async def test_a_probe_that_vanishes_gives_back_what_was_held(self, served: Served) -> None:
        session = await served.poll()
        await session.connect()
        websocket = await self.probe(served, session.sid)
        served.application.opened[0].emit("held", 1)
        websocket.reset()
        await eventually(lambda: not served.server.engine.sockets[session.sid].upgrading)
        assert await session.packets() == ['42["held",1]']

    async def test_a_probe_that_never_completes_ends_at_the_deadline(self, serve: Serve) -> None:
        served = await serve(connect_deadline_seconds=0.2)
        session = await served.poll()
        await session.connect()
        websocket = await self.probe(served, session.sid)
        assert await websocket.closed()
        served.application.opened[0].emit("still here", 1)
        assert await session.packets() == ['42["still here",1]']


class TestConnect:
    @pytest.mark.parametrize(
        ("payload", "auth"),
        [("", {}), ('{"token":"123"}', {"token": "123"}), ("{}", {}), ("[1]", {})],
    )
    async def test_the_main_namespace_answers_with_a_connection_id(
        self, served: Served, payload: str, auth: dict[str, str]
    ) -> None:
        websocket = await served.open()
        connection_id = await websocket.connect(payload)
        assert list(served.server.connections) == [connection_id]
        assert served.application.auths == [auth]

    async def test_the_handshake_auth_is_not_kept(self, served: Served) -> None:
        await served.join('{"token":"123"}')
        assert served.application.opened[0].auth == {}

    async def test_an_unknown_namespace_is_refused_by_name(self, served: Served) -> None:
        """Deviation: a wrong error object."""
        websocket = await served.open()
        websocket.send("40/random")
        assert await websocket.next() == '44/random,{"message":"Invalid namespace"}'
        websocket.send('40/other?a=b,{"token":"123"}')
        assert await websocket.next() == '44/other,{"message":"Invalid namespace"}'
        await websocket.connect()

    async def test_what_is_emitted_while_connecting_leaves_after_the_connect_packet(self, serve: Serve) -> None:
        """Deviation: it left before."""
        application = Application(greet=lambda connection: connection.emit("auth", {}))
        served = await serve(application)
        websocket = await served.open()
        await websocket.connect()
        assert await websocket.event() == ["auth", {}]
        session = await served.poll()
        assert await session.post("40") == (200, "ok")
        first, second = await session.packets()
        assert first.startswith("40{")
        assert second == '42["auth",{}]'

    async def test_what_others_publish_while_connecting_leaves_after_the_connect_packet(self, serve: Serve) -> None:
        gate = asyncio.Event()
        application = Application(hold_connect=gate)
        served = await serve(application)
        application.greet = lambda connection: served.server.enter(connection, "room")
        first = await served.open()
        first.send("40")
        await eventually(lambda: application.order == ["connect"])
        connection = next(iter(served.server.engine.sockets.values())).connection
        assert connection is not None
        served.server.enter(connection, "room")
        served.server.publish("room", "early", 1)
        await asyncio.sleep(0.05)
        gate.set()
        packet = await first.next()
        assert packet is not None
        assert packet.startswith("40{")
        assert await first.event() == ["early", 1]

    async def test_a_refusal_arrives_as_connect_error_and_nothing_else_does(self, serve: Serve) -> None:
        application = Application(refuse={"code": "token_expired"})
        served = await serve(application)
        websocket = await served.open()
        websocket.send("40")
        assert await websocket.next() == '44{"message":"refused","data":{"code":"token_expired"}}'
        application.refuse = None
        await websocket.connect()
        assert application.gone == []

    @pytest.mark.parametrize("packet", ["4abc", "4", "40{", "47", "49", "44{}", '42["too early"]', "41", "43[]"])
    async def test_an_invalid_handshake_closes_the_session(self, served: Served, packet: str) -> None:
        websocket = await served.open()
        websocket.send(packet)
        assert await websocket.closed()
        assert served.application.order == []

    async def test_a_second_connect_closes_the_session(self, served: Served) -> None:
        websocket = await served.join()
        websocket.send("40")
        assert await websocket.closed()


class TestMessages:
    @pytest.mark.parametrize("packet", ["4", "42", "42{}", "42abc", "42[", '42"a"', "42abc[1]", '42-1["a"]', "42[]"])
    async def test_an_invalid_event_packet_closes_the_session(self, served: Served, packet: str) -> None:
        websocket = await served.join()
        websocket.send(packet)
        assert await websocket.closed()
        assert served.application.heard == []

    @pytest.mark.parametrize("packet", ["43abc", "43", "431", "43[]", '431{"a":1}', "431[", "43" + "1" * 16 + "[]"])
    async def test_an_invalid_ack_closes_the_session(self, served: Served, packet: str) -> None:
        websocket = await served.join()
        websocket.send(packet)
        assert await websocket.closed()

    async def test_an_ack_nobody_asked_for_is_ignored(self, served: Served) -> None:
        websocket = await served.join()
        websocket.send("4399[1]")
        assert await websocket.is_alive()

    async def test_arguments_of_every_kind_arrive(self, served: Served) -> None:
        websocket = await served.join()
        websocket.send('42["tell",1,"2",{"3":[true,null]},"\u00e9\U0001f600"]')
        await eventually(
            lambda: served.application.heard == [("tell", [1, "2", {"3": [True, None]}, "\u00e9\U0001f600"])]
        )

    async def test_an_ack_comes_only_if_asked_for_and_with_its_number(self, served: Served) -> None:
        websocket = await served.join()
        websocket.send('42["echo",0]')
        websocket.send('42456["echo",1]')
        websocket.send('420["echo",2]')
        assert await websocket.next() == "43456[[1]]"
        assert await websocket.next() == "430[[2]]"

    async def test_disconnecting_closes_the_session(self, served: Served) -> None:
        websocket = await served.join()
        websocket.send("41")
        assert await websocket.closed()
        assert served.application.gone == ["client disconnect"]

    async def test_a_packet_for_a_namespace_that_is_not_connected_closes_the_session(self, served: Served) -> None:
        websocket = await served.join()
        websocket.send('42/other,["tell"]')
        assert await websocket.closed()
        assert served.application.heard == []


class TestDeadlines:
    async def test_a_session_that_never_connects_is_closed(self, serve: Serve) -> None:
        served = await serve(connect_deadline_seconds=0.2)
        websocket = await served.open()
        session = await served.poll()
        assert await websocket.closed()
        await eventually(lambda: not served.server.engine.sockets)
        await session.get()
        assert (await session.get())[0] == 400

    async def test_a_refused_client_has_no_more_time_than_the_deadline(self, serve: Serve) -> None:
        served = await serve(Application(refuse={}), connect_deadline_seconds=0.2)
        websocket = await served.open()
        websocket.send("40")
        assert await websocket.next() is not None
        assert await websocket.closed()

    async def test_a_client_that_is_refused_again_and_again_is_closed(self, serve: Serve) -> None:
        served = await serve(Application(refuse={}))
        websocket = await served.open()
        for _ in range(5):
            websocket.send("40")
            assert await websocket.next() is not None
        assert await websocket.next() is None

    async def test_a_client_that_connects_but_never_authenticates_is_told_and_closed(self, serve: Serve) -> None:
        served = await serve(Application(accept=False), authenticate_deadline_seconds=0.2)
        websocket = await served.join()
        assert await websocket.event() == ["authentication_error", {"code": "token_missing"}]
        assert await websocket.next() == "41"
        assert await websocket.closed()
        assert served.application.gone == ["authentication timeout"]

    async def test_only_authenticate_is_heard_before_authentication(self, serve: Serve) -> None:
        async def authenticate(connection: object, args: list[object]) -> str:
            connection.authenticated = True  # type: ignore[attr-defined]
            return "welcome"

        application = Application(accept=False, handlers={"authenticate": authenticate})
        served = await serve(application, authenticate_deadline_seconds=0.3)
        websocket = await served.join()
        websocket.send('42["tell","unheard"]')
        assert await websocket.ask("authenticate", {"token": "a"}) == "welcome"
        websocket.send('42["tell","heard"]')
        assert await websocket.is_alive()
        await asyncio.sleep(0.4)
        assert await websocket.is_alive()
        assert [event for event, _ in application.heard] == ["authenticate", "tell", "echo", "echo"]

    async def test_an_application_that_does_not_decide_about_a_client_refuses_it(self, serve: Serve) -> None:
        served = await serve(Application(hold_connect=asyncio.Event()), authenticate_deadline_seconds=0.2)
        websocket = await served.open()
        websocket.send("40")
        assert await websocket.next() == '44{"message":"Connection failed"}'
