"""Ids of 24 lower-case hex characters, as MongoDB's: four bytes of time, then random or keyed bytes."""

import hmac
import secrets
from datetime import datetime

ID_BYTES = 12
FINGERPRINT_BYTES = 16


def new_id(now: datetime) -> str:
    """Unique, and roughly in order of time, which keeps index inserts local."""
    return int(now.timestamp()).to_bytes(4, "big").hex() + secrets.token_hex(ID_BYTES - 4)


def keyed_id(key: bytes, *parts: str) -> str:
    """The same parts always give the same id, so a retry meets its own row; nobody without the key can foresee it."""
    return _digest(key, "id", *parts)[:ID_BYTES].hex()


def fingerprint(key: bytes, *parts: str) -> bytes:
    """Tells a retry from other content under the same id without keeping the content."""
    return _digest(key, "content", *parts)[:FINGERPRINT_BYTES]


def _digest(key: bytes, purpose: str, *parts: str) -> bytes:
    encoded = [part.encode() for part in (purpose, *parts)]
    joined = b"".join(len(part).to_bytes(4, "big") + part for part in encoded)
    return hmac.digest(key, joined, "sha256")
