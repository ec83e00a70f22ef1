"""Sealing and opening: AES-256-GCM with a random 96-bit nonce, bound to its place by additional authenticated data."""

import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
ENVELOPE_VERSION = 1


class SealBroken(Exception):
    """The authentication tag does not fit: other key, other place, or changed bytes. Nothing of the content is told."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is stored instead of text: envelope version, key version, nonce, ciphertext with its 16-byte tag."""

    v: int
    kv: int
    n: bytes
    ct: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where sealed content belongs; moving it anywhere else breaks the seal. `rev` counts the edits of a message."""

    group_id: str
    item_id: str
    sender_id: str
    type: str
    rev: int = 0

    def bound_to(self, key_version: int) -> bytes:
        """Length-prefixed fields, so that no two places share their bytes."""
        fields = (self.group_id, self.item_id, self.sender_id, str(key_version), self.type, str(self.rev))
        encoded = [field.encode() for field in fields]
        return b"".join([len(field).to_bytes(4, "big") + field for field in encoded])


class GroupKey:
    """One version of a group's 256-bit data key, ready to use."""

    __slots__ = ("_cipher", "group_id", "version")

    def __init__(self, group_id: str, version: int, key: bytes):
        self.group_id = group_id
        self.version = version
        self._cipher = AESGCM(key)

    def seal(self, place: Place, content: bytes) -> Sealed:
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, content, place.bound_to(self.version))
        return Sealed(v=ENVELOPE_VERSION, kv=self.version, n=nonce, ct=sealed)

    def open(self, place: Place, sealed: Sealed) -> bytes:
        """Raises SealBroken; never yields content whose tag fails."""
        try:
            return self._cipher.decrypt(sealed.n, sealed.ct, place.bound_to(sealed.kv))
        except InvalidTag:
            raise SealBroken(f"message {place.item_id} of group {place.group_id}") from None
