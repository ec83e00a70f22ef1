"""The network between a server and its database, which can be made slow, silent, broken or absent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

Mode = Literal["pass", "black hole", "reset", "refuse"]
CHUNK = 65_536


class FaultyNetwork:
    """`mode` may change at any moment. In a black hole bytes are lost, connections stay open.

    `swallow_answers`: requests still arrive, answers do not; so a write happens of which nobody is told.
    `latency_seconds` is added to each direction.
    """

    def __init__(self, host: str, port: int):
        self._upstream = host, port
        self._mode: Mode = "pass"
        self._both_ends: set[asyncio.StreamWriter] = set()
        self.latency_seconds = 0.0
        self.swallow_answers = False
        self.port = 0

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        if mode in ("reset", "refuse"):
            self.cut()

    def cut(self) -> None:
        """Break what is open. A connection that lost bytes must not go on with later ones."""
        for writer in list(self._both_ends):
            writer.transport.abort()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode in ("refuse", "reset"):
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.transport.abort()
            return
        self._both_ends |= {writer, far_writer}
        try:
            await asyncio.gather(
                self._carry(reader, far_writer, answers=False), self._carry(far_reader, writer, answers=True)
            )
        finally:
            self._both_ends -= {writer, far_writer}
            writer.transport.abort()
            far_writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        lost = False
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                if self.latency_seconds:
                    await asyncio.sleep(self.latency_seconds)
                lost = lost or self._mode == "black hole" or (answers and self.swallow_answers)
                if not lost:
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def faulty_network(host: str, port: int) -> AsyncIterator[FaultyNetwork]:
    network = FaultyNetwork(host, port)
    listener = await asyncio.start_server(network.accept, "127.0.0.1", 0)
    network.port = listener.sockets[0].getsockname()[1]
    try:
        yield network
    finally:
        listener.close()
        network.cut()
        await listener.wait_closed()
