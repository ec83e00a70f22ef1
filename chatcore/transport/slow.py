"""Commands that take seconds leave their connection's inbox, so that what the client sends next is not held up."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, Final

from chatcore.background import end
from chatcore.errors import RateLimited

MAX_AT_ONCE: Final = 64
MAX_OF_ONE_CONNECTION: Final = 4
RETRY_AFTER_MS: Final = 1_000


class SlowPool:
    """Bounded: over the bounds a command is refused at once, never queued."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._of: Counter[str] = Counter()
        self._abandoning: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, connection_id: str, work: Coroutine[Any, Any, None]) -> None:
        """Raises RateLimited, with nothing begun, when the connection or the server has enough under way."""
        if len(self._tasks) >= MAX_AT_ONCE or self._of[connection_id] >= MAX_OF_ONE_CONNECTION:
            work.close()
            raise RateLimited("Too many of these are under way; wait for an answer", retry_after_ms=RETRY_AFTER_MS)
        task = asyncio.create_task(work)
        self._tasks[task] = connection_id
        self._of[connection_id] += 1
        task.add_done_callback(self._ended)

    def abandon(self, connection_id: str) -> None:
        """Nobody is there to hear the answers any more."""
        if self._of[connection_id]:
            abandoning = asyncio.create_task(
                end([task for task, owner in self._tasks.items() if owner == connection_id])
            )
            self._abandoning.add(abandoning)
            abandoning.add_done_callback(self._abandoning.discard)

    def _ended(self, task: asyncio.Task[None]) -> None:
        owner = self._tasks.pop(task)
        self._of[owner] -= 1
        if not self._of[owner]:
            del self._of[owner]
