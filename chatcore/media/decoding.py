"""Handing an image to the decoder process, and taking its parts back."""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

from chatcore.errors import ChatError, PayloadTooLarge, Unavailable, UnsupportedMedia
from chatcore.media.decoder import Limits
from chatcore.media.records import Variant
from chatcore.media.sealing import CHUNK_BYTES
from chatcore.media.spool import Spool

WALL_SECONDS: Final = 30.0
QUEUE_SECONDS: Final = 30.0
AT_ONCE: Final = 2
HEAD_BYTES: Final = 4_096
# 50 megapixels are 200 MB as Pillow holds them, and turning a picture takes two of them at once; WebP's decoder four.
PIXELS: Final = 50_000_000
ADDRESS_SPACE_BYTES: Final = 1024**3
FRAMES, FRAME_PIXELS = 500, 200_000_000
CPU_SECONDS: Final = 20
GROWTH: Final = 3
"""How much larger than the upload its clean form may be: a picture that was packed very well is packed less well."""

_MAGIC: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
REFUSALS: Final[Mapping[str, Callable[[], ChatError]]] = {
    "pixels": lambda: PayloadTooLarge(f"An image may have {PIXELS // 1_000_000} million pixels at most", field="file"),
    "frames": lambda: PayloadTooLarge(
        f"An animation may have {FRAMES} frames and {FRAME_PIXELS // 1_000_000} million pixels in all", field="file"
    ),
    "time": lambda: PayloadTooLarge("This image takes too long to read", field="file"),
    "unreadable": lambda: UnsupportedMedia("This begins like an image but cannot be read as one", field="file"),
}


def looks_like_image(head: bytes) -> bool:
    """Whether the first bytes are those of a format we show. Only decoding tells whether it is one."""
    return head.startswith(_MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A clean image; its parts are spools that the caller's stack frees."""

    content_type: str
    width: int
    height: int
    parts: Mapping[Variant, Spool]


class ImageDecoder:
    """One process for each image, two at once; the others wait. Nothing of an image is held in this process."""

    def __init__(self, folder: Path, *, max_bytes: int, at_once: int = AT_ONCE, wall_seconds: float = WALL_SECONDS):
        self._folder = folder
        self._max_bytes = max_bytes
        self._turns = asyncio.Semaphore(at_once)
        self._wall_seconds = wall_seconds

    async def decode(self, source: Spool, stack: AsyncExitStack) -> Decoded:
        """Raises PayloadTooLarge or UnsupportedMedia as the image deserves, and Unavailable where we fail."""
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            raise Unavailable("Too many images are being looked at; try again in a moment") from None
        try:
            async with asyncio.timeout(self._wall_seconds):
                return await self._decode(source, stack)
        except TimeoutError:
            raise REFUSALS["time"]() from None
        finally:
            self._turns.release()

    async def _decode(self, source: Spool, stack: AsyncExitStack) -> Decoded:
        process = await asyncio.create_subprocess_exec(
            *self._command(), stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={}, cwd="/", start_new_session=True
        )
        try:
            _, head = await asyncio.gather(_feed(process, source), _read_head(process))
            if why := head.get("refused"):
                raise REFUSALS[why]()
            parts = {name: await self._take(process, size, stack) for name, size in head["parts"]}
            return Decoded(head["format"], head["width"], head["height"], cast(dict[Variant, Spool], parts))
        finally:
            await _end(process)

    def _command(self) -> list[str]:
        limits = Limits(
            bytes=self._max_bytes,
            pixels=PIXELS,
            frames=FRAMES,
            frame_pixels=FRAME_PIXELS,
            address_space_bytes=ADDRESS_SPACE_BYTES,
            cpu_seconds=CPU_SECONDS,
        )
        return [sys.executable, "-I", "-m", "chatcore.media.decoder", json.dumps(asdict(limits))]

    async def _take(self, process: Process, size: int, stack: AsyncExitStack) -> Spool:
        assert process.stdout is not None
        spool = stack.enter_context(Spool(self._folder, GROWTH * self._max_bytes))
        while spool.size < size:
            piece = await process.stdout.read(min(CHUNK_BYTES, size - spool.size))
            if not piece:
                raise REFUSALS["unreadable"]()
            await spool.write(piece)
        await spool.finish()
        return spool


async def _feed(process: Process, source: Spool) -> None:
    """The decoder may refuse before it has read everything."""
    assert process.stdin is not None
    with suppress(BrokenPipeError, ConnectionResetError):
        async with aclosing(source.chunks()) as chunks:
            async for chunk in chunks:
                process.stdin.write(chunk)
                await process.stdin.drain()
    process.stdin.close()


async def _read_head(process: Process) -> dict[str, Any]:
    """A decoder that the kernel ended (memory, processor time) or that broke says nothing."""
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        return {"refused": await _why_silent(process.wait())}
    head: dict[str, Any] = json.loads(line)
    return head


async def _why_silent(ended: Awaitable[int]) -> str:
    """Only a signal is the image's doing. An ordinary exit means that the decoder itself cannot run here."""
    status = await ended
    if status >= 0:
        raise Unavailable("Images cannot be read on this server right now")
    return "time" if -status in (9, 24) else "unreadable"  # SIGKILL, SIGXCPU


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
