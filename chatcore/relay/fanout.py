"""The services' `Fanout` across processes: what the log does not carry is told to the other processes as well."""

from collections.abc import Iterable
from typing import Final, get_args

from chatcore.contract.base import Shape
from chatcore.contract.messages import LogEventName
from chatcore.ports import REVIEWERS, Fanout
from chatcore.relay import words
from chatcore.relay.service import Relay

FROM_THE_LOG: Final = frozenset((*get_args(LogEventName), "group_deleted"))
"""Each process pushes these itself when it learns of the row."""


class RelayFanout:
    """Events of the log, and all that names a connection, stay with `local`, which reaches this process's clients."""

    def __init__(self, local: Fanout, relay: Relay):
        self._local = local
        self._relay = relay

    def publish(
        self, event: str, payload: Shape, *, group_id: str, skip_connection: str | None = None, volatile: bool = False
    ) -> None:
        self._local.publish(event, payload, group_id=group_id, skip_connection=skip_connection, volatile=volatile)
        if group_id == REVIEWERS:  # no process keeps up with it as with a group
            self._relay.to_all(words.event(group_id, event, payload, volatile=volatile))
        elif event not in FROM_THE_LOG:
            self._relay.event(group_id, words.event(group_id, event, payload, volatile=volatile))

    def tell(self, user_id: str, event: str, payload: Shape, *, volatile: bool = False) -> None:
        self._local.tell(user_id, event, payload, volatile=volatile)
        self._relay.to_all(words.tell(user_id, event, payload, volatile=volatile))

    def tell_connection(self, connection_id: str, event: str, payload: Shape) -> None:
        self._local.tell_connection(connection_id, event, payload)

    def enter(self, group_id: str, *, user_id: str | None = None, connection_id: str | None = None) -> None:
        self._local.enter(group_id, user_id=user_id, connection_id=connection_id)

    def leave(self, group_id: str, *, user_id: str | None = None, connection_id: str | None = None) -> None:
        self._local.leave(group_id, user_id=user_id, connection_id=connection_id)

    def disconnect(self, connection_ids: Iterable[str], *, reason: str) -> None:
        self._local.disconnect(connection_ids, reason=reason)
