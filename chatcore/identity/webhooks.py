"""What Clerk tells of its users and sessions, by signed webhooks (Svix)."""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from chatcore.errors import Invalid, NotFound, Unauthenticated
from chatcore.identity.claims import session_id_of, storable
from chatcore.identity.records import Profile
from chatcore.identity.service import Identity

TOLERANCE_SECONDS: Final = 300.0
MAX_BODY_BYTES: Final = 256 * 1024
MAX_REMEMBERED: Final = 10_000
_SESSION_ENDS: Final = frozenset({"session.revoked", "session.ended", "session.removed"})
_USER_CHANGES: Final = frozenset({"user.updated", "user.created"})


class ClerkWebhooks:
    """`issuer` is the one whose tokens are verified, as it names the sessions. An event is applied once.

    A deleted or banned user is closed here: nobody gets in, connections end. The messages stay; to erase them is for
    the person (`erase`), since a mistake at the issuer could not be undone.
    """

    def __init__(self, secret: str, issuer: str, identity: Identity, now: Callable[[], float] = time.time):
        self._key = _key_of(secret)
        self._issuer = issuer
        self._identity = identity
        self._now = now
        self._applied: OrderedDict[str, float] = OrderedDict()

    async def receive(self, headers: Mapping[str, str], body: bytes) -> None:
        """Raises Unauthenticated when the signature, its age or a header is wrong; Invalid for a body of another form.

        A repeat of an event that was applied is answered like the first, without effect: Svix repeats what it saw no
        answer to. One that failed is applied when it comes again.
        """
        event_id = self._require_signature({name.lower(): value for name, value in headers.items()}, body)
        if event_id in self._applied:
            return
        kind, data = _event(body)
        await self._apply(kind, data)
        self._remember(event_id)

    async def _apply(self, kind: str, data: Mapping[str, Any]) -> None:
        if kind in _SESSION_ENDS:
            user_id = _text(data, "user_id")
            await self._identity.end_session(user_id, session_id_of(self._issuer, user_id, _text(data, "id")))
        elif kind == "user.deleted":
            await self._close(_text(data, "id"))
        elif kind in _USER_CHANGES:
            user_id = _text(data, "id")
            if data.get("banned") is True:
                await self._close(user_id)
            else:
                await self._identity.update_profile(user_id, _profile(data))

    async def _close(self, user_id: str) -> None:
        try:
            await self._identity.deactivate(user_id)
        except NotFound:
            # Never seen here; the tokens it may still hold are refused all the same.
            await self._identity.end_all_sessions(user_id)

    def _require_signature(self, headers: Mapping[str, str], body: bytes) -> str:
        event_id, sent_at = headers.get("svix-id", ""), headers.get("svix-timestamp", "")
        if not (0 < len(event_id) <= 256 and event_id.isascii() and sent_at.isascii() and sent_at.isdigit()):
            raise Unauthenticated("The webhook's headers are missing or wrong")
        if len(sent_at) > 12 or abs(self._now() - int(sent_at)) > TOLERANCE_SECONDS:
            raise Unauthenticated("The webhook is too old, or from the future")
        if len(body) > MAX_BODY_BYTES:
            raise Invalid("The webhook is too large")
        right = hmac.digest(self._key, f"{event_id}.{sent_at}.".encode() + body, hashlib.sha256)
        given = [part[3:] for part in headers.get("svix-signature", "").split()[:16] if part.startswith("v1,")]
        if not any(hmac.compare_digest(right, _decoded(part)) for part in given):
            raise Unauthenticated("The webhook's signature is wrong")
        return event_id

    def _remember(self, event_id: str) -> None:
        now = self._now()
        self._applied[event_id] = now
        # Older ones are refused by their time stamp; with its tolerance to both sides twice as long is enough.
        while self._applied:
            oldest, at = next(iter(self._applied.items()))
            if now - at <= 2 * TOLERANCE_SECONDS and len(self._applied) <= MAX_REMEMBERED:
                return
            del self._applied[oldest]


def _key_of(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = b""
    if len(key) < 16:
        raise ValueError("a webhook secret is `whsec_` and at least 16 bytes in base64")
    return key


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _event(body: bytes) -> tuple[str, Mapping[str, Any]]:
    try:
        event = json.loads(body)
        kind, data = event["type"], event["data"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Invalid("The webhook is not an event") from None
    if not isinstance(kind, str) or not isinstance(data, dict):
        raise Invalid("The webhook is not an event")
    return kind, data


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 255 or not storable(value):
        raise Invalid(f"The event has no `{name}`", field=name)
    return value


def _profile(data: Mapping[str, Any]) -> Profile:
    def text(name: str, limit: int) -> str:
        value = data.get(name)
        return value.strip()[:limit] if isinstance(value, str) and storable(value) else ""

    image = text("image_url", 2048)
    return Profile(
        first_name=text("first_name", 100),
        last_name=text("last_name", 100),
        username=text("username", 100),
        image_url=image if image.startswith("https://") else "",
        email=_email(data)[:320],
    )


def _email(data: Mapping[str, Any]) -> str:
    addresses, primary = data.get("email_addresses"), data.get("primary_email_address_id")
    for item in addresses if isinstance(addresses, list) else []:
        if isinstance(item, dict) and item.get("id") == primary:
            address = item.get("email_address")
            return address if isinstance(address, str) and storable(address) else ""
    return ""
