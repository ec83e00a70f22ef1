"""A Socket.IO connection with next to no cost of its own: Engine.IO 4 over a bare WebSocket, text only."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSParsedURL, WSTransport, ws_connect

TEXT = WSMsgType.TEXT
CLOSE = WSMsgType.CLOSE
# A client that does not read shall also take little into the kernel's buffer.
SLOW_READER_BUFFER_BYTES = 4096
MAX_FRAME_BYTES = 32 * 1024 * 1024
READ_BUFFER_BYTES = 4096


class Wire(WSListener):
    """Hands over whole packets: `on_packet` gets each event and ack as bytes, `on_lost` the end, once."""

    def __init__(
        self, auth: dict[str, Any] | None, on_packet: Callable[[bytes], None], on_lost: "Callable[[Wire], None]"
    ):
        self._auth = auth
        self._on_packet = on_packet
        self._on_lost = on_lost
        self._transport: WSTransport | None = None
        self.connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        packet = frame.get_payload_as_bytes()
        if packet.startswith((b"42", b"43")):
            self._on_packet(packet)
        elif packet == b"2":
            transport.send(TEXT, b"3")
        elif frame.msg_type is CLOSE or packet in (b"1", b"41"):
            transport.disconnect()
        else:
            self._shake_hands(transport, packet)

    def _shake_hands(self, transport: WSTransport, packet: bytes) -> None:
        if packet.startswith(b"0"):
            transport.send(TEXT, b"40" if self._auth is None else b"40" + orjson.dumps(self._auth))
        elif packet.startswith(b"40"):
            self._settle(None)
        elif packet.startswith(b"44"):
            said = orjson.loads(packet[2:])
            self._settle((said.get("data") or {}).get("code") or str(said.get("message")))

    def _settle(self, problem: str | None) -> None:
        if self.connected.done():
            return
        if problem is None:
            self.connected.set_result(None)
        else:
            self.connected.set_exception(ConnectionRefusedError(problem))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self._settle("closed")
        self._on_lost(self)

    def send(self, packet: bytes) -> bool:
        """False where the connection is gone."""
        if self._transport is None:
            return False
        self._transport.send(TEXT, packet)
        return True

    def cut(self) -> None:
        """Without a goodbye, as a network that goes away."""
        if self._transport is not None:
            self._transport.underlying_transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.disconnect()

    def stop_reading(self) -> None:
        if self._transport is not None:
            self._transport.underlying_transport.pause_reading()

    def read_on(self) -> None:
        if self._transport is not None:
            self._transport.underlying_transport.resume_reading()


async def open_wire(
    url: str,
    auth: dict[str, Any] | None,
    on_packet: Callable[[bytes], None],
    on_lost: Callable[[Wire], None],
    *,
    slow: bool = False,
    timeout_seconds: float = 20.0,
) -> Wire:
    """Connected, and admitted by the server. Raises OSError or TimeoutError where that does not come about."""
    address = urlsplit(url)
    scheme = "wss" if address.scheme == "https" else "ws"
    target = f"{scheme}://{address.netloc}/socket.io/?EIO=4&transport=websocket"
    wire = Wire(auth, on_packet, on_lost)
    try:
        async with asyncio.timeout(timeout_seconds):
            await _connect(wire, target, timeout_seconds, slow=slow)
    except BaseException:
        if not wire.connected.cancel() and not wire.connected.cancelled():
            wire.connected.exception()  # seen: what is raised here says the same
        wire.cut()
        raise
    return wire


async def _connect(wire: Wire, target: str, timeout_seconds: float, *, slow: bool) -> None:
    try:
        await ws_connect(
            lambda: wire,
            target,
            websocket_handshake_timeout=timeout_seconds,
            max_frame_size=MAX_FRAME_BYTES,
            read_buffer_init_size=READ_BUFFER_BYTES,
            use_aiofastnet=False,
            socket_factory=_narrow_socket if slow else None,
        )
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - picows has several families of errors for a failed handshake
        raise ConnectionRefusedError(str(error) or type(error).__name__) from None
    await wire.connected


def _narrow_socket(url: WSParsedURL) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in url.host else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_READER_BUFFER_BYTES)
    return made
