"""Watermarks share writes, and the group hears of each write once."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from chatcore.messages.read_state import ReadState

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class SlowRooms:
    """One room; a write of watermarks takes until it is let through."""

    def __init__(self) -> None:
        self.room: Any = SimpleNamespace(id="g", members={name: SimpleNamespace(read_seq=0) for name in ("ann", "bob")})
        self.through = asyncio.Event()
        self.saved: list[dict[str, int]] = []

    def raise_watermark(self, room: Any, user_id: str, seq: int, n: int, at: datetime) -> bool:
        member = room.members[user_id]
        moved: bool = seq > member.read_seq
        member.read_seq = max(seq, member.read_seq)
        return moved

    async def save_reads(self, room: Any, user_ids: Iterable[str]) -> None:
        self.saved.append({name: room.members[name].read_seq for name in sorted(user_ids)})
        await self.through.wait()

    def tell_reads(self, room: Any, user_ids: Iterable[str]) -> None:
        pass


async def test_marks_that_come_during_a_write_share_the_next_and_only_the_furthest_is_told() -> None:
    rooms = SlowRooms()
    state = ReadState(rooms, lambda: NOW)  # type: ignore[arg-type]
    first = asyncio.create_task(state.move(rooms.room, "ann", 3, 3))
    await asyncio.sleep(0.01)
    later = [
        asyncio.create_task(state.move(rooms.room, name, seq, seq))
        for name, seq in (("ann", 4), ("bob", 2), ("ann", 6), ("ann", 5), ("bob", 1))
    ]
    await asyncio.sleep(0.01)
    rooms.through.set()
    assert await first is False  # by now ann has read on
    assert await asyncio.gather(*later) == [False, True, True, False, False]
    assert rooms.saved == [{"ann": 3}, {"ann": 6, "bob": 2}]


async def test_a_mark_alone_is_told_and_its_repeat_is_not() -> None:
    rooms = SlowRooms()
    rooms.through.set()
    state = ReadState(rooms, lambda: NOW)  # type: ignore[arg-type]
    assert await state.move(rooms.room, "ann", 3, 3)
    assert not await state.move(rooms.room, "ann", 3, 3)
    assert rooms.saved == [{"ann": 3}]
