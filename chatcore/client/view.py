"""One group as a client sees it: the log applied to a page of history."""

import asyncio
import bisect
from typing import Any

from chatcore.client.events import Event
from chatcore.contract.groups import MemberJoined, MemberLeft, MemberRoleChanged
from chatcore.contract.messages import (
    Message,
    MessageDeleted,
    MessagePage,
    MessageUpdated,
    PinsChanged,
    ReactionChanged,
)


class GroupView:
    """Messages in log order with edits, deletions and reactions applied; pins, roles and read marks beside them.

    `seq` is the place in the log up to which the view is true. Applying an event twice changes nothing.
    """

    def __init__(self, group_id: str):
        self.group_id = group_id
        self.seq = 0
        self.has_earlier = False
        self.pins: list[str] = []
        self.roles: dict[str, str] = {}
        self.read_up_to: dict[str, int] = {}
        self._messages: dict[int, Message] = {}
        self._order: list[int] = []
        self._seq_of: dict[str, int] = {}
        self._loaded = False
        self._waiting: list[Event] = []
        self._awaited: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def loaded(self) -> bool:
        """False until the first page of history is there, and while it is read anew."""
        return self._loaded

    @property
    def messages(self) -> list[Message]:
        """Oldest first."""
        return [self._messages[seq] for seq in self._order]

    def find_message(self, message_id: str) -> Message | None:
        seq = self._seq_of.get(message_id)
        return None if seq is None else self._messages[seq]

    def readers_of(self, message: Message) -> list[str]:
        """Others whose watermark has reached the message, as far as their receipts are shown."""
        return sorted(
            user_id for user_id, seq in self.read_up_to.items() if seq >= message.seq and user_id != message.sender_id
        )

    def start(self, page: MessagePage) -> None:
        """Begin anew from the newest page of history; events that came meanwhile are applied on top."""
        self._messages, self._order, self._seq_of = {}, [], {}
        self.seq = page.latest_seq
        self.add_earlier(page)
        self._loaded = True
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self.apply(event)
        self._announce()

    def restart(self) -> None:
        """History has to be read anew: keep what is shown, and hold events back until `start`."""
        self._loaded = False

    def add_earlier(self, page: MessagePage) -> None:
        """A page of history before what is held."""
        self.has_earlier = page.has_more
        for message in page.messages:
            self._put(message)

    def apply(self, event: Event) -> None:
        """The next event of the group's log; what the view already holds is dropped."""
        if not self._loaded:
            self._waiting.append(event)
        elif event.seq is not None and event.seq > self.seq:
            self.seq = event.seq
            self._change(event)
            self._announce()

    async def reached(self, seq: int) -> None:
        """Wait until the view is true up to this place."""
        if self._loaded and self.seq >= seq:
            return
        arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited.append((seq, arrival))
        await arrival

    def mark_read(self, user_id: str, up_to_seq: int) -> None:
        """A watermark; it never goes back."""
        self.read_up_to[user_id] = max(self.read_up_to.get(user_id, 0), up_to_seq)

    def snapshot(self) -> list[dict[str, Any]]:
        """What two views of one log must agree on, message by message."""
        return [
            {
                "seq": message.seq,
                "id": message.id,
                "sender": message.sender_id,
                "content": message.content,
                "deleted": message.is_deleted,
                "replyTo": message.reply_to,
                "reactions": {} if message.is_deleted else dict(sorted((message.reactions or {}).items())),
            }
            for message in self.messages
        ]

    def _announce(self) -> None:
        if self._awaited:
            for seq, arrival in self._awaited:
                if seq <= self.seq and not arrival.done():
                    arrival.set_result(None)
            self._awaited = [(seq, arrival) for seq, arrival in self._awaited if not arrival.done()]

    def _put(self, message: Message) -> None:
        if message.seq not in self._messages:
            bisect.insort(self._order, message.seq)
        self._messages[message.seq] = message
        self._seq_of[message.id] = message.seq

    def _change(self, event: Event) -> None:
        match event.shape:
            case Message() as message:
                self._put(message)
                self.mark_read(message.sender_id, message.seq)
            case MessageUpdated(message=message):
                if message.seq in self._messages:
                    self._put(message)
            case MessageDeleted(message_id=message_id):
                self._replace(message_id, is_deleted=True, content="", media_url=None, media_metadata=None)
            case ReactionChanged(message_id=message_id, emoji=emoji, count=count):
                self._count(message_id, emoji, count)
            case PinsChanged(pins=pins):
                self.pins = pins
            case MemberJoined(user_id=user_id, role=role) | MemberRoleChanged(user_id=user_id, role=role):
                self.roles[user_id] = role
            case MemberLeft(user_id=user_id):
                self.roles.pop(user_id, None)
                self.read_up_to.pop(user_id, None)

    def _replace(self, message_id: str, **changes: object) -> None:
        if message := self.find_message(message_id):
            self._put(message.model_copy(update=changes))

    def _count(self, message_id: str, emoji: str, count: int) -> None:
        if message := self.find_message(message_id):
            others = {other: number for other, number in (message.reactions or {}).items() if other != emoji}
            self._replace(message_id, reactions=(others | {emoji: count}) if count > 0 else others)
