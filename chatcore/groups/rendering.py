"""From stored rows to what people see: opened content, names, and the event each log row was pushed as."""

from collections.abc import Iterable, Sequence

from chatcore.contract.base import Shape
from chatcore.contract.groups import Group, GroupUpdated, LastMessage, MemberJoined, MemberLeft, MemberRoleChanged
from chatcore.contract.messages import (
    LogEvent,
    LogEventName,
    Message,
    MessageDeleted,
    MessageUpdated,
    ModerationMark,
    PinsChanged,
    ReactionChanged,
)
from chatcore.contract.people import User
from chatcore.groups.records import Room
from chatcore.identity.service import Identity
from chatcore.journal.rows import Head, Row
from chatcore.journal.store import JournalStore
from chatcore.media.service import Media, MediaCard
from chatcore.vault.envelope import SealBroken
from chatcore.vault.service import Vault

PUSHED_AS: dict[str, LogEventName] = {
    "message": "new_message",
    "edit": "message_updated",
    "delete": "message_deleted",
    "reaction": "reaction_changed",
    "pin": "pins_changed",
    "group": "group_updated",
}


def message_shape(
    row: Row, sender: User, content: str, *, media: MediaCard | None = None, unavailable: bool = False
) -> Message:
    """A deleted message keeps its place and ids, with empty content."""
    gone = row.is_deleted or unavailable
    return Message(
        id=row.id,
        group_id=row.group_id,
        seq=row.seq,
        n=row.n,
        sender_id=row.sender_id,
        sender=sender,
        content="" if gone else content,
        type=row.type,
        media_url=media.url if media is not None and not gone else None,
        media_metadata=media.metadata if media is not None and not gone else None,
        reply_to=row.reply_to,
        mentions=list(row.mentions) or None if not gone else None,
        reactions=dict(row.reactions) or None if not row.is_deleted else None,
        ai_moderated=row.mark is not None,
        moderation=_marked(row),
        is_deleted=row.is_deleted,
        unavailable=True if unavailable else None,
        created_at=row.created_at,
        updated_at=row.updated_at or row.created_at,
    )


def _marked(row: Row) -> ModerationMark | None:
    if row.mark is None:
        return None
    return ModerationMark(action=row.mark.action, category=row.mark.category, decision_id=row.mark.decision_id)


def group_shape(room: Room, head: Head, *, user_id: str | None = None, last: LastMessage | None = None) -> Group:
    """As one member sees it; without `user_id` as it is pushed to all."""
    record, member = room.record, room.members.get(user_id) if user_id else None
    return Group(
        id=record.id,
        name=record.name,
        description=record.description,
        kind=record.kind,
        join_policy=record.join_policy,
        settings=record.settings,
        member_count=len(room.members),
        latest_seq=head.seq,
        role=member.role if member else None,
        unread=max(0, head.n - member.read_n) if member else None,
        last_message=last,
        created_by=record.created_by,
        created_at=record.created_at,
        updated_at=record.updated_at,
    )


def membership_event(row: Row, user: User) -> Shape:
    """`member_joined`, `member_left` or `member_role_changed`, as the row says."""
    facts = row.data
    if facts["event"] == "member_joined":
        return MemberJoined(group_id=row.group_id, seq=row.seq, user_id=facts["userId"], user=user, role=facts["role"])
    if facts["event"] == "member_left":
        return MemberLeft(group_id=row.group_id, seq=row.seq, user_id=facts["userId"], reason=facts["reason"])
    return MemberRoleChanged(group_id=row.group_id, seq=row.seq, user_id=facts["userId"], role=facts["role"])


def _without_content(update: MessageUpdated) -> MessageUpdated:
    hidden = {"content": "", "mentions": None, "reactions": None, "unavailable": True}
    hidden |= {"media_url": None, "media_metadata": None}
    return update.model_copy(update={"message": update.message.model_copy(update=hidden)})


def seen_from(floor: int, event: Shape) -> Shape:
    """An event as a member with this floor may see it."""
    if isinstance(event, MessageUpdated) and event.message_seq <= floor:
        return _without_content(event)
    return event


