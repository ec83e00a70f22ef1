"""What may be typed after a slash."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rich.emoji import Emoji

from chatcore.cli.conversation import Conversation
from chatcore.cli.wording import content_of, name_of, printable
from chatcore.client.rest import read_as
from chatcore.contract.groups import Group, Invite
from chatcore.contract.messages import Message, Receipts
from chatcore.errors import Invalid, NotFound


class Quit(Exception):
    """The person wants to go."""


Action = Callable[[Conversation, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    usage: str
    says: str
    action: Action


async def obey(conversation: Conversation, line: str) -> None:
    """A line of the person: a message, or a command. Raises Quit, and ChatError for what is refused."""
    if not line.strip():
        return
    if line.startswith("/") and not line.startswith("//"):
        name, _, rest = line[1:].partition(" ")
        command = BY_NAME.get(name.lower())
        if command is None:
            raise Invalid(f"There is no command /{name}; /help lists them")
        await command.action(conversation, rest.strip())
    else:
        await conversation.send(line[1:] if line.startswith("//") else line)


def target(conversation: Conversation, rest: str, *, own: bool = False) -> tuple[Message, str]:
    """The message a command is about, `12 text` or `#12 text`, else the newest; and the remaining words."""
    head, _, tail = rest.partition(" ")
    if head.lstrip("#").isdecimal():
        return conversation.find_message(int(head.lstrip("#"))), tail.strip()
    return conversation.last_message(own=own), rest


def needed(text: str, usage: str) -> str:
    if not text:
        raise Invalid(f"Say it so: {usage}")
    return text


async def show_help(conversation: Conversation, _: str) -> None:
    width = max(len(command.usage) for command in COMMANDS)
    for command in COMMANDS:
        conversation.face.note(f"{command.usage.ljust(width)}  {command.says}")
    conversation.face.note("N is the number before a message; without it the newest is meant. //text sends /text.")


async def join(conversation: Conversation, rest: str) -> None:
    group = await conversation.enter(needed(rest.lstrip("#"), "/join NAME"))
    conversation.face.note(f"You are in {printable(group.name)} now.")


async def groups(conversation: Conversation, _: str) -> None:
    here = conversation.group.id if conversation.group else ""
    for group in sorted(conversation.client.groups, key=lambda group: group.name.casefold()):
        unread = conversation.unread.get(group.id, 0)
        news = f", {unread} new" if unread else ""
        mark = "*" if group.id == here else " "
        conversation.face.note(f"{mark} {printable(group.name)}  ({group.kind}, {group.member_count} members{news})")


async def find(conversation: Conversation, rest: str) -> None:
    found = await conversation.client.find_groups(rest)
    for group in found.groups:
        conversation.face.note(
            f"  {printable(group.name)}  ({group.member_count} members) {printable(group.description)}"
        )
    if not found.groups:
        conversation.face.note("No open group has such a name.")


async def members(conversation: Conversation, _: str) -> None:
    group, _view = conversation.require_place()
    found = await conversation.client.members(group.id)
    for member in sorted(found.members, key=lambda member: (not member.is_online, member.user.name.casefold())):
        presence = (member.status or "online") if member.is_online else "offline"
        conversation.face.note(
            f"{'●' if member.is_online else '○'} {printable(member.user.name)}  {member.role}, {presence}"
        )


async def history(conversation: Conversation, _: str) -> None:
    _group, view = conversation.require_place()
    before = view.messages[0].seq if view.messages else 0
    await conversation.client.load_earlier(view)
    earlier = [message for message in view.messages if message.seq < before]
    if not earlier:
        conversation.face.note("This is where the conversation begins.")
    conversation.face.recalled(earlier)


async def reply(conversation: Conversation, rest: str) -> None:
    message, text = target(conversation, rest)
    await conversation.send(needed(text, "/reply N TEXT"), reply_to=message.id)


async def edit(conversation: Conversation, rest: str) -> None:
    message, text = target(conversation, rest, own=True)
    await conversation.client.edit(message.group_id, message.id, needed(text, "/edit N TEXT"))


async def delete(conversation: Conversation, rest: str) -> None:
    message, _ = target(conversation, rest, own=True)
    await conversation.client.delete(message.group_id, message.id)


def emoji_of(text: str) -> str:
    """`tada`, `:tada:` and the sign itself are all taken."""
    if not text.isascii():
        return text
    sign = Emoji.replace(f":{text.strip(':')}:")
    if sign.startswith(":"):
        raise Invalid(f"No emoji is called {text}")
    return sign


async def react(conversation: Conversation, rest: str) -> None:
    message, emoji = target(conversation, rest)
    await conversation.client.react(message.group_id, message.id, emoji_of(emoji or "thumbsup"))


async def unreact(conversation: Conversation, rest: str) -> None:
    message, emoji = target(conversation, rest)
    await conversation.client.react(message.group_id, message.id, emoji_of(emoji or "thumbsup"), remove=True)


async def pin(conversation: Conversation, rest: str) -> None:
    message, _ = target(conversation, rest)
    await conversation.client.pin(message.group_id, message.id)


async def unpin(conversation: Conversation, rest: str) -> None:
    message, _ = target(conversation, rest)
    await conversation.client.pin(message.group_id, message.id, pinned=False)


async def pins(conversation: Conversation, _: str) -> None:
    group, _view = conversation.require_place()
    found = await conversation.client.pins(group.id)
    for message in found.pins:
        conversation.face.note(f"#{message.seq} {printable(message.sender.name)}: {content_of(message)}")
    if not found.pins:
        conversation.face.note("Nothing is pinned here.")


async def receipts(conversation: Conversation, rest: str) -> None:
    message, _ = target(conversation, rest, own=True)
    found = read_as(Receipts, await conversation.client.rest.request("GET", f"/api/messages/{message.id}/receipts"))
    names = [name_of(entry.user_id, conversation.names) for entry in found.read_by]
    conversation.face.note(f"#{message.seq} was read by {', '.join(sorted(names)) or 'nobody yet'}.")


async def report(conversation: Conversation, rest: str) -> None:
    message, reason = target(conversation, rest)
    await conversation.client.report(message.group_id, message.id, needed(reason, "/report N REASON"))
    conversation.face.note(f"#{message.seq} was reported to the moderators.")


async def direct(conversation: Conversation, rest: str) -> None:
    wanted = needed(rest.lstrip("@"), "/dm NAME").casefold()
    found = await conversation.client.find_users(rest.lstrip("@"))
    user = next((user for user in found.users if wanted in (user.name.casefold(), user.username, user.user_id)), None)
    if user is None:
        raise NotFound(f"Nobody here is called {rest}")
    await conversation.show(await conversation.client.direct_message(user.user_id))


async def invite(conversation: Conversation, _: str) -> None:
    group, _view = conversation.require_place()
    made = await conversation.client.rest.post(Invite, f"/api/groups/{group.id}/invites", {})
    conversation.face.note(f"{made.invite_url}  (code {made.code}, until {made.expires_at:%d %B})")


async def accept(conversation: Conversation, rest: str) -> None:
    code = needed(rest, "/accept CODE").rsplit("/", 1)[-1]
    group = await conversation.client.rest.post(Group, f"/api/invites/{code}/accept", {})
    await conversation.client.join(group.id)
    await conversation.enter(group.id)


async def status(conversation: Conversation, rest: str) -> None:
    if rest not in ("online", "away"):
        raise Invalid("Say it so: /status online, or /status away")
    await conversation.client.change_status("away" if rest == "away" else "online")


async def leave(conversation: Conversation, _: str) -> None:
    group, _view = conversation.require_place()
    await conversation.client.leave(group.id)
    conversation.left(group.id, f"You have left {printable(group.name)}; /join NAME enters another group.")


async def leave_all(_conversation: Conversation, _: str) -> None:
    raise Quit


COMMANDS = (
    Command("help", "/help", "this list", show_help),
    Command("join", "/join NAME", "enter a group; one that does not exist is made", join),
    Command("groups", "/groups", "your groups", groups),
    Command("find", "/find WORDS", "open groups of such a name", find),
    Command("members", "/members", "who is in this group, and who is here", members),
    Command("dm", "/dm NAME", "talk to one person alone", direct),
    Command("invite", "/invite", "a link that lets others in", invite),
    Command("accept", "/accept CODE", "use such a link", accept),
    Command("history", "/history", "earlier messages", history),
    Command("reply", "/reply N TEXT", "answer a message", reply),
    Command("edit", "/edit N TEXT", "change your message", edit),
    Command("delete", "/delete N", "take your message back", delete),
    Command("react", "/react N EMOJI", "by its name or the sign itself: /react tada", react),
    Command("unreact", "/unreact N EMOJI", "take a reaction back", unreact),
    Command("pin", "/pin N", "keep a message at hand", pin),
    Command("unpin", "/unpin N", "", unpin),
    Command("pins", "/pins", "pinned messages", pins),
    Command("receipts", "/receipts N", "who has read it", receipts),
    Command("report", "/report N REASON", "tell the moderators", report),
    Command("status", "/status online|away", "how others see you", status),
    Command("leave", "/leave", "end your membership in this group", leave),
    Command("quit", "/quit", "also Ctrl-D", leave_all),
)
BY_NAME = {command.name: command for command in COMMANDS} | {"exit": COMMANDS[-1], "q": COMMANDS[-1]}
