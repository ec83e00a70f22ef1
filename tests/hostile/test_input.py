"""Hostile input to a server that runs as its own process: a coded answer each time, and it stays well."""

import asyncio
import json
import socket as sockets
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatcore.api import COMMANDS
from chatcore.errors import catalogue
from tests.servers import ServerProcess, people_of
from tests.talking import Answer, People, Person, Socket, request

CODES = set(catalogue())
EVENTS = [command.event for command in COMMANDS if command.event]
ROUTES = [command.rest for command in COMMANDS if command.rest and command.name != "erase_me"]
SHAPES = {command.event: command.request for command in COMMANDS if command.event}
FIELDS = sorted({field.alias or name for c in COMMANDS for name, field in c.request.model_fields.items()})
UNAVAILABLE = (501, 503)

hex24 = st.text("0123456789abcdef", min_size=24, max_size=24)
nasty_text = st.one_of(
    st.text(max_size=40),
    hex24,
    st.sampled_from(
        ["", " ", "\x00", "a\x00b", "$where", "$gt", "a.b", "__proto__", "constructor", "\u202e", "\ufeff", "-1", "NaN"]
    ),
    st.sampled_from(["' || 1==1", "{$gt: ''}", "../../etc/passwd", "%00", "\r\nSet-Cookie: a=b", "\u2028", "x" * 5000]),
)
leaf = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**80), 2**80),
    st.sampled_from([0, -1, 2**31, 2**53, 2**53 + 1, 2**63, 2**64, 10**30, 1e308, -1e308, 5e-324]),
    nasty_text,
)
value = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.sampled_from(["$gt", "$ne", "$where", "$regex", "a.b", ""]), nasty_text), inner, max_size=3
        ),
    ),
    max_leaves=8,
)
payload = st.one_of(value, st.dictionaries(st.sampled_from(FIELDS), value, max_size=6))
hardly = settings(max_examples=12, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
async def the_server_stays_well(server_process: ServerProcess) -> AsyncIterator[None]:
    """After each test: it answers, it is the same process, and it wrote of no fault of its own."""
    before = len(server_process.written())
    yield
    async with people_of(server_process.url) as people:
        answer = await request(people.http, "GET", f"{people.url}/health/ready")
        assert (answer.status, answer["status"]) == (200, "ok")
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        await ana.sends(group, "still here")
    assert server_process.process.poll() is None
    written = server_process.written()[before:]
    assert "Traceback" not in written
    assert "internal_error" not in written
    assert "handler_failed" not in written


def is_coded(answer: Answer) -> None:
    """An answer of ours: success, or a problem with a code of the catalogue and nothing internal in it."""
    assert answer.status < 500 or answer.status in UNAVAILABLE, answer
    if answer.status >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json", answer
        assert answer.code in CODES
        assert answer["status"] == answer.status
        assert answer["correlationId"]
    assert b"Traceback" not in answer.raw
    assert b"pydantic" not in answer.raw
    assert b"site-packages" not in answer.raw
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def is_coded_ack(ack: Any) -> None:
    assert isinstance(ack, dict)
    assert isinstance(ack["ok"], bool)
    if not ack["ok"]:
        error = ack["error"]
        assert error["code"] in CODES
        assert error["code"] != "internal"
        assert error["message"] == error["error"]
        assert "pydantic" not in error["message"]


def run(work: Any) -> None:
    """Hypothesis calls plain functions; each gets a loop of its own."""
    asyncio.run(work)


class TestSockets:
    @pytest.mark.parametrize("event", EVENTS)
    def test_every_command_answers_anything_with_a_code(self, server_process: ServerProcess, event: str) -> None:
        names = [field.alias or name for name, field in SHAPES[event].model_fields.items()]
        filled = st.fixed_dictionaries({name: st.one_of(value, hex24) for name in names}) if names else payload

        @hardly
        @given(st.lists(st.one_of(payload, filled), min_size=3, max_size=6))
        def tried(payloads: list[Any]) -> None:
            async def talk() -> None:
                async with people_of(server_process.url) as people:
                    (eve,) = await people.connected("eve")
                    for each in payloads:
                        is_coded_ack(await eve.socket.ack(event, each))

            run(talk())

        tried()

    async def test_what_is_no_event_of_ours_is_refused(self, strangers: People) -> None:
        (eve,) = await strangers.connected("eve")
        for event in ("", "nothing", "message", "x" * 3000, "__init__", "send_message ", "SEND_MESSAGE", "$where"):
            if event:
                assert (await eve.socket.refusal(event, {}))["code"] == "unknown_event"

    @pytest.mark.parametrize("args", ["", ",1", ",null", ',"x"', ",[]", ",[1,2]", ',{"a":{"b":[]}}', ',{},{},"more"'])
    async def test_arguments_of_any_form_are_answered(self, strangers: People, args: str) -> None:
        (eve,) = await strangers.connected("eve")
        eve.socket._acks[9] = waiting = asyncio.get_running_loop().create_future()
        await eve.socket.send_raw(f'429["send_message"{args}]')
        async with asyncio.timeout(10):
            is_coded_ack(await waiting)

    @pytest.mark.parametrize("text", ["\\ud800", "\\udfff x", "a\\u0000b"])
    async def test_half_characters_and_nul_are_refused_whole(self, strangers: People, text: str) -> None:
        (eve,) = await strangers.connected("eve")
        group = await eve.creates_group()
        eve.socket._acks[9] = waiting = asyncio.get_running_loop().create_future()
        await eve.socket.send_raw(f'429["send_message",{{"groupId":"{group}","content":"{text}"}}]')
        async with asyncio.timeout(10):
            answer = await waiting
        assert answer["error"]["code"] == "invalid_payload"

    @pytest.mark.parametrize("depth", [50, 500, 5_000, 20_000])
    async def test_deep_nesting_ends_in_a_refusal_or_a_closed_connection(self, strangers: People, depth: int) -> None:
        (eve,) = await strangers.connected("eve")
        await eve.socket.send_raw(f'42["send_message",{"[" * depth}{"]" * depth}]')
        try:
            assert await eve.socket.settled() is not None
        except (ConnectionError, TimeoutError):
            await eve.socket.is_closed()

    async def test_a_frame_over_the_limit_closes_the_connection(self, strangers: People) -> None:
        (eve,) = await strangers.connected("eve")
        await eve.socket.send_raw('42["send_message","' + "x" * 70_000 + '"]')
        await eve.socket.is_closed()

    async def test_binary_frames_are_refused(self, strangers: People) -> None:
        (eve,) = await strangers.connected("eve")
        for _ in range(4):
            try:
                await eve.socket.send_raw(b"\x00\x01")
            except ConnectionError:
                break
        await eve.socket.is_closed()


class TestSmuggling:
    """No identity but the token's; no operator ever reaches a query."""

    @pytest.mark.parametrize(
        "operator", [{"$gt": ""}, {"$ne": None}, {"$regex": ".*"}, {"$where": "1"}, ["x"], 1, True]
    )
    async def test_an_operator_in_any_leaf_that_is_text_is_refused(self, strangers: People, operator: Any) -> None:
        (eve,) = await strangers.connected("eve")
        for command in COMMANDS:
            text_fields = [
                field.alias or name
                for name, field in command.request.model_fields.items()
                if "str" in str(field.annotation)
                and "int" not in str(field.annotation)
                and not (isinstance(operator, list) and "list[" in str(field.annotation))
            ]
            good = {"groupId": "0" * 24, "messageId": "0" * 24, "userId": "x", "content": "x", "emoji": "\U0001f44d"}
            for name in text_fields:
                body = {key: item for key, item in good.items() if key in text_fields} | {name: operator}
                if command.event:
                    error = await eve.socket.refusal(command.event, body)
                    assert error["code"] == "invalid_payload", (command.name, name)

    @pytest.mark.parametrize(
        "smuggled", ["userId", "senderId", "sender", "role", "_id", "seq", "n", "isDeleted", "$set", "a.b", "__proto__"]
    )
    async def test_what_a_command_does_not_have_is_refused(self, strangers: People, smuggled: str) -> None:
        (eve,) = await strangers.connected("eve")
        group = await eve.creates_group()
        fields = {"groupId": group, "content": "x", smuggled: "owner"}
        error = await eve.socket.refusal("send_message", fields)
        assert (error["code"], error["field"]) == ("unknown_field", smuggled)
        assert (await eve.rest("POST", "/messages", fields)).code == "unknown_field"

    @pytest.mark.parametrize("name", ["group_id", "temp_id", "reply_to"])
    async def test_names_of_the_inside_are_no_names_of_fields(self, strangers: People, name: str) -> None:
        (eve,) = await strangers.connected("eve")
        group = await eve.creates_group()
        error = await eve.socket.refusal("send_message", {"groupId": group, "content": "x", name: "y"})
        assert error["code"] == "unknown_field"

    @pytest.mark.parametrize(
        "group", ["0" * 23, "0" * 25, "0" * 24 + "\n", "G" * 24, "A" * 24, "0" * 22 + "\u0660\u0660"]
    )
    async def test_an_id_is_24_lower_case_hex_characters_and_nothing_else(self, strangers: People, group: str) -> None:
        (eve,) = await strangers.connected("eve")
        error = await eve.socket.refusal("send_message", groupId=group, content="x")
        assert (error["code"], error["field"]) == ("invalid_payload", "groupId")

    async def test_a_path_and_a_body_that_differ_are_a_conflict(self, strangers: People) -> None:
        eve = await strangers.person("eve")
        mine, other = await eve.creates_group(), await eve.creates_group()
        answer = await eve.rest("PATCH", f"/groups/{mine}", {"groupId": other, "name": "x"})
        assert (answer.status, answer.code) == (409, "conflict")

    async def test_a_parameter_given_twice_is_refused(self, strangers: People) -> None:
        eve = await strangers.person("eve")
        group = await eve.creates_group()
        assert (await eve.rest("GET", f"/messages/{group}?limit=5&limit=6")).status == 400


class TestRest:
    @pytest.mark.parametrize("rest", ROUTES, ids=lambda rest: f"{rest.method} {rest.path}")
    def test_every_route_answers_anything_with_a_code(self, server_process: ServerProcess, rest: Any) -> None:
        part = st.one_of(hex24, st.sampled_from(["%00", "%ff", "..%2f", "$gt", "%F0%9F%98%80", "x" * 300, "{}", "me"]))

        @hardly
        @given(st.lists(st.tuples(payload, part), min_size=3, max_size=5))
        def tried(attempts: list[tuple[Any, str]]) -> None:
            async def talk() -> None:
                async with people_of(server_process.url) as people:
                    eve = await people.person("eve")
                    for body, text in attempts:
                        path = rest.path
                        for name in ("groupId", "messageId", "userId", "code", "id", "sessionId"):
                            path = path.replace(f"{{{name}}}", text)
                        is_coded(await eve.rest(rest.method, path, None if rest.method == "GET" else body))

            run(talk())

        tried()

    @pytest.mark.parametrize(
        ("body", "content_type", "status"),
        [
            (b"{", "application/json", 400),
            (b"[]", "application/json", 400),
            (b"\xff\xfe", "application/json", 400),
            (b'{"name":"\\ud800"}', "application/json", 400),
            (b'{"name":"a\\u0000b"}', "application/json", 400),
            (b'{"name":NaN}', "application/json", 400),
            (b'{"name":"x"}', "text/plain", 415),
            (b"name=x", "application/x-www-form-urlencoded", 415),
            (b"<a/>", "application/xml", 415),
            (b"[" * 60_000, "application/json", 400),
            (b'{"name":"' + b"x" * 70_000 + b'"}', "application/json", 413),
        ],
    )
    async def test_a_body_that_is_none_of_ours(
        self, strangers: People, body: bytes, content_type: str, status: int
    ) -> None:
        eve = await strangers.person("eve")
        answer = await eve.rest("POST", "/groups", data=body, headers={"Content-Type": content_type})
        is_coded(answer)
        assert answer.status == status

    @pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP, gzip"])
    async def test_a_compressed_body_is_refused_unread(self, strangers: People, encoding: str) -> None:
        headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
        url = strangers.url + "/api/auth/login"
        answer = await request(strangers.http, "POST", url, data=b"no such thing", headers=headers)
        is_coded(answer)
        assert answer.status == 415

    @pytest.mark.parametrize(
        "headers",
        [
            {"Host": "evil.example"},
            {"Host": "evil.example:80@127.0.0.1"},
            {"Host": "127.0.0.1.evil.example"},
            {"Host": "[::1"},
            {"X-Forwarded-For": "127.0.0.1"},
            {"Forwarded": "for=127.0.0.1"},
            {"Via": "1.1 proxy"},
        ],
    )
    async def test_a_token_for_a_name_is_given_to_nobody_behind_a_proxy_or_another_name(
        self, strangers: People, headers: dict[str, str]
    ) -> None:
        url = strangers.url + "/api/auth/dev-token"
        answer = await request(strangers.http, "POST", url, {"name": "eve"}, headers=headers)
        assert answer.status in (400, 404)
        assert "token" not in (answer.body or {})

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST:3001", "chat.localhost", "127.0.0.2", "[::1]:3001"])
    async def test_a_token_for_a_name_is_given_on_this_machine(self, strangers: People, host: str) -> None:
        url = strangers.url + "/api/auth/dev-token"
        answer = await request(strangers.http, "POST", url, {"name": "eve"}, headers={"Host": host})
        assert answer.status == 200

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("PUT", "/api/groups", 405),
            ("DELETE", "/api/groups", 405),
            ("TRACE", "/api/me", 405),
            ("HACK", "/api/me", 400),
            ("GET", "/api/nothing", 404),
            ("GET", "/nothing", 404),
            ("POST", "/", 405),
            ("GET", "/api/v2/me", 404),
            ("POST", "/health", 405),
        ],
    )
    async def test_other_methods_and_paths_are_problems_too(
        self, strangers: People, method: str, path: str, status: int
    ) -> None:
        eve = await strangers.person("eve")
        headers = {"Authorization": f"Bearer {eve.token}"}
        answer = await request(strangers.http, method, strangers.url + path, headers=headers)
        is_coded(answer)
        assert answer.status == status
        if status == 405:
            assert answer.headers["Allow"]

    @pytest.mark.parametrize(
        "head",
        [
            b"GET /api/me HTTP/1.1\r\nHost: x\r\nX-Big: " + b"x" * 40_000 + b"\r\n\r\n",
            b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            b"POST /api/groups HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
            b"POST /api/groups HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"GET /api/me HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n",
        ],
        ids=["large-header", "long-path", "version", "tls", "length", "smuggling", "name"],
    )
    async def test_what_is_no_http_of_ours_is_a_problem_and_ends_the_connection(
        self, strangers: People, head: bytes
    ) -> None:
        answer = await asyncio.to_thread(raw_answer, strangers.url, head)
        status_line, _, rest = answer.partition(b"\r\n")
        assert status_line.split(b" ")[1] in (b"400", b"431"), answer[:300]
        assert b"Traceback" not in answer
        assert b"application/problem+json" in rest.lower(), answer[:600]
        assert json.loads(answer.rpartition(b"\r\n\r\n")[2])["code"] in CODES

    async def test_a_header_of_odd_bytes_is_only_a_header(self, strangers: People) -> None:
        eve = await strangers.person("eve")
        head = (
            b"GET /api/me HTTP/1.1\r\nHost: x\r\nUser-Agent: \xff\xfe\xed\xa0\x80\r\nIdempotency-Key: \xff\r\n"
            b"Connection: close\r\nAuthorization: Bearer " + eve.token.encode() + b"\r\n\r\n"
        )
        assert b" 200 " in (await asyncio.to_thread(raw_answer, strangers.url, head)).split(b"\r\n")[0]
        devices = await eve.rest("GET", "/me/sessions")
        assert devices.status == 200


