"""Who pushes: a key of this installation, and a signed word for each push service (VAPID, RFC 8292)."""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chatcore.push.sealing import written_point

# Push services refuse more than 24 h; half of that leaves room for clocks that differ.
GOOD_FOR_SECONDS: Final = 12 * 3_600
RENEWED_BEFORE_SECONDS: Final = 3_600
KEPT_WORDS: Final = 64
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (SEC 2)
_SEED_BYTES: Final = 48  # 128 bits more than the order: the key is even enough (FIPS 186-5, A.2.1)


class Vapid:
    """`secret` is 32 random bytes that are kept sealed; the key follows from it, in every process the same.

    `contact` is whom a push service may write to, `mailto:` or https; empty leaves it out.
    """

    def __init__(self, secret: bytes, contact: str = "", now: Callable[[], float] = time.time):
        seed = HKDF(algorithm=SHA256(), length=_SEED_BYTES, salt=None, info=b"chatcore vapid").derive(secret)
        self._key = ec.derive_private_key(int.from_bytes(seed, "big") % (_ORDER - 1) + 1, ec.SECP256R1())
        self._secret = secret
        self._contact = contact
        self._now = now
        self._words: dict[str, tuple[float, str]] = {}

    @property
    def public_key(self) -> str:
        """As browsers want it for `applicationServerKey`."""
        return as_text(written_point(self._key.public_key()))

    def authorization(self, endpoint: str) -> str:
        """The header for this endpoint; one signature serves a push service for hours."""
        parts = urlsplit(endpoint)
        audience = f"{parts.scheme}://{parts.netloc}"
        until, word = self._words.get(audience, (0.0, ""))
        if until - self._now() < RENEWED_BEFORE_SECONDS:
            until = self._now() + GOOD_FOR_SECONDS
            word = self._signed(audience, int(until))
            if len(self._words) >= KEPT_WORDS:
                self._words.clear()
            self._words[audience] = until, word
        return f"vapid t={word}, k={self.public_key}"

    def topic(self, group_id: str) -> str:
        """32 characters by which a push service replaces an older notice of the same group; it learns no id."""
        return as_text(hmac.digest(self._secret, f"topic {group_id}".encode(), hashlib.sha256))[:32]

    def _signed(self, audience: str, expires_at: int) -> str:
        claims = {"aud": audience, "exp": expires_at} | ({"sub": self._contact} if self._contact else {})
        return jwt.encode(claims, self._key, algorithm="ES256")


def as_text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def as_bytes(text: str) -> bytes:
    """Base64 of URLs, with or without padding. Raises ValueError."""
    return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)
