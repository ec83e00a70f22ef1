"""The key-encryption keys: they wrap group keys and never touch content."""

import base64
import binascii
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from chatcore.vault.envelope import NONCE_BYTES, SealBroken

KEY_BYTES = 32
SALT_BYTES = 16


def decoded_key(text: str) -> bytes | None:
    """The 32 bytes that base64 text stands for, or None where it is something else (a passphrase)."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None


def stretch(passphrase: str, salt: bytes) -> bytes:
    """scrypt with N=2^15, r=8, p=1 (RFC 7914; OWASP's least for interactive use is N=2^17 with p=1 or this with p=3).

    The passphrase has 32 or more characters and is stretched once at each start, so memory stays at 32 MiB.
    """
    return Scrypt(salt=salt, length=KEY_BYTES, n=2**15, r=8, p=3).derive(passphrase.encode())


@dataclass(frozen=True)
class WrappedKey:
    """A group key as stored."""

    group_id: str
    version: int
    kid: str
    nonce: bytes
    wrapped: bytes


class MasterKeys:
    """An ordered ring of named keys: the first wraps, all unwrap."""

    def __init__(self, ring: dict[str, bytes]):
        if not ring:
            raise ValueError("at least one master key is needed")
        self._ciphers = {kid: AESGCM(key) for kid, key in ring.items()}
        self.first = next(iter(ring))

    def wrap(self, group_id: str, version: int, key: bytes) -> WrappedKey:
        nonce = os.urandom(NONCE_BYTES)
        wrapped = self._ciphers[self.first].encrypt(nonce, key, _bound(group_id, version))
        return WrappedKey(group_id=group_id, version=version, kid=self.first, nonce=nonce, wrapped=wrapped)

    def unwrap(self, row: WrappedKey) -> bytes:
        cipher = self._ciphers.get(row.kid)
        if cipher is None:
            raise SealBroken(f"group {row.group_id}: its key was wrapped by master key {row.kid!r}, which is not set")
        try:
            return cipher.decrypt(row.nonce, row.wrapped, _bound(row.group_id, row.version))
        except InvalidTag:
            raise SealBroken(f"group {row.group_id}: its key was wrapped by another master key") from None


def _bound(group_id: str, version: int) -> bytes:
    return f"chatcore group key|{group_id}|{version}".encode()


def ring_from(
    encryption_secret_key: str, master_keys: str, salt: bytes, *, first: dict[str, bytes] | None = None
) -> MasterKeys:
    """From the settings' texts, after `first`. Raises ValueError that names the variable and never the value."""
    ring = dict(first or {})
    if master_keys:
        for part in master_keys.split(","):
            kid, _, text = part.strip().partition(":")
            key = decoded_key(text)
            if not kid or key is None:
                raise ValueError("MASTER_KEYS must read name:base64 of 32 bytes, separated by commas")
            ring[kid] = key
    elif encryption_secret_key:
        ring["k1"] = decoded_key(encryption_secret_key) or stretch(encryption_secret_key, salt)
    return MasterKeys(ring)
