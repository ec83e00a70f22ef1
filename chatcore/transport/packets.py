"""Text that arrives: one Socket.IO packet, read strictly.

Socket.IO protocol 5, without binary: `<type>[/namespace,][ack id][JSON]`, for example `213["message",{"a":1}]`.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal

import orjson

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = "0123456"
RESERVED_EVENTS = frozenset(
    {"", "*", "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
MAX_ACK_ID_DIGITS = 15
MAX_NAMESPACE_CHARACTERS = 128

Unreadable = Literal["lone_surrogate", "nul_character"]


class MalformedPacketError(Exception):
    """Not a packet of the protocol: the peer is no Socket.IO client, the session closes."""


class ForbiddenPacketError(Exception):
    """A packet of the protocol that this server refuses; counts as a violation. `kind` is fit for a label."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(slots=True)
class Packet:
    """`namespace` is "/" or "/name"; `data` is None when the packet carries none."""

    kind: str
    namespace: str = "/"
    ack_id: str | None = None
    data: Any = None
    unreadable: Unreadable | None = None


def read_packet(text: str) -> Packet:
    """Raises MalformedPacketError or ForbiddenPacketError."""
    kind = text[:1]
    if kind == EVENT and text[1:2] != "/":
        return _read_event(text)
    if kind in (BINARY_EVENT, BINARY_ACK) and kind:
        raise ForbiddenPacketError("binary")
    if kind not in (CONNECT, DISCONNECT, EVENT, ACK) or not kind:
        raise MalformedPacketError
    namespace, start = _read_namespace(text)
    ack_id, start = _read_ack_id(text, start) if kind in (EVENT, ACK) else (None, start)
    data, unreadable = read_json(text[start:]) if start < len(text) else (None, None)
    packet = Packet(kind, namespace, ack_id, data, unreadable)
    _require_shape(packet)
    return packet


def _read_event(text: str) -> Packet:
    """The way of nearly all packets: an event for the main namespace."""
    start = text.find("[")
    digits = text[1:start] if start > 0 else "?"
    if digits and (len(digits) > MAX_ACK_ID_DIGITS or not (digits.isascii() and digits.isdigit())):
        raise MalformedPacketError
    data, unreadable = read_json(text[start:])
    if type(data) is not list or not data:
        raise MalformedPacketError
    if type(data[0]) is not str or data[0] in RESERVED_EVENTS:
        raise ForbiddenPacketError("event_name")
    return Packet(EVENT, "/", digits or None, data, unreadable)


def read_json(text: str) -> tuple[Any, Unreadable | None]:
    """The value, and why no part of it may be trusted as text, if so."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _read_lone_surrogates(text), "lone_surrogate"
    # "\u0000" in the text may also be an escaped backslash before "u0000", which is harmless
    if "\\u0000" in text and _any_string(value, lambda string: "\0" in string):
        return value, "nul_character"
    return value, None


def _read_lone_surrogates(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedPacketError from None
    if not _any_string(value, lambda string: any("\ud800" <= character <= "\udfff" for character in string)):
        raise MalformedPacketError
    return value


def _any_string(value: Any, matches: Any) -> bool:
    """Walks without recursion: JSON may be nested up to the reader's limit of 1,024."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if matches(item):
                return True
        elif isinstance(item, dict):
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return False


def _read_namespace(text: str) -> tuple[str, int]:
    if text[1:2] != "/":
        return "/", 1
    comma = text.find(",")
    end = comma if comma >= 0 else len(text)
    namespace = text[1:end].partition("?")[0]
    if len(namespace) > MAX_NAMESPACE_CHARACTERS:
        raise MalformedPacketError
    return namespace, end + 1


def _read_ack_id(text: str, start: int) -> tuple[str | None, int]:
    end = text.find("[", start)
    digits = text[start:end] if end >= 0 else text[start:]
    if not digits:
        return None, start
    if not (digits.isascii() and digits.isdigit()) or len(digits) > MAX_ACK_ID_DIGITS:
        raise MalformedPacketError
    return digits, start + len(digits)


def _require_shape(packet: Packet) -> None:
    match packet.kind:
        case "0":
            valid = packet.data is None or isinstance(packet.data, dict | list)
        case "1":
            valid = packet.data is None
        case "2":
            valid = isinstance(packet.data, list) and bool(packet.data)
        case _:
            valid = isinstance(packet.data, list) and packet.ack_id is not None
    if not valid:
        raise MalformedPacketError
    if packet.kind == EVENT and (not isinstance(packet.data[0], str) or packet.data[0] in RESERVED_EVENTS):
        raise ForbiddenPacketError("event_name")
