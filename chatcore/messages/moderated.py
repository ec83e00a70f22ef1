"""What moderation does to messages and members: events of the group's log like any other, in their order."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from chatcore.contract.base import Shape
from chatcore.contract.messages import Message, MessageDeleted, MessageUpdated
from chatcore.contract.people import User
from chatcore.errors import Conflict, NotFound
from chatcore.groups.members import Members
from chatcore.groups.membership import Clock
from chatcore.groups.records import Room
from chatcore.groups.rendering import Rendering
from chatcore.groups.rooms import Rooms
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Kind, Mark, Row
from chatcore.journal.store import JournalStore
from chatcore.media.service import Media
from chatcore.messages.changes import Change as Told
from chatcore.messages.changes import Changes
from chatcore.messages.log import MessageLog, push
from chatcore.moderation.scene import Change, Seen
from chatcore.ports import Fanout
from chatcore.vault.envelope import SealBroken
from chatcore.vault.service import Vault

MODERATION: Final = "moderation"
"""Who did it, in events and in the log: the server itself."""
NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)


class Moderated:
    """Implements `moderation.scene.Scene`. Each deed is checked again right before it is written: the message must
    stand as it was judged, and the group must still be there."""

    def __init__(
        self,
        *,
        journal: JournalStore,
        rooms: Rooms,
        members: Members,
        rendering: Rendering,
        log: MessageLog,
        vault: Vault,
        media: Media,
        fanout: Fanout,
        changes: Changes,
        clock: Clock,
        deleted_retention_days: int,
    ):
        self._journal = journal
        self._rooms = rooms
        self._members = members
        self._rendering = rendering
        self._log = log
        self._vault = vault
        self._media = media
        self._fanout = fanout
        self._changes = changes
        self._clock = clock
        self._retention = timedelta(days=deleted_retention_days)

    async def find(self, message_id: str) -> Seen | None:
        row = (await self._journal.by_ids([message_id])).get(message_id)
        room = await self._room(row.group_id) if row is not None and row.shown else None
        if row is None or room is None:
            return None
        (message,) = await self._rendering.messages([row])
        return Seen(
            message_id=row.id,
            group_id=row.group_id,
            group_name=room.record.name,
            author=message.sender,
            text=await self._text(row),
            seq=row.seq,
            rev=row.rev,
            is_deleted=row.is_deleted,
            mark=row.mark,
            created_at=row.created_at,
        )

    async def mask(self, message_id: str, rev: int, text: str, mark: Mark, changes: Sequence[Change]) -> bool:
        row, room = await self._target(message_id)
        if row is None or room is None or row.is_deleted or row.rev != rev:
            return False
        return await self._replace(room, row, text, mark, changes)

    async def remove(
        self, message_id: str, mark: Mark | None, changes: Sequence[Change], *, rev: int | None = None
    ) -> bool:
        row, room = await self._target(message_id)
        if row is None or room is None or row.is_deleted or rev not in (None, row.rev):
            return False
        gone = replace(row, is_deleted=True, updated_at=self._clock(), mark=mark)
        erase_at = self._clock() + self._retention
        writes = [self._journal.marked_deleted(gone, erase_at)]
        if row.media_id is not None:
            writes.append(self._media.due(row.media_id, erase_at))

        def event(stored: Row) -> Shape:
            return MessageDeleted(
                message_id=row.id, group_id=room.id, seq=stored.seq, message_seq=row.seq, deleted_by=MODERATION
            )

        return await self._record(room, gone, "", event, [*writes, *changes])

    async def restore(self, message_id: str, decision_id: str, text: str, changes: Sequence[Change]) -> bool:
        row, room = await self._target(message_id)
        if row is None or room is None or row.mark is None or row.mark.decision_id != decision_id:
            return False
        if not row.is_deleted:
            return await self._replace(room, row, text, None, changes)
        if row.mark.action != "block":  # masked, and then deleted by people
            return False
        back = replace(row, is_deleted=False, updated_at=self._clock(), mark=None)
        writes = [self._journal.restored(back)]
        if row.media_id is not None:
            writes.append(self._media.due(row.media_id, NEVER))
        message = await self._shape(back)

        def event(stored: Row) -> Shape:
            return MessageUpdated(group_id=room.id, seq=stored.seq, message_seq=row.seq, message=message)

        return await self._record(room, back, message.content, event, [*writes, *changes])

    async def _replace(self, room: Room, row: Row, text: str, mark: Mark | None, changes: Sequence[Change]) -> bool:
        key = await self._vault.key_of(room.id)
        other = replace(row, rev=row.rev + 1, updated_at=self._clock(), mark=mark)
        other = replace(other, sealed=key.seal(other.place, text.encode()))
        message = await self._shape(other)

        def event(stored: Row) -> Shape:
            return MessageUpdated(group_id=room.id, seq=stored.seq, message_seq=row.seq, message=message)

        return await self._record(room, other, text, event, [self._journal.content_replaced(other), *changes])

    async def _record(
        self,
        room: Room,
        changed: Row,
        content: str,
        event: Callable[[Row], Shape],
        changes: Sequence[Change],
    ) -> bool:
        kind: Kind = "delete" if changed.is_deleted else "edit"
        now = self._clock()
        facts = {"messageId": changed.id, "messageSeq": changed.seq}
        row = Row(new_id(now), room.id, kind, MODERATION, now, data=facts)

        def deliver(stored: Sequence[Row]) -> None:
            self._rooms.note(room, stored[0])
            if room.last_message and room.last_message.id == changed.id:
                room.last_message = changed
            shape = event(stored[0])
            push(self._fanout, room, "message_deleted" if kind == "delete" else "message_updated", shape)
            self._changes.tell(Told("deleted" if kind == "delete" else "edited", room, changed, content, MODERATION))

        def check() -> None:
            if not room.record.is_active:
                raise NotFound("The group is gone")

        try:
            await self._log.append(room, [row], deliver, check=check, changes=changes)
        except Conflict:
            if await self._stands(changed, kind):
                raise  # not the message but something else was in the way
            return False
        return True

    async def _stands(self, changed: Row, kind: Kind) -> bool:
        """Whether the message is still as it was when this deed was begun."""
        row = (await self._journal.by_ids([changed.id])).get(changed.id)
        if row is None:
            return False
        if kind == "delete":
            return not row.is_deleted
        return row.rev in (changed.rev, changed.rev - 1) and row.mark is not None

    async def expel(self, group_id: str, user_id: str, by: User, *, ban: bool, reason: str) -> None:
        await self._members.expel(group_id, user_id, by, ban=ban, reason=reason)

    async def transact(self, changes: Sequence[Change]) -> None:
        await self._journal.transact([], list(changes))

    async def _target(self, message_id: str) -> tuple[Row | None, Room | None]:
        row = (await self._journal.by_ids([message_id])).get(message_id)
        if row is None or not row.shown or row.type == "system":
            return None, None
        return row, await self._room(row.group_id)

    async def _room(self, group_id: str) -> Room | None:
        try:
            return await self._rooms.load(group_id)
        except NotFound:
            return None

    async def _text(self, row: Row) -> str:
        """Also of a deleted message, as long as its content is kept."""
        if row.sealed is None:
            return ""
        try:
            return (await self._vault.open(row.place, row.sealed)).decode()
        except SealBroken:
            return ""

    async def _shape(self, row: Row) -> Message:
        (message,) = await self._rendering.messages([row])
        return message
