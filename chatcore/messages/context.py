"""Conversations as AI features read them: the caller's own view, asked for anew each time."""

from collections.abc import Sequence
from datetime import datetime

from chatcore.ai.context import GroupFacts, Line
from chatcore.contract.messages import History, Message
from chatcore.errors import NotFound
from chatcore.groups.permissions import allows
from chatcore.groups.records import Room
from chatcore.groups.rendering import Rendering
from chatcore.groups.service import Groups
from chatcore.journal.store import JournalStore
from chatcore.messages.history import LogReader
from chatcore.ports import Caller

PAGE = 100


class MemberView:
    """Implements `Conversations` on groups, journal and vault."""

    def __init__(self, *, journal: JournalStore, groups: Groups, rendering: Rendering):
        self._journal = journal
        self._groups = groups
        self._rendering = rendering
        self._pages = LogReader(journal, groups.rooms, rendering)

    async def facts(self, caller: Caller, group_id: str) -> GroupFacts:
        return self._facts(await self._groups.require(caller, "message.read", group_id), caller)

    async def groups_of(self, caller: Caller) -> list[GroupFacts]:
        return [self._facts(room, caller) for room in await self._groups.rooms_of(caller.user_id)]

    async def recent(self, caller: Caller, group_id: str, limit: int, *, before: int | None = None) -> list[Line]:
        return await self._newest(caller, group_id, limit, before=before, start=None)

    async def since(self, caller: Caller, group_id: str, start: datetime, limit: int) -> list[Line]:
        return await self._newest(caller, group_id, limit, before=None, start=start)

    async def by_ids(self, caller: Caller, message_ids: Sequence[str]) -> list[Line]:
        rows = await self._journal.by_ids(message_ids)
        readable = []
        for message_id in message_ids:
            row = rows.get(message_id)
            if row is None or not row.shown:
                continue
            try:
                room = await self._groups.require(caller, "message.read", row.group_id)
            except NotFound:
                continue
            if allows(room, caller.user_id, "message.read") and row.seq > room.floor(caller.user_id):
                readable.append(row)
        return _lines(await self._rendering.messages(readable))

    async def _newest(
        self, caller: Caller, group_id: str, limit: int, *, before: int | None, start: datetime | None
    ) -> list[Line]:
        room = await self._groups.require(caller, "message.read", group_id)
        found: list[Line] = []
        more = True
        while more and len(found) < limit:
            request = History(group_id=group_id, before=before, limit=PAGE)
            rows, more = await self._pages.page(room, room.floor(caller.user_id), request)
            if not rows:
                break
            before = rows[0].seq
            lines = _lines(await self._rendering.messages(rows))
            found = [line for line in lines if start is None or line.at >= start] + found
            if start is not None and rows[0].created_at < start:
                break
        return found[-limit:] if limit else []

    def _facts(self, room: Room, caller: Caller) -> GroupFacts:
        return GroupFacts(
            group_id=room.id,
            ai=room.record.settings.ai,
            moderation=room.record.settings.moderation,
            floor=room.floor(caller.user_id),
            latest_seq=self._groups.rooms.head(room.id).seq,
            member_count=len(room.members),
        )


def _lines(messages: Sequence[Message]) -> list[Line]:
    return [
        Line(
            message_id=message.id,
            group_id=message.group_id,
            seq=message.seq,
            sender_id=message.sender_id,
            sender_name=message.sender.name,
            text=message.content,
            at=message.created_at,
        )
        for message in messages
        if message.type != "system" and not message.is_deleted and not message.unavailable and message.content
    ]
