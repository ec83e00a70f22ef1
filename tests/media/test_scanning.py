"""A virus scanner at the door, as ClamAV's daemon speaks it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chatcore.errors import PayloadTooLarge, Unavailable, UnsupportedMedia
from chatcore.media.clamd import Clamd
from tests.media import pictures
from tests.media.library import Library

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


class FakeClamd:
    """Finds EICAR and nothing else. `limit` is its StreamMaxLength; `silent` makes it hang up without a word."""

    def __init__(self, limit: int = 1_000_000) -> None:
        self.limit = limit
        self.silent = False
        self.scanned: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = await reader.readuntil(b"\0")
        if command == b"zPING\0":
            writer.write(b"PONG\0")
        elif command == b"zINSTREAM\0" and not self.silent:
            writer.write(await self._verdict(reader))
        writer.close()

    async def _verdict(self, reader: asyncio.StreamReader) -> bytes:
        stream = b""
        while size := int.from_bytes(await reader.readexactly(4), "big"):
            stream += await reader.readexactly(size)
            if len(stream) > self.limit:
                return b"INSTREAM size limit exceeded. ERROR\0"
        self.scanned.append(stream)
        return b"stream: Eicar-Test-Signature FOUND\0" if EICAR in stream else b"stream: OK\0"


@asynccontextmanager
async def listening(clamd: FakeClamd, folder: Path) -> AsyncIterator[str]:
    path = str(folder / "clamd.sock")
    server = await asyncio.start_unix_server(clamd.serve, path)
    try:
        yield path
    finally:
        server.close()
        await server.wait_closed()


@pytest.fixture
async def scanned(tmp_path: Path) -> AsyncIterator[tuple[Library, FakeClamd]]:
    clamd = FakeClamd()
    async with listening(clamd, tmp_path) as path:
        yield Library(tmp_path, scanner=Clamd(path)), clamd


async def test_what_is_clean_is_taken_and_was_scanned_as_it_came(scanned: tuple[Library, FakeClamd]) -> None:
    library, clamd = scanned
    for content in (b"x" * 200_000, pictures.photo()):
        await library.adds(content)
        assert clamd.scanned[-1] == content
    await library.media.check()


async def test_what_is_found_is_refused_and_kept_nowhere(scanned: tuple[Library, FakeClamd]) -> None:
    library, _ = scanned
    with pytest.raises(UnsupportedMedia, match="scanner"):
        await library.adds(b"x" * 70_000 + EICAR)
    assert await library.keys() == []
    assert not library.store._media  # type: ignore[attr-defined]


async def test_more_than_the_scanner_takes_is_refused(scanned: tuple[Library, FakeClamd]) -> None:
    library, clamd = scanned
    with pytest.raises(PayloadTooLarge):
        await library.adds(bytes(clamd.limit + 1))


async def test_a_scanner_that_does_not_answer_lets_nothing_through(scanned: tuple[Library, FakeClamd]) -> None:
    library, clamd = scanned
    clamd.silent = True
    with pytest.raises(Unavailable):
        await library.adds(b"x")
    assert await library.keys() == []


@pytest.mark.parametrize("address", ["/nowhere/clamd.sock", "127.0.0.1:1"])
async def test_nor_does_one_that_is_not_there(tmp_path: Path, address: str) -> None:
    library = Library(tmp_path, scanner=Clamd(address))
    with pytest.raises(Unavailable):
        await library.adds(b"x")
    with pytest.raises(Unavailable):
        await library.media.check()


async def test_it_is_reached_over_tcp_too(tmp_path: Path) -> None:
    clamd = FakeClamd()
    server = await asyncio.start_server(clamd.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        library = Library(tmp_path, scanner=Clamd(f"{host}:{port}"))
        await library.adds(b"fine")
        with pytest.raises(UnsupportedMedia):
            await library.adds(EICAR)
    assert clamd.scanned == [b"fine", EICAR]
