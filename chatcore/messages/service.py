"""Writing messages: send, edit, delete. `send` is the way of one message, readable alone."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chatcore.contract.base import Shape
from chatcore.contract.messages import (
    EditMessage,
    EditMessageById,
    Message,
    MessageDeleted,
    MessageOnlyPath,
    MessagePath,
    MessageSent,
    MessageUpdated,
    SendMessage,
)
from chatcore.errors import ChatError, Conflict, Forbidden, Invalid, NotFound
from chatcore.groups.membership import Clock
from chatcore.groups.permissions import Action, allows, authorize
from chatcore.groups.records import Room
from chatcore.groups.rendering import Rendering, message_shape
from chatcore.groups.service import Groups
from chatcore.identity.service import Identity
from chatcore.journal.ids import fingerprint, keyed_id, new_id
from chatcore.journal.rows import IdTaken, Row
from chatcore.journal.store import JournalStore
from chatcore.limits import SlowModeGate
from chatcore.messages.attachments import Attached, Attachments
from chatcore.messages.changes import Change, Changes
from chatcore.messages.content import checked_content, mentioned
from chatcore.messages.log import Happening, MessageLog
from chatcore.moderation.door import Admission, Door, OpenDoor
from chatcore.moderation.records import Kind, Subject
from chatcore.moderation.thresholds import wishes
from chatcore.ports import Caller, Fanout
from chatcore.presence.typing import Typing
from chatcore.vault.envelope import Place
from chatcore.vault.service import Vault

REMEMBERED_RECEIPTS = 20_000


@dataclass(frozen=True, slots=True)
class Draft:
    """A message before moderation and sealing."""

    id: str
    created_at: datetime
    content: str
    fingerprint: bytes
    attached: Attached | None


class Messages:
    """The group decides who may, the vault seals, the journal makes it durable and ordered."""

    def __init__(
        self,
        *,
        journal: JournalStore,
        groups: Groups,
        rendering: Rendering,
        log: MessageLog,
        identity: Identity,
        typing: Typing,
        vault: Vault,
        fanout: Fanout,
        clock: Clock,
        secret: bytes,
        attachments: Attachments,
        slow_mode: SlowModeGate,
        deleted_retention_days: int,
        duplicate: Callable[[], None] = lambda: None,
        door: Door | None = None,
        changes: Changes | None = None,
    ):
        self._journal = journal
        self._groups = groups
        self._rooms = groups.rooms
        self._rendering = rendering
        self._identity = identity
        self._typing = typing
        self._vault = vault
        self._fanout = fanout
        self._clock = clock
        self._secret = secret
        self._attachments = attachments
        self._slow_mode = slow_mode
        self._deleted_retention = timedelta(days=deleted_retention_days)
        self._duplicate = duplicate
        self._door: Door = OpenDoor() if door is None else door
        self._log = log
        self._receipts: OrderedDict[str, Row] = OrderedDict()
        self.changes = Changes() if changes is None else changes

    # --- sending

    async def send(self, caller: Caller, request: SendMessage) -> MessageSent:
        """Store a message durably, then push it. A repeat with the same `tempId` answers with the first receipt."""
        room = await self._groups.require(caller, "message.send", request.group_id)
        draft = await self._draft(room, caller, request)
        if first := self._receipts.get(draft.id):
            return self._repeated(draft, first, request)
        self._require_pause(room, caller)
        admission = await self._admit(room, caller, draft, request)
        row = await self._composed(room, caller, request, draft, admission)
        content, attached = admission.text, draft.attached

        def deliver(stored: Sequence[Row]) -> None:
            self._rooms.note(room, stored[0])
            message = message_shape(stored[0], caller.user, content, media=attached.card if attached else None)
            self._fanout.publish("new_message", message, group_id=room.id, skip_connection=caller.connection_id)
            self.changes.tell(Change("new", room, stored[0], content, caller.user_id))
            self._door.stored(admission, row.id, stored[0].seq, row.rev)

        try:
            (stored,) = await self._log.append(
                room,
                [row],
                deliver,
                check=lambda: authorize(room, caller.user_id, "message.send"),
                changes=[each.change for each in (attached, admission) if each is not None and each.change is not None],
            )
        except IdTaken as taken:
            return self._repeated(draft, taken.row, request)
        except ChatError:
            self._slow_mode.release(room.id, caller.user_id)
            raise
        self._remember(stored)
        self._typing.clear(room.id, caller)
        return _receipt(stored, request)

    async def post(self, caller: Caller, request: SendMessage) -> Message:
        """The same over REST, which answers with the message itself."""
        receipt = await self.send(caller, request)
        return await self._message(receipt.message_id)

    async def _draft(self, room: Room, caller: Caller, request: SendMessage) -> Draft:
        """Check. The id is fixed here, before the first try, with or without a `tempId`. The caption of an image or
        file is its content, and may be empty."""
        content = checked_content(request.content, may_be_empty=request.media_id is not None)
        now = self._clock()
        temp_id = request.temp_id
        row_id = keyed_id(self._secret, room.id, caller.user_id, temp_id) if temp_id else new_id(now)
        if request.reply_to is not None:
            await self._require_answerable(room, caller, row_id, request.reply_to)
        attached = await self._attach(room, caller, request, row_id)
        carried = (request.type, request.media_id) if request.media_id is not None else ()
        mark = fingerprint(self._secret, row_id, content, request.reply_to or "", *carried) if temp_id else b""
        return Draft(row_id, now, content, mark, attached)

    async def _admit(self, room: Room, caller: Caller, draft: Draft, request: SendMessage) -> Admission:
        """Past moderation. Raises MessageRejected; whoever is refused may send another text at once."""
        try:
            subject = subject_of(room, caller, "message", message_id=draft.id, temp_id=request.temp_id)
            return await self._door.admit(draft.content, subject)
        except ChatError:
            self._slow_mode.release(room.id, caller.user_id)
            raise

    async def _composed(
        self, room: Room, caller: Caller, request: SendMessage, draft: Draft, admission: Admission
    ) -> Row:
        """Sealed. The fingerprint stays that of the text as it was sent, also where some of it was masked."""
        key = self._vault.known_key(room.id) or await self._vault.key_of(room.id)
        place = Place(room.id, draft.id, caller.user_id, request.type)
        return Row(
            id=draft.id,
            group_id=room.id,
            kind="message",
            sender_id=caller.user_id,
            created_at=draft.created_at,
            type=request.type,
            sealed=key.seal(place, admission.text.encode()),
            fingerprint=draft.fingerprint,
            reply_to=request.reply_to,
            media_id=request.media_id,
            mentions=await self._mentions(room, admission.text),
            mark=admission.mark,
        )

    async def _attach(self, room: Room, caller: Caller, request: SendMessage, row_id: str) -> Attached | None:
        """A retry may come after its message was deleted, and the upload with it; its own first try counts."""
        if request.media_id is None:
            if request.type != "text":
                raise Invalid("Upload the image or file first, and name it by its mediaId", field="mediaId")
            return None
        try:
            return await self._attachments.attach(room, caller, request, row_id)
        except (Conflict, NotFound):
            if row_id not in await self._journal.by_ids([row_id]):
                raise
            return None

    async def _require_answerable(self, room: Room, caller: Caller, row_id: str, reply_to: str) -> None:
        """A retry may come after the message it answers was deleted; its own first try counts."""
        try:
            await self._log.require_message(room, caller, reply_to, field="replyTo")
        except (Conflict, NotFound):
            if row_id not in await self._journal.by_ids([row_id]):
                raise

    def _repeated(self, draft: Draft, first: Row, request: SendMessage) -> MessageSent:
        if first.fingerprint != draft.fingerprint:
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
        row = await self._log.require_message(room, caller, request.message_id)
        if row.sender_id != caller.user_id or row.type == "system":
            raise Forbidden("Only the author edits a message")
        content = checked_content(request.content, may_be_empty=row.media_id is not None)
        (before,) = await self._rendering.messages([row])
        if content == before.content:
            head = self._rooms.head(room.id)
            return MessageUpdated(group_id=room.id, seq=head.seq, message_seq=row.seq, message=before)
        now = self._clock()
        admission = await self._door.admit(content, subject_of(room, caller, "edit", message_id=row.id))
        content = admission.text
        mentions = await self._mentions(room, content)
        edited = replace(row, rev=row.rev + 1, updated_at=now, mentions=mentions, mark=admission.mark)
        key = await self._vault.key_of(room.id)
        edited = replace(edited, sealed=key.seal(edited.place, content.encode()))
        shown = {"media_url": before.media_url, "media_metadata": before.media_metadata}
        message = message_shape(edited, caller.user, content).model_copy(update=shown)

        def event(stored: Row) -> Shape:
            self._refresh_last(room, edited)
            self.changes.tell(Change("edited", room, edited, content, caller.user_id))
            self._door.stored(admission, edited.id, edited.seq, edited.rev)
            return MessageUpdated(group_id=room.id, seq=stored.seq, message_seq=row.seq, message=message)

        facts = {"messageId": row.id, "messageSeq": row.seq}
        changes = [self._journal.content_replaced(edited)] + ([admission.change] if admission.change else [])
        happening = Happening("message.edit_own", "edit", facts, changes, "message_updated", event)
        stored = await self._log.record(room, caller, happening)
        return MessageUpdated(group_id=room.id, seq=stored.seq, message_seq=row.seq, message=message)

    async def edit_by_id(self, caller: Caller, request: EditMessageById) -> Message:
        group_id = await self._log.group_of(caller, request.message_id)
        full = EditMessage(group_id=group_id, message_id=request.message_id, content=request.content)
        return (await self.edit(caller, full)).message

    async def delete(self, caller: Caller, request: MessagePath) -> MessageDeleted:
        """One's own, or anybody's for moderators. A repeat answers with the message as deleted."""
        room = await self._groups.require(caller, "message.delete_own", request.group_id)
        row = await self._log.require_message(room, caller, request.message_id, deleted_too=True)
        action: Action = "message.delete_own" if row.sender_id == caller.user_id else "message.delete_any"
        authorize(room, caller.user_id, action)
        if row.type == "system":
            raise Forbidden("A system message tells what happened and stays")
        if row.is_deleted:
            return self._deleted(row, self._rooms.head(room.id).seq, caller.user_id)
        gone = replace(row, is_deleted=True, updated_at=self._clock())

        def event(stored: Row) -> Shape:
            self._refresh_last(room, gone)
            self.changes.tell(Change("deleted", room, gone, "", caller.user_id))
            return self._deleted(row, stored.seq, caller.user_id)

        facts = {"messageId": row.id, "messageSeq": row.seq}
        erase_at = self._clock() + self._deleted_retention
        changes = [self._journal.marked_deleted(gone, erase_at)]
        if row.media_id is not None:
            changes.append(self._attachments.media.due(row.media_id, erase_at))
        happening = Happening(action, "delete", facts, changes, "message_deleted", event)
        stored = await self._log.record(room, caller, happening)
        return self._deleted(row, stored.seq, caller.user_id)

    async def delete_by_id(self, caller: Caller, request: MessageOnlyPath) -> MessageDeleted:
        group_id = await self._log.group_of(caller, request.message_id)
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

    async def erase_deleted(self) -> None:
        """Remove the sealed content of messages whose retention has passed."""
        while await self._journal.erase_due(self._clock()):
            pass

    async def _message(self, message_id: str) -> Message:
        return (await self._rendering.messages(list((await self._journal.by_ids([message_id])).values())))[0]


def subject_of(room: Room, caller: Caller, kind: Kind, *, message_id: str = "", temp_id: str | None = None) -> Subject:
    """A text of this group as moderation knows it."""
    settings = room.record.settings
    return Subject(
        kind=kind,
        user_id=caller.user_id,
        group_id=room.id,
        message_id=message_id,
        temp_id=temp_id,
        ai=settings.ai,
        mode=settings.moderation,
        overrides=wishes(settings),
    )


def _receipt(row: Row, request: SendMessage, *, duplicate: bool = False) -> MessageSent:
    return MessageSent(
        temp_id=request.temp_id,
        message_id=row.id,
        group_id=row.group_id,
        seq=row.seq,
        created_at=row.created_at,
        duplicate=duplicate,
    )
