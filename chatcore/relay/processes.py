"""Which other processes are there: leases, which do not run out while this process hears nobody."""

import time
from collections.abc import Callable
from typing import Final

LEASE_SECONDS: Final = 6.0  # a process says each second that it is alive
DEAF_SECONDS: Final = 30.0  # after that long without a broker nobody is assumed to be there any more


class Processes:
    """`gone` is called once for each process that fell silent or left."""

    def __init__(self, gone: Callable[[str], None], clock: Callable[[], float] = time.monotonic):
        self._gone = gone
        self._clock = clock
        self._heard: dict[str, float] = {}
        self._deaf_since: float | None = clock()

    def __len__(self) -> int:
        return len(self._heard)

    def heard(self, process: str) -> None:
        self._heard[process] = self._clock()

    def left(self, process: str) -> None:
        if self._heard.pop(process, None) is not None:
            self._gone(process)

    def deaf(self) -> None:
        if self._deaf_since is None:
            self._deaf_since = self._clock()

    def listening(self) -> None:
        """All leases begin anew, as nobody could be heard."""
        if self._deaf_since is not None:
            self._deaf_since = None
            self._heard = dict.fromkeys(self._heard, self._clock())

    def tick(self) -> None:
        now = self._clock()
        for process, heard_at in list(self._heard.items()):
            deaf = self._deaf_since is not None and now - self._deaf_since < DEAF_SECONDS
            if now - heard_at > LEASE_SECONDS and not deaf:
                self.left(process)
