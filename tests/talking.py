"""People as the tests see them: they hold a token, speak REST, and connect with raw Socket.IO packets."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import aiohttp

SOON_SECONDS = 10.0
NO_GROUP = "0" * 24
Json = dict[str, Any]


class Refused(Exception):
    """An ack that says no; `error` is the failure as the client got it."""

    def __init__(self, error: Json):
        super().__init__(f"{error['code']}: {error['message']}")
        self.error = error
        self.code: str = error["code"]


@dataclass(frozen=True)
class Answer:
    """One HTTP response."""

    status: int
    body: Any
    headers: dict[str, str]
    raw: bytes

    @property
    def code(self) -> str | None:
        return self.body.get("code") if isinstance(self.body, dict) and self.status >= 400 else None

    def __getitem__(self, name: str) -> Any:
        return self.body[name]


class Socket:
    """One connection. What was pushed stays in `heard` until a test takes it with `receives`."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse):
        self._ws = ws
        self._acks: dict[int, asyncio.Future[Any]] = {}
        self._next_ack = 0
        self._news = asyncio.Condition()
        self.heard: list[tuple[str, Any]] = []
        self.sid = ""
        self.closed = False
        self.connect_error: Json | None = None
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, url: str, auth: Json | None = None) -> Self:
        ws = await http.ws_connect(f"{url}/socket.io/?EIO=4&transport=websocket", max_msg_size=0)
        socket = cls(ws)
        await ws.send_str("40" + (json.dumps(auth) if auth is not None else ""))
        await socket._until(lambda: bool(socket.sid) or socket.connect_error is not None or socket.closed)
        return socket

    async def _read(self) -> None:
        async for message in self._ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                await self._take(message.data)
        async with self._news:
            self.closed = True
            for waiting in self._acks.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionError("the connection was closed"))
                    waiting.exception()
            self._news.notify_all()

    async def _take(self, packet: str) -> None:
        if packet == "2":
            await self._ws.send_str("3")
            return
        async with self._news:
            if packet.startswith("40"):
                self.sid = json.loads(packet[2:])["sid"]
            elif packet.startswith("44"):
                self.connect_error = json.loads(packet[2:])
            elif packet.startswith("43"):
                start = packet.index("[")
                (answer,) = json.loads(packet[start:])
                self._acks.pop(int(packet[2:start])).set_result(answer)
            elif packet.startswith("42"):
                event, *rest = json.loads(packet[2:])
                self.heard.append((event, rest[0] if rest else None))
            self._news.notify_all()

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON_SECONDS), self._news:
            await self._news.wait_for(condition)

    async def send_raw(self, packet: str | bytes) -> None:
        await (self._ws.send_bytes(packet) if isinstance(packet, bytes) else self._ws.send_str(packet))

    async def ack(self, event: str, payload: Any = None) -> Json:
        """The whole acknowledgement, whatever it says."""
        number, self._next_ack = self._next_ack, self._next_ack + 1
        waiting = self._acks[number] = asyncio.get_running_loop().create_future()
        await self._ws.send_str(f"42{number}{json.dumps([event, payload])}")
        async with asyncio.timeout(SOON_SECONDS):
            answer: Json = await waiting
        return answer

    async def call(self, event: str, payload: Any = None, **fields: Any) -> Json:
        """The data of the acknowledgement. Raises Refused."""
        answer = await self.ack(event, fields if payload is None else payload)
        if not answer["ok"]:
            raise Refused(answer["error"])
        data: Json = answer["data"]
        return data

    async def refusal(self, event: str, payload: Any = None, **fields: Any) -> Json:
        """The error of a command that must be refused."""
        answer = await self.ack(event, fields if payload is None else payload)
        assert not answer["ok"], f"{event} was not refused: {answer}"
        error: Json = answer["error"]
        return error

    async def receives(self, event: str, **expected: Any) -> Json:
        """The first such event not taken yet whose fields are these; waits for it if need be."""

        def find() -> int | None:
            for index, (name, data) in enumerate(self.heard):
                if name == event and all(data.get(key) == value for key, value in expected.items()):
                    return index
            return None

        try:
            await self._until(lambda: find() is not None)
        except TimeoutError:
            raise AssertionError(f"no {event} {expected}; heard {self.heard}") from None
        index = find()
        assert index is not None
        data: Json = self.heard.pop(index)[1]
        return data

    async def hears_outcome(self, request_id: str, reply_event: str, error_event: str) -> str:
        """Of a slow command: "ok" once its reply is there, or the code of its refusal."""

        def outcome() -> str | None:
            for event, data in self.heard:
                if event in {reply_event, error_event} and data.get("requestId") == request_id:
                    return "ok" if event == reply_event else str(data["code"])
            return None

        await self._until(lambda: outcome() is not None)
        return outcome() or ""

    async def settled(self) -> list[str]:
        """Names of the events not taken yet, once all that was pushed until now has arrived: packets keep their order,
        so an answer asked for now comes after them. Presence comes by ticks and is left out."""
        await self.ack("sync", {"groups": [{"groupId": NO_GROUP, "since": 0}]})
        presence = {"user_online", "user_offline", "user_status_changed"}
        return [event for event, _ in self.heard if event not in presence]

    async def is_closed(self) -> None:
        await self._until(lambda: self.closed)

    def forget(self) -> None:
        self.heard.clear()

    async def close(self) -> None:
        await self._ws.close()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


