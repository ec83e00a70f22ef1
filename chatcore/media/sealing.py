"""Sealed objects: chunks of 64 KiB, each with its own tag, so that a range is read without the rest.

Every upload has a random 256-bit key of its own, which is stored sealed with the group's key. So nonces are counted and
cannot meet those of another object: 12 bytes of variant and chunk index. The additional data binds group, upload,
variant, index and whether it is the last chunk, so that chunks cannot be moved, swapped, dropped or appended.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chatcore.vault.envelope import SealBroken

Pieces = AsyncGenerator[bytes, None]
"""Bytes as they come. Whoever reads them closes them, also in the middle: files and connections hang on it."""

CHUNK_BYTES: Final = 65_536
TAG_BYTES: Final = 16
KEY_BYTES: Final = 32
SEALED_CHUNK_BYTES: Final = CHUNK_BYTES + TAG_BYTES
_VARIANT_NUMBERS: Final = {"original": 0, "1280": 1, "320": 2, "spool": 3}


def new_key() -> bytes:
    return os.urandom(KEY_BYTES)


def chunk_count(size: int) -> int:
    """At least one: an empty object has a chunk too, so that its emptiness is proved."""
    return max(1, -(-size // CHUNK_BYTES))


def sealed_size(size: int) -> int:
    return size + chunk_count(size) * TAG_BYTES


class ChunkSeal:
    """Seals and opens the chunks of one object."""

    __slots__ = ("_bound", "_cipher", "_name", "_variant")

    def __init__(self, key: bytes, group_id: str, media_id: str, variant: str):
        self._cipher = AESGCM(key)
        self._variant = _VARIANT_NUMBERS[variant]
        fields = [field.encode() for field in (group_id, media_id, variant)]
        self._bound = b"".join(len(field).to_bytes(4, "big") + field for field in fields)
        self._name = f"chunk of media {media_id}"

    def seal(self, index: int, chunk: bytes, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(index), chunk, self._place(index, last))

    def open(self, index: int, sealed: bytes, *, last: bool) -> bytes:
        """Raises SealBroken; never yields bytes whose tag fails."""
        try:
            return self._cipher.decrypt(self._nonce(index), sealed, self._place(index, last))
        except InvalidTag:
            raise SealBroken(self._name) from None

    def _nonce(self, index: int) -> bytes:
        return self._variant.to_bytes(4, "big") + index.to_bytes(8, "big")

    def _place(self, index: int, last: bool) -> bytes:
        return self._bound + index.to_bytes(8, "big") + bytes([last])


@dataclass(frozen=True, slots=True)
class Span:
    """The chunks that hold the bytes `start <= i < stop` of an object of `size` bytes, and where they lie sealed."""

    start: int
    stop: int
    size: int

    @property
    def first_chunk(self) -> int:
        return self.start // CHUNK_BYTES

    @property
    def last_chunk(self) -> int:
        return max(self.first_chunk, (self.stop - 1) // CHUNK_BYTES)

    @property
    def sealed_start(self) -> int:
        return self.first_chunk * SEALED_CHUNK_BYTES

    @property
    def sealed_stop(self) -> int:
        return min((self.last_chunk + 1) * SEALED_CHUNK_BYTES, sealed_size(self.size))


async def sealed_chunks(seal: ChunkSeal, size: int, chunks: Pieces) -> Pieces:
    """`chunks` are of exactly CHUNK_BYTES but for the last one, and `size` bytes in all."""
    last, index = chunk_count(size) - 1, 0
    async with aclosing(chunks):
        async for chunk in chunks:
            yield seal.seal(index, chunk, last=index == last)
            index += 1


async def opened_span(seal: ChunkSeal, span: Span, pieces: Pieces) -> Pieces:
    """`pieces` are the sealed bytes of the span, cut anywhere. Raises SealBroken, also where they end early."""
    index, final = span.first_chunk, chunk_count(span.size) - 1
    async with aclosing(regrouped(pieces, SEALED_CHUNK_BYTES)) as chunks:
        async for sealed in chunks:
            chunk = seal.open(index, sealed, last=index == final)
            offset = index * CHUNK_BYTES
            yield chunk[max(0, span.start - offset) : span.stop - offset]
            index += 1
    if index <= span.last_chunk:
        raise SealBroken("a stored object ends early")


async def regrouped(pieces: Pieces, size: int) -> Pieces:
    """The same bytes in pieces of exactly this size, but for the last one."""
    waiting = bytearray()
    async with aclosing(pieces):
        async for piece in pieces:
            waiting += piece
            while len(waiting) >= size:
                yield bytes(waiting[:size])
                del waiting[:size]
    if waiting:
        yield bytes(waiting)
