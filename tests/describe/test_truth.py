"""What the running server really sends fits what the references say."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import socketio
from aiohttp import ClientSession
from jsonschema import Draft202012Validator

from chatcore.describe.asyncapi import asyncapi
from chatcore.describe.openapi import openapi
from tests.servers import ServerInThread

ASYNCAPI, OPENAPI = asyncapi(), openapi()


def check_message(name: str, payload: object) -> None:
    schema = ASYNCAPI["components"]["messages"][name]["payload"]
    Draft202012Validator({**schema, "components": ASYNCAPI["components"]}).validate(payload)


class Person:
    """A stock Socket.IO client that checks everything it hears against the reference."""

    def __init__(self) -> None:
        self.socket = socketio.AsyncClient(reconnection=False)
        self.heard: dict[str, list[Any]] = {}
        self.faults: list[str] = []
        self.socket.on("*", self._hear)

    async def _hear(self, event: str, data: Any) -> None:
        self.heard.setdefault(event, []).append(data)
        try:
            check_message(event, data)
        except Exception as error:  # noqa: BLE001 - told by the test, not lost in the client's task
            self.faults.append(f"{event}: {error}")

    async def ask(self, event: str, **payload: Any) -> Any:
        answer = await self.socket.call(event, payload, timeout=20)
        check_message(f"{event}.ack" if answer["ok"] else "refused", answer)
        if not answer["ok"]:
            assert answer["error"]["code"] in ASYNCAPI["operations"][event]["x-error-codes"]
        return answer

    async def hears(self, event: str) -> Any:
        async with asyncio.timeout(20):
            while event not in self.heard:
                await asyncio.sleep(0.02)
        return self.heard[event][-1]


Asking = Callable[..., Awaitable[Any]]


def http(session: ClientSession) -> Asking:
    """Asks over HTTP and checks status and body against the reference."""

    async def ask(method: str, template: str, *path: str, token: str = "", body: Any = None) -> Any:
        operation = OPENAPI["paths"][template][method]
        parts = iter(path)
        place = "/".join(next(parts) if part.startswith("{") else part for part in template.split("/"))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with session.request(method, place, json=body, headers=headers) as answer:
            data = await answer.json(content_type=None)
            described = operation["responses"][str(answer.status)]
            if "$ref" in described:
                described = OPENAPI["components"]["responses"][described["$ref"].rsplit("/", 1)[1]]
                assert data["code"] in described["content"]["application/problem+json"]["examples"]
            schema = described["content"][answer.content_type]["schema"]
            Draft202012Validator({**schema, "components": OPENAPI["components"]}).validate(data)
            return data

    return ask


async def test_a_conversation_fits_the_references(server: ServerInThread) -> None:
    async with ClientSession(server.url) as session:
        ask = http(session)
        ada = await ask("post", "/api/auth/dev-token", body={"name": "reference-ada"})
        bob = await ask("post", "/api/auth/dev-token", body={"name": "reference-bob"})
        mine = {"token": ada["token"]}
        group = await ask("post", "/api/groups", body={"name": "References", "joinPolicy": "open"}, **mine)
        one, two = Person(), Person()
        for person, signed in ((one, ada), (two, bob)):
            await person.socket.connect(server.url, auth={"token": signed["token"]}, transports=["websocket"])
            await person.hears("user_groups")
        try:
            await talk(one, two, group["_id"], bob["userId"])
            await look(ask, group["_id"], ada["userId"], bob["userId"], mine)
        finally:
            for person in (one, two):
                await person.socket.disconnect()
    assert one.faults + two.faults == []


async def talk(one: Person, two: Person, group_id: str, bob: str) -> None:
    place = {"groupId": group_id}
    for person in (one, two):
        assert (await person.ask("join_group", **place))["ok"]
        await person.hears("group_joined")
    await one.hears("member_joined")
    sent = await one.ask("send_message", **place, content="Shall we meet at ten?", tempId="t1")
    message = {**place, "messageId": sent["data"]["messageId"]}
    await two.hears("new_message")
    await one.hears("message_sent")
    for asked in (
        two.ask("add_reaction", **message, emoji="👍"),
        two.ask("mark_message_read", **message),
        one.ask("mark_messages_read", **place, upToSeq=1),
        one.ask("pin_message", **message),
        one.ask("edit_message", **message, content="At eleven?"),
        two.ask("report_message", **message, reason="Advertising"),
        two.ask("typing_start", **place),
        two.ask("typing_stop", **place),
        two.ask("change_status", status="away"),
        one.ask("get_group_members", **place),
        one.ask("get_online_users", **place),
        one.ask("unpin_message", **message),
        two.ask("remove_reaction", **message, emoji="👍"),
        one.ask("delete_message", **message),
    ):
        answer = await asked
        assert answer["ok"], answer
    for event in (
        "reaction_changed",
        "message_read",
        "pins_changed",
        "message_updated",
        "message_deleted",
        "user_typing",
    ):
        await one.hears(event)
    synced = await one.ask("sync", groups=[{**place, "since": 0}])
    assert {event["event"] for event in synced["data"]["groups"][0]["events"]} >= {"new_message", "pins_changed"}
    refused = [
        await one.ask("send_message", **place, content=" "),
        await two.ask("edit_message", **message, content="no"),
        await two.ask("pin_message", **message),
        await one.ask("join_group", groupId="0" * 24),
        await one.ask("change_status", status="gone"),
        await one.ask("typing_start", **place, userId=bob),
    ]
    assert not any(answer["ok"] for answer in refused)
    for event in ("message_error", "group_error", "error"):
        await one.hears(event)
    await two.ask("leave_group", **place, membership=True)
    await one.hears("member_left")


async def look(ask: Asking, group_id: str, ada: str, bob: str, mine: dict[str, str]) -> None:
    await ask("post", "/api/messages", body={"groupId": group_id, "content": "Over HTTP"}, **mine)
    await ask("get", "/api/messages/{id}", group_id, **mine)
    for path in ("pins", "members", "bans"):
        await ask("get", f"/api/groups/{{groupId}}/{path}", group_id, **mine)
    await ask("get", "/api/groups/{id}", group_id, **mine)
    await ask("get", "/api/groups/{id}", ada, **mine)
    await ask("patch", "/api/groups/{id}", group_id, body={"description": "All of them"}, **mine)
    await ask("post", "/api/groups/{groupId}/members", group_id, body={"userId": bob}, **mine)
    await ask("patch", "/api/groups/{groupId}/members/{userId}", group_id, bob, body={"role": "moderator"}, **mine)
    await ask("post", "/api/groups/{groupId}/invites", group_id, body={}, **mine)
    await ask("post", "/api/direct-messages", body={"userId": bob}, **mine)
    for path in ("/api/groups", "/api/me", "/api/me/sessions", "/api/me/export", "/health/ready", "/info", "/health"):
        await ask("get", path, **mine)
    await ask("get", "/api/directory/users", **mine)
    await ask("get", "/api/me")  # refused: no token
    await ask("get", "/api/groups/{id}", "f" * 24, **mine)
    await ask("post", "/api/groups", body={"name": ""}, **mine)
    await ask("post", "/api/groups", body={"name": "x", "owner": bob}, **mine)
    await ask("delete", "/api/groups/{groupId}/bans/{userId}", group_id, bob, **mine)
    await ask("delete", "/api/groups/{id}", group_id, **mine)
