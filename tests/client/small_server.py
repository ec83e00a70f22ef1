"""A server of one process and no database that speaks the wire contract: for faults that the real one does not show.

It keeps each group's log in a list. `faults` says what goes wrong; everything else goes right.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from aiohttp import WSMsgType, web

Reply = dict[str, Any]


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


@dataclass
class Faults:
    """What goes wrong, each until set back."""

    cut_before_ack: int = 0  # sends that are stored, then the connection breaks before the ack
    silent_pushes: int = 0  # log pushes that never arrive
    repeated_pushes: bool = False
    reversed_pushes: bool = False  # every two pushes swapped
    forget_before: int = 0  # `sync` from before this place asks for a resync
    stale_groups: int = 0  # `user_groups` knows so many places less of each log
    refuse_sends: list[Reply] = field(default_factory=list)
    refuse_connects: list[Reply] = field(default_factory=list)
    refuse_tokens: set[str] = field(default_factory=set)


class SmallServer:
    def __init__(self) -> None:
        self.faults = Faults()
        self.url = ""
        self.groups: dict[str, Reply] = {}
        self.logs: dict[str, list[Reply]] = {}
        self.members: dict[str, dict[str, int]] = {}
        self.receipts: dict[tuple[str, str], Reply] = {}
        self.sockets: dict[web.WebSocketResponse, str] = {}
        self.connects = 0
        self.syncs = 0
        self.tokens_seen: list[str] = []
        self._held: list[tuple[web.WebSocketResponse, str, Any]] = []

    def add_group(self, name: str, *people: str) -> str:
        group_id = secrets.token_hex(12)
        settings = {"ai": True, "moderation": "fast", "slowModeSeconds": 0, "historyForNewMembers": "all"}
        self.groups[group_id] = {
            "_id": group_id, "name": name, "description": "", "kind": "group", "joinPolicy": "open",
            "settings": settings, "createdBy": people[0], "createdAt": now(), "updatedAt": now(),
        }  # fmt: skip
        self.logs[group_id] = []
        self.members[group_id] = dict.fromkeys(people, 0)
        return group_id

    def card(self, user_id: str) -> Reply:
        return {"userId": user_id, "name": user_id}

    def group(self, group_id: str) -> Reply:
        count, latest = len(self.members[group_id]), len(self.logs[group_id])
        return {**self.groups[group_id], "memberCount": count, "latestSeq": latest, "role": "member", "unread": 0}

    def messages(self, group_id: str) -> list[Reply]:
        found: dict[str, Reply] = {}
        for entry in self.logs[group_id]:
            data = entry["data"]
            if entry["event"] == "new_message":
                found[data["_id"]] = dict(data)
            elif entry["event"] == "message_updated":
                found[data["message"]["_id"]] = dict(data["message"])
            elif entry["event"] == "message_deleted":
                found[data["messageId"]] |= {"isDeleted": True, "content": ""}
            elif entry["event"] == "reaction_changed":
                counts = found[data["messageId"]].get("reactions", {}) | {data["emoji"]: data["count"]}
                found[data["messageId"]]["reactions"] = {emoji: n for emoji, n in counts.items() if n}
        return sorted(found.values(), key=lambda message: message["seq"])

    async def append(self, group_id: str, event: str, data: Reply, skip: web.WebSocketResponse | None = None) -> Reply:
        data |= {"groupId": group_id, "seq": len(self.logs[group_id]) + 1}
        self.logs[group_id].append({"seq": data["seq"], "event": event, "data": data})
        if self.faults.silent_pushes:
            self.faults.silent_pushes -= 1
            return data
        for socket, user_id in list(self.sockets.items()):
            if user_id in self.members[group_id] and socket is not skip:
                await self._push(socket, event, data)
        return data

    async def _push(self, socket: web.WebSocketResponse, event: str, data: Reply) -> None:
        if self.faults.reversed_pushes:
            self._held.append((socket, event, data))
            if len(self._held) < 2:
                return
            for held in reversed(self._held):
                await emit(*held)
            self._held.clear()
            return
        await emit(socket, event, data)
        if self.faults.repeated_pushes:
            await emit(socket, event, data)

    async def write(self, group_id: str, sender: str, content: str, **more: Any) -> Reply:
        message = {
            "_id": secrets.token_hex(12), "senderId": sender, "sender": self.card(sender), "content": content,
            "type": "text", "n": len(self.logs[group_id]) + 1, "aiModerated": False, "isDeleted": False,
            "createdAt": now(), "updatedAt": now(),
        }  # fmt: skip
        skip = more.pop("skip", None)
        return await self.append(group_id, "new_message", message | more, skip)

    async def cut_all(self) -> None:
        for socket in list(self.sockets):
            del self.sockets[socket]
            cut(socket)

    async def socket_io(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        terms = {"sid": "e1", "upgrades": [], "pingInterval": 25000, "pingTimeout": 60000, "maxPayload": 65536}
        await socket.send_str(f"0{orjson.dumps(terms).decode()}")
        try:
            async for frame in socket:
                if frame.type is not WSMsgType.TEXT or frame.data == "41":
                    break
                await self._frame(socket, frame.data)
        finally:
            self.sockets.pop(socket, None)
        return socket

    async def _frame(self, socket: web.WebSocketResponse, frame: str) -> None:
        if frame.startswith("40"):
            await self._connect(socket, orjson.loads(frame[2:])["token"])
        elif frame.startswith("42"):
            start = frame.index("[")
            event, payload = orjson.loads(frame[start:])
            ack = await self._command(socket, self.sockets[socket], event, payload)
            if frame[2:start] and ack is not None:
                await socket.send_str(f"43{frame[2:start]}{orjson.dumps([ack]).decode()}")

    async def _connect(self, socket: web.WebSocketResponse, token: str) -> None:
        self.tokens_seen.append(token)
        if token in self.faults.refuse_tokens:
            data = {"error": "The token has expired", "code": "token_expired"}
            await socket.send_str(f"44{orjson.dumps({'message': 'refused', 'data': data}).decode()}")
            return
        if self.faults.refuse_connects:
            data = self.faults.refuse_connects.pop(0)
            await socket.send_str(f"44{orjson.dumps({'message': 'refused', 'data': data}).decode()}")
            return
        self.connects += 1
        user_id = token.partition(":")[0]
        self.sockets[socket] = user_id
        await socket.send_str('40{"sid":"s1"}')
        expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        welcome = {"user": self.card(user_id), "sessionId": "one", "expiresAt": expires}
        await emit(socket, "authentication_success", welcome)
        mine = [self.group(group_id) for group_id, members in self.members.items() if user_id in members]
        for group in mine:
            group["latestSeq"] = max(group["latestSeq"] - self.faults.stale_groups, 0)
        await emit(socket, "user_groups", {"groups": mine})

    async def _command(self, socket: web.WebSocketResponse, caller: str, event: str, payload: Reply) -> Reply | None:
        group_id = payload.get("groupId", "")
        match event:
            case "send_message":
                return await self._send(socket, caller, payload)
            case "sync":
                self.syncs += 1
                return done({"groups": [self._synced(**point) for point in payload["groups"]]})
            case "edit_message":
                old = next(message for message in self.messages(group_id) if message["_id"] == payload["messageId"])
                message = old | {"content": payload["content"], "updatedAt": now()}
                await self.append(group_id, "message_updated", {"messageSeq": old["seq"], "message": message})
            case "delete_message":
                data = {"messageId": payload["messageId"], "messageSeq": 1, "deletedBy": caller}
                await self.append(group_id, "message_deleted", data)
            case "add_reaction":
                data = {"messageId": payload["messageId"], "emoji": payload["emoji"], "userId": caller, "count": 1}
                await self.append(group_id, "reaction_changed", data)
            case "get_group_members":
                common = {"role": "member", "joinedAt": now(), "isOnline": True, "readSeq": 0}
                people = [common | {"userId": user, "user": self.card(user)} for user in self.members[group_id]]
                return done({"groupId": group_id, "members": people, "onlineMembers": []})
            case "authenticate":
                self.tokens_seen.append(payload["token"])
            case _:
                return {"ok": False, "error": {"code": "unknown_event", "message": event}}
        return done({})

    async def _send(self, socket: web.WebSocketResponse, caller: str, payload: Reply) -> Reply | None:
        if self.faults.refuse_sends:
            return {"ok": False, "error": self.faults.refuse_sends.pop(0)}
        key = (caller, payload["tempId"])
        if key in self.receipts:
            return done(self.receipts[key] | {"duplicate": True})
        message = await self.write(payload["groupId"], caller, payload["content"], skip=socket)
        receipt = {
            "tempId": payload["tempId"], "messageId": message["_id"], "groupId": payload["groupId"],
            "seq": message["seq"], "createdAt": message["createdAt"], "duplicate": False,
        }  # fmt: skip
        self.receipts[key] = receipt
        if self.faults.cut_before_ack:
            self.faults.cut_before_ack -= 1
            cut(socket)
            return None
        return done(receipt)

    def _synced(self, groupId: str, since: int) -> Reply:  # noqa: N803
        log = self.logs[groupId]
        resync = since < self.faults.forget_before
        events = [] if resync else log[since : since + 200]
        return {
            "groupId": groupId, "events": events, "latestSeq": len(log), "resyncRequired": resync,
            "hasMore": not resync and len(log) > since + 200,
        }  # fmt: skip

    async def history(self, request: web.Request) -> web.Response:
        group_id = request.match_info["group_id"]
        before, limit = int(request.query.get("before", 2**53)), int(request.query.get("limit", 50))
        found = [message for message in self.messages(group_id) if message["seq"] < before]
        page = {"messages": found[-limit:], "latestSeq": len(self.logs[group_id]), "hasMore": len(found) > limit}
        return web.json_response(page)


def done(data: Reply) -> Reply:
    return {"ok": True, "data": data}


async def emit(socket: web.WebSocketResponse, event: str, data: Any) -> None:
    with suppress(ConnectionError):
        await socket.send_str(f"42{orjson.dumps([event, data]).decode()}")


def cut(socket: web.WebSocketResponse) -> None:
    """As a cable that is pulled out: no goodbye."""
    transport = socket._req.transport if socket._req is not None else None
    if transport is not None:
        transport.abort()


@asynccontextmanager
async def small_server() -> AsyncIterator[SmallServer]:
    server = SmallServer()
    app = web.Application()
    app.router.add_get("/socket.io/", server.socket_io)
    app.router.add_get("/api/messages/{group_id}", server.history)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await server.cut_all()
        await runner.cleanup()
