"""Who is at the other end, and how much of the server one address may take."""

import asyncio
import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
PASSED_ON: Final = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


class PeerAddresses:
    """The true address of a request: the TCP peer's, or what trusted proxies say before it.

    X-Forwarded-For is read from the right, and the first address that is no trusted proxy is the client: whatever
    stands further left was written by the client itself.
    """

    def __init__(self, trusted_proxies: Iterable[str]) -> None:
        self._trusted = [ipaddress.ip_network(proxy, strict=False) for proxy in trusted_proxies]

    def of(self, request: web.Request) -> str:
        """ "" when the peer has no address (a Unix socket)."""
        peer = request.remote or ""
        if not self.trusts(peer):
            return peer
        hops = [hop.strip() for header in request.headers.getall("X-Forwarded-For", ()) for hop in header.split(",")]
        for hop in reversed(hops):
            if _address(hop) is None:
                return peer
            peer = hop
            if not self.trusts(hop):
                return hop
        return peer

    def trusts(self, address: str) -> bool:
        parsed = _address(address)
        return parsed is not None and any(parsed in network for network in self._trusted)


class AddressCaps:
    """Open sessions and new sessions per second of one address; loopback is exempt.

    An IPv6 host commands a whole /64, so that is what counts as one address. The rate is a token bucket.
    """

    def __init__(self, max_sessions: int, per_second: float, burst: int) -> None:
        self._max_sessions = max_sessions
        self._per_second = per_second
        self._burst = burst
        self._open: dict[str, int] = {}
        self._buckets: dict[str, tuple[float, float]] = {}

    def refusal(self, address: str) -> str | None:
        """Why no further session may open now ("rate" or "connections"), or None; takes a token if not."""
        key = _counted_as(address)
        if key is None:
            return None
        if self._open.get(key, 0) >= self._max_sessions:
            return "connections"
        return None if self._take_token(key) else "rate"

    def opened(self, address: str) -> None:
        key = _counted_as(address)
        if key is not None:
            self._open[key] = self._open.get(key, 0) + 1

    def closed(self, address: str) -> None:
        key = _counted_as(address)
        if key is None:
            return
        remaining = self._open.get(key, 0) - 1
        if remaining > 0:
            self._open[key] = remaining
        else:
            self._open.pop(key, None)

    def _take_token(self, key: str) -> bool:
        now = asyncio.get_running_loop().time()
        if len(self._buckets) > 10_000:
            self._forget_full_buckets(now)
        tokens, since = self._buckets.get(key, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - since) * self._per_second)
        if tokens < 1:
            return False
        self._buckets[key] = (tokens - 1, now)
        return True

    def _forget_full_buckets(self, now: float) -> None:
        refill_seconds = self._burst / self._per_second
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if now - bucket[1] < refill_seconds}


def asked_on_this_machine(request: web.Request) -> bool:
    """On a loopback port: directly, and under a name of loopback itself. A proxy on this machine speaks for anybody,
    and any web page can have a name of its own point here (DNS rebinding)."""
    if "@" in request.host or any(name in request.headers for name in PASSED_ON):
        return False
    try:
        host = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        return False
    parsed = _address(host)
    return host == "localhost" or host.endswith(".localhost") or (parsed is not None and parsed.is_loopback)


@lru_cache(maxsize=4_096)
def _address(text: str) -> Address | None:
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def _counted_as(address: str) -> str | None:
    parsed = _address(address)
    if parsed is None or parsed.is_loopback:
        return None
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