@dataclass
class Person:
    """Somebody with a token. `socket` is the first connection, made at the first command over it."""

    name: str
    user_id: str
    token: str
    url: str
    http: aiohttp.ClientSession
    sockets: list[Socket] = field(default_factory=list)

    @property
    def socket(self) -> Socket:
        return self.sockets[0]

    async def connects(self, **auth: Any) -> Socket:
        """Signed in by the handshake, with `user_groups` heard."""
        socket = await Socket.open(self.http, self.url, {"token": self.token, **auth})
        assert socket.connect_error is None, socket.connect_error
        await socket.receives("authentication_success")
        await socket.receives("user_groups")
        self.sockets.append(socket)
        return socket

    async def leaves_the_line(self) -> None:
        while self.sockets:
            await self.sockets.pop().close()

    # --- REST

    async def rest(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """`path` starts with a slash and is taken under /api."""
        headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        return await request(self.http, method, f"{self.url}/api{path}", body, headers=headers, **more)

    async def get(self, path: str, **query: Any) -> Answer:
        params = {name: str(value) for name, value in query.items()}
        return _good(await self.rest("GET", path, params=params))

    async def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return _good(await self.rest("POST", path, {} if body is None else body, **more))

    async def patch(self, path: str, body: Any) -> Answer:
        return _good(await self.rest("PATCH", path, body))

    async def delete(self, path: str) -> Answer:
        return _good(await self.rest("DELETE", path))

    # --- in the domain's words

    async def creates_group(self, *members: "Person", **fields: Any) -> str:
        """The id of a new group; the members are added by name."""
        created = await self.post("/groups", {"name": "Garden"} | fields)
        group_id: str = created["_id"]
        for member in members:
            await self.adds(member, group_id)
        return group_id

    async def adds(self, other: "Person", group_id: str, role: str | None = None) -> None:
        await self.post(f"/groups/{group_id}/members", {"userId": other.user_id})
        if role is not None:
            await self.patch(f"/groups/{group_id}/members/{other.user_id}", {"role": role})

    async def sends(self, group_id: str, content: str = "hello", **fields: Any) -> Json:
        return await self.socket.call("send_message", {"groupId": group_id, "content": content} | fields)

    async def posts(self, group_id: str, content: str = "hello", **fields: Any) -> Json:
        body: Json = (await self.post("/messages", {"groupId": group_id, "content": content} | fields)).body
        return body

    async def reads(self, group_id: str, **query: Any) -> list[Json]:
        """The newest page of messages, oldest first."""
        messages: list[Json] = (await self.get(f"/messages/{group_id}", **query))["messages"]
        return messages

    async def group(self, group_id: str) -> Json:
        body: Json = (await self.get(f"/groups/{group_id}")).body
        return body

    async def syncs(self, group_id: str, since: int = 0) -> Json:
        answer = await self.socket.call("sync", {"groups": [{"groupId": group_id, "since": since}]})
        synced: Json = answer["groups"][0]
        return synced

    async def receives(self, event: str, **expected: Any) -> Json:
        return await self.socket.receives(event, **expected)


def _good(answer: Answer) -> Answer:
    assert answer.status < 400, (answer.status, answer.body)
    return answer


async def request(http: aiohttp.ClientSession, method: str, url: str, body: Any = None, **more: Any) -> Answer:
    if body is not None:
        more["json"] = body
    timeout = aiohttp.ClientTimeout(total=SOON_SECONDS)
    async with http.request(method, url, timeout=timeout, **more) as response:
        raw = await response.read()
        try:
            parsed = json.loads(raw) if raw else None
        except ValueError:
            parsed = None
        return Answer(response.status, parsed, dict(response.headers), raw)


class People:
    """Makes fresh people on one server and hangs up for them at the end."""

    def __init__(self, url: str, http: aiohttp.ClientSession):
        self.url = url
        self.http = http
        self._all: list[Person] = []

    async def person(self, name: str) -> Person:
        """Somebody new with this name in front."""
        full = f"{name}-{uuid4().hex[:10]}"
        issued = await request(self.http, "POST", f"{self.url}/api/auth/dev-token", {"name": full})
        person = Person(full, issued["userId"], issued["token"], self.url, self.http)
        # The first request makes the account, so that others can add this person.
        await person.get("/me")
        self._all.append(person)
        return person

    async def persons(self, *names: str) -> list[Person]:
        return list(await asyncio.gather(*(self.person(name) for name in names)))

    async def connected(self, *names: str) -> list[Person]:
        people = await self.persons(*names)
        for person in people:
            await person.connects()
        return people

    async def close(self) -> None:
        for person in self._all:
            await person.leaves_the_line()


async def eventually(condition: Callable[[], Any]) -> None:
    """Fails only if the condition does not come true within seconds; returns as soon as it does."""
    async with asyncio.timeout(SOON_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)
