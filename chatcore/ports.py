"""What the services need of a transport: who calls, and a way to tell others."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from chatcore.contract.base import Shape
from chatcore.contract.people import ServerRole, User
from chatcore.errors import Forbidden


@dataclass(frozen=True, slots=True)
class Caller:
    """One authenticated request. Everything in it comes from the token or the connection, never from a payload.

    `connection_id` is None over REST. `address` is the peer's, after trusted proxies. `request_id` is what the ack of
    a slow command said; its reply and its parts bear it.
    """

    user_id: str
    session_id: str
    user: User
    roles: frozenset[str] = field(default_factory=frozenset)
    connection_id: str | None = None
    address: str = ""
    correlation_id: str = ""
    request_id: str | None = None

    def require_role(self, *roles: ServerRole) -> None:
        """Raises Forbidden for one who has none of these roles on the server."""
        if not self.roles & set(roles):
            raise Forbidden(f"This needs the server role {' or '.join(roles)}")


REVIEWERS: Final = "role:reviewer"
"""The room of everybody with the server role `reviewer`; ids of groups are hexadecimal."""


class Fanout(Protocol):
    """Pushes events to connected clients. No call waits: a slow reader is cut off, never waited for."""

    def publish(
        self, event: str, payload: Shape, *, group_id: str, skip_connection: str | None = None, volatile: bool = False
    ) -> None:
        """To every connection in the group's room; `volatile` may be dropped for a slow reader."""

    def tell(self, user_id: str, event: str, payload: Shape, *, volatile: bool = False) -> None:
        """To every connection of one user."""

    def tell_connection(self, connection_id: str, event: str, payload: Shape) -> None:
        """To one connection, in order with its other packets."""

    def enter(self, group_id: str, *, user_id: str | None = None, connection_id: str | None = None) -> None:
        """Put one connection, or all connections of a user, into the group's room."""

    def leave(self, group_id: str, *, user_id: str | None = None, connection_id: str | None = None) -> None:
        """Take one connection, all of a user, or (with neither) everybody out of the room."""

    def disconnect(self, connection_ids: Iterable[str], *, reason: str) -> None:
        """Close these connections; what is queued for them goes out first."""


class SilentFanout:
    """Nobody is connected: for command-line tools and for tests that look at the store alone."""

    def publish(
        self, event: str, payload: Shape, *, group_id: str, skip_connection: str | None = None, volatile: bool = False
    ) -> None:
        return None

    def tell(self, user_id: str, event: str, payload: Shape, *, volatile: bool = False) -> None:
        return None

    def tell_connection(self, connection_id: str, event: str, payload: Shape) -> None:
        return None

    def enter(self, group_id: str, *, user_id: str | None = None, connection_id: str | None = None) -> None:
        return None

    def leave(self, group_id: str, *, user_id: str | None = None, connection_id: str | None = None) -> None:
        return None

    def disconnect(self, connection_ids: Iterable[str], *, reason: str) -> None:
        return None
