"""Users, sessions and claims as tests need them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from chatcore.identity.claims import Claims, session_id_of
from chatcore.identity.records import Profile, SessionRecord, UserRecord

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def user(user_id: str, name: str = "", **more: Any) -> UserRecord:
    return UserRecord(user_id, Profile(name=name, **more), created_at=NOON, updated_at=NOON)


def session(session_id: int, user_id: str = "ada", **more: Any) -> SessionRecord:
    known: dict[str, Any] = {
        "device_type": "web",
        "address": "192.0.2.1",
        "user_agent": "Mozilla/5.0",
        "created_at": NOON,
        "last_activity": NOON,
        "expires_at": NOON + timedelta(days=1),
        "process_id": "p1",
        "status": "online",
    }
    return SessionRecord(session_id=f"{session_id:024x}", user_id=user_id, **(known | more))


def claims(sub: str, session: str = "s1", *, now: float, lifetime: float = 600, **more: Any) -> Claims:
    return Claims(
        sub=sub,
        issuer="test",
        session_id=session_id_of("test", sub, session),
        issued_at=now,
        expires_at=datetime.fromtimestamp(now + lifetime, UTC),
        **more,
    )
