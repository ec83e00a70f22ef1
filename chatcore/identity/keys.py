"""An issuer's public keys: what counts as one, and how long it is believed."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from chatcore.errors import Unauthenticated, Unavailable
from chatcore.logs import get_logger

log = get_logger("identity")

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192  # a larger one only costs us time
MAX_KEYS: Final = 64
FRESH_SECONDS: Final = 3600.0
STALE_SECONDS: Final = 24 * 3600.0
UNKNOWN_KEY_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 5.0

Keys = dict[str | None, RSAPublicKey]


class KeyCache:
    """Keys by id, fetched when needed and by one fetch at a time.

    Fresh for an hour, then fetched again; while that fails they serve up to 24 hours. An unknown id has the keys
    fetched at most once in 30 seconds, so that made-up ids cost the issuer nothing. A failure is never remembered as
    an answer.
    """

    def __init__(self, fetch: Callable[[], Awaitable[bytes]], clock: Callable[[], float] = time.monotonic):
        self._fetch = fetch
        self._clock = clock
        self._keys: Keys = {}
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._flight: asyncio.Task[None] | None = None

    async def key(self, key_id: str | None) -> RSAPublicKey:
        """Raises Unauthenticated for an id that the issuer does not have, Unavailable when it cannot be asked."""
        if not self._keys:
            await self._refresh(unless_tried_within=0.0)
        elif key_id not in self._keys:
            await self._refresh(unless_tried_within=UNKNOWN_KEY_SECONDS)
        elif self._age() >= FRESH_SECONDS:
            await self._refresh(unless_tried_within=RETRY_SECONDS)
        if self._age() >= STALE_SECONDS:
            raise Unavailable("The keys of the token's issuer cannot be had right now")
        found = self._keys.get(key_id)
        if found is None:
            raise Unauthenticated("The token is signed by an unknown key")
        return found

    def _age(self) -> float:
        return self._clock() - self._fetched_at

    async def _refresh(self, unless_tried_within: float) -> None:
        if self._flight is None:
            if self._clock() - self._tried_at < unless_tried_within:
                return
            self._flight = asyncio.create_task(self._load(), name="issuer-keys")
        # Shielded: the fetch belongs to all who wait, and one of them may hang up.
        await asyncio.shield(self._flight)

    async def _load(self) -> None:
        try:
            self._tried_at = self._clock()
            self._keys = read_keys(await self._fetch())
            self._fetched_at = self._clock()
        except (OSError, ValueError, RecursionError) as error:
            log.warning("issuer_keys_unavailable", error=type(error).__name__)
        finally:
            self._flight = None


def read_keys(document: bytes) -> Keys:
    """The RSA signing keys of a JWK set (RFC 7517); whatever else it holds is passed over. ValueError without any."""
    found = json.loads(document)
    entries = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise ValueError("not a JWK set")
    keys: Keys = {}
    for entry in entries:
        key = _signing_key(entry)
        if key is not None:
            keys[entry.get("kid")] = key
    if not keys:
        raise ValueError("no usable key")
    if len(keys) == 1:
        keys[None] = next(iter(keys.values()))  # a lone key needs no name in the token (RFC 7515, 4.1.4)
    else:
        keys.pop(None, None)
    return keys


def _signing_key(entry: Mapping[str, Any]) -> RSAPublicKey | None:
    if not isinstance(entry, dict) or entry.get("kty") != "RSA":
        return None
    if entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256":
        return None
    if not isinstance(entry.get("kid"), str | None):
        return None
    try:
        key = PyJWK({"kty": "RSA", "n": entry["n"], "e": entry["e"]}, "RS256").key
    except (PyJWTError, KeyError, ValueError, TypeError):
        return None
    assert isinstance(key, RSAPublicKey)
    return key if MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS else None
