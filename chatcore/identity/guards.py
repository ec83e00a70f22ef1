"""When a connection must end: its token's expiry, or the longest life of a session."""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

Policy = Literal["token", "session"]

NOTICE_SECONDS: Final = 15.0
GRACE_SECONDS: Final = 60.0
MAX_SESSION_SECONDS: Final = 12 * 3600.0


@dataclass(slots=True)
class _Watched:
    expires_at: float
    noticed: bool = False

    def due_at(self) -> float:
        return self.expires_at + (GRACE_SECONDS if self.noticed else -NOTICE_SECONDS)


class SocketExpiry:
    """All watched connections in one heap, so that one chore serves any number of them.

    `expiring(connection_id, expires_at)` comes 15 s before the end, `close(connection_id)` 60 s after it. Under the
    policy `session` the end is 12 hours after the last token was shown, whatever that token says.
    """

    def __init__(
        self,
        *,
        expiring: Callable[[str, datetime], None],
        close: Callable[[str], None],
        policy: Policy = "token",
        now: Callable[[], float] = time.time,
    ):
        self._expiring = expiring
        self._close = close
        self._policy = policy
        self._now = now
        self._watched: dict[str, _Watched] = {}
        self._heap: list[tuple[float, str]] = []

    def watch(self, connection_id: str, token_expires_at: datetime) -> datetime:
        """From now on, or anew after a renewal. Returns when the connection's time is up."""
        expires_at = token_expires_at.timestamp() if self._policy == "token" else self._now() + MAX_SESSION_SECONDS
        watched = self._watched[connection_id] = _Watched(expires_at)
        heapq.heappush(self._heap, (watched.due_at(), connection_id))
        if len(self._heap) > 2 * len(self._watched) + 64:
            self._rebuild()
        return datetime.fromtimestamp(expires_at, UTC)

    def forget(self, connection_id: str) -> None:
        self._watched.pop(connection_id, None)

    async def sweep(self) -> None:
        """Call about once a second."""
        now = self._now()
        while self._heap and self._heap[0][0] <= now:
            due_at, connection_id = heapq.heappop(self._heap)
            watched = self._watched.get(connection_id)
            if watched is None or watched.due_at() != due_at:
                continue  # gone, or renewed since: it has another place in the heap
            if watched.noticed:
                del self._watched[connection_id]
                self._close(connection_id)
            else:
                watched.noticed = True
                heapq.heappush(self._heap, (watched.due_at(), connection_id))
                self._expiring(connection_id, datetime.fromtimestamp(watched.expires_at, UTC))

    def __len__(self) -> int:
        return len(self._watched)

    def _rebuild(self) -> None:
        self._heap = [(watched.due_at(), connection_id) for connection_id, watched in self._watched.items()]
        heapq.heapify(self._heap)
