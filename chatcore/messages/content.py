"""What a message may hold, and whom it mentions."""

import re
from collections.abc import Mapping

from chatcore.contract.messages import MAX_MESSAGE_BYTES
from chatcore.contract.people import User
from chatcore.errors import MessageEmpty, MessageTooLong

MENTION = re.compile(r"(?<![\w@])@([\w][\w.-]{0,63})")
MAX_MENTIONS = 50
# Anything but spaces, controls, and what has no width: soft hyphen, joiners, marks of direction, fillers, variations.
VISIBLE = re.compile(
    "[^\\s\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)


def checked_content(content: str, *, may_be_empty: bool = False) -> str:
    """Trimmed text of 1 to 4096 UTF-8 bytes with something to see in it."""
    content = content.strip()
    if not may_be_empty and not VISIBLE.search(content):
        raise MessageEmpty(field="content")
    if len(content.encode()) > MAX_MESSAGE_BYTES:
        raise MessageTooLong(field="content")
    return content


def mentioned(content: str, people: Mapping[str, User]) -> tuple[str, ...]:
    """Ids of the people whose username or id stands after an `@`, in order of mention."""
    by_name = {user.username.casefold(): user_id for user_id, user in people.items() if user.username}
    by_name |= {user_id.casefold(): user_id for user_id in people}
    found: dict[str, None] = {}
    for name in MENTION.findall(content):
        user_id = by_name.get(name.casefold()) or by_name.get(name.casefold().rstrip(".-"))
        if user_id:
            found[user_id] = None
    return tuple(found)[:MAX_MENTIONS]
