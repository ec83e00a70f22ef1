"""What a row of the table says of a command, and what answers it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from chatcore.ai.admin import AiAdmin
from chatcore.ai.analysis.service import Analysis
from chatcore.ai.search.service import Search
from chatcore.ai.suggestions.service import Suggestions
from chatcore.contract.base import Empty, Shape
from chatcore.errors import ChatError, Conflict, Forbidden, MessageEmpty, MessageTooLong, NotFound
from chatcore.exports.service import Exports
from chatcore.groups.attendance import Attendance
from chatcore.groups.members import Members
from chatcore.groups.service import Groups
from chatcore.identity.service import Identity
from chatcore.limits import Bucket
from chatcore.messages.attachments import Attachments
from chatcore.messages.reading import Reading
from chatcore.messages.responses import Responses
from chatcore.messages.service import Messages
from chatcore.moderation.reviews import Reviews
from chatcore.moderation.service import Moderation
from chatcore.ports import Caller
from chatcore.push.service import Push

Method = Literal["GET", "POST", "PATCH", "DELETE"]
ErrorEvent = Literal["message_error", "group_error", "ai_error", "error"]
Refusal = type[ChatError]
TEXT: tuple[Refusal, ...] = (MessageEmpty, MessageTooLong)
CHANGE: tuple[Refusal, ...] = (NotFound, Forbidden, Conflict)


@dataclass(frozen=True)
class Services:
    """What the commands are answered by."""

    identity: Identity
    groups: Groups
    members: Members
    attendance: Attendance
    messages: Messages
    reading: Reading
    responses: Responses
    attachments: Attachments
    moderation: Moderation
    reviews: Reviews
    ai_admin: AiAdmin
    suggestions: Suggestions
    analysis: Analysis
    search: Search
    push: Push
    exports: Exports


Answer = Callable[[Services, Caller, Any], Awaitable[Shape]]


@dataclass(frozen=True, slots=True)
class Rest:
    """`path` fields, query and JSON body together fill the shape; `fixed` sets what the path alone says."""

    method: Method
    path: str
    status: int = 200


@dataclass(frozen=True, slots=True)
class Command:
    """One thing a client may ask for. `event` and `rest` are its two forms; either may be missing.

    `refuses` names the refusals it can answer with, beyond those that every command shares. A `slow` command leaves
    its connection's inbox: the ack is `{requestId}` at once, and `reply_event` or `error_event` follows with that id.
    """

    name: str
    summary: str
    request: type[Shape]
    reply: type[Shape] | tuple[type[Shape], ...]
    answer: Answer
    limit: Bucket
    event: str | None = None
    reply_event: str | None = None
    error_event: ErrorEvent = "error"
    rest: Rest | None = None
    tag: str = "messages"
    refuses: tuple[Refusal, ...] = ()
    slow: bool = False


async def done(work: Awaitable[object]) -> Empty:
    await work
    return Empty()
