"""Where the bytes of one upload wait on disk: in a file without a name, sealed with a key that only this process holds.

So an upload costs the server's memory one chunk whatever its size, and nothing readable is left on the disk, not even
after a crash or a power cut.
"""

import asyncio
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from chatcore.errors import PayloadTooLarge, Unavailable
from chatcore.media.sealing import CHUNK_BYTES, SEALED_CHUNK_BYTES, ChunkSeal, Pieces, chunk_count, new_key

HEAD_BYTES: Final = 32
NO_ROOM: Final = "The server has no room for this file right now; try again later"


class Spool:
    """Written once from the front, then read as often as needed. Leaving the `with` block frees the disk."""

    def __init__(self, folder: Path, max_bytes: int):
        self._folder = folder
        self._max_bytes = max_bytes
        self._seal = ChunkSeal(new_key(), "", "", "spool")
        self._file: IO[bytes] | None = None
        self._waiting = bytearray()
        self._written = 0
        self._finished = False
        self.size = 0
        self.head = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    async def write(self, piece: bytes) -> None:
        """Raises PayloadTooLarge as soon as the limit is passed, and Unavailable where the disk is full."""
        self.size += len(piece)
        if self.size > self._max_bytes:
            raise PayloadTooLarge(f"A file may have {self._max_bytes} bytes at most", field="file")
        if len(self.head) < HEAD_BYTES:
            self.head = (self.head + piece)[:HEAD_BYTES]
        self._waiting += piece
        while len(self._waiting) > CHUNK_BYTES:  # one chunk stays behind: it may turn out to be the last
            await self._put(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]

    async def finish(self) -> None:
        """Nothing more comes."""
        await self._put(bytes(self._waiting), last=True)
        self._waiting.clear()
        self._finished = True

    async def chunks(self) -> Pieces:
        """Chunks of CHUNK_BYTES, the last one shorter."""
        assert self._finished
        for index in range(chunk_count(self.size)):
            yield await asyncio.to_thread(self._read, index)

    async def _put(self, chunk: bytes, *, last: bool) -> None:
        try:
            await asyncio.to_thread(self._write, chunk, last)
        except OSError as error:
            raise Unavailable(NO_ROOM) from error

    def _write(self, chunk: bytes, last: bool) -> None:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - closed by __exit__
        self._file.write(self._seal.seal(self._written, chunk, last=last))
        self._written += 1

    def _read(self, index: int) -> bytes:
        assert self._file is not None
        sealed = os.pread(self._file.fileno(), SEALED_CHUNK_BYTES, index * SEALED_CHUNK_BYTES)
        return self._seal.open(index, sealed, last=index == self._written - 1)
