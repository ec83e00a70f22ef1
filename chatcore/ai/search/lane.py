"""One thread for the work on indexes: off the server's loop, and one piece at a time, so that it needs no locks."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Lane:
    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "search")

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In the order of the calls. Work that nobody waits for any more still comes to its end."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
