"""Reading messages: history, `sync`, read watermarks, receipts, one's own export."""

from chatcore.contract.messages import (
    History,
    MarkMessageRead,
    MarkMessagesRead,
    MessageOnlyPath,
    MessagePage,
    MessageRead,
    MessagesRead,
    ReadBy,
    Receipts,
    Sync,
    Synced,
    SyncedGroup,
)
from chatcore.errors import Forbidden, NotFound
from chatcore.groups.membership import Clock
from chatcore.groups.records import Room
from chatcore.groups.rendering import Rendering
from chatcore.groups.service import Groups
from chatcore.identity.service import Exported, Identity
from chatcore.journal.rows import Row
from chatcore.journal.store import JournalStore
from chatcore.messages.history import LogReader, SyncRoom
from chatcore.messages.log import MessageLog
from chatcore.messages.read_state import ReadState
from chatcore.ports import Caller, Fanout

EXPORTED_MESSAGES = 50_000


class Reading:
    """What a member may see is decided at reading time: membership now, and the floor of their history."""

    def __init__(
        self,
        *,
        journal: JournalStore,
        groups: Groups,
        rendering: Rendering,
        log: MessageLog,
        identity: Identity,
        fanout: Fanout,
        clock: Clock,
    ):
        self._journal = journal
        self._groups = groups
        self._rooms = groups.rooms
        self._rendering = rendering
        self._log = log
        self._identity = identity
        self._fanout = fanout
        self._clock = clock
        self._pages = LogReader(journal, self._rooms, rendering)
        self._read_state = ReadState(self._rooms, clock)

    async def history(self, caller: Caller, request: History) -> MessagePage:
        room = await self._groups.require(caller, "message.read", request.group_id)
        rows, has_more = await self._pages.page(room, room.floor(caller.user_id), request)
        messages = await self._rendering.messages(rows)
        if request.include == "readBy":
            messages = [
                message.model_copy(update={"read_by": await self._readers(room, row)})
                for message, row in zip(messages, rows, strict=True)
            ]
        return MessagePage(messages=messages, latest_seq=self._rooms.head(room.id).seq, has_more=has_more)

    async def sync(self, caller: Caller, request: Sync) -> Synced:
        """What came after each cursor, as far as one answer holds. A group one may not read (any more) says so and
        leaves the others alone."""
        synced: list[SyncedGroup] = []
        answer = SyncRoom()
        for point in request.groups:
            try:
                room = await self._groups.require(caller, "message.read", point.group_id)
                synced.append(await self._pages.since(room, room.floor(caller.user_id), point.since, answer))
            except (NotFound, Forbidden) as refusal:
                synced.append(
                    SyncedGroup(
                        group_id=point.group_id,
                        events=[],
                        latest_seq=0,
                        has_more=False,
                        resync_required=False,
                        error=refusal.code,
                    )
                )
        return Synced(groups=synced)

    async def mark_read(self, caller: Caller, request: MarkMessageRead) -> MessageRead:
        """Move the caller's watermark up to this message and tell the group once; going back is a no-op."""
        room = await self._groups.require(caller, "message.read", request.group_id)
        row = await self._log.require_message(room, caller, request.message_id, deleted_too=True)
        moved = await self._read_state.move(room, caller.user_id, row.seq, row.n)
        member = room.members.get(caller.user_id)
        receipt = MessageRead(
            message_id=row.id,
            group_id=room.id,
            read_by=caller.user_id,
            read_at=(member and member.read_at) or self._clock(),
            up_to_seq=member.read_seq if member else row.seq,
        )
        if moved and await self._shows_receipts(caller):
            self._fanout.publish("message_read", receipt, group_id=room.id, skip_connection=caller.connection_id)
        return receipt

    async def mark_many_read(self, caller: Caller, request: MarkMessagesRead) -> MessagesRead:
        room = await self._groups.require(caller, "message.read", request.group_id)
        seq, n = await self._furthest(room, caller, request)
        moved = await self._read_state.move(room, caller.user_id, seq, n)
        member = room.members.get(caller.user_id)
        receipt = MessagesRead(
            group_id=room.id,
            message_ids=request.message_ids or [],
            read_by=caller.user_id,
            read_at=(member and member.read_at) or self._clock(),
            up_to_seq=member.read_seq if member else seq,
        )
        if moved and await self._shows_receipts(caller):
            self._fanout.publish("messages_read", receipt, group_id=room.id, skip_connection=caller.connection_id)
        return receipt

    async def _furthest(self, room: Room, caller: Caller, request: MarkMessagesRead) -> tuple[int, int]:
        """The log position meant, never past the end, and the ordinal that belongs to it."""
        head = self._rooms.head(room.id)
        if request.message_ids is not None:
            rows, floor = await self._journal.by_ids(request.message_ids), room.floor(caller.user_id)
            seen = {row.id for row in rows.values() if row.group_id == room.id and row.shown and row.seq > floor}
            if not seen.issuperset(request.message_ids):
                raise NotFound("One of these messages is not in this group", field="messageIds")
            last = max(rows.values(), key=lambda row: row.seq)
            return last.seq, last.n
        assert request.up_to_seq is not None
        if request.up_to_seq >= head.seq:
            return head.seq, head.n
        rows_there = await self._journal.window(room.id, request.up_to_seq - 1, request.up_to_seq)
        return (rows_there[0].seq, rows_there[0].n) if rows_there else (0, 0)

    async def _shows_receipts(self, caller: Caller) -> bool:
        return caller.user_id not in await self._identity.without_receipts([caller.user_id])

    async def receipts(self, caller: Caller, request: MessageOnlyPath) -> Receipts:
        room = await self._groups.require(caller, "message.read", await self._log.group_of(caller, request.message_id))
        row = await self._log.require_message(room, caller, request.message_id, deleted_too=True)
        return Receipts(message_id=row.id, read_by=await self._readers(room, row))

    async def _readers(self, room: Room, row: Row) -> list[ReadBy]:
        """Members whose watermark has passed the message, but for its author and those who keep that to themselves."""
        readers = [
            member
            for member in room.members.values()
            if member.read_seq >= row.seq
            and member.joined_seq < row.seq
            and member.user_id != row.sender_id
            and member.read_at
        ]
        hidden = await self._identity.without_receipts([member.user_id for member in readers])
        return [
            ReadBy(user_id=member.user_id, read_at=member.read_at)
            for member in readers
            if member.user_id not in hidden and member.read_at
        ]

    async def export(self, caller: Caller) -> Exported:
        """One's memberships and everything one has written that is still there, in the clear."""
        groups: list[dict[str, object]] = []
        messages: list[dict[str, object]] = []
        for room in await self._groups.rooms_of(caller.user_id):
            groups.append((await self._groups.shape(room, caller.user_id)).wire())
            own = await self._pages.written_by(room, caller.user_id, EXPORTED_MESSAGES - len(messages))
            messages += [message.wire() for message in await self._rendering.messages(own)]
        return Exported(groups, messages, has_more=len(messages) >= EXPORTED_MESSAGES)
