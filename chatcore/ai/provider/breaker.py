"""A circuit breaker: after several failures in a row an endpoint is left alone for a while, then tried by one call."""

from collections.abc import Callable
from typing import Final, Literal

FAILURES_UNTIL_OPEN: Final = 5
OPEN_SECONDS: Final = 30.0
State = Literal["closed", "open", "half_open"]


class Breaker:
    """`clock` gives seconds that only grow. `changed` hears of each opening (True) and closing (False)."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        failures_until_open: int = FAILURES_UNTIL_OPEN,
        open_seconds: float = OPEN_SECONDS,
        changed: Callable[[bool], None] = lambda is_open: None,
    ):
        self._clock, self._changed = clock, changed
        self._failures_until_open, self._open_seconds = failures_until_open, open_seconds
        self._failures = 0
        self._opened_at: float | None = None
        self._probing = False

    @property
    def state(self) -> State:
        if self._opened_at is None:
            return "closed"
        return "half_open" if self._clock() - self._opened_at >= self._open_seconds else "open"

    def try_enter(self) -> bool:
        """Whether a call may go out now. Half open, one may at a time; it must end in one of the three below."""
        if self.state == "closed":
            return True
        if self.state == "open" or self._probing:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        was_open, self._opened_at = self._opened_at is not None, None
        self._failures, self._probing = 0, False
        if was_open:
            self._changed(False)

    def failed(self) -> None:
        self._failures += 1
        was_probe, self._probing = self._probing, False
        if was_probe or (self._opened_at is None and self._failures >= self._failures_until_open):
            was_open, self._opened_at = self._opened_at is not None, self._clock()
            if not was_open:
                self._changed(True)

    def abandoned(self) -> None:
        """The caller went away before the endpoint could show anything; somebody else may probe."""
        self._probing = False
