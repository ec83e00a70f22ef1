"""Walks the whole table over both transports, and every pair of my group with somebody else's message."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pytest

from chatcore.api import COMMANDS, Command
from tests.authorization.table import (
    ACTORS,
    BYTE_ROUTES,
    COMMAND_ROWS,
    OTHER_ROUTES,
    RANKS,
    STRANGERS,
    ByteRoute,
    Route,
    Row,
)
from tests.media.library import a_form, uploaded
from tests.media.pictures import flag, saved
from tests.talking import People, Person, Socket, request

BY_NAME = {command.name: command for command in COMMANDS}
PICTURE = saved(flag((40, 30)), "PNG")
OPENAPI = Path(__file__).parent.parent.parent / "chatcore" / "reference" / "openapi.json"


@dataclass
class World:
    """One person of each kind, and groups in which they are what their name says."""

    cast: dict[str, Person]
    facts: dict[str, str] = field(default_factory=dict)

    async def make_groups(self, names: dict[str, str]) -> None:
        """`group` takes people by invitation, `open` anybody; the message is Vic's."""
        owner, vic = self.cast["owner"], self.cast["vic"]
        for name, policy in names.items():
            group = self.facts[name] = await owner.creates_group(joinPolicy=policy)
            ranked = [owner.adds(self.cast[role], group, role) for role in ("moderator", "admin")]
            plain = [owner.adds(self.cast[member], group) for member in ("member", "vic", "former", "banned")]
            await asyncio.gather(*ranked, *plain)
            await self.cast["former"].post(f"/groups/{group}/leave")
            await owner.post(f"/groups/{group}/bans", {"userId": self.cast["banned"].user_id})
        self.facts["message"] = (await vic.posts(self.facts["group"]))["_id"]

    async def prepare(self, row: Row, actor: str) -> None:
        """What only some rows need."""
        wanted = json.dumps(row.fields)
        if "{own}" in wanted:
            author = self.cast[actor if actor in RANKS else "vic"]
            self.facts["own"] = (await author.posts(self.facts["group"]))["_id"]
        if "{code}" in wanted:
            self.facts["code"] = (await self.cast["owner"].post(f"/groups/{self.facts['group']}/invites"))["code"]
        await self._prepare_media(wanted, actor)
        for name, whose in (("own_session", actor), ("vics_session", "vic")):
            if f"{{{name}}}" in wanted and whose in self.cast:
                devices = (await self.cast[whose].get("/me/sessions"))["sessions"]
                self.facts[name] = next(device["sessionId"] for device in devices if device["current"])

    async def _prepare_media(self, wanted: str, actor: str) -> None:
        vic, group = self.cast["vic"], self.facts["group"]
        if "{media}" in wanted:
            self.facts["media"] = (await uploaded(vic, group, PICTURE))["_id"]
            await vic.posts(group, "", type="image", mediaId=self.facts["media"])
        if "{unsent}" in wanted:
            self.facts["unsent"] = (await uploaded(vic, group, b"a file"))["_id"]
        if "{own_media}" in wanted:
            author = self.cast[actor if actor in RANKS else "vic"]
            self.facts["own_media"] = (await uploaded(author, group, b"a file"))["_id"]

    def filled(self, value: Any, actor: str) -> Any:
        if isinstance(value, dict):
            return {key: self.filled(item, actor) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item, actor) for item in value]
        if isinstance(value, str) and value.startswith("{"):
            name = value[1:-1]
            if name == "self":
                return self.cast[actor].user_id if actor in self.cast else "somebody"
            return self.cast[name].user_id if name in self.cast else self.facts.get(name, "0" * 24)
        return value


async def a_world(people: People) -> World:
    names = [*ACTORS[1:], "vic", "newcomer"]
    return World(dict(zip(names, await people.persons(*names), strict=True)))


def code_of(ack: dict[str, Any]) -> str:
    """ "ok", or why not; `sync` says it for each group."""
    if not ack["ok"]:
        return str(ack["error"]["code"])
    (point,) = ack["data"].get("groups") or [{}]
    return str(point.get("error", "ok")) if "events" in point else "ok"


