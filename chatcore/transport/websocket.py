"""aiohttp's WebSocket, with each arriving message handed over at once instead of waking a reading task.

Private parts of aiohttp used here, pinned and checked by tests/transport/test_library_contract.py:
`WebSocketResponse._pre_start`, `_post_start`, `_reader`, `_parser`, `_max_msg_size`; `WebSocketDataQueue` and
`WebSocketReader` of `aiohttp._websocket.reader`; `Request._protocol` and its `set_parser`, `keep_alive`.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import web
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader
from aiohttp.http_websocket import WebSocketError, WSMsgType

SPILL_BYTES = 8_192


class Sink(Protocol):
    """Where the messages of one WebSocket go, in order of arrival."""

    @property
    def full(self) -> bool:
        """While true, messages wait in the feed, and reading from the socket stops when too many wait."""

    def text_arrived(self, text: str) -> None: ...

    def heartbeat_arrived(self) -> None:
        """The Engine.IO PONG, which overtakes messages that wait."""

    def binary_arrived(self) -> None: ...

    def transport_lost(self, close_code: int) -> None:
        """The peer closed, vanished or broke the protocol. May be called more than once."""


class Feed(WebSocketDataQueue):
    """Takes messages from aiohttp's parser inside `data_received`.

    Messages for a full sink spill into aiohttp's own queue, which stops the parser and the reading from the socket
    at its limit (16 KiB, 128 bytes counted a message besides its own) and starts them again as `refill` empties it.
    """

    def __init__(self, protocol: Any, sink: Sink, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(protocol, SPILL_BYTES, loop=loop)
        self.sink = sink
        self.spilled = 0

    def feed_data(self, data: Any, size: int) -> None:
        if data[0] is WSMsgType.TEXT and data[1] == "3":
            self.sink.heartbeat_arrived()
        elif self.spilled or self.sink.full:
            self.spilled += 1
            super().feed_data(data, size)
        else:
            self._hand_over(data)

    async def refill(self) -> None:
        """Hand over what spilled, as far as the sink has room. Never waits."""
        while self.spilled and not self.sink.full:
            message = await self.read()
            self.spilled -= 1
            self._hand_over(message)

    def feed_eof(self) -> None:
        super().feed_eof()
        self.sink.transport_lost(1006)

    def set_exception(self, exc: BaseException, exc_cause: Any = None) -> None:
        self.sink.transport_lost(int(exc.code) if isinstance(exc, WebSocketError) else 1006)

    def _hand_over(self, message: Any) -> None:
        kind = message[0]
        if kind is WSMsgType.TEXT:
            self.sink.text_arrived(message[1])
        elif kind is WSMsgType.BINARY:
            self.sink.binary_arrived()
        elif kind is WSMsgType.PING:
            self._answer_ping(message[1])
        elif kind is WSMsgType.CLOSE:
            self.sink.transport_lost(1000)

    def _answer_ping(self, body: bytes) -> None:
        transport = self._protocol.transport
        if transport is not None:
            transport.write(b"\x8a" + bytes((len(body),)) + body)


class FeedingWebSocket(web.WebSocketResponse):
    """A WebSocket without compression whose messages go to a sink.

    `started` is called with the feed as soon as the answer to the handshake is on its way. Compression would take
    three quarters of the throughput and four times the memory of a connection.
    """

    def __init__(self, sink: Sink, max_frame_bytes: int, started: Callable[[Feed], None]) -> None:
        # aiohttp refuses a message of exactly max_msg_size
        super().__init__(max_msg_size=max_frame_bytes + 1, compress=False, autoping=False, autoclose=False)
        self._sink = sink
        self._started = started

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: Any) -> None:
        self._writer = writer
        handler = request._protocol
        loop = asyncio.get_running_loop()
        feed = Feed(handler, self._sink, loop)
        self._reader = feed
        self._parser = WebSocketReader(feed, self._max_msg_size, compress=False, decode_text=True)
        handler.keep_alive(False)
        self._started(feed)
        handler.set_parser(self._parser)

    async def write_eof(self, data: bytes = b"") -> None:
        """The session has sent its own close frame; aiohttp's way would wait for the peer's answer here."""
        self._eof_sent = True
