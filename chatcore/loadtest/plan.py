"""What a load test does, and with whom."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

MAX_SECONDS = 600.0
Mode = Literal["open", "closed"]


class LoadRefused(Exception):
    """The load test cannot or must not run like this; told to the person at the terminal as it is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run.

    Open loop: `rate` messages a second in all, evenly spaced, whatever the server does; a latency counts from the
    moment at which the message should have gone out, so that a server which stalls cannot hide it (no coordinated
    omission). Closed loop: each client sends its next message when the last one is acknowledged.
    Client `i` is a member of group `i % groups` alone. Messages of the first `warmup_seconds` are sent and checked,
    but not timed.
    """

    url: str
    clients: int
    groups: int
    mode: Mode = "open"
    rate: float = 100.0
    seconds: float = 15.0
    warmup_seconds: float = 2.0
    message_bytes: int = 120
    storm: bool = False
    slow_readers: int = 0
    processes: int = 1
    load_cores: tuple[int, ...] = ()
    connects_at_once: int = 64

    def problems(self) -> list[str]:
        found: list[str] = []
        if self.clients < 2 * self.groups:
            found.append("each group needs two clients at least: fewer groups or more clients")
        if not 0 < self.seconds <= MAX_SECONDS:
            found.append(f"a run lasts more than 0 and at most {MAX_SECONDS:.0f} seconds")
        if self.slow_readers > self.clients - self.groups:
            found.append("one client of each group must keep reading: fewer slow readers")
        if not 100 <= self.message_bytes <= 4096:
            found.append("a message has 100 to 4096 bytes")
        if self.rate <= 0:
            found.append("the rate must be above 0")
        if not 1 <= self.processes <= self.clients:
            found.append("between one process and one for each client")
        return found

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        return cls(**{**told, "load_cores": tuple(told["load_cores"])})


@dataclass(frozen=True, slots=True)
class Person:
    """One client's account. `index` is its place in the whole test, whatever process holds it.

    `url` is where it connects when the server is several processes with an address each; empty: the plan's.
    """

    index: int
    token: str
    group_id: str
    url: str = ""
