"""Groups that keep messages for some days only: what is older is deleted, for everybody and from the database."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from chatcore.contract.messages import MessageDeleted
from chatcore.errors import Conflict, NotFound
from chatcore.groups.membership import Clock
from chatcore.groups.records import Room
from chatcore.groups.rooms import Rooms
from chatcore.groups.store import GroupStore
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Row
from chatcore.journal.store import JournalStore
from chatcore.media.service import Media
from chatcore.messages.changes import Change, Changes
from chatcore.messages.log import MessageLog
from chatcore.ports import Fanout

RETENTION: Final = "retention"
"""Who did it, in events and in the log: the group's own setting."""
WINDOW: Final = 200
MAX_OF_A_SWEEP: Final = 2_000  # of one group, so that a setting made today does not keep the log busy for long


class Retention:
    """Each deletion is an event of the group's log like any other, so clients, search and media follow it."""

    def __init__(
        self,
        *,
        store: GroupStore,
        journal: JournalStore,
        rooms: Rooms,
        log: MessageLog,
        media: Media,
        fanout: Fanout,
        changes: Changes,
        clock: Clock,
    ):
        self._store = store
        self._journal = journal
        self._rooms = rooms
        self._log = log
        self._media = media
        self._fanout = fanout
        self._changes = changes
        self._clock = clock

    async def sweep(self) -> None:
        """Safe in several processes at once: a message that another one deleted is passed over."""
        for group_id, expired_seq in await self._store.with_retention():
            try:
                room = await self._rooms.load(group_id)
            except NotFound:  # deleted meanwhile
                continue
            await self._expire(room, expired_seq)

    async def _expire(self, room: Room, seq: int) -> None:
        days, left = room.record.settings.retention_days, MAX_OF_A_SWEEP
        if days is None:
            return
        limit = self._clock() - timedelta(days=days)
        while left > 0 and (rows := await self._journal.window(room.id, seq, seq + WINDOW)):
            due = [row for row in rows if row.created_at < limit]
            for row in due[:left]:
                if row.counted and not row.is_deleted:
                    left -= await self._delete(room, row)
                seq = row.seq
            await self._store.save_expired(room.id, seq)
            if len(due) < len(rows):
                return

    async def _delete(self, room: Room, row: Row) -> bool:
        now = self._clock()
        gone = replace(row, is_deleted=True, updated_at=now)
        writes = [self._journal.marked_deleted(gone, now)]
        if row.media_id is not None:
            writes.append(self._media.due(row.media_id, now))
        event = Row(new_id(now), room.id, "delete", RETENTION, now, data={"messageId": row.id, "messageSeq": row.seq})

        def deliver(stored: Sequence[Row]) -> None:
            self._rooms.note(room, stored[0])
            if room.last_message and room.last_message.id == row.id:
                room.last_message = gone
            told = MessageDeleted(
                message_id=row.id, group_id=room.id, seq=stored[0].seq, message_seq=row.seq, deleted_by=RETENTION
            )
            self._fanout.publish("message_deleted", told, group_id=room.id)
            self._changes.tell(Change("deleted", room, gone, "", RETENTION))

        def check() -> None:
            if not room.record.is_active:
                raise NotFound("The group is gone")

        try:
            await self._log.append(room, [event], deliver, check=check, changes=writes)
        except Conflict:  # somebody deleted it in this moment
            return False
        return True