class Rendering:
    """Opens and names rows in bulk: one look-up of people and at most one each of messages and uploads for a page."""

    def __init__(self, vault: Vault, identity: Identity, journal: JournalStore, media: Media):
        self._vault = vault
        self._identity = identity
        self._journal = journal
        self._media = media
        self.broken_seals = 0

    async def messages(self, rows: Sequence[Row]) -> list[Message]:
        people = await self._identity.cards({row.sender_id for row in rows})
        media = await self._media.cards({row.media_id for row in rows if row.media_id and not row.is_deleted})
        return [await self._message(row, people[row.sender_id], media.get(row.media_id or "")) for row in rows]

    async def _message(self, row: Row, sender: User, media: MediaCard | None) -> Message:
        if row.is_deleted or row.sealed is None:
            return message_shape(row, sender, "", unavailable=not row.is_deleted)
        try:
            content = await self._vault.open(row.place, row.sealed)
        except SealBroken:
            self.broken_seals += 1
            return message_shape(row, sender, "", unavailable=True)
        return message_shape(row, sender, content.decode(), media=media)

    async def last_message(self, row: Row | None) -> LastMessage | None:
        if row is None:
            return None
        message = (await self.messages([row]))[0]
        return LastMessage(
            id=message.id,
            seq=message.seq,
            sender_id=message.sender_id,
            sender=message.sender,
            content=message.content,
            type=message.type,
            is_deleted=message.is_deleted,
            created_at=message.created_at,
        )

    async def events(self, room: Room, head: Head, rows: Sequence[Row]) -> list[tuple[LogEventName, Shape]]:
        """What each row was pushed as; edited messages appear in their present state."""
        targets = await self._journal.by_ids({row.data["messageId"] for row in rows if row.kind == "edit"})
        shown = [row for row in rows if row.shown] + list(targets.values())
        messages = {message.id: message for message in await self.messages(shown)}
        people = await self._identity.cards(_people_in(rows))
        return [self._event(room, head, row, messages, people) for row in rows]

    def _event(
        self, room: Room, head: Head, row: Row, messages: dict[str, Message], people: dict[str, User]
    ) -> tuple[LogEventName, Shape]:
        facts, name = row.data, PUSHED_AS.get(row.kind)
        event: Shape
        match row.kind:
            case "message":
                event = messages[row.id]
            case "edit":
                message = messages[facts["messageId"]]
                event = MessageUpdated(
                    group_id=row.group_id, seq=row.seq, message_seq=facts["messageSeq"], message=message
                )
            case "delete":
                event = MessageDeleted(
                    message_id=facts["messageId"],
                    group_id=row.group_id,
                    seq=row.seq,
                    message_seq=facts["messageSeq"],
                    deleted_by=row.sender_id,
                )
            case "reaction":
                event = ReactionChanged(
                    group_id=row.group_id,
                    seq=row.seq,
                    message_id=facts["messageId"],
                    emoji=facts["emoji"],
                    user_id=row.sender_id,
                    count=facts["count"],
                )
            case "pin":
                event = PinsChanged(group_id=row.group_id, seq=row.seq, pins=facts["pins"])
            case "membership":
                name, event = facts["event"], membership_event(row, people[facts["userId"]])
            case "group":
                event = GroupUpdated(group_id=row.group_id, seq=row.seq, group=group_shape(room, head))
        assert name is not None
        return name, event

    async def log(self, room: Room, head: Head, rows: Sequence[Row], floor: int) -> list[LogEvent]:
        """The same as `sync` returns them; a message at or below the floor is not shown by its later edits either."""
        events = await self.events(room, head, rows)
        return [
            LogEvent(seq=row.seq, event=name, data=seen_from(floor, shape).wire())
            for row, (name, shape) in zip(rows, events, strict=True)
        ]


def _people_in(rows: Iterable[Row]) -> set[str]:
    return {row.data["userId"] for row in rows if row.kind == "membership"}
