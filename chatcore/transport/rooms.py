"""Who is in which room. Leaving costs as much as the session has rooms, not as there are rooms."""

from collections.abc import Iterable, Mapping

from chatcore.transport.connection import Connection
from chatcore.transport.session import Session

NOBODY: Mapping[Session, None] = {}


class Rooms:
    def __init__(self) -> None:
        self._members: dict[str, dict[Session, None]] = {}

    def __len__(self) -> int:
        return len(self._members)

    def enter(self, connection: Connection, room: str) -> None:
        """Without effect for a connection that is closed: nobody would ever take it out again."""
        if connection.closed:
            return
        self._members.setdefault(room, {})[connection.session] = None
        if connection.rooms is None:
            connection.rooms = set()
        connection.rooms.add(room)

    def leave(self, connection: Connection, room: str) -> None:
        if connection.rooms is None or room not in connection.rooms:
            return
        connection.rooms.discard(room)
        members = self._members[room]
        del members[connection.session]
        if not members:
            del self._members[room]

    def leave_all(self, connection: Connection) -> None:
        for room in list(connection.rooms or ()):
            self.leave(connection, room)
        connection.rooms = None

    def sessions(self, room: str) -> Mapping[Session, None]:
        return self._members.get(room, NOBODY)

    def members(self, room: str) -> Iterable[Connection]:
        """A copy: the room may change while one goes through it."""
        return [session.connection for session in self.sessions(room) if session.connection is not None]
