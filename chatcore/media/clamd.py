"""Asking ClamAV's daemon about an upload, over its own socket: the command INSTREAM of clamd(8)."""

import asyncio
from contextlib import aclosing
from typing import Final

from chatcore.errors import PayloadTooLarge, Unavailable, UnsupportedMedia
from chatcore.media.sealing import Pieces

CONNECT_SECONDS: Final = 3.0
SCAN_SECONDS: Final = 30.0
ANSWER_BYTES: Final = 4_096
DOWN: Final = "Files cannot be checked for viruses right now, so none are taken; try again later"


class Clamd:
    """`address` is the path of a unix socket, or `host:port`. A scanner that does not answer lets nothing through."""

    def __init__(self, address: str):
        self._address = address

    async def require_clean(self, chunks: Pieces) -> None:
        """Raises UnsupportedMedia where something was found, and Unavailable where the scanner does not say."""
        try:
            async with asyncio.timeout(SCAN_SECONDS):
                verdict = await self._ask(chunks)
        except (OSError, TimeoutError, EOFError) as error:
            raise Unavailable(DOWN) from error
        if verdict.endswith(" FOUND"):
            raise UnsupportedMedia("The virus scanner refuses this file", field="file")
        if "size limit exceeded" in verdict:
            raise PayloadTooLarge("This file is larger than the virus scanner takes", field="file")
        if not verdict.endswith(": OK"):
            raise Unavailable(DOWN)

    async def check(self) -> None:
        """Raises Unavailable where it does not answer a PING."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await self._connect()
                try:
                    writer.write(b"zPING\0")
                    answer = await reader.readuntil(b"\0")
                finally:
                    writer.close()
        except (OSError, TimeoutError, EOFError) as error:
            raise Unavailable(DOWN) from error
        if answer != b"PONG\0":
            raise Unavailable(DOWN)

    async def _ask(self, chunks: Pieces) -> str:
        reader, writer = await self._connect()
        try:
            writer.write(b"zINSTREAM\0")
            try:
                async with aclosing(chunks):
                    async for chunk in chunks:
                        if chunk:
                            writer.write(len(chunk).to_bytes(4, "big") + chunk)
                            await writer.drain()
                writer.write(bytes(4))
                await writer.drain()
            except ConnectionError:
                pass  # it has said its verdict, such as a limit, and hung up
            return (await reader.readuntil(b"\0"))[:-1].decode("utf-8", "replace").strip()
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(CONNECT_SECONDS):
            host, _, port = self._address.rpartition(":")
            if host and port.isdigit() and not self._address.startswith("/"):
                return await asyncio.open_connection(host, int(port), limit=ANSWER_BYTES)
            return await asyncio.open_unix_connection(self._address, limit=ANSWER_BYTES)
