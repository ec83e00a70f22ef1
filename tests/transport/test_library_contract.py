"""The private parts of libraries that chatcore/transport stands on. An upgrade that moves one fails here, by name."""

import inspect
from importlib.metadata import version

import aiohttp.web_protocol
import engineio
import pytest
import socketio.packet
from aiohttp import web
from aiohttp._websocket import reader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_websocket import WebSocketError, WSMsgType
from engineio.async_socket import AsyncSocket

from chatcore.transport import packets


@pytest.mark.parametrize(
    ("package", "pinned"), [("python-socketio", "5.18.1"), ("python-engineio", "4.15.1"), ("aiohttp", "3.14.")]
)
def test_the_versions_are_those_this_was_written_against(package: str, pinned: str) -> None:
    assert version(package).startswith(pinned)


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_aiohttp_starts_a_websocket_through_the_method_we_replace() -> None:
    assert parameters(web.WebSocketResponse._post_start) == ["self", "request", "protocol", "writer"]
    source = inspect.getsource(web.WebSocketResponse._post_start)
    for part in ("self._writer = writer", "self._reader = ", "self._parser = ", "set_parser(", "keep_alive(False)"):
        assert part in source
    assert "write_eof" in vars(web.WebSocketResponse)
    assert web.WebSocketResponse(max_msg_size=5)._max_msg_size == 5


def test_aiohttp_feeds_its_websocket_reader_from_data_received_and_ends_it_with_the_connection() -> None:
    protocol = aiohttp.web_protocol.RequestHandler
    assert "self._payload_parser.feed_data(data)" in inspect.getsource(protocol.data_received)
    assert "self._payload_parser.feed_eof()" in inspect.getsource(protocol.connection_lost)


class FakeProtocol:
    """As much of aiohttp's protocol as a queue touches."""

    def __init__(self) -> None:
        self._reading_paused = False

    def pause_reading(self) -> None:
        self._reading_paused = True

    def resume_reading(self) -> None:
        self._reading_paused = False


class Heard(reader.WebSocketDataQueue):  # type: ignore[misc]
    def __init__(self, spill: bool) -> None:
        super().__init__(FakeProtocol(), 100, loop=None)  # type: ignore[arg-type]
        self.spill = spill
        self.messages: list[object] = []
        self.errors: list[BaseException] = []

    def feed_data(self, data: object, size: int) -> None:
        self.messages.append(data)
        if self.spill:
            super().feed_data(data, size)

    def set_exception(self, exc: BaseException, exc_cause: object = None) -> None:
        self.errors.append(exc)


def test_the_compiled_reader_calls_our_queue_and_hands_over_tuples() -> None:
    queue = Heard(spill=False)
    parser = reader.WebSocketReader(queue, 100, compress=False, decode_text=True)
    parser.feed_data(b"\x81\x05hello\x82\x01a\x89\x00\x88\x02\x03\xe8")
    kinds = [message[0] for message in queue.messages]  # type: ignore[index]
    assert kinds == [WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.CLOSE]
    assert queue.messages[0][1] == "hello"  # type: ignore[index]


def test_the_compiled_reader_reports_a_message_over_the_limit_to_our_queue() -> None:
    queue = Heard(spill=False)
    parser = reader.WebSocketReader(queue, 100, compress=False, decode_text=True)
    assert parser.feed_data(b"\x81\x64" + b"a" * 100) == (True, b"")
    assert isinstance(queue.errors[0], WebSocketError)
    assert queue.errors[0].code == 1009


async def test_what_spills_stops_the_parser_and_reading_it_back_starts_it_again() -> None:
    queue = Heard(spill=True)
    parser = reader.WebSocketReader(queue, 100, compress=False, decode_text=True)
    parser.feed_data(b"\x81\x01a" * 50)
    assert len(queue.messages) < 10
    assert queue._protocol._reading_paused
    for _ in range(50):
        assert (await queue.read())[1] == "a"
    assert len(queue.messages) == 50
    assert not queue._protocol._reading_paused


def test_a_request_gives_its_protocol_and_that_its_transport() -> None:
    assert "self._protocol = " in inspect.getsource(web.BaseRequest.__init__)
    assert "transport" in BaseProtocol.__slots__


def test_the_engine_io_classes_we_derive_from_have_what_we_keep_and_replace() -> None:
    for name in ("handle_request", "shutdown", "attach", "generate_id", "send", "send_packet", "disconnect"):
        assert callable(getattr(engineio.AsyncServer, name))
    for name in ("send", "close"):
        assert callable(getattr(AsyncSocket, name))
    assert parameters(AsyncSocket.__init__) == ["self", "server", "sid"]


def test_our_packet_types_are_those_of_the_library() -> None:
    names = ("CONNECT", "DISCONNECT", "EVENT", "ACK", "CONNECT_ERROR", "BINARY_EVENT", "BINARY_ACK")
    assert [getattr(packets, name) for name in names] == [str(getattr(socketio.packet, name)) for name in names]
