"""What goes to a browser, readable by that browser alone (RFC 8291 over RFC 8188, `aes128gcm`, one record)."""

import os
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

POINT_BYTES: Final = 65
SECRET_BYTES: Final = 16
SALT_BYTES: Final = 16
RECORD_BYTES: Final = 4096
LAST_RECORD: Final = b"\x02"
TAG_BYTES: Final = 16
PADDED_TO_BYTES: Final = 256  # so that the length says nothing of the names in it


def read_point(point: bytes) -> ec.EllipticCurvePublicKey:
    """Raises ValueError where it is no point of the curve."""
    if len(point) != POINT_BYTES:
        raise ValueError("a public key of 65 bytes is needed")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)


def written_point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def padded(payload: bytes) -> bytes:
    """With the delimiter, to a multiple of 256 bytes."""
    return payload + LAST_RECORD + bytes(-(len(payload) + 1) % PADDED_TO_BYTES)


def seal(
    plain: bytes,
    point: bytes,
    secret: bytes,
    *,
    own: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
) -> bytes:
    """The body of a push. `plain` bears its delimiter and padding; `own` and `salt` are fresh but in tests."""
    if len(plain) + TAG_BYTES > RECORD_BYTES:
        raise ValueError("a push carries one record")
    own = own or ec.generate_private_key(ec.SECP256R1())
    salt = salt or os.urandom(SALT_BYTES)
    mine = written_point(own.public_key())
    shared = own.exchange(ec.ECDH(), read_point(point))
    material = _derived(shared, secret, b"WebPush: info\x00" + point + mine, 32)
    key = _derived(material, salt, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _derived(material, salt, b"Content-Encoding: nonce\x00", 12)
    header = salt + RECORD_BYTES.to_bytes(4, "big") + bytes([len(mine)]) + mine
    return header + AESGCM(key).encrypt(nonce, plain, None)


def _derived(material: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(material)
