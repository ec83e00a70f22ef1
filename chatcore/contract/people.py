"""Shapes about users, their settings, devices and sign-in."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from chatcore.contract.base import Clean, Moment, ObjectIdText, Shape, UserId
from chatcore.contract.push import PushSubscription

DeviceType = Literal["mobile", "web", "desktop"]
ServerRole = Literal["operator", "reviewer", "analyst"]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), Clean]


class User(Shape):
    """What people who share a group may see of each other."""

    user_id: UserId
    name: str
    first_name: str | None = None
    last_name: str | None = None
    username: str | None = None
    image_url: str | None = None


class UserSettings(Shape):
    """`receipts`: others see what I have read. `ai`: AI features work for me. `consent`: my messages may be exported
    for research."""

    receipts: bool = True
    ai: bool = True
    consent: bool = False


class Me(User):
    """Oneself."""

    email: str | None = None
    roles: list[str] = Field(default_factory=list)
    settings: UserSettings = UserSettings()


class UserSettingsChange(Shape):
    receipts: bool | None = None
    ai: bool | None = None
    consent: bool | None = None


class UpdateMe(Shape):
    settings: UserSettingsChange


class Authenticate(Shape):
    token: Annotated[str, StringConstraints(max_length=8192), Clean]
    device_type: DeviceType | None = None


class AuthenticationSuccess(Shape):
    user: Me
    session_id: str
    expires_at: Moment


class TokenExpiring(Shape):
    expires_at: Moment


class Device(Shape):
    """One session: a token on a device, with however many connections."""

    session_id: str
    device_type: DeviceType
    status: Literal["online", "away", "offline"]
    current: bool
    ip_address: str | None = None
    user_agent: str | None = None
    created_at: Moment
    last_activity: Moment


class Devices(Shape):
    sessions: list[Device]
    has_more: bool = False


class SessionPath(Shape):
    session_id: Annotated[str, StringConstraints(min_length=1, max_length=128), Clean]


class Login(Shape):
    name: Name
    password: Annotated[str, StringConstraints(min_length=1, max_length=1024), Clean]


class DevTokenRequest(Shape):
    name: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\z"), Clean]


class TokenIssued(Shape):
    token: str
    user_id: str
    expires_at: Moment


class FindUsers(Shape):
    query: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100), Clean] = ""
    limit: int = Field(default=20, ge=1, le=100)


class Users(Shape):
    users: list[User]
    has_more: bool = False


class MyDecision(Shape):
    """What a model or a rule decided on one's behalf or about one's messages, without the texts: those are among the
    messages. `action` is what moderation did; `reviewed` and `appealed` say whether people looked at it since."""

    decision_id: ObjectIdText
    feature: str
    at: Moment
    mode: Literal["live", "shadow", "replay"]
    action: str | None = None
    group_id: ObjectIdText | None = None
    message_id: ObjectIdText | None = None
    scores: dict[str, float] = Field(default_factory=dict)
    provider: str
    model: str
    degraded: bool
    reviewed: bool = False
    appealed: bool = False


class MyExport(Shape):
    """Everything that the server keeps about oneself, in the clear, as the law of many countries asks.

    `pushSubscriptions` are the browsers that are told of messages, `decisions` the newest in the ledger. `hasMore`: the
    bounds of one answer left something out.
    """

    user: Me
    groups: list[dict[str, object]]
    messages: list[dict[str, object]]
    push_subscriptions: list[PushSubscription] = Field(default_factory=list)
    decisions: list[MyDecision] = Field(default_factory=list)
    has_more: bool = False
