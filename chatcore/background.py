"""Work that goes on after a request: periodic chores and bounded jobs, drained with a deadline."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final

from chatcore.logs import get_logger

log = get_logger("background")
MAX_JOBS = 1_000
CANCEL_AGAIN_SECONDS: Final = 1.0


async def end(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel them and wait until they have ended, asking again: `asyncio.wait_for` of Python 3.11, in which the
    database's driver waits, returns as if nothing were when a cancellation comes together with the answer."""
    every = list(tasks)
    left = {task for task in every if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)
    await asyncio.gather(*every, return_exceptions=True)  # so that nobody misses the errors of those that failed


class Background:
    """The only place that swallows an exception: it is logged, and the next job runs."""

    def __init__(self, max_jobs: int = MAX_JOBS):
        self._max_jobs = max_jobs
        self._jobs: set[asyncio.Task[None]] = set()
        self._chores: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> int:
        """Jobs under way; chores do not count."""
        return len(self._jobs)

    def spawn(self, name: str, work: Coroutine[Any, Any, object]) -> bool:
        """Run once, soon. False, with the work closed, where too many jobs are under way."""
        if len(self._jobs) >= self._max_jobs:
            work.close()
            log.warning("background_full", job=name)
            return False
        task = asyncio.create_task(self._guard(name, work), name=f"job:{name}")
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
        return True

    def every(self, seconds: float, name: str, chore: Callable[[], Awaitable[object]]) -> None:
        """Run again and again until the drain, `seconds` after the previous run ended."""

        async def loop() -> None:
            while True:
                await asyncio.sleep(seconds)
                await self._guard(name, chore())

        self.watch(name, loop())

    def watch(self, name: str, work: Coroutine[Any, Any, object]) -> None:
        """Run until the drain, which does not wait for it."""
        task = asyncio.create_task(self._guard(name, work), name=f"chore:{name}")
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def drain(self, deadline_seconds: float) -> None:
        """Stop the chores, let jobs finish until the deadline, then cancel what is left."""
        await end(self._chores)
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=deadline_seconds)
        await end(self._jobs)

    @staticmethod
    async def _guard(name: str, work: Awaitable[object]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("background_failed", job=name)
