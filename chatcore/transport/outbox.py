"""All frames of one turn of the event loop leave in one write for each session."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatcore.transport.session import Session

# A write costs 5 to 8 us, so this many hold the event loop for 8 ms at most before others get their turn.
SESSIONS_PER_TURN = 1_000


class Outbox:
    """The sessions with something to write. Order is kept per session: its frames wait in its own `pending`."""

    def __init__(self) -> None:
        self._waiting: list[Session] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, session: "Session") -> None:
        """Once for each session, when its `pending` becomes a list."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append(session)

    def add_frame(self, sessions: "Iterable[Session]", frame: bytes, skipped: "Session | None") -> None:
        """The same frame for all of them but one. This loop runs once for each delivery of the server."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        wait = self._waiting.append
        for session in sessions:
            if session is skipped:
                continue
            pending = session.pending
            if pending is None:
                session.pending = [frame]
                wait(session)
            else:
                pending.append(frame)

    def _flush(self) -> None:
        now, self._waiting = self._waiting[:SESSIONS_PER_TURN], self._waiting[SESSIONS_PER_TURN:]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        for session in now:
            session.flush()
