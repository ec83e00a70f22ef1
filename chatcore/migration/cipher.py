"""How the original kept message texts: AES-128-CBC with PKCS#7 and no tag, as a JSON object in the field `content`."""

import hashlib
import json
from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

KEY_BYTES = 16
BLOCK_BITS = 128


class Unreadable(Exception):
    """Neither a plain text nor one that the given secret opens."""


class OriginalCipher:
    """Opens what was written under one `ENCRYPTION_SECRET_KEY`.

    A group's key was the first 16 hexadecimal digits of SHA-256 over the group's id and the secret, used as text:
    64 bits of key. Older rows were written under the first 16 bytes of the secret itself, or not encrypted at all.
    """

    def __init__(self, secret: str):
        self._secret = secret

    def text(self, content: str, group_id: str) -> str:
        """The message as it was typed. Raises Unreadable."""
        sealed = _sealed(content)
        if sealed is None:
            return content
        iv, encrypted = sealed
        for key in self._keys(group_id):
            opened = _opened(key, iv, encrypted)
            if opened is not None:
                return opened
        raise Unreadable

    def _keys(self, group_id: str) -> Iterator[bytes]:
        yield hashlib.sha256(f"{group_id}{self._secret}".encode()).hexdigest()[:KEY_BYTES].encode()
        whole = self._secret.encode()[:KEY_BYTES]
        if len(whole) == KEY_BYTES:
            yield whole


def _sealed(content: str) -> tuple[bytes, bytes] | None:
    """Initialisation vector and ciphertext, or None for a plain text, which may well look like JSON."""
    if not content.startswith("{"):
        return None
    try:
        value = json.loads(content)
        iv, encrypted = bytes.fromhex(value["iv"]), bytes.fromhex(value["encrypted"])
    except (ValueError, KeyError, TypeError):
        return None
    return (iv, encrypted) if len(iv) == KEY_BYTES else None


def _opened(key: bytes, iv: bytes, encrypted: bytes) -> str | None:
    """Without a tag a wrong key is known only by its padding and by bytes that are no UTF-8."""
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    padding = PKCS7(BLOCK_BITS).unpadder()
    try:
        padded = decryptor.update(encrypted) + decryptor.finalize()
        return (padding.update(padded) + padding.finalize()).decode()
    except ValueError:
        return None
