"""One Socket.IO connection over a WebSocket: Engine.IO 4, Socket.IO 5, namespace `/`, text only.

The library's own client runs each incoming event in a task of its own; here they are handed over one after the other,
so the order of arrival is the order of handling.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import orjson

from chatcore.client.refusals import refusal
from chatcore.errors import PayloadTooLarge

EventHandler = Callable[[str, Any], None]
# `sync` of many groups answers in one frame: 20 groups of 200 events of 4 KiB.
MAX_FRAME_BYTES = 32 * 1024 * 1024


class LinkLost(ConnectionError):
    """The connection is gone or never came about. Whether the last command took effect is not known."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The server's: after how much silence it counts as dead, and how much it takes at once."""

    silence_seconds: float
    frame_bytes: int


class Link:
    """Open with `Link.open`. `closed` resolves to the reason when the connection ends, whoever ended it."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse, *, terms: Terms, on_event: EventHandler):
        self._websocket = websocket
        self._terms = terms
        self._on_event = on_event
        self._acks: dict[int, asyncio.Future[Any]] = {}
        self._next_ack = 0
        self._reader: asyncio.Task[None] | None = None
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(
        cls,
        http: aiohttp.ClientSession,
        url: str,
        *,
        auth: dict[str, Any],
        on_event: EventHandler,
        timeout_seconds: float = 10.0,
    ) -> Self:
        """Raises the ChatError of a `connect_error`, or LinkLost where no such server answers in time."""
        address = f"{url.rstrip('/')}/socket.io/?EIO=4&transport=websocket"
        try:
            async with asyncio.timeout(timeout_seconds):
                # The protocol has its own pings; aiohttp's would double them.
                websocket = await http.ws_connect(address, max_msg_size=MAX_FRAME_BYTES, autoping=True, heartbeat=None)
                try:
                    terms = await _shake_hands(websocket, auth)
                except BaseException:
                    await websocket.close()
                    raise
        except TimeoutError:
            raise LinkLost(f"no answer from {url} within {timeout_seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise LinkLost(f"cannot reach {url}: {cause(error)}") from None
        link = cls(websocket, terms=terms, on_event=on_event)
        link._reader = asyncio.create_task(link._read(), name="chatcore-client-reader")
        return link

    async def emit(self, event: str, payload: dict[str, Any]) -> None:
        """Send without asking for an ack."""
        await self._send(f"42{orjson.dumps([event, payload]).decode()}")

    async def call(self, event: str, payload: dict[str, Any], *, timeout_seconds: float) -> Any:
        """The `data` of the ack. Raises the ack's ChatError; LinkLost and TimeoutError leave the outcome unknown."""
        number = self._next_ack
        self._next_ack += 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._acks[number] = answer
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._send(f"42{number}{orjson.dumps([event, payload]).decode()}")
                ack = await answer
        finally:
            self._acks.pop(number, None)
        if not isinstance(ack, dict) or ack.get("ok") is not True:
            raise refusal(ack.get("error") if isinstance(ack, dict) else None)
        return ack.get("data")

    async def close(self, *, goodbye: bool = True) -> None:
        """What was not acknowledged yet raises LinkLost."""
        if goodbye:
            with suppress(LinkLost):
                await self._send("41")
        await self._websocket.close()
        if self._reader is not None and self._reader is not asyncio.current_task():
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _send(self, frame: str) -> None:
        if self.closed.done():
            raise LinkLost(self.closed.result())
        if (size := len(frame.encode())) > self._terms.frame_bytes:
            # The server would close the connection for it, and a repeat would meet the same end.
            raise PayloadTooLarge(f"This takes {size:,} bytes; the server takes {self._terms.frame_bytes:,} at once")
        try:
            await self._websocket.send_str(frame)
        except (aiohttp.ClientError, OSError) as error:
            self._end(str(error) or "connection closed")
            raise LinkLost(self.closed.result()) from None

    async def _read(self) -> None:
        reason = "connection closed"
        try:
            while frame := await _next_frame(self._websocket, self._terms.silence_seconds):
                if frame == "2":
                    await self._send("3")
                elif frame == "1" or frame.startswith("41"):
                    reason = "closed by the server"
                    break
                else:
                    self._take(frame)
        except TimeoutError:
            reason = f"the server was silent for {self._terms.silence_seconds:g} s"
        except LinkLost as lost:
            reason = str(lost)
        finally:
            self._end(reason)
            await self._websocket.close()

    def _take(self, frame: str) -> None:
        if frame.startswith("42"):
            event, *arguments = orjson.loads(frame[frame.index("[") :])
            self._on_event(event, arguments[0] if arguments else None)
        elif frame.startswith("43"):
            start = frame.index("[")
            waiting = self._acks.get(int(frame[2:start]))
            if waiting is not None and not waiting.done():
                arguments = orjson.loads(frame[start:])
                waiting.set_result(arguments[0] if arguments else None)

    def _end(self, reason: str) -> None:
        if not self.closed.done():
            self.closed.set_result(reason)
        for waiting in self._acks.values():
            if not waiting.done():
                waiting.set_exception(LinkLost(reason))


def cause(error: Exception) -> str:
    """In a few words: the library's own text repeats the address and names its TLS options."""
    match error:
        case aiohttp.ClientConnectorError(os_error=OSError(strerror=str() as text)):
            return text
        case aiohttp.WSServerHandshakeError(status=status):
            return f"it answered {status}"
    return str(error) or type(error).__name__


async def _next_frame(websocket: aiohttp.ClientWebSocketResponse, silence_seconds: float) -> str | None:
    """None when the WebSocket is closed or speaks another protocol."""
    message = await websocket.receive(timeout=silence_seconds)
    return message.data if message.type is aiohttp.WSMsgType.TEXT and message.data else None


async def _shake_hands(websocket: aiohttp.ClientWebSocketResponse, auth: dict[str, Any]) -> Terms:
    """Engine.IO open, then Socket.IO CONNECT."""
    opening = await _next_frame(websocket, 60)
    if not opening or not opening.startswith("0"):
        raise LinkLost("this is not a Socket.IO server")
    terms = orjson.loads(opening[1:])
    await websocket.send_str(f"40{orjson.dumps(auth).decode()}")
    while frame := await _next_frame(websocket, 60):
        if frame == "2":
            await websocket.send_str("3")
        elif frame.startswith("40"):
            silence = float(terms["pingInterval"] + terms["pingTimeout"]) / 1000
            return Terms(silence, int(terms.get("maxPayload", MAX_FRAME_BYTES)))
        elif frame.startswith("44"):
            said = orjson.loads(frame[2:])
            raise refusal(said.get("data"), fallback=str(said.get("message", "")))
    raise LinkLost("closed before the connection was established")
