"""Clerk's webhooks: believed by signature, applied once."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from chatcore.errors import Invalid, Unauthenticated, Unavailable, UserInactive
from chatcore.identity.claims import session_id_of
from chatcore.identity.memory import MemoryIdentityStore
from chatcore.identity.records import Profile
from chatcore.identity.sessions import Connection
from chatcore.identity.webhooks import ClerkWebhooks
from tests.identity.conftest import Clock, RecordingFanout
from tests.identity.test_service import Town

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
ISSUER = "test"


class FailingStore(MemoryIdentityStore):
    down = False

    async def set_active(self, user_id: str, *, active: bool, at: datetime) -> bool:
        if self.down:
            raise Unavailable()
        return await super().set_active(user_id, active=active, at=at)


@dataclass
class Clerk:
    town: Town
    store: FailingStore
    clock: Clock
    hooks: ClerkWebhooks = field(init=False)

    def __post_init__(self) -> None:
        self.hooks = ClerkWebhooks(SECRET, ISSUER, self.town.identity, now=self.clock)

    def headers(self, body: bytes, event_id: str = "msg_1", *, secret: str = SECRET, age: float = 0) -> dict[str, str]:
        sent_at = str(int(self.clock() - age))
        key = base64.b64decode(secret.removeprefix("whsec_"))
        right = hmac.digest(key, f"{event_id}.{sent_at}.".encode() + body, hashlib.sha256)
        signature = "v1," + base64.b64encode(right).decode()
        return {"svix-id": event_id, "svix-timestamp": sent_at, "svix-signature": signature}

    async def send(self, kind: str, data: Any, event_id: str = "msg_1") -> None:
        body = json.dumps({"type": kind, "data": data, "object": "event"}).encode()
        await self.hooks.receive(self.headers(body, event_id), body)


@pytest.fixture
async def clerk(fanout: RecordingFanout, clock: Clock) -> Clerk:
    store = FailingStore()
    town = Town(store, fanout, clock)
    await town.identity.start()
    return Clerk(town, store, clock)


@pytest.mark.parametrize("kind", ["session.revoked", "session.ended", "session.removed"])
async def test_an_ended_session_is_closed_here_too(clerk: Clerk, kind: str) -> None:
    signed = await clerk.town.sign_in("ada", "c1", "sess_1")
    await clerk.town.sign_in("ada", "c2", "sess_2")
    assert signed.session_id == session_id_of(ISSUER, "ada", "sess_1")
    await clerk.send(kind, {"id": "sess_1", "user_id": "ada"})
    assert clerk.town.fanout.closed == [("c1", "revoked")]
    with pytest.raises(Unauthenticated):
        await clerk.town.sign_in("ada", "c3", "sess_1")


@pytest.mark.parametrize(
    ("kind", "data"),
    [("user.deleted", {"id": "ada", "deleted": True}), ("user.updated", {"id": "ada", "banned": True})],
)
async def test_a_deleted_or_banned_user_is_out(clerk: Clerk, clock: Clock, kind: str, data: dict[str, Any]) -> None:
    await clerk.town.sign_in("ada", "c1")
    await clerk.send(kind, data)
    clock.pass_seconds(1)
    assert clerk.town.fanout.closed == [("c1", "revoked")]
    with pytest.raises(UserInactive):
        await clerk.town.sign_in("ada")


async def test_a_deleted_user_never_seen_here_cannot_use_an_old_token(clerk: Clerk) -> None:
    token = clerk.town.token("ada")
    await clerk.send("user.deleted", {"id": "ada", "deleted": True})
    with pytest.raises(Unauthenticated):
        await clerk.town.identity.authenticate(token, Connection())


async def test_an_updated_user_has_a_new_card(clerk: Clerk) -> None:
    await clerk.town.sign_in("ada", profile=Profile(first_name="Ada", username="ada"))
    data = {
        "id": "ada",
        "first_name": "Augusta",
        "last_name": "King",
        "username": None,
        "image_url": "javascript:alert(1)",
        "primary_email_address_id": "e2",
        "email_addresses": [
            {"id": "e1", "email_address": "x@example.org"},
            {"id": "e2", "email_address": "a@example.org"},
        ],
    }
    await clerk.send("user.updated", data)
    user = await clerk.town.identity.get_user("ada")
    assert user.profile == Profile(first_name="Augusta", last_name="King", username="ada", email="a@example.org")


async def test_an_update_of_somebody_unknown_here_makes_nobody(clerk: Clerk) -> None:
    await clerk.send("user.created", {"id": "bob", "first_name": "Bob"})
    assert (await clerk.town.identity.card("bob")).name == "Deleted user"


async def test_events_of_no_concern_are_taken_and_left(clerk: Clerk) -> None:
    await clerk.town.sign_in("ada")
    await clerk.send("organization.created", {"id": "ada", "first_name": "Eve", "banned": True})
    assert (await clerk.town.identity.card("ada")).name != "Eve"
    await clerk.town.sign_in("ada")  # nor is she shut out


async def test_a_replay_is_not_applied_again(clerk: Clerk) -> None:
    await clerk.town.sign_in("ada")
    await clerk.send("user.updated", {"id": "ada", "first_name": "Ada"})
    body = json.dumps({"type": "user.updated", "data": {"id": "ada", "first_name": "Eve"}}).encode()
    await clerk.hooks.receive(clerk.headers(body, "msg_1"), body)
    assert (await clerk.town.identity.card("ada")).name == "Ada"


async def test_an_event_that_failed_is_applied_when_it_comes_again(clerk: Clerk) -> None:
    await clerk.town.sign_in("ada", "c1")
    clerk.store.down = True
    with pytest.raises(Unavailable):
        await clerk.send("user.deleted", {"id": "ada"})
    assert clerk.town.fanout.closed == []
    clerk.store.down = False
    await clerk.send("user.deleted", {"id": "ada"})
    assert clerk.town.fanout.closed == [("c1", "revoked")]


async def test_one_right_signature_among_several_is_enough(clerk: Clerk) -> None:
    body = b'{"type": "x", "data": {}}'
    headers = clerk.headers(body)
    headers["svix-signature"] = f"v1,AAAA v1a,BBBB v1,!! {headers['svix-signature']}"
    await clerk.hooks.receive({name.title(): value for name, value in headers.items()}, body)


@pytest.mark.parametrize(
    "changes",
    [
        {"svix-id": "msg_2"},
        {"svix-id": ""},
        {"svix-id": "msg_1\u00e9"},
        {"svix-timestamp": "0"},
        {"svix-timestamp": ""},
        {"svix-timestamp": "9" * 400},
        {"svix-timestamp": "-1"},
        {"svix-timestamp": "\u0661"},
        {"svix-signature": ""},
        {"svix-signature": "v1,"},
        {"svix-signature": "v1,AAAA"},
        {"svix-signature": "v2,AAAA \u00e9"},
    ],
)
async def test_a_wrong_header_is_refused(clerk: Clerk, changes: dict[str, str]) -> None:
    body = b'{"type": "user.deleted", "data": {"id": "ada"}}'
    with pytest.raises(Unauthenticated):
        await clerk.hooks.receive(clerk.headers(body) | changes, body)


async def test_a_changed_body_or_another_secret_is_refused(clerk: Clerk) -> None:
    body = b'{"type": "x", "data": {}}'
    with pytest.raises(Unauthenticated):
        await clerk.hooks.receive(clerk.headers(body), body + b" ")
    other = "whsec_" + base64.b64encode(b"another secret, long enough").decode()
    with pytest.raises(Unauthenticated):
        await clerk.hooks.receive(clerk.headers(body, secret=other), body)


@pytest.mark.parametrize(("age", "taken"), [(299, True), (302, False), (-299, True), (-302, False)])
async def test_a_webhook_is_good_for_five_minutes(clerk: Clerk, age: float, taken: bool) -> None:
    body = b'{"type": "x", "data": {}}'
    headers = clerk.headers(body, age=age)
    if taken:
        await clerk.hooks.receive(headers, body)
        return
    with pytest.raises(Unauthenticated):
        await clerk.hooks.receive(headers, body)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b"1", b'"x"', b"[" * 100_000, b'{"type": 1, "data": {}}', b'{"type": "x", "data": []}',
        b'{"type": "user.deleted", "data": {}}', b'{"type": "user.deleted", "data": {"id": {"$ne": ""}}}',
        b'{"type": "user.deleted", "data": {"id": "\\ud800"}}', b"\xff\xfe",
    ],
)  # fmt: skip
async def test_a_signed_body_of_another_form_is_invalid(clerk: Clerk, body: bytes) -> None:
    with pytest.raises(Invalid):
        await clerk.hooks.receive(clerk.headers(body), body)


async def test_half_a_surrogate_pair_in_a_name_is_left_out(clerk: Clerk) -> None:
    await clerk.town.sign_in("ada", profile=Profile(name="Ada"))
    await clerk.send("user.updated", {"id": "ada", "first_name": "\ud800", "email_addresses": [7]})
    assert (await clerk.town.identity.get_user("ada")).profile == Profile(name="Ada")


async def test_what_is_remembered_of_events_is_bounded_in_time(clerk: Clerk, clock: Clock) -> None:
    for number in range(50):
        await clerk.send("x", {}, f"msg_{number}")
        clock.pass_seconds(60)
    assert len(clerk.hooks._applied) <= 12


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "whsec_!!!"])
def test_a_useless_secret_is_refused_outright(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        ClerkWebhooks(secret, ISSUER, None)  # type: ignore[arg-type]
