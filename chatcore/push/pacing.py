"""At most one notice for each person and group in a while; what comes meanwhile is counted and told at its end.

A mention does not wait behind what was not meant for the person: the first in a window is told at once.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chatcore.push.records import News

WINDOW_SECONDS: Final = 30.0
MOST_WINDOWS: Final = 100_000


@dataclass(slots=True)
class _Window:
    ends_at: float
    called: bool
    news: News | None = None
    count: int = 0
    held_call: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """What was held back for one person; `news` is the newest of them, or the newest that called the person."""

    user_id: str
    news: News
    count: int


class Pacing:
    """Windows end in the order in which they began, so that those that are over stand in front."""

    def __init__(self, seconds: float = WINDOW_SECONDS, clock: Callable[[], float] = time.monotonic):
        self._seconds = seconds
        self._clock = clock
        self._windows: OrderedDict[tuple[str, str], _Window] = OrderedDict()

    def lets(self, user_id: str, news: News) -> bool:
        """Whether to tell the person now; otherwise it is remembered."""
        place, calls = (user_id, news.group_id), news.calls(user_id)
        window = self._windows.get(place)
        if window is None:
            if len(self._windows) < MOST_WINDOWS:  # beyond it notices come unpaced rather than not at all
                self._windows[place] = _Window(self._clock() + self._seconds, called=calls)
            return True
        if calls and not window.called:
            window.called = True
            return True
        window.count += 1
        if calls or not window.held_call:
            window.news, window.held_call = news, calls
        return False

    def due(self) -> list[Held]:
        """What was held back in windows that are over."""
        now, held = self._clock(), []
        while self._windows:
            (user_id, _), window = next(iter(self._windows.items()))
            if window.ends_at > now:
                break
            self._windows.popitem(last=False)
            if window.news is not None:
                held.append(Held(user_id, window.news, window.count))
        return held

    def forget(self, user_id: str, group_id: str) -> None:
        """The person is here: nothing is held back, and the next absence begins anew."""
        self._windows.pop((user_id, group_id), None)

    def __len__(self) -> int:
        return len(self._windows)
