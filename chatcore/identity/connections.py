"""Which connections of this process belong to whom."""

from collections.abc import Iterable
from dataclasses import dataclass

from chatcore.identity.claims import Claims
from chatcore.identity.records import Revocation


@dataclass(frozen=True, slots=True)
class Held:
    user_id: str
    session_id: str
    issued_at: float


class Connections:
    """Signed-in connections by id, by person and by session."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}
        self._by_user: dict[str, set[str]] = {}

    def add(self, connection_id: str, claims: Claims) -> None:
        """Once more when a token was renewed, perhaps under another session of the same person."""
        self._held[connection_id] = Held(claims.sub, claims.session_id, claims.issued_at)
        self._by_user.setdefault(claims.sub, set()).add(connection_id)

    def remove(self, connection_id: str) -> Held | None:
        held = self._held.pop(connection_id, None)
        if held is not None:
            of_user = self._by_user[held.user_id]
            of_user.discard(connection_id)
            if not of_user:
                del self._by_user[held.user_id]
        return held

    def find(self, connection_id: str) -> Held | None:
        return self._held.get(connection_id)

    def refused_by(self, revocation: Revocation) -> list[str]:
        """Connections that this revocation ends."""
        ends = revocation.at.timestamp()
        return [
            connection_id
            for connection_id in self._by_user.get(revocation.user_id, ())
            if revocation.session_id == (held := self._held[connection_id]).session_id
            or (revocation.session_id is None and held.issued_at <= ends)
        ]

    def sessions_of(self, connection_ids: Iterable[str]) -> set[str]:
        return {self._held[connection_id].session_id for connection_id in connection_ids}

    def __len__(self) -> int:
        return len(self._held)
