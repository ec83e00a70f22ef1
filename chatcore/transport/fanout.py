"""The services' `Fanout` on Socket.IO rooms: one room per group, connections found by user."""

from collections.abc import Iterable

from chatcore.contract.base import Shape
from chatcore.transport.connection import Connection
from chatcore.transport.frames import Json
from chatcore.transport.server import SocketServer


class SocketFanout:
    """Implements `ports.Fanout`. The server is set once, by the composition root."""

    server: SocketServer

    def __init__(self) -> None:
        self._by_user: dict[str, dict[str, Connection]] = {}
        self._by_id: dict[str, Connection] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def signed_in(self, user_id: str, connection: Connection) -> None:
        self._by_user.setdefault(user_id, {})[connection.id] = connection
        self._by_id[connection.id] = connection

    def gone(self, user_id: str, connection: Connection) -> None:
        self._by_id.pop(connection.id, None)
        connections = self._by_user.get(user_id)
        if connections is not None:
            connections.pop(connection.id, None)
            if not connections:
                del self._by_user[user_id]

    def publish(
        self, event: str, payload: Shape, *, group_id: str, skip_connection: str | None = None, volatile: bool = False
    ) -> None:
        self.server.publish(group_id, event, Json(payload.wire_json()), skip=skip_connection, volatile=volatile)

    def tell(self, user_id: str, event: str, payload: Shape, *, volatile: bool = False) -> None:
        connections = self._by_user.get(user_id)
        if connections:
            ready = Json(payload.wire_json())
            for connection in connections.values():
                connection.emit(event, ready)

    def tell_connection(self, connection_id: str, event: str, payload: Shape) -> None:
        connection = self._by_id.get(connection_id)
        if connection is not None:
            connection.emit(event, Json(payload.wire_json()))

    def enter(self, group_id: str, *, user_id: str | None = None, connection_id: str | None = None) -> None:
        for connection in self._meant(user_id, connection_id):
            self.server.enter(connection, group_id)

    def leave(self, group_id: str, *, user_id: str | None = None, connection_id: str | None = None) -> None:
        everybody = user_id is None and connection_id is None
        for connection in list(self.server.members(group_id)) if everybody else self._meant(user_id, connection_id):
            self.server.leave(connection, group_id)

    def disconnect(self, connection_ids: Iterable[str], *, reason: str) -> None:
        for connection_id in connection_ids:
            connection = self._by_id.get(connection_id)
            if connection is not None:
                connection.close(reason=reason)

    def _meant(self, user_id: str | None, connection_id: str | None) -> list[Connection]:
        if connection_id is not None:
            connection = self._by_id.get(connection_id)
            return [connection] if connection is not None else []
        return list(self._by_user.get(user_id or "", {}).values())
