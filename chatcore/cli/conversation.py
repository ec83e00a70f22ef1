"""What one person sees and does in the terminal, apart from how it looks."""

import asyncio
import secrets
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Protocol

from chatcore.cli.wording import listing, name_of, notice_of, printable
from chatcore.client import Client, ConnectionChanged, Event, GroupLost, GroupView, Happening, LinkLost, Resynced
from chatcore.contract.groups import Group
from chatcore.contract.messages import Message
from chatcore.errors import ChatError, NotFound

TYPING_EVERY_SECONDS = 3.0
TYPING_LASTS_SECONDS = 6.0
# Several messages that come at once are marked read by one command.
READ_AFTER_SECONDS = 0.3
# A stored message that the log does not bring back in this time no longer counts as on its way.
SHOWN_WITHIN_SECONDS = 10.0


class Face(Protocol):
    """How the conversation is shown: a screen, or plain lines."""

    def note(self, text: str) -> None:
        """A line for this person only."""

    def logged(self, event: Event) -> None:
        """The next event in the log of the group that is shown."""

    def recalled(self, messages: list[Message]) -> None:
        """Earlier messages were read from history, oldest first."""

    def refresh(self) -> None:
        """Something else changed: presence, typing, receipts, the connection."""


class Conversation:
    """One client, in one group at a time."""

    def __init__(self, client: Client, face: Face):
        self.client = client
        self.face = face
        self.group: Group | None = None
        self.view: GroupView | None = None
        self.names: dict[str, str] = {}
        self.online: set[str] = set()
        self.connection = ConnectionChanged("connected")
        self.unread: dict[str, int] = {}
        self.sending: dict[str, str] = {}
        self._typing: dict[str, float] = {}
        self._typed_at = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()

    @property
    def me(self) -> str:
        return self.client.user.user_id

    @property
    def typing(self) -> list[str]:
        """Names of those who type just now."""
        now = time.monotonic()
        return sorted(name_of(user, self.names) for user, until in self._typing.items() if until > now)

    def require_place(self) -> tuple[Group, GroupView]:
        if self.group is None or self.view is None:
            raise NotFound("You are in no group; /join NAME enters one")
        return self.group, self.view

    async def enter(self, name: str) -> Group:
        """One's own group of that name, else an open one to join, else a new open group."""
        group = self.client.find_group(name) or await self._join_open(name)
        if group is None:
            group = await self.client.create_group(name, join_policy="open")
            self.face.note(f"There was no group {name}: you have made it.")
        await self.show(group)
        return group

    async def show(self, group: Group) -> None:
        self.view = await self.client.view(group.id)
        await self._see_who_is_here(group.id)
        self._typing.clear()
        self.group = group
        self.unread.pop(group.id, None)
        self._mark_read()
        self.face.refresh()

    async def send(self, text: str, *, reply_to: str | None = None) -> None:
        """Shown as on its way until the log brings it back."""
        group, view = self.require_place()
        temp_id = secrets.token_hex(12)
        self.sending[temp_id] = text
        self._typed_at = 0.0
        self.face.refresh()
        try:
            receipt = await self.client.send(group.id, text, temp_id=temp_id, reply_to=reply_to)
            if view is self.view:
                await asyncio.wait_for(view.reached(receipt.seq), SHOWN_WITHIN_SECONDS)
        except TimeoutError:
            return
        finally:
            self.sending.pop(temp_id, None)
            self.face.refresh()

    async def typed(self, text: str) -> None:
        """The input line changed: tell the group, now and then."""
        if self.group is None or text.startswith("/"):
            return
        now = time.monotonic()
        if not text and self._typed_at:
            self._typed_at = 0.0
            await self.client.typing(self.group.id, active=False)
        elif text and now - self._typed_at > TYPING_EVERY_SECONDS:
            self._typed_at = now
            await self.client.typing(self.group.id)

    async def listen(self) -> None:
        """Until the client ends. Raises the ChatError that ended it, if one did."""
        async for happening in self.client.events():
            self.hear(happening)

    def hear(self, happening: Happening) -> None:
        match happening:
            case ConnectionChanged() as change:
                self.connection = change
                if change.state == "connected" and self.group is not None:
                    self.in_background(self._see_who_is_here(self.group.id))
            case Resynced(group_id=group_id) if self._shown(group_id):
                self.face.note("You were away for long: the history was read anew.")
            case GroupLost(group_id=group_id):
                self.left(group_id, "You are no longer in this group; /join NAME enters another.")
            case Event(seq=int()) as event:
                self._hear_log(event)
            case Event() as event:
                self._hear_passing(event)
        self.face.refresh()

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Commands run beside the input line; a refusal becomes a note."""
        task = asyncio.create_task(self._noting_refusals(work))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def settle(self) -> None:
        """Wait for what runs in the background."""
        while self._background:
            await asyncio.gather(*self._background, return_exceptions=True)

    def find_message(self, seq: int) -> Message:
        _, view = self.require_place()
        for message in view.messages:
            if message.seq == seq:
                return message
        raise NotFound(f"No message #{seq} is shown here; /history reads earlier ones")

    def last_message(self, *, own: bool = False) -> Message:
        _, view = self.require_place()
        for message in reversed(view.messages):
            if not message.is_deleted and message.type != "system" and (not own or message.sender_id == self.me):
                return message
        raise NotFound("There is no such message yet")

    async def _see_who_is_here(self, group_id: str) -> None:
        members = (await self.client.members(group_id)).members
        self.names |= {member.user_id: member.user.name for member in members}
        self.online = {member.user_id for member in members if member.is_online} | {self.me}
        self.face.refresh()

    async def _noting_refusals(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ChatError as refused:
            self.face.note(f"Not done: {printable(refused.message)}")
        except LinkLost as lost:
            self.face.note(f"Not done: {lost}")

    async def _join_open(self, name: str) -> Group | None:
        found = await self.client.find_groups(name)
        group = next((group for group in found.groups if group.name.casefold() == name.casefold()), None)
        return (await self.client.join(group.id)).group if group else None

    def _shown(self, group_id: str | None) -> bool:
        return self.group is not None and self.group.id == group_id

    def left(self, group_id: str | None, text: str) -> None:
        """This group, if it is the one that is shown, is no longer ours."""
        if self._shown(group_id):
            self.group = self.view = None
            self.face.note(text)

    def _hear_log(self, event: Event) -> None:
        if user := event.data.get("user") or event.data.get("sender"):
            self.names[user["userId"]] = user["name"]
        if not self._shown(event.group_id):
            if event.name == "new_message" and event.group_id and event.data.get("senderId") != self.me:
                self.unread[event.group_id] = self.unread.get(event.group_id, 0) + 1
            return
        if event.name == "new_message":
            self._typing.pop(event.data["senderId"], None)
            self._mark_read()
        elif event.name == "group_updated":
            self.group = self.client.find_group(event.group_id or "") or self.group
        if text := notice_of(event):
            self.face.note(text)
        self.face.logged(event)
        if event.name == "member_left" and event.data["userId"] == self.me:
            self.left(event.group_id, "You have left; /join NAME enters another group.")

    def _hear_passing(self, event: Event) -> None:
        user_id = str(event.data.get("userId", ""))
        match event.name:
            case "user_typing" if self._shown(event.group_id) and user_id != self.me:
                self.names[user_id] = event.data["user"]["name"]
                self._typing[user_id] = time.monotonic() + TYPING_LASTS_SECONDS
            case "user_stopped_typing" if self._shown(event.group_id):
                self._typing.pop(user_id, None)
            case "user_online":
                self.names[user_id] = event.data["user"]["name"]
                self.online.add(user_id)
            case "user_offline":
                self.online.discard(user_id)
                self._typing.pop(user_id, None)
            case "group_deleted":
                self.left(event.group_id, "This group was deleted.")
            case "server_draining":
                self.face.note("The server is about to restart; you will be connected again.")

    def _mark_read(self) -> None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._mark_read_soon())

    async def _mark_read_soon(self) -> None:
        await asyncio.sleep(READ_AFTER_SECONDS)
        if self.group is None or self.view is None or not self.view.messages:
            return
        newest = self.view.messages[-1].seq
        if newest > self.view.read_up_to.get(self.me, 0):
            # A refused or lost mark is no news to the reader; the next message brings the next try.
            with suppress(ChatError, LinkLost):
                await self.client.mark_read(self.group.id, newest)
                self.view.mark_read(self.me, newest)


def who_types(names: list[str]) -> str:
    return f"{listing(names)} {'is' if len(names) == 1 else 'are'} typing…" if names else ""
