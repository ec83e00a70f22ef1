"""Words and colours for what happens in a group, the same on a screen and in plain lines."""

import hashlib
import unicodedata

from chatcore.client import Event
from chatcore.contract.groups import GroupUpdated
from chatcore.contract.messages import Message, PinsChanged

# Readable on dark and on light ground alike.
COLOURS = ("#d75f5f", "#d7875f", "#af8700", "#5f8700", "#00875f", "#0087af", "#5f87d7", "#875fd7", "#af5faf", "#d75f87")
_BIDI = {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def colour_of(user_id: str) -> str:
    """The same for one person everywhere and always."""
    return COLOURS[hashlib.sha256(user_id.encode()).digest()[0] % len(COLOURS)]


def printable(text: str) -> str:
    """Safe on a terminal: escape sequences and marks that turn the reading direction cannot act. Keeps line ends."""
    kept = []
    for character in text.replace("\r\n", "\n").replace("\t", "    "):
        if character == "\n" or not (unicodedata.category(character) == "Cc" or character in _BIDI):
            kept.append(character)
        elif character not in _BIDI:
            kept.append("\ufffd")
    return "".join(kept)


def name_of(user_id: str, names: dict[str, str]) -> str:
    return printable(names.get(user_id, user_id)).replace("\n", " ")


def content_of(message: Message) -> str:
    """What stands for the message where only text can stand."""
    if message.is_deleted:
        return "(deleted)"
    if message.unavailable:
        return "(cannot be read)"
    text = printable(message.content)
    if message.media_metadata is not None:
        file = printable(message.media_metadata.original_filename)
        return f"{text} [{message.type}: {file}]".strip()
    return text


def notice_of(event: Event) -> str | None:
    """One line about a change of the group. Who joined or left is told by the server's own system messages."""
    match event.shape:
        case GroupUpdated(group=group):
            return f"the group is now {printable(group.name)}, {group.join_policy}"
        case PinsChanged(pins=pins):
            return f"{len(pins)} pinned message{'s' if len(pins) != 1 else ''}; /pins shows them"
    return None


def listing(names: list[str]) -> str:
    """`ana`, `ana and bo`, `ana, bo and cy`, `ana, bo and 3 others`."""
    if len(names) > 3:
        names = [*names[:2], f"{len(names) - 2} others"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""
