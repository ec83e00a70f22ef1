"""What becomes of messages, told to whoever works on them afterwards: moderation, search, analysis, push."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from chatcore.groups.records import Room
from chatcore.journal.rows import Row
from chatcore.logs import get_logger

log = get_logger("messages")


@dataclass(frozen=True, slots=True)
class Change:
    """One message after its commit. `content` is its text as it now stands, empty once deleted."""

    kind: Literal["new", "edited", "deleted"]
    room: Room
    row: Row
    content: str
    actor_id: str


Listener = Callable[[Change], None]


class Changes:
    """Told in log order, once, in the process that stored the change. A listener must not wait: it puts the change
    into a queue of its own. What it raises is logged and concerns nobody else."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def tell(self, change: Change) -> None:
        for listener in self._listeners:
            try:
                listener(change)
            except Exception:
                log.exception("listener_failed", reason=change.kind)
