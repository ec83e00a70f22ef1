"""Bytes that leave: Socket.IO packets inside Engine.IO packets inside WebSocket text frames (RFC 6455, unmasked).

Everything is queued as a finished frame, built once and shared by all its recipients. A polling client gets the
same packets with the few header bytes cut off again.

    frame_of(b'42["typing",{}]') == b'\\x81\\x0f42["typing",{}]'
"""

import functools
from collections.abc import Sequence
from typing import Any

import orjson

RECORD_SEPARATOR = b"\x1e"
SURROGATES = range(0xD800, 0xE000)


class Json(bytes):
    """Ready JSON: goes out as it is. The maker vouches that it is one valid JSON value."""

    __slots__ = ()


def frame_of(packet: bytes) -> bytes:
    size = len(packet)
    if size < 126:
        return bytes((0x81, size)) + packet
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + packet
    return b"\x81\x7f" + size.to_bytes(8, "big") + packet


def packet_of(frame: bytes) -> bytes:
    """The reverse of `frame_of`."""
    length_code = frame[1]
    return frame[2:] if length_code < 126 else frame[4:] if length_code == 126 else frame[10:]


def payload_of(frames: Sequence[bytes]) -> bytes:
    """The body of one long-polling response."""
    return RECORD_SEPARATOR.join([packet_of(frame) for frame in frames])


def json_of(value: Any) -> bytes:
    """JSON of a value; lone surrogates, which UTF-8 cannot carry, become U+FFFD as browsers do it."""
    if isinstance(value, Json):
        return value
    try:
        return orjson.dumps(value)
    except TypeError:
        return orjson.dumps(_without_surrogates(value))


def event_frame(event: str, data: Any) -> bytes:
    """`data` is the one argument of the event."""
    return frame_of(_event_head(event) + json_of(data) + b"]")


def ack_frame(ack_id: str, data: Any) -> bytes:
    """Answer to the packet with that id, one argument."""
    return frame_of(b"43" + ack_id.encode() + b"[" + json_of(data) + b"]")


def close_frame(code: int = 1000) -> bytes:
    return b"\x88\x02" + code.to_bytes(2, "big")


@functools.lru_cache(maxsize=512)
def _event_head(event: str) -> bytes:
    return b"42[" + orjson.dumps(event) + b","


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_surrogates(item) for item in value]
    return value


PING = frame_of(b"2")
CLOSE = frame_of(b"1")
NOOP = frame_of(b"6")
PROBE_ANSWER = frame_of(b"3probe")
CONNECTED_HEAD = b'40{"sid":"'
DISCONNECT = frame_of(b"41")
