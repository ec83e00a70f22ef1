"""An event loop on a thread of its own. A kernel's loop runs its cells: a server on it would never answer them."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
STOP_SECONDS = 30.0


class LoopThread:
    def __init__(self, name: str):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], *, timeout_seconds: float | None = None) -> T:
        """Waits for the result in the calling thread; a timeout or an interrupt of the cell cancels the work."""
        if not self._thread.is_alive():
            work.close()
            raise RuntimeError("this was closed; start it again")
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(timeout_seconds)
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(STOP_SECONDS)
            self.loop.close()


def run_apart(work: Coroutine[Any, Any, T], *, timeout_seconds: float | None = None) -> T:
    """For a question now and then, whether or not the calling thread runs a loop."""
    thread = LoopThread("chatcore-apart")
    try:
        return thread.run(work, timeout_seconds=timeout_seconds)
    finally:
        thread.close()
