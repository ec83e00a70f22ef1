"""Read watermarks: moved in memory at once, stored in shared writes, told to the group once for each write."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from chatcore.groups.records import Room
from chatcore.groups.rooms import Rooms


class ReadState:
    """`moved` returns when the watermark is durable; marks that arrive while a write is under way share the next."""

    def __init__(self, rooms: Rooms, clock: Callable[[], datetime]):
        self._rooms = rooms
        self._clock = clock
        self._waiting: dict[str, tuple[Room, set[str]]] = {}
        self._next: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None

    async def move(self, room: Room, user_id: str, seq: int, n: int) -> bool:
        """Up only. Whether to tell the group: False where it stood there already, and where a later mark of the same
        person, which tells more, is on its way."""
        if not self._rooms.raise_watermark(room, user_id, seq, n, self._clock()):
            return False
        self._waiting.setdefault(room.id, (room, set()))[1].add(user_id)
        if self._next is None:
            self._next = asyncio.create_task(self._store_after(self._running), name="read-state")
        await asyncio.shield(self._next)
        member = room.members.get(user_id)
        return member is None or member.read_seq <= seq

    async def _store_after(self, running: asyncio.Task[None] | None) -> None:
        if running is not None:
            await asyncio.wait([running])
        self._running, self._next = self._next, None
        waiting, self._waiting = self._waiting, {}
        for room, user_ids in waiting.values():
            await self._rooms.save_reads(room, user_ids)
            self._rooms.tell_reads(room, user_ids)