async def over_rest(people: People, command: Command, fields: dict[str, Any], person: Person | None) -> str:
    assert command.rest is not None
    body = dict(fields)
    path = command.rest.path
    for name in list(body):
        if f"{{{name}}}" in path:
            path = path.replace(f"{{{name}}}", str(body.pop(name)))
    headers = {"Authorization": f"Bearer {person.token}"} if person else {}
    if command.rest.method == "GET":
        more: dict[str, Any] = {"params": {key: str(value) for key, value in body.items()}}
        body_sent = None
    else:
        more, body_sent = {}, body
    url = f"{people.url}/api{path}"
    answer = await request(people.http, command.rest.method, url, body_sent, headers=headers, **more)
    if answer.status < 400:
        assert answer.status == command.rest.status
        return "ok"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer["correlationId"]
    return str(answer.code)


async def over_socket(command: Command, fields: dict[str, Any], person: Person) -> str:
    async with await Socket.open(person.http, person.url, {"token": person.token}) as socket:
        assert command.event is not None
        ack = await socket.ack(command.event, fields)
        if not command.slow or not ack["ok"]:
            return code_of(ack)
        assert command.reply_event is not None
        return await socket.hears_outcome(ack["data"]["requestId"], command.reply_event, command.error_event)


def test_every_command_stands_in_the_table() -> None:
    assert {row.command for row in COMMAND_ROWS} == set(BY_NAME)


def test_every_row_tells_the_outcome_for_everybody() -> None:
    for row in COMMAND_ROWS:
        assert set(row.outcomes) == set(ACTORS), row.name


def test_every_other_route_stands_in_the_table() -> None:
    """The reference lists what the server answers; what no command makes is written by hand."""
    said = json.loads(OPENAPI.read_text())["paths"]
    listed = {(method.upper(), path) for path, methods in said.items() for method in methods}
    made = {(c.rest.method, f"/api{c.rest.path}") for c in COMMANDS if c.rest is not None}
    by_hand = {(route.method, route.path) for route in (*OTHER_ROUTES, *BYTE_ROUTES)}

    def shape(routes: set[tuple[str, str]]) -> set[tuple[str, str]]:
        return {(m, "/".join("{}" if part.startswith("{") else part for part in p.split("/"))) for m, p in routes}

    assert shape(listed) == shape(made | by_hand)


@pytest.mark.parametrize("row", COMMAND_ROWS, ids=lambda row: row.name)
async def test_each_caller_gets_what_the_table_says_over_both_transports(people: People, row: Row) -> None:
    command = BY_NAME[row.command]
    policies = {"group": "invite"} | ({"open": "open"} if "{open}" in json.dumps(row.fields) else {})
    found: dict[str, dict[str, str]] = {}
    for transport in (["rest"] if command.rest else []) + (["socket"] if command.event else []):
        world, found[transport] = await a_world(people), {}
        await world.make_groups(policies)
        for actor in ACTORS if transport == "rest" else ACTORS[1:]:  # nobody hears an anonymous socket: see below
            await world.prepare(row, actor)
            fields, person = world.filled(row.fields, actor), world.cast.get(actor)
            if transport == "rest":
                found[transport][actor] = await over_rest(people, command, fields, person)
            else:
                assert person is not None
                found[transport][actor] = await over_socket(command, fields, person)
            if found[transport][actor] == "ok" and row.changes:
                await world.make_groups(policies)
    for outcomes in found.values():
        assert outcomes == {actor: row.outcomes[actor] for actor in outcomes}
    assert found


@pytest.mark.parametrize("route", BYTE_ROUTES, ids=lambda route: route.name)
async def test_bytes_are_for_whom_the_table_says(people: People, route: ByteRoute) -> None:
    world, found = await a_world(people), {}
    await world.make_groups({"group": "invite"})
    await world._prepare_media(route.path, "owner")
    for actor in ACTORS:
        headers = {"Authorization": f"Bearer {world.cast[actor].token}"} if actor in world.cast else {}
        more: dict[str, Any] = {"data": a_form(b"a file", world.facts["group"])} if route.method == "POST" else {}
        url = people.url + route.path.format(media=world.facts.get("media"))
        answer = await request(people.http, route.method, url, headers=headers, **more)
        found[actor] = "ok" if answer.status < 400 else answer.code
    assert found == route.outcomes


