"""How often one may do what: token buckets by caller, address or account, and a group's slow mode."""

import ipaddress
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from chatcore.errors import RateLimited, SlowMode

Bucket = Literal[
    "send",
    "edit",
    "reaction",
    "receipt",
    "typing",
    "status",
    "sync",
    "read",
    "groups",
    "search",
    "report",
    "ai",
    "typing_suggestions",
    "upload",
    "export",
    "rest",
    "connect",
    "connect_loopback",
    "authenticate",
    "login",
    "dev_token",
    "invite",
    "webhook",
]

MAX_BUCKETS: Final = 100_000
SWEEP_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` on average, `burst` at once."""

    per_second: float
    burst: int


RATES: Final[Mapping[Bucket, Rate]] = MappingProxyType(
    {
        "send": Rate(10, 20),
        "edit": Rate(5, 10),
        "reaction": Rate(5, 15),
        "receipt": Rate(10, 40),
        "typing": Rate(2, 4),
        "status": Rate(1, 5),
        "sync": Rate(5, 20),
        "read": Rate(10, 40),
        "groups": Rate(2, 20),
        "search": Rate(2, 10),
        "report": Rate(10 / 60, 10),
        "ai": Rate(10 / 60, 10),
        "typing_suggestions": Rate(1, 5),
        "upload": Rate(1, 10),
        "export": Rate(2 / 60, 2),
        "rest": Rate(20, 40),
        # Many people share one address behind a router, so the burst is an office that comes back after an outage.
        "connect": Rate(5, 50),
        "connect_loopback": Rate(5_000, 10_000),
        "authenticate": Rate(1, 5),
        "login": Rate(5 / 60, 5),
        "dev_token": Rate(200, 2_000),
        "invite": Rate(10 / 60, 10),
        "webhook": Rate(50, 200),
    }
)


class RateLimits:
    """Buckets as one number each: the moment at which the bucket will be full again (the generic cell rate algorithm).

    A full bucket says nothing, so it is dropped: memory follows the keys that were busy in the last seconds.
    """

    def __init__(
        self,
        *,
        enabled: bool = True,
        rates: Mapping[Bucket, Rate] = RATES,
        clock: Callable[[], float] = time.monotonic,
        max_buckets: int = MAX_BUCKETS,
    ):
        self._enabled = enabled
        self._rates = rates
        self._clock = clock
        self._max_buckets = max_buckets
        self._full_at: dict[tuple[Bucket, str], float] = {}
        self._swept_at = clock()

    def require(self, bucket: Bucket, key: str) -> None:
        """Take one. Raises RateLimited that says when there will be one again; a refused call costs nothing."""
        wait = self.take(bucket, key)
        if wait > 0:
            raise RateLimited(retry_after_ms=max(1, math.ceil(wait * 1000)))

    def take(self, bucket: Bucket, key: str) -> float:
        """Take one and return 0, or return the seconds until there is one."""
        rate = self._rates[bucket]
        if not self._enabled:
            return 0.0
        now = self._clock()
        self._sweep(now)
        interval = 1 / rate.per_second
        full_at = max(self._full_at.get((bucket, key), now), now)
        wait = full_at - now - interval * (rate.burst - 1)
        if wait > 1e-9:  # what is left of adding and subtracting intervals
            return wait
        self._full_at[bucket, key] = full_at + interval
        return 0.0

    def __len__(self) -> int:
        return len(self._full_at)

    def _sweep(self, now: float) -> None:
        if now - self._swept_at < SWEEP_SECONDS and len(self._full_at) < self._max_buckets:
            return
        self._swept_at = now
        self._full_at = {place: full_at for place, full_at in self._full_at.items() if full_at > now}
        # Still too many: an attack with many keys. The oldest tenth goes, so that sweeps stay rare.
        excess = len(self._full_at) - self._max_buckets
        if excess >= 0:
            for place in list(self._full_at)[: excess + 1 + self._max_buckets // 10]:
                del self._full_at[place]


def address_key(address: str) -> str:
    """One host as one key: an IPv6 host commands a whole /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


class SlowModeGate:
    """A group's pause between two messages of one member, as this process has seen them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._sent: dict[tuple[str, str], tuple[float, int]] = {}
        self._swept_at = clock()

    def require(self, group_id: str, user_id: str, seconds: int) -> None:
        """Raises SlowMode with the time left; otherwise the pause begins. 0 seconds is no slow mode."""
        if seconds <= 0:
            return
        now = self._clock()
        self._sweep(now)
        sent_at, _ = self._sent.get((group_id, user_id), (-math.inf, 0))
        left = sent_at + seconds - now  # by the pause of now: it may have been shortened since
        if left > 0:
            raise SlowMode(retry_after_ms=math.ceil(left * 1000))
        self._sent[group_id, user_id] = (now, seconds)

    def release(self, group_id: str, user_id: str) -> None:
        """The message was not sent after all, so its pause does not count."""
        self._sent.pop((group_id, user_id), None)

    def __len__(self) -> int:
        return len(self._sent)

    def _sweep(self, now: float) -> None:
        if now - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = now
            self._sent = {place: sent for place, sent in self._sent.items() if sum(sent) > now}
