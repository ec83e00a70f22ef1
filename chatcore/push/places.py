"""Where a push may go. An endpoint is an address that a client chose: it must not lead into our own network."""

import ipaddress
import socket
from typing import Final
from urllib.parse import SplitResult, urlsplit

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from chatcore.errors import Invalid

HTTPS_PORT: Final = 443
# Addresses in which another one is hidden: 6to4, Teredo, the two prefixes of NAT64, what IPv6 once called compatible
# with IPv4, and what it translates to it.
_CARRIERS: Final = tuple(
    map(
        ipaddress.ip_network,
        ("2002::/16", "2001::/32", "64:ff9b::/96", "64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96"),
    )
)
_LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class NotAllowedHost(OSError):
    """The name leads to an address that is not a public one."""


def is_public(address: str) -> bool:
    """Whether packets to it leave for the internet; what is no address is not public."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return is_public(str(parsed.ipv4_mapped))
        if any(parsed in carrier for carrier in _CARRIERS):
            return False
    return parsed.is_global and not parsed.is_multicast


def require_allowed(endpoint: str, *, loopback: bool) -> None:
    """https to the usual port of a host that is no private address; `loopback` also allows this machine, for
    development. Raises Invalid. Names are looked at again when they are resolved."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        raise _refused() from None
    if loopback and parts.scheme in ("http", "https") and parts.hostname in _LOOPBACK_NAMES and not _has_user(parts):
        return
    if parts.scheme != "https" or not parts.hostname or _has_user(parts) or port not in (None, HTTPS_PORT):
        raise _refused()
    if not parts.hostname.isascii():  # who connects turns it into ASCII first, and digits of other scripts into digits
        raise _refused()
    if _is_address(parts.hostname) and not is_public(parts.hostname):
        raise _refused()


class PublicResolver(AbstractResolver):
    """Resolves names for a connection and lets only public addresses through: what is checked is what is used, so a
    name that changes its mind in between gains nothing."""

    def __init__(self, *, loopback: bool, inner: AbstractResolver | None = None):
        self._loopback = loopback
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        allowed = [each for each in found if is_public(each["host"]) or self._is_own(host, each["host"])]
        if not allowed:
            raise NotAllowedHost(f"{host} has no public address")
        return allowed

    async def close(self) -> None:
        await self._inner.close()

    def _is_own(self, host: str, address: str) -> bool:
        return self._loopback and host in _LOOPBACK_NAMES and ipaddress.ip_address(address).is_loopback


def _has_user(parts: SplitResult) -> bool:
    return parts.username is not None or parts.password is not None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _refused() -> Invalid:
    return Invalid("The endpoint must be an https address of a public push service", field="endpoint")
