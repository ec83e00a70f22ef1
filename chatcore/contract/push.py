"""Shapes about notices to browsers that are not connected (Web Push)."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from chatcore.contract.base import Clean, Moment, ObjectIdText, Shape

PushScope = Literal["all", "mentions"]
PushPayload = Literal["titles", "bare", "off"]
Base64Url = r"^[A-Za-z0-9_-]+={0,2}\z"


class PushKeys(Shape):
    """As `PushSubscription.toJSON()` gives them: what is sent is readable by this browser alone."""

    p256dh: Annotated[str, StringConstraints(min_length=86, max_length=90, pattern=Base64Url)] = Field(
        alias="p256dh"  # as the standard writes it
    )
    auth: Annotated[str, StringConstraints(min_length=22, max_length=26, pattern=Base64Url)]


class MakePushSubscription(Shape):
    """What a browser's `pushManager.subscribe` gave, as it is, and `scope`: of which messages to tell."""

    endpoint: Annotated[str, StringConstraints(min_length=12, max_length=2048), Clean]
    keys: PushKeys
    expiration_time: float | None = None
    scope: PushScope = "all"


class PushSubscriptionPath(Shape):
    subscription_id: ObjectIdText


class PushSubscription(Shape):
    """One browser. Its address is not shown again: `host` names the push service."""

    id: ObjectIdText = Field(alias="_id")
    host: str
    scope: PushScope
    created_at: Moment


class PushSubscriptions(Shape):
    """`payload` says what notices hold: names of group and sender, nothing, or that there are none. `publicKey` is the
    `applicationServerKey` of this server."""

    payload: PushPayload
    public_key: str
    subscriptions: list[PushSubscription]
