"""One change at a time for one group, where a change is computed from what was read just before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Locks by group id, forgotten when nobody waits."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    def __len__(self) -> int:
        return len(self._locks)

    @asynccontextmanager
    async def of(self, group_id: str) -> AsyncIterator[None]:
        lock, users = self._locks.get(group_id, (asyncio.Lock(), 0))
        self._locks[group_id] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(group_id)
            if users > 1:
                self._locks[group_id] = (lock, users - 1)
