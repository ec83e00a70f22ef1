"""Objects are sealed in chunks: any range opens, and no chunk opens anywhere but in its place."""

from collections.abc import AsyncIterator

import pytest

from chatcore.media.sealing import (
    CHUNK_BYTES,
    SEALED_CHUNK_BYTES,
    ChunkSeal,
    Span,
    opened_span,
    sealed_chunks,
    sealed_size,
)
from chatcore.vault.envelope import SealBroken
from tests.media.library import pieces

KEY = bytes(range(32))
SIZES = [1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 77]


def content_of(size: int) -> bytes:
    return bytes(index * 31 % 251 for index in range(size))


async def joined(parts: AsyncIterator[bytes]) -> bytes:
    return b"".join([part async for part in parts])


def the_seal(key: bytes = KEY, group: str = "a" * 24, media: str = "1" * 24, variant: str = "original") -> ChunkSeal:
    return ChunkSeal(key, group, media, variant)


async def sealed(content: bytes) -> bytes:
    return await joined(sealed_chunks(the_seal(), len(content), pieces(content, CHUNK_BYTES)))


async def opened(stored: bytes, size: int, seal: ChunkSeal | None = None) -> bytes:
    return await joined(opened_span(seal or the_seal(), Span(0, size, size), pieces(stored, 9_999)))


@pytest.mark.parametrize("size", SIZES)
async def test_what_was_sealed_opens_and_shows_nothing_of_itself(size: int) -> None:
    content = content_of(size)
    stored = await sealed(content)
    assert len(stored) == sealed_size(size)
    assert await opened(stored, size) == content
    assert size < 100 or content[:100] not in stored


@pytest.mark.parametrize("size", SIZES)
async def test_every_range_reads_only_the_chunks_it_touches(size: int) -> None:
    content, stored = content_of(size), await sealed(content_of(size))
    edges = sorted(
        {
            0,
            1,
            size - 1,
            size,
            *(n for k in (1, 2, 3) for n in (k * CHUNK_BYTES - 1, k * CHUNK_BYTES, k * CHUNK_BYTES + 1)),
        }
    )
    for start in edges:
        for stop in edges:
            if not 0 <= start < stop <= size:
                continue
            span = Span(start, stop, size)
            part = stored[span.sealed_start : span.sealed_stop]
            assert len(part) <= ((stop - 1) // CHUNK_BYTES - start // CHUNK_BYTES + 1) * SEALED_CHUNK_BYTES
            assert await joined(opened_span(the_seal(), span, pieces(part, 10_001))) == content[start:stop]


@pytest.mark.parametrize(
    "other",
    [
        the_seal(key=bytes(32)),
        the_seal(group="b" * 24),
        the_seal(media="2" * 24),
        the_seal(variant="320"),
    ],
    ids=["key", "group", "media", "variant"],
)
async def test_it_opens_nowhere_else(other: ChunkSeal) -> None:
    stored = await sealed(content_of(100))
    with pytest.raises(SealBroken):
        await opened(stored, 100, other)


class TestTampering:
    SIZE = 3 * CHUNK_BYTES

    async def _chunks(self) -> list[bytes]:
        stored = await sealed(content_of(self.SIZE))
        return [stored[start : start + SEALED_CHUNK_BYTES] for start in range(0, len(stored), SEALED_CHUNK_BYTES)]

    async def test_a_changed_bit(self) -> None:
        chunks = await self._chunks()
        broken = bytearray(chunks[1])
        broken[40] ^= 1
        with pytest.raises(SealBroken):
            await opened(chunks[0] + bytes(broken) + chunks[2], self.SIZE)

    async def test_swapped_chunks(self) -> None:
        one, two, three = await self._chunks()
        with pytest.raises(SealBroken):
            await opened(two + one + three, self.SIZE)

    async def test_a_repeated_chunk(self) -> None:
        one, _, three = await self._chunks()
        with pytest.raises(SealBroken):
            await opened(one + one + three, self.SIZE)

    async def test_a_missing_end_is_noticed_whatever_size_is_claimed(self) -> None:
        chunks = await self._chunks()
        for size in (self.SIZE, 2 * CHUNK_BYTES):
            with pytest.raises(SealBroken):
                await opened(b"".join(chunks[:2]), size)

    async def test_an_appended_chunk(self) -> None:
        chunks = await self._chunks()
        with pytest.raises(SealBroken):
            await opened(b"".join([*chunks, chunks[2]]), 4 * CHUNK_BYTES)
