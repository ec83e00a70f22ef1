"""The tasks that work off inboxes. A new task for each event would cost 1.4 us, and one that is woken for each still
costs a tenth of an event and its ack; so a task that did not have to wait takes the next inbox of the same turn."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from chatcore.background import end
from chatcore.transport.session import Session

KEPT: Final = 1_024
"""So many tasks of about 1 KiB wait for work at most: as many as there were events at once, not as connections."""


class Drains:
    """`work` gets a session whose `draining` is true until it returns; for one session there is one at a time.

    One task is woken for all inboxes of a turn of the event loop, and a second in case that the first has to wait.
    If it had to, all of the next turn get a task each at once, until such a task finds nothing left to do.
    """

    def __init__(self, work: Callable[[Session], Awaitable[None]]) -> None:
        self._work = work
        self._waiting: deque[Session] = deque()
        self._at_work = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []
        self._called = 0  # tasks woken that have not begun
        self._relieving = False  # one of them is there in case that another has to wait
        self._one_each = False
        self._ending = False

    def __len__(self) -> int:
        """Inboxes that wait or are being worked off."""
        return len(self._waiting) + self._at_work

    def start(self, session: Session) -> None:
        session.draining = True
        self._waiting.append(session)
        if self._one_each or not self._called:
            self._call()

    async def finish(self, timeout_seconds: float) -> None:
        """Wait for what is under way, then cancel it."""
        self._ending = True
        for waiting in self._idle:
            waiting.cancel()
        self._idle.clear()
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_seconds
        while self._tasks:  # also those that are called meanwhile
            _, late = await asyncio.wait(set(self._tasks), timeout=max(0.0, until - loop.time()))
            await end(late)

    def _call(self) -> None:
        self._called += 1
        if self._idle:
            self._idle.pop().set_result(None)
            return
        task = asyncio.get_running_loop().create_task(self._run(), name="inbox")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._called -= 1
            if self._relieving:
                self._relieve()
            while self._waiting:
                session = self._waiting.popleft()
                if self._waiting:
                    self._relieving = True
                    if not self._called:
                        self._call()
                self._at_work += 1
                try:
                    await self._work(session)
                except Exception as error:  # noqa: BLE001 - other sessions must not miss their task because of this one
                    loop.call_exception_handler({"message": "an inbox could not be worked off", "exception": error})
                finally:
                    session.draining = False
                    self._at_work -= 1
                del session  # nobody who has gone is held by a task that waits
            if self._ending or len(self._idle) >= KEPT:
                return
            called: asyncio.Future[None] = loop.create_future()
            self._idle.append(called)
            await called

    def _relieve(self) -> None:
        """Whoever took the inbox before these is done with all of them, or waits."""
        self._relieving = False
        self._one_each = bool(self._waiting)
        for _ in range(len(self._waiting) - 1 - self._called):
            self._call()