async def test_an_anonymous_connection_is_heard_by_no_command(people: People) -> None:
    world = await a_world(people)
    await world.make_groups({"group": "invite"})
    watcher = await world.cast["owner"].connects()
    await watcher.settled()
    watcher.forget()
    async with await Socket.open(people.http, people.url) as socket:
        for row in COMMAND_ROWS:
            if event := BY_NAME[row.command].event:
                await socket.send_raw("421" + json.dumps([event, world.filled(row.fields, "anonymous")]))
        refused = await socket.ack("authenticate", {"token": "not a token"})
        assert refused["error"]["code"] == "token_invalid"
        assert [event for event, _ in socket.heard] == ["authentication_error"]
    assert await watcher.settled() == []


@pytest.mark.parametrize("actor", ["anonymous", "outsider"])
@pytest.mark.parametrize("route", OTHER_ROUTES, ids=lambda route: route.path)
async def test_routes_by_hand_answer_everybody_alike(people: People, route: Route, actor: str) -> None:
    headers = {"Authorization": f"Bearer {(await people.person('eve')).token}"} if actor == "outsider" else {}
    answer = await request(people.http, route.method, people.url + route.path, route.body, headers=headers)
    assert (answer.status, answer.code) == (route.status, route.code)


async def test_metrics_are_for_those_who_hold_their_token(people: People) -> None:
    answer = await request(people.http, "GET", f"{people.url}/metrics", headers={"Authorization": "Bearer scrape"})
    assert answer.status == 200
    assert b"chatcore_" in answer.raw


class TestCrossPairs:
    """Everything that names a group and a message, with a message of a group that the caller may not see."""

    NAMING = tuple(
        row
        for row in COMMAND_ROWS
        if "messageId" in row.fields or "messageIds" in row.fields or row.command in ("send_message", "post_message")
    )

    @staticmethod
    def _crossed(row: Row, fields: dict[str, Any], foreign: str) -> dict[str, Any]:
        if "messageIds" in fields:
            return fields | {"messageIds": [*fields["messageIds"], foreign]}
        return fields | {"messageId" if "messageId" in fields else "replyTo": foreign}

    @pytest.mark.parametrize("row", NAMING, ids=lambda row: row.name)
    async def test_my_group_and_their_message_is_not_found(self, people: People, row: Row) -> None:
        world, stranger = await a_world(people), await people.person("stranger")
        await world.make_groups({"group": "invite"})
        await world.prepare(row, "owner")
        foreign = (await stranger.posts(await stranger.creates_group(), "not yours"))["_id"]
        fields = self._crossed(row, world.filled(row.fields, "owner"), foreign)
        owner, command = world.cast["owner"], BY_NAME[row.command]
        found = []
        if command.event:
            found.append(await over_socket(command, fields, owner))
        if command.rest:
            found.append(await over_rest(people, command, fields, owner))
        assert set(found) == {"not_found"}
        kept = (await request(people.http, "GET", f"{people.url}/api/messages/{foreign}/receipts",
                              headers={"Authorization": f"Bearer {stranger.token}"})).body  # fmt: skip
        assert kept["readBy"] == []

    @pytest.mark.parametrize("method", ["PATCH", "DELETE", "GET"])
    async def test_a_message_one_may_not_see_looks_the_same_as_none(self, people: People, method: str) -> None:
        ana, eve = await people.persons("ana", "eve")
        there = (await ana.posts(await ana.creates_group()))["_id"]
        told = []
        for message in (there, "0" * 24):
            path = f"/messages/{message}/receipts" if method == "GET" else f"/messages/{message}"
            answer = await eve.rest(method, path, {"content": "x"} if method == "PATCH" else None)
            told.append({key: value for key, value in answer.body.items() if key != "correlationId"})
        assert told[0] == told[1]
        assert told[0]["code"] == "not_found"

    @pytest.mark.parametrize("actor", STRANGERS)
    async def test_nothing_that_a_stranger_tries_is_told_to_the_group(self, people: People, actor: str) -> None:
        world = await a_world(people)
        await world.make_groups({"group": "invite"})
        watcher = await world.cast["owner"].connects()
        await watcher.settled()
        watcher.forget()
        for row in COMMAND_ROWS:
            command = BY_NAME[row.command]
            if row.outcomes[actor] == "not_found" and command.event:
                await world.prepare(row, actor)
                await over_socket(command, world.filled(row.fields, actor), world.cast[actor])
        assert not {"user_typing", "message_read", "member_joined"} & set(await watcher.settled())


def test_error_events_are_of_the_four_kinds() -> None:
    kinds = set(get_args(Command.__annotations__["error_event"]))
    assert {command.error_event for command in COMMANDS} <= kinds
