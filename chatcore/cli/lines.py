"""The conversation as plain lines: for pipes, logs, screen readers and small terminals."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator

import typer

from chatcore.cli.commands import Quit, obey
from chatcore.cli.conversation import Conversation
from chatcore.cli.wording import content_of, name_of, printable
from chatcore.client import Client, ConnectionChanged, Event, Happening
from chatcore.contract.messages import Message, MessageDeleted, MessageUpdated, ReactionChanged
from chatcore.errors import ChatError


class PlainLines:
    """`[10:45] #12 ana: hello` for messages, `* ...` for everything else."""

    def __init__(self) -> None:
        self.conversation: Conversation | None = None

    def note(self, text: str) -> None:
        typer.echo(f"* {text}")

    def logged(self, event: Event) -> None:
        assert self.conversation is not None
        names = self.conversation.names
        match event.shape:
            case Message() as message:
                self._write(message)
            case MessageUpdated(message=message):
                self._write(message, "edited")
            case MessageDeleted(message_seq=seq, deleted_by=user_id):
                self.note(f"{name_of(user_id, names)} deleted #{seq}")
            case ReactionChanged(message_id=message_id, emoji=emoji, user_id=user_id, count=count):
                message_or_none = self.conversation.view and self.conversation.view.find_message(message_id)
                place = f"#{message_or_none.seq}" if message_or_none else "an earlier message"
                self.note(f"{name_of(user_id, names)}: {emoji} on {place} ({count})")

    def recalled(self, messages: list[Message]) -> None:
        for message in messages:
            self._write(message)

    def refresh(self) -> None:
        return None

    def passing(self, happening: Happening) -> None:
        """What a screen shows in place needs a line here."""
        assert self.conversation is not None
        names = self.conversation.names
        match happening:
            case ConnectionChanged(state="reconnecting", reason=reason):
                self.note(f"reconnecting ({reason})")
            case ConnectionChanged(state="connected"):
                self.note("connected again")
            case Event(name="user_typing", data=data) if data["userId"] != self.conversation.me:
                self.note(f"{name_of(data['userId'], names)} is typing")
            case Event(name="messages_read" | "message_read", data=data) if data["readBy"] != self.conversation.me:
                self.note(f"{name_of(data['readBy'], names)} has read up to #{data['upToSeq']}")

    def _write(self, message: Message, mark: str = "") -> None:
        if message.type == "system":
            self.note(content_of(message))
            return
        moment = f"{message.created_at.astimezone():%H:%M}"
        suffix = f" ({mark})" if mark else ""
        first, *others = content_of(message).split("\n")
        sender = name_of(message.sender_id, {message.sender_id: message.sender.name})
        typer.echo(f"[{moment}] #{message.seq} {sender}: {first}{suffix if not others else ''}")
        for number, line in enumerate(others, start=1):
            typer.echo(f"        {line}{suffix if number == len(others) else ''}")


async def run_lines(client: Client, group: str) -> None:
    """Until the input ends or `/quit`; what was typed before is finished first."""
    face = PlainLines()
    conversation = face.conversation = Conversation(client, face)
    happenings = client.events()
    entered = await conversation.enter(group)
    face.note(f"you are {client.user.name} in {printable(entered.name)}; /help lists the commands")
    if conversation.view is not None:
        face.recalled(conversation.view.messages[-20:])
    listening = asyncio.create_task(_listen(conversation, face, happenings))
    talking = asyncio.create_task(_talk(conversation))
    try:
        await asyncio.wait({listening, talking}, return_when=asyncio.FIRST_COMPLETED)
        for done in (listening, talking):
            if done.done():
                await done
    finally:
        for task in (listening, talking):
            task.cancel()
        await asyncio.gather(listening, talking, return_exceptions=True)


async def _listen(conversation: Conversation, face: PlainLines, happenings: AsyncIterator[Happening]) -> None:
    async for happening in happenings:
        conversation.hear(happening)
        if not isinstance(happening, Event) or happening.group_id in (
            None,
            conversation.group and conversation.group.id,
        ):
            face.passing(happening)


async def _talk(conversation: Conversation) -> None:
    async for line in _typed_lines():
        try:
            await obey(conversation, line)
        except Quit:
            return
        except ChatError as refused:
            conversation.face.note(f"not done: {printable(refused.message)}")


async def _typed_lines() -> AsyncIterator[str]:
    """Lines of standard input. A thread reads, as files, pipes and terminals differ too much for the event loop."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line.rstrip("\r\n"))
        loop.call_soon_threadsafe(lines.put_nowait, None)

    # A daemon: it sits in a read that nothing interrupts, and must not hold up the end of the program.
    threading.Thread(target=read, name="stdin", daemon=True).start()
    while (line := await lines.get()) is not None:
        yield line
