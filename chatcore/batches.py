"""Many small requests to the database as few large ones."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from chatcore.errors import Unavailable
from chatcore.logs import get_logger

log = get_logger("batches")

MAX_BATCH: Final = 500
MAX_WAITING: Final = 20_000

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[T, R]):
    item: T
    done: asyncio.Future[R]
    since: float


class Batches(Generic[T, R]):
    """What queues while one batch is under way goes together in the next. An item never waits for others to come.

    `work` gets the items in order and answers as many results, in order. For work that may wait while others need the
    database: a batch begins when nothing new came for `calm_seconds`, or its first item has waited for
    `patience_seconds`, and `rest_seconds` pass after it; unless somebody flushes.
    """

    def __init__(
        self,
        work: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        max_batch: int = MAX_BATCH,
        rest_seconds: float = 0.0,
        *,
        calm_seconds: float = 0.0,
        patience_seconds: float = 0.0,
    ):
        self._work = work
        self._max_batch = max_batch
        self._rest_seconds = rest_seconds
        self._calm_seconds = calm_seconds
        self._patience_seconds = patience_seconds
        self._hurry = asyncio.Event()
        self._waiting: deque[_Waiting[T, R]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def do(self, item: T) -> R:
        """Raises what the work of this item's batch raised."""
        return await self._enqueue(item)

    def soon(self, item: T) -> None:
        """Without waiting for the outcome; a failure is logged."""
        self._enqueue(item).add_done_callback(_log_failure)

    async def flush(self) -> None:
        """Return when all that was queued before this call has been tried."""
        if self._task is not None:
            self._hurry.set()
            await asyncio.wait([self._task])

    def _enqueue(self, item: T) -> asyncio.Future[R]:
        if len(self._waiting) >= MAX_WAITING:
            raise Unavailable("Too much waits for the database; try again in a moment")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        self._waiting.append(_Waiting(item, done, loop.time()))
        if self._task is None:
            self._task = asyncio.create_task(self._drain(), name="batches")
        return done

    async def _drain(self) -> None:
        try:
            while self._waiting:
                await self._calm()
                size = min(self._max_batch, len(self._waiting))
                await self._run([self._waiting.popleft() for _ in range(size)])
                await self._rest(self._rest_seconds)
        finally:
            self._task = None
            self._hurry.clear()

    async def _calm(self) -> None:
        now = asyncio.get_running_loop().time
        while self._calm_seconds and not self._hurry.is_set():
            first, last = self._waiting[0], self._waiting[-1]
            seconds = min(last.since + self._calm_seconds, first.since + self._patience_seconds) - now()
            if seconds <= 0:
                return
            await self._rest(seconds)

    async def _rest(self, seconds: float) -> None:
        if seconds <= 0 or self._hurry.is_set():
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    async def _run(self, batch: "list[_Waiting[T, R]]") -> None:
        try:
            results = await self._work([waiting.item for waiting in batch])
        except Exception as error:  # noqa: BLE001 - handed on to each who waits
            for waiting in batch:
                if not waiting.done.done():
                    waiting.done.set_exception(error)
            return
        for waiting, result in zip(batch, results, strict=True):
            if not waiting.done.done():
                waiting.done.set_result(result)


def _log_failure(done: asyncio.Future[R]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.warning("batch_failed", error=type(error).__name__)
