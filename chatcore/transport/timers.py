"""Deadlines of many sockets with one timer, at a cost that depends on what expires and not on how many wait.

All items of one `Deadlines` wait equally long, so the first to start is the first to expire: an ordered table is
enough. Ten thousand sockets with a ping each 25 s cost 400 table moves a second, and no task.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from math import inf
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class Timers:
    """The one timer. A deadline may fire up to `resolution_seconds` late, never early."""

    def __init__(self, resolution_seconds: float) -> None:
        self._resolution = resolution_seconds
        self._tables: list[Deadlines[Hashable]] = []
        self._handle: asyncio.TimerHandle | None = None
        self._armed_for = inf

    def deadlines(self, seconds: float, expired: Callable[[Item], None]) -> "Deadlines[Item]":
        """`expired` is called once for each item that was neither stopped nor restarted in time."""
        table = Deadlines(self, seconds, expired)
        self._tables.append(table)  # type: ignore[arg-type]
        return table

    def stop(self) -> None:
        for table in self._tables:
            table.clear()
        self._disarm()

    def wake_by(self, when: float) -> None:
        if when < self._armed_for:
            self._disarm()
            loop = asyncio.get_running_loop()
            self._armed_for = max(when, loop.time() + self._resolution)
            self._handle = loop.call_at(self._armed_for, self._run)

    def _disarm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None
        self._armed_for = inf

    def _run(self) -> None:
        self._handle = None
        # until the tables are done, so that an item restarted meanwhile does not arm the timer a second time
        self._armed_for = -inf
        now = asyncio.get_running_loop().time()
        try:
            for table in self._tables:
                table.expire(now)
        finally:
            self._armed_for = inf
            self.wake_by(min((table.first_due for table in self._tables), default=inf))


class Deadlines(Generic[Item]):
    """Items that each wait the same number of seconds."""

    def __init__(self, timers: Timers, seconds: float, expired: Callable[[Item], None]) -> None:
        self.seconds = seconds
        self._timers = timers
        self._expired = expired
        self._due: OrderedDict[Item, float] = OrderedDict()

    def __contains__(self, item: Item) -> bool:
        return item in self._due

    def __len__(self) -> int:
        return len(self._due)

    @property
    def first_due(self) -> float:
        return next(iter(self._due.values()), inf)

    def start(self, item: Item) -> None:
        """Starts, or starts anew."""
        due = asyncio.get_running_loop().time() + self.seconds
        self._due[item] = due
        self._due.move_to_end(item)
        self._timers.wake_by(due)

    def stop(self, item: Item) -> None:
        self._due.pop(item, None)

    def clear(self) -> None:
        self._due.clear()

    def expire(self, now: float) -> None:
        while self._due:
            item, due = next(iter(self._due.items()))
            if due > now:
                return
            del self._due[item]
            self._expired(item)