def raw_answer(url: str, head: bytes) -> bytes:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    with sockets.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(head)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
            if b"\r\n\r\n" in answer and _complete(answer):
                break
    return answer


def _complete(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(lengths) and len(body) >= int(lengths[0])


PIECES = ("alert(1)", "location.replace(1)", "fetch('//x.example')", "document.cookie")
FRAMES = (
    "<script>{}</script>", '"><script>{}</script>', "<img src=x onerror={}>", "<svg/onload={}>", "<a href={}>x</a>",
    "<iframe srcdoc='<script>{}</script>'>", "</textarea><script>{}</script>", "<b onmouseover={}>x</b>",
    "{{{{constructor.constructor('{}')()}}}}", "${{{}}}", "<style>@import'{}';</style>", "<math><mtext></math>{}",
    "<!--><script>{}</script>-->", "<object data={}>", "]]><script>{}</script>",
)  # fmt: skip
XSS = [frame.format(piece) for frame in FRAMES for piece in PIECES]


async def test_sixty_scripts_are_kept_as_text_and_served_as_json_only(strangers: People) -> None:
    assert len(set(XSS)) == 60
    ana, ben = await strangers.connected("ana", "ben")
    group = await ana.creates_group(ben, name=XSS[0][:100], description=XSS[1])
    for text in XSS:
        await ana.sends(group, text)
        await ben.receives("new_message", content=text)
    page = await ben.get(f"/messages/{group}", limit=60)
    assert [message["content"] for message in page["messages"]] == XSS
    assert page.headers["Content-Type"].startswith("application/json")
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    shown = await ben.group(group)
    assert (shown["name"], shown["description"]) == (XSS[0][:100], XSS[1])


async def test_a_refusal_never_repeats_what_was_sent_as_html(strangers: People) -> None:
    eve = await strangers.person("eve")
    for answer in (
        await eve.rest("GET", "/groups/<script>alert(1)</script>"),
        await eve.rest("POST", "/groups", {"<script>alert(1)</script>": 1}),
    ):
        is_coded(answer)


class TestFloods:
    async def test_many_wrong_tokens_end_in_coded_answers(self, strangers: People) -> None:
        tokens = ["", "x", "a.b.c", "x" * 9_000, "e30.e30.", "\u00e9", "null", "Bearer x"]
        for token in tokens:
            async with await Socket.open(strangers.http, strangers.url, {"token": token}) as socket:
                assert socket.connect_error is not None
                assert socket.connect_error["data"]["code"].startswith("token_")
        for auth in ([], "x", 1, {"token": {"$gt": ""}}, {"token": 5}):
            async with await Socket.open(strangers.http, strangers.url, auth) as socket:  # type: ignore[arg-type]
                if socket.connect_error is not None:
                    assert socket.connect_error["data"]["code"] in CODES

    async def test_a_flood_of_commands_of_one_client_leaves_others_their_answers(self, strangers: People) -> None:
        eve, ana = await strangers.connected("eve", "ana")
        group = await ana.creates_group()
        flood = asyncio.create_task(_flood(eve))
        for number in range(20):
            await ana.sends(group, f"m{number}")
        flood.cancel()
        await asyncio.gather(flood, return_exceptions=True)


async def _flood(eve: Person) -> None:
    for _ in range(3_000):
        await eve.socket.send_raw('42["get_online_users",{"groupId":"000000000000000000000000"}]')
