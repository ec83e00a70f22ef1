"""Shapes about groups, membership and invitations."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from chatcore.contract.base import Clean, Moment, ObjectIdText, Seq, Shape, UserId
from chatcore.contract.people import Name, User

GroupRole = Literal["owner", "admin", "moderator", "member"]
JoinPolicy = Literal["open", "invite", "closed"]
GroupKind = Literal["group", "direct"]
LeaveReason = Literal["left", "kicked", "banned", "erased"]
PresenceStatus = Literal["online", "away"]
Description = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500), Clean]


ModeratedCategory = Literal[
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "toxic",
    "violence",
    "violence/graphic",
]
Score = Annotated[float, Field(ge=0, le=1)]


ModerationLimits = dict[ModeratedCategory, dict[Literal["flag", "mask", "block"], Score]]
"""Scores at or above which a message is flagged for people, masked, or refused. They only lower the server's own; what
is left out stays. Hate and self-harm alone are never masked or refused by the embedded models."""


class GroupSettings(Shape):
    ai: bool = True
    moderation: Literal["fast", "strict"] = "fast"
    moderation_limits: ModerationLimits | None = None
    slow_mode_seconds: int = Field(default=0, ge=0, le=21_600)
    retention_days: int | None = Field(default=None, ge=1, le=36_500)
    history_for_new_members: Literal["all", "none"] = "all"
    consent: bool = False


class GroupSettingsChange(Shape):
    ai: bool | None = None
    moderation: Literal["fast", "strict"] | None = None
    moderation_limits: ModerationLimits | None = None
    slow_mode_seconds: int | None = Field(default=None, ge=0, le=21_600)
    retention_days: int | None = Field(default=None, ge=1, le=36_500)
    history_for_new_members: Literal["all", "none"] | None = None
    consent: bool | None = None


class LastMessage(Shape):
    """The newest message as a list of groups shows it."""

    id: ObjectIdText = Field(alias="_id")
    seq: int
    sender_id: str
    sender: User
    content: str
    type: Literal["text", "image", "file", "system"]
    is_deleted: bool
    created_at: Moment


class Group(Shape):
    """A group as one member sees it; in pushes to all, `role`, `unread` and `lastMessage` are left out."""

    id: ObjectIdText = Field(alias="_id")
    name: str
    description: str
    kind: GroupKind
    join_policy: JoinPolicy
    settings: GroupSettings
    member_count: int
    latest_seq: int
    role: GroupRole | None = None
    unread: int | None = None
    last_message: LastMessage | None = None
    created_by: str
    created_at: Moment
    updated_at: Moment


class Member(Shape):
    user_id: str
    role: GroupRole
    joined_at: Moment
    read_seq: int | None = None
    is_online: bool
    status: PresenceStatus | None = None
    user: User


class Groups(Shape):
    groups: list[Group]
    has_more: bool = False


class UserGroups(Shape):
    """Pushed right after authentication."""

    groups: list[Group]


class CreateGroup(Shape):
    name: Name
    description: Description = ""
    join_policy: JoinPolicy = "invite"
    settings: GroupSettingsChange | None = None


class UpdateGroup(Shape):
    group_id: ObjectIdText
    name: Name | None = None
    description: Description | None = None
    join_policy: JoinPolicy | None = None
    settings: GroupSettingsChange | None = None


class GroupPath(Shape):
    group_id: ObjectIdText


class GroupOrUserPath(Shape):
    """24 lower-case hex characters are a group's id; anything else is a user's, and only one's own is answered."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=255), Clean]


class LeaveGroup(Shape):
    group_id: ObjectIdText
    membership: bool = False


class GroupJoined(Shape):
    group_id: ObjectIdText
    group: Group
    online_members: list[str]
    latest_seq: int


class GroupLeft(Shape):
    group_id: ObjectIdText


class GroupMembers(Shape):
    group_id: ObjectIdText
    members: list[Member]
    online_members: list[str]
    has_more: bool = False


class MemberPath(Shape):
    group_id: ObjectIdText
    user_id: UserId


class ChangeRole(Shape):
    group_id: ObjectIdText
    user_id: UserId
    role: Literal["admin", "moderator", "member"]


class Ban(Shape):
    group_id: ObjectIdText
    user_id: UserId
    reason: Annotated[str, StringConstraints(max_length=500), Clean] = ""


class Bans(Shape):
    bans: list["BanEntry"]
    has_more: bool = False


class BanEntry(Shape):
    user_id: str
    banned_by: str
    reason: str
    created_at: Moment


class TransferOwnership(Shape):
    group_id: ObjectIdText
    user_id: UserId


class CreateInvite(Shape):
    group_id: ObjectIdText
    max_uses: int = Field(default=100, ge=1, le=10_000)
    expires_in_hours: int = Field(default=168, ge=1, le=8_760)


class Invite(Shape):
    invite_url: str
    code: str
    group_id: ObjectIdText
    max_uses: int
    expires_at: Moment


class AcceptInvite(Shape):
    code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{16,64}\z")]


class DirectMessage(Shape):
    user_id: UserId


class FindGroups(Shape):
    query: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100), Clean] = ""
    limit: int = Field(default=20, ge=1, le=100)


class MemberJoined(Shape):
    group_id: ObjectIdText
    seq: Seq
    user_id: str
    user: User
    role: GroupRole


class MemberLeft(Shape):
    group_id: ObjectIdText
    seq: Seq
    user_id: str
    reason: LeaveReason


class MemberRoleChanged(Shape):
    group_id: ObjectIdText
    seq: Seq
    user_id: str
    role: GroupRole


class GroupUpdated(Shape):
    group_id: ObjectIdText
    seq: Seq
    group: Group


class GroupDeleted(Shape):
    group_id: ObjectIdText
