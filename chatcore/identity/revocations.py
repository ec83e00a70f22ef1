"""What is refused before its time: sessions, and all tokens of a person up to a moment. In every process within 5 s."""

import math
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from chatcore.identity.claims import Claims
from chatcore.identity.records import IdentityStore, Revocation

POLL_SECONDS: Final = 2.0
KEPT: Final = timedelta(days=400)  # browsers keep no cookie, and so no issuer a session there, for longer (RFC 6265bis)
CLOCK_DIFFERENCE: Final = timedelta(minutes=2)  # between the processes; rows this old are looked at again


class Revocations:
    """All that are in force, in memory; `revoked` is called once for each that this process learns of while it runs.

    `added` is called when one of ours is stored, so that other processes may be told to look before their next poll.
    """

    def __init__(
        self,
        store: IdentityStore,
        revoked: Callable[[Revocation], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        added: Callable[[], None] = lambda: None,
    ):
        self._store = store
        self._revoked = revoked
        self._now = now
        self.added = added
        self._sessions: set[str] = set()
        self._users: dict[str, datetime] = {}
        self._read_up_to: datetime | None = None

    def refuses(self, claims: Claims) -> bool:
        at = self._users.get(claims.sub)
        return claims.session_id in self._sessions or (at is not None and claims.issued_at <= at.timestamp())

    def ended(self, user_id: str, session_id: str, since: datetime) -> bool:
        """Whether the session, or all that the person had at `since`, is refused by now."""
        at = self._users.get(user_id)
        return session_id in self._sessions or (at is not None and since <= at)

    async def add(self, user_id: str, session_id: str | None = None) -> None:
        """Returns when it is durable; in force here at once."""
        # Rounded up, as the database keeps milliseconds: a token of the same instant must not slip through.
        at = datetime.fromtimestamp(math.ceil(self._now().timestamp() * 1000) / 1000, UTC)
        revocation = Revocation(secrets.token_hex(12), user_id, session_id, at, at + KEPT)
        self._learn(revocation)
        await self._store.add_revocation(revocation)
        self.added()

    async def poll(self) -> None:
        """Learn what other processes revoked; the first call reads all that is in force."""
        started = self._now()
        since = started - KEPT if self._read_up_to is None else self._read_up_to - CLOCK_DIFFERENCE
        for revocation in await self._store.revocations_since(since):
            self._learn(revocation)
        self._read_up_to = started

    def _learn(self, revocation: Revocation) -> None:
        if revocation.session_id is not None:
            if revocation.session_id in self._sessions:
                return
            self._sessions.add(revocation.session_id)
        else:
            known = self._users.get(revocation.user_id)
            if known is not None and known >= revocation.at:
                return
            self._users[revocation.user_id] = revocation.at
        self._revoked(revocation)
