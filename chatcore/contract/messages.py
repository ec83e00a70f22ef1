"""Shapes about messages, the group's log, read state and reports."""

import re
import unicodedata
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from chatcore.contract.base import Clean, Moment, ObjectIdText, Seq, Shape, Text
from chatcore.contract.people import User

MAX_MESSAGE_BYTES = 4096
KEYCAP = re.compile("[0-9#*]\ufe0f?\u20e3\\Z")
MessageType = Literal["text", "image", "file", "system"]
LogEventName = Literal[
    "new_message",
    "message_updated",
    "message_deleted",
    "reaction_changed",
    "pins_changed",
    "member_joined",
    "member_left",
    "member_role_changed",
    "group_updated",
]
TempId = Annotated[str, StringConstraints(min_length=1, max_length=64), Clean]


def _emoji(text: str) -> str:
    """One emoji, possibly a sequence: at least one symbol, and nothing that is a letter, space, `.` or `$`."""
    kinds = [unicodedata.category(character) for character in text]
    if not KEYCAP.match(text) and (
        "So" not in kinds or any(kind not in ("So", "Sk", "Mn", "Me", "Cf") for kind in kinds)
    ):
        raise ValueError("must be one emoji")
    return text


Emoji = Annotated[str, StringConstraints(min_length=1, max_length=16), AfterValidator(_emoji), Clean]


class MediaMetadata(Shape):
    """Of an image or file. Its type is what decoding said; a file that is no image is `application/octet-stream`."""

    filename: str
    original_filename: str
    content_type: str
    size: int
    width: int | None = None
    height: int | None = None
    thumbnail_url: str | None = None


class ModerationMark(Shape):
    action: Literal["allow", "flag", "mask", "block"]
    category: str | None = None
    decision_id: str | None = None


class ReadBy(Shape):
    user_id: str
    read_at: Moment


class Message(Shape):
    """One message. `seq` is its place in the group's log, `n` its ordinal among the messages people wrote.

    A system message carries the `n` reached so far, so joining and leaving never counts as unread. A deleted message
    keeps its place and ids, with empty content. `unavailable` says that the stored bytes failed their integrity check,
    or (in `message_updated`) that the message is older than the reader's history.
    """

    id: ObjectIdText = Field(alias="_id")
    group_id: ObjectIdText
    seq: int
    n: int
    sender_id: str
    sender: User
    content: str
    type: MessageType
    media_url: str | None = None
    media_metadata: MediaMetadata | None = None
    reply_to: ObjectIdText | None = None
    mentions: list[str] | None = None
    reactions: dict[str, int] | None = None
    ai_moderated: bool = False
    moderation: ModerationMark | None = None
    is_deleted: bool = False
    unavailable: bool | None = None
    read_by: list[ReadBy] | None = None
    created_at: Moment
    updated_at: Moment


class SendMessage(Shape):
    """Content may be empty only with a `mediaId`. A repeat with the same `tempId` answers with the first receipt."""

    group_id: ObjectIdText
    content: Text = ""
    type: Literal["text", "image", "file"] = "text"
    temp_id: TempId | None = None
    reply_to: ObjectIdText | None = None
    media_id: ObjectIdText | None = None


class MessageSent(Shape):
    temp_id: str | None = None
    message_id: ObjectIdText
    group_id: ObjectIdText
    seq: int
    created_at: Moment
    duplicate: bool = False


class MessagePath(Shape):
    group_id: ObjectIdText
    message_id: ObjectIdText


class MessageOnlyPath(Shape):
    message_id: ObjectIdText


class EditMessage(Shape):
    group_id: ObjectIdText
    message_id: ObjectIdText
    content: Text


class EditMessageById(Shape):
    message_id: ObjectIdText
    content: Text


class MessageUpdated(Shape):
    group_id: ObjectIdText
    seq: Seq
    message_seq: int
    message: Message


class MessageDeleted(Shape):
    message_id: ObjectIdText
    group_id: ObjectIdText
    seq: Seq
    message_seq: int
    deleted_by: str


class MarkMessageRead(Shape):
    group_id: ObjectIdText
    message_id: ObjectIdText


class MarkMessagesRead(Shape):
    """Either 1-200 `messageIds` or `upToSeq`."""

    group_id: ObjectIdText
    message_ids: list[ObjectIdText] | None = Field(default=None, min_length=1, max_length=200)
    up_to_seq: Seq | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.message_ids is None) == (self.up_to_seq is None):
            raise ValueError("needs either messageIds or upToSeq")
        return self


class MessageRead(Shape):
    message_id: ObjectIdText
    group_id: ObjectIdText
    read_by: str
    read_at: Moment
    up_to_seq: int


class MessagesRead(Shape):
    group_id: ObjectIdText
    message_ids: list[ObjectIdText]
    read_by: str
    read_at: Moment
    up_to_seq: int


class Receipts(Shape):
    message_id: ObjectIdText
    read_by: list[ReadBy]
    has_more: bool = False


class History(Shape):
    """`page` 1 is the newest; `before`/`after` are exclusive log positions. At most one of the three."""

    group_id: ObjectIdText
    page: int | None = Field(default=None, ge=1, le=1_000_000)
    before: int | None = Field(default=None, ge=0, le=2**53 - 1)
    after: int | None = Field(default=None, ge=0, le=2**53 - 1)
    limit: int = Field(default=50, ge=1, le=100)
    include: Literal["readBy"] | None = None

    @model_validator(mode="after")
    def _one_cursor(self) -> Self:
        if sum(value is not None for value in (self.page, self.before, self.after)) > 1:
            raise ValueError("page, before and after exclude each other")
        return self


class MessagePage(Shape):
    """Oldest first within the page."""

    messages: list[Message]
    latest_seq: int
    has_more: bool


class SyncPoint(Shape):
    group_id: ObjectIdText
    since: Seq


class Sync(Shape):
    groups: list[SyncPoint] = Field(min_length=1, max_length=100)


class LogEvent(Shape):
    seq: int
    event: LogEventName
    data: dict[str, Any]


class SyncedGroup(Shape):
    """`error` instead of events where the caller may not read the group (any more)."""

    group_id: ObjectIdText
    events: list[LogEvent]
    latest_seq: int
    has_more: bool
    resync_required: bool
    error: str | None = None


class Synced(Shape):
    groups: list[SyncedGroup]


class React(Shape):
    group_id: ObjectIdText
    message_id: ObjectIdText
    emoji: Emoji


class ReactionChanged(Shape):
    group_id: ObjectIdText
    seq: Seq
    message_id: ObjectIdText
    emoji: str
    user_id: str
    count: int


class PinsChanged(Shape):
    group_id: ObjectIdText
    seq: Seq
    pins: list[ObjectIdText]


class Pins(Shape):
    pins: list[Message]
    has_more: bool = False


class ReportMessage(Shape):
    group_id: ObjectIdText
    message_id: ObjectIdText
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), Clean]


class ReportReceipt(Shape):
    report_id: ObjectIdText


class ReportCreated(Shape):
    report_id: ObjectIdText
    group_id: ObjectIdText
    message_id: ObjectIdText
    reason: str


class MessageRejectedNotice(Shape):
    temp_id: str | None = None
    group_id: ObjectIdText
    category: str
    decision_id: str
    appealable: bool
