"""The tasks that work off inboxes. One that has nothing to do waits for the next inbox: a new one costs 1.4 us more,
a twelfth of what an event and its ack cost in all."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from chatcore.background import end
from chatcore.transport.session import Session

KEPT: Final = 1_024
"""So many tasks of about 1 KiB wait for work at most: as many as there were events at once, not as connections."""


class Drains:
    """`work` gets a session whose `draining` is true until it returns; for one session there is one at a time."""

    def __init__(self, work: Callable[[Session], Awaitable[None]]) -> None:
        self._work = work
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[Session]] = []
        self._ending = False

    def __len__(self) -> int:
        """Of those at work."""
        return len(self._tasks) - len(self._idle)

    def start(self, session: Session) -> None:
        session.draining = True
        if self._idle:
            self._idle.pop().set_result(session)
            return
        task = asyncio.get_running_loop().create_task(self._run(session), name="inbox")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, timeout_seconds: float) -> None:
        """Wait for what is under way, then cancel it."""
        self._ending = True
        for waiting in self._idle:
            waiting.cancel()
        self._idle.clear()
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=timeout_seconds)
            await end(late)

    async def _run(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self._work(session)
            except Exception as error:  # noqa: BLE001 - other sessions must not miss their task because of this one
                loop.call_exception_handler({"message": "an inbox could not be worked off", "exception": error})
            finally:
                session.draining = False
            if self._ending or len(self._idle) >= KEPT:
                return
            del session  # nobody who has gone is held by a task that waits
            waiting: asyncio.Future[Session] = loop.create_future()
            self._idle.append(waiting)
            session = await waiting
