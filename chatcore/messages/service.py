"""Messages as people use them. `send` is the way of one message, readable alone."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from chatcore.contract.base import Shape
from chatcore.contract.groups import GroupDeleted, GroupPath
from chatcore.contract.messages import (
    EditMessage,
    EditMessageById,
    History,
    MarkMessageRead,
    MarkMessagesRead,
    Message,
    MessageDeleted,
    MessageOnlyPath,
    MessagePage,
    MessagePath,
    MessageRead,
    MessageSent,
    MessagesRead,
    MessageUpdated,
    Pins,
    PinsChanged,
    React,
    ReactionChanged,
    ReadBy,
    Receipts,
    ReportCreated,
    ReportMessage,
    ReportReceipt,
    SendMessage,
    Sync,
    Synced,
    SyncedGroup,
)
from chatcore.errors import CapabilityUnavailable, Conflict, Forbidden, LimitReached, NotFound
from chatcore.groups.membership import Clock
from chatcore.groups.permissions import Action, allows, authorize
from chatcore.groups.records import Room
from chatcore.groups.rendering import Rendering, message_shape
from chatcore.groups.service import Groups
from chatcore.identity.service import Exported, Identity
from chatcore.journal.ids import fingerprint, keyed_id, new_id
from chatcore.journal.rows import Change, Entry, IdTaken, Kind, Row
from chatcore.journal.store import JournalStore
from chatcore.limits import SlowModeGate
from chatcore.messages.content import checked_content, mentioned
from chatcore.messages.history import LogReader
from chatcore.messages.read_state import ReadState
from chatcore.messages.records import PinRecord, ReactionRecord, ReportRecord
from chatcore.messages.store import MessageStore
from chatcore.messages.turns import Turns
from chatcore.ports import Caller, Fanout
from chatcore.presence.service import Presence
from chatcore.presence.typing import Typing
from chatcore.vault.service import Vault

MAX_PINS = 50
MAX_REACTIONS = 20
REMEMBERED_RECEIPTS = 20_000
EXPORTED_MESSAGES = 50_000


@dataclass(frozen=True, slots=True)
class Happening:
    """A log event that is no message: who may, what it changes in the same transaction, how it is told."""

    action: Action
    kind: Kind
    facts: dict[str, object]
    changes: Sequence[Change]
    event: str
    shape: Callable[[Row], Shape]


class Messages:
    """Everything about messages; the group decides who may, the journal makes it durable and ordered."""

    def __init__(
        self,
        *,
        store: MessageStore,
        journal: JournalStore,
        groups: Groups,
        rendering: Rendering,
        identity: Identity,
        presence: Presence,
        typing: Typing,
        vault: Vault,
        fanout: Fanout,
        clock: Clock,
        secret: bytes,
        slow_mode: SlowModeGate,
        deleted_retention_days: int,
        duplicate: Callable[[], None] = lambda: None,
    ):
        self._store = store
        self._journal = journal
        self._groups = groups
        self._rooms = groups.rooms
        self._rendering = rendering
        self._identity = identity
        self._presence = presence
        self._typing = typing
        self._vault = vault
        self._fanout = fanout
        self._clock = clock
        self._secret = secret
        self._slow_mode = slow_mode
        self._deleted_retention = timedelta(days=deleted_retention_days)
        self._duplicate = duplicate
        self._log = LogReader(journal, self._rooms, rendering)
        self._read_state = ReadState(self._rooms, clock)
        self._receipts: OrderedDict[str, Row] = OrderedDict()
        self._turns = Turns()

    # --- sending

    async def send(self, caller: Caller, request: SendMessage) -> MessageSent:
        """Store a message durably, then push it. A repeat with the same `tempId` answers with the first receipt."""
        room = await self._groups.require(caller, "message.send", request.group_id)
        row, content = await self._compose(room, caller, request)
        if first := self._receipts.get(row.id):
            return self._repeated(row, first, request)
        self._require_pause(room, caller)

        def deliver(stored: Sequence[Row]) -> None:
            self._rooms.note(room, stored[0])
            message = message_shape(stored[0], caller.user, content)
            self._fanout.publish("new_message", message, group_id=room.id, skip_connection=caller.connection_id)

        try:
            (stored,) = await self._append(
                room, [row], deliver, check=lambda: authorize(room, caller.user_id, "message.send")
            )
        except IdTaken:
            return self._repeated(row, (await self._journal.by_ids([row.id]))[row.id], request)
        self._remember(stored)
        self._typing.clear(room.id, caller)
        return _receipt(stored, request)

    async def post(self, caller: Caller, request: SendMessage) -> Message:
        """The same over REST, which answers with the message itself."""
        receipt = await self.send(caller, request)
        return await self._message(receipt.message_id)

    async def _compose(self, room: Room, caller: Caller, request: SendMessage) -> tuple[Row, str]:
        """Check and seal. The id is fixed here, before the first try, with or without a `tempId`."""
        if request.media_id is not None or request.type != "text":
            raise CapabilityUnavailable("This server does not take images and files yet", field="type")
        content = checked_content(request.content)
        if request.reply_to is not None:
            await self._require_message(room, caller, request.reply_to, field="replyTo")
        now = self._clock()
        temp_id = request.temp_id
        row_id = keyed_id(self._secret, room.id, caller.user_id, temp_id) if temp_id else new_id(now)
        row = Row(
            id=row_id,
            group_id=room.id,
            kind="message",
            sender_id=caller.user_id,
            created_at=now,
            type="text",
            fingerprint=fingerprint(self._secret, row_id, content, request.reply_to or "") if temp_id else b"",
            reply_to=request.reply_to,
            mentions=await self._mentions(room, content),
        )
        key = self._vault.known_key(room.id) or await self._vault.key_of(room.id)
        return replace(row, sealed=key.seal(row.place, content.encode())), content

    def _repeated(self, row: Row, first: Row, request: SendMessage) -> MessageSent:
        if first.fingerprint != row.fingerprint:
            raise Conflict("This tempId was used for another message; take a new one", field="tempId")
        self._duplicate()
        return _receipt(first, request, duplicate=True)

    def _remember(self, row: Row) -> None:
        if row.fingerprint:
            self._receipts[row.id] = row
            if len(self._receipts) > REMEMBERED_RECEIPTS:
                self._receipts.popitem(last=False)

    def _require_pause(self, room: Room, caller: Caller) -> None:
        pause = room.record.settings.slow_mode_seconds
        if pause and not allows(room, caller.user_id, "slow_mode.skip"):
            self._slow_mode.require(room.id, caller.user_id, pause)

    async def _mentions(self, room: Room, content: str) -> tuple[str, ...]:
        return mentioned(content, await self._identity.cards(room.members)) if "@" in content else ()

    # --- changing

    async def edit(self, caller: Caller, request: EditMessage) -> MessageUpdated:
        """Only one's own; the old text is gone once the new one is stored. The same text again changes nothing."""
        room = await self._groups.require(caller, "message.edit_own", request.group_id)
        row = await self._require_message(room, caller, request.message_id)
        if row.sender_id != caller.user_id or row.type != "text":
            raise Forbidden("Only the author edits a message")
        content = checked_content(request.content)
        now = self._clock()
        edited = replace(row, rev=row.rev + 1, updated_at=now, mentions=await self._mentions(room, content))
        key = await self._vault.key_of(room.id)
        edited = replace(edited, sealed=key.seal(edited.place, content.encode()))
        message = message_shape(edited, caller.user, content)

        def event(stored: Row) -> Shape:
            self._refresh_last(room, edited)
            return MessageUpdated(group_id=room.id, seq=stored.seq, message_seq=row.seq, message=message)

        facts = {"messageId": row.id, "messageSeq": row.seq}
        change = self._journal.content_replaced(edited)
        happening = Happening("message.edit_own", "edit", facts, [change], "message_updated", event)
        stored = await self._record(room, caller, happening)
        return MessageUpdated(group_id=room.id, seq=stored.seq, message_seq=row.seq, message=message)

    async def edit_by_id(self, caller: Caller, request: EditMessageById) -> Message:
        group_id = await self._group_of(request.message_id)
        full = EditMessage(group_id=group_id, message_id=request.message_id, content=request.content)
        return (await self.edit(caller, full)).message

    async def delete(self, caller: Caller, request: MessagePath) -> MessageDeleted:
        """One's own, or anybody's for moderators. A repeat answers with the message as deleted."""
        room = await self._groups.require(caller, "message.delete_own", request.group_id)
        row = await self._require_message(room, caller, request.message_id, deleted_too=True)
        action: Action = "message.delete_own" if row.sender_id == caller.user_id else "message.delete_any"
        authorize(room, caller.user_id, action)
        if row.type == "system":
            raise Forbidden("A system message tells what happened and stays")
        if row.is_deleted:
            return self._deleted(row, self._rooms.head(room.id).seq, caller.user_id)
        gone = replace(row, is_deleted=True, updated_at=self._clock())

        def event(stored: Row) -> Shape:
            self._refresh_last(room, gone)
            return self._deleted(row, stored.seq, caller.user_id)

        facts = {"messageId": row.id, "messageSeq": row.seq}
        change = self._journal.marked_deleted(gone, self._clock() + self._deleted_retention)
        happening = Happening(action, "delete", facts, [change], "message_deleted", event)
        stored = await self._record(room, caller, happening)
        return self._deleted(row, stored.seq, caller.user_id)

    async def delete_by_id(self, caller: Caller, request: MessageOnlyPath) -> MessageDeleted:
        group_id = await self._group_of(request.message_id)
        return await self.delete(caller, MessagePath(group_id=group_id, message_id=request.message_id))

    @staticmethod
    def _deleted(row: Row, seq: int, user_id: str) -> MessageDeleted:
        return MessageDeleted(
            message_id=row.id, group_id=row.group_id, seq=seq, message_seq=row.seq, deleted_by=user_id
        )

    def _refresh_last(self, room: Room, row: Row) -> None:
        if room.last_message and room.last_message.id == row.id:
            room.last_message = row
        if row.id in self._receipts and row.is_deleted:
            self._receipts[row.id] = replace(self._receipts[row.id], sealed=None)

    # --- reactions and pins

    async def add_reaction(self, caller: Caller, request: React) -> ReactionChanged:
        return await self._react(caller, request, 1)

    async def remove_reaction(self, caller: Caller, request: React) -> ReactionChanged:
        return await self._react(caller, request, -1)

    async def _react(self, caller: Caller, request: React, step: int) -> ReactionChanged:
        """Adding twice, or removing what is not there, changes nothing and tells nobody."""
        async with self._turns.of(request.group_id):
            return await self._react_in_turn(caller, request, step)

    async def _react_in_turn(self, caller: Caller, request: React, step: int) -> ReactionChanged:
        room = await self._groups.require(caller, "message.react", request.group_id)
        row = await self._require_message(room, caller, request.message_id)
        reaction = ReactionRecord(row.id, room.id, caller.user_id, request.emoji, self._clock())
        count = row.reactions.get(request.emoji, 0)
        if await self._store.has_reaction(reaction) == (step > 0):
            return self._reacted(reaction, self._rooms.head(room.id).seq, count)
        if step > 0 and count == 0 and len(row.reactions) >= MAX_REACTIONS:
            raise LimitReached(f"A message takes at most {MAX_REACTIONS} different reactions")
        toggled = self._store.reaction_added(reaction) if step > 0 else self._store.reaction_removed(reaction)
        changes = [toggled, self._journal.reaction_counted(row.id, request.emoji, count, step)]
        facts = {"messageId": row.id, "emoji": request.emoji, "count": count + step}

        def event(stored: Row) -> Shape:
            return self._reacted(reaction, stored.seq, count + step)

        happening = Happening("message.react", "reaction", facts, changes, "reaction_changed", event)
        stored = await self._record(room, caller, happening)
        return self._reacted(reaction, stored.seq, count + step)

    @staticmethod
    def _reacted(reaction: ReactionRecord, seq: int, count: int) -> ReactionChanged:
        return ReactionChanged(
            group_id=reaction.group_id,
            seq=seq,
            message_id=reaction.message_id,
            emoji=reaction.emoji,
            user_id=reaction.user_id,
            count=count,
        )

    async def pin(self, caller: Caller, request: MessagePath) -> PinsChanged:
        async with self._turns.of(request.group_id):
            return await self._pin_in_turn(caller, request)

    async def unpin(self, caller: Caller, request: MessagePath) -> PinsChanged:
        async with self._turns.of(request.group_id):
            return await self._unpin_in_turn(caller, request)

    async def _pin_in_turn(self, caller: Caller, request: MessagePath) -> PinsChanged:
        room = await self._groups.require(caller, "message.pin", request.group_id)
        row = await self._require_message(room, caller, request.message_id)
        pins = [pin.message_id for pin in await self._store.pins_of(room.id)]
        if row.id in pins:
            return PinsChanged(group_id=room.id, seq=self._rooms.head(room.id).seq, pins=pins)
        if len(pins) >= MAX_PINS:
            raise LimitReached(f"A group holds at most {MAX_PINS} pins; take one off first")
        pin = PinRecord(room.id, row.id, caller.user_id, self._clock())
        return await self._change_pins(room, caller, [*pins, row.id], self._store.pinned(pin))

    async def _unpin_in_turn(self, caller: Caller, request: MessagePath) -> PinsChanged:
        room = await self._groups.require(caller, "message.pin", request.group_id)
        pins = [pin.message_id for pin in await self._store.pins_of(room.id)]
        if request.message_id not in pins:
            return PinsChanged(group_id=room.id, seq=self._rooms.head(room.id).seq, pins=pins)
        left = [message_id for message_id in pins if message_id != request.message_id]
        return await self._change_pins(room, caller, left, self._store.unpinned(room.id, request.message_id))

    async def _change_pins(self, room: Room, caller: Caller, pins: list[str], change: Change) -> PinsChanged:
        def event(stored: Row) -> Shape:
            return PinsChanged(group_id=room.id, seq=stored.seq, pins=pins)

        happening = Happening("message.pin", "pin", {"pins": pins}, [change], "pins_changed", event)
        stored = await self._record(room, caller, happening)
        return PinsChanged(group_id=room.id, seq=stored.seq, pins=pins)

    async def pins(self, caller: Caller, request: GroupPath) -> Pins:
        room = await self._groups.require(caller, "message.read", request.group_id)
        ids = [pin.message_id for pin in await self._store.pins_of(room.id)]
        rows, floor = await self._journal.by_ids(ids), room.floor(caller.user_id)
        seen = [rows[id_] for id_ in ids if id_ in rows and rows[id_].seq > floor]
        return Pins(pins=await self._rendering.messages(seen))

    # --- reading

    async def history(self, caller: Caller, request: History) -> MessagePage:
        room = await self._groups.require(caller, "message.read", request.group_id)
        rows, has_more = await self._log.page(room, room.floor(caller.user_id), request)
        messages = await self._rendering.messages(rows)
        if request.include == "readBy":
            messages = [
                message.model_copy(update={"read_by": await self._readers(room, row)})
                for message, row in zip(messages, rows, strict=True)
            ]
        return MessagePage(messages=messages, latest_seq=self._rooms.head(room.id).seq, has_more=has_more)

    async def sync(self, caller: Caller, request: Sync) -> Synced:
        """What came after each cursor. A group one may not read (any more) says so and leaves the others alone."""
        synced: list[SyncedGroup] = []
        for point in request.groups:
            try:
                room = await self._groups.require(caller, "message.read", point.group_id)
                synced.append(await self._log.since(room, room.floor(caller.user_id), point.since))
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
        row = await self._require_message(room, caller, request.message_id, deleted_too=True)
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
            rows = await self._journal.by_ids(request.message_ids)
            if any(row_id not in rows or rows[row_id].group_id != room.id for row_id in request.message_ids):
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
        room = await self._groups.require(caller, "message.read", await self._group_of(request.message_id))
        row = await self._require_message(room, caller, request.message_id, deleted_too=True)
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
            own = await self._log.written_by(room, caller.user_id, EXPORTED_MESSAGES - len(messages))
            messages += [message.wire() for message in await self._rendering.messages(own)]
        return Exported(groups, messages, has_more=len(messages) >= EXPORTED_MESSAGES)

    # --- reports

    async def report(self, caller: Caller, request: ReportMessage) -> ReportReceipt:
        """For the people who review; a repeat by the same person gives the first report's id."""
        room = await self._groups.require(caller, "message.report", request.group_id)
        row = await self._require_message(room, caller, request.message_id, deleted_too=True)
        if row.sender_id == caller.user_id:
            raise Forbidden("One's own message can be deleted instead")
        now = self._clock()
        report = ReportRecord(new_id(now), room.id, row.id, caller.user_id, request.reason, now)
        report_id = await self._store.add_report(report)
        if report_id == report.id:
            notice = ReportCreated(report_id=report_id, group_id=room.id, message_id=row.id, reason=request.reason)
            for user_id in self._reviewers(room):
                self._fanout.tell(user_id, "report_created", notice)
        return ReportReceipt(report_id=report_id)

    @staticmethod
    def _reviewers(room: Room) -> list[str]:
        return [user_id for user_id in room.members if allows(room, user_id, "message.delete_any")]

    # --- rows of other processes

    async def deliver_missed(self, group_id: str, rows: Sequence[Row]) -> None:
        """Another process appended these: apply them, then push them here as if they were ours."""
        room = await self._rooms.apply_missed(group_id, rows)
        if room is None:
            return
        if not room.record.is_active:
            self._fanout.publish("group_deleted", GroupDeleted(group_id=group_id), group_id=group_id)
            self._fanout.leave(group_id)
            self._presence.group_deleted(group_id)
            return
        events = await self._rendering.events(room, self._rooms.head(group_id), rows)
        for row, (name, shape) in zip(rows, events, strict=True):
            if name == "member_joined":
                self._fanout.enter(group_id, user_id=row.data["userId"])
                self._presence.joined(row.data["userId"], group_id)
            self._fanout.publish(name, shape, group_id=group_id)
            if name == "member_left":
                self._fanout.leave(group_id, user_id=row.data["userId"])
                self._presence.left(row.data["userId"], group_id)
                self._typing.left(row.data["userId"], group_id)

    async def erase_deleted(self) -> None:
        """Remove the sealed content of messages whose retention has passed."""
        while await self._journal.erase_due(self._clock()):
            pass

    # --- shared

    async def _record(self, room: Room, caller: Caller, happening: Happening) -> Row:
        """Append one log event with what it changes, and push it to everybody, the caller too."""
        now = self._clock()
        row = Row(new_id(now), room.id, happening.kind, caller.user_id, now, data=happening.facts)

        def deliver(stored: Sequence[Row]) -> None:
            self._rooms.note(room, stored[0])
            self._fanout.publish(happening.event, happening.shape(stored[0]), group_id=room.id)

        (stored,) = await self._append(
            room,
            [row],
            deliver,
            changes=happening.changes,
            check=lambda: authorize(room, caller.user_id, happening.action),
        )
        return stored

    async def _append(
        self,
        room: Room,
        rows: Sequence[Row],
        deliver: Callable[[Sequence[Row]], None],
        *,
        check: Callable[[], None],
        changes: Sequence[Change] = (),
    ) -> Sequence[Row]:
        return await self._rooms.writer.append(Entry(room.id, rows, deliver, changes, check))

    async def _require_message(
        self, room: Room, caller: Caller, message_id: str, *, field: str = "messageId", deleted_too: bool = False
    ) -> Row:
        """A message of this group that the caller may see. Another group's message is NotFound."""
        row = (await self._journal.by_ids([message_id])).get(message_id)
        if row is None or row.group_id != room.id or not row.shown or row.seq <= room.floor(caller.user_id):
            raise NotFound("There is no such message in this group", field=field)
        if row.is_deleted and not deleted_too:
            raise Conflict("That message was deleted", field=field)
        return row

    async def _group_of(self, message_id: str) -> str:
        row = (await self._journal.by_ids([message_id])).get(message_id)
        if row is None or not row.shown:
            raise NotFound("There is no such message, or you may not see it")
        return row.group_id

    async def _message(self, message_id: str) -> Message:
        return (await self._rendering.messages(list((await self._journal.by_ids([message_id])).values())))[0]


def _receipt(row: Row, request: SendMessage, *, duplicate: bool = False) -> MessageSent:
    return MessageSent(
        temp_id=request.temp_id,
        message_id=row.id,
        group_id=row.group_id,
        seq=row.seq,
        created_at=row.created_at,
        duplicate=duplicate,
    )
