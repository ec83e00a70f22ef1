"""Messages between processes, sealed: who can publish to the broker can neither read nor forge nor usefully replay.

A message is `version | process | counter | time | ciphertext`. Each process draws its number at its start and derives
a key of its own from the installation's secret by HKDF (RFC 5869), so the counter can be the nonce of AES-256-GCM
(NIST SP 800-38D, 8.2.1) and none comes twice. The header and the channel are authenticated with the content.
"""

import hashlib
import hmac
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VERSION: Final = 1
FRESH_MS: Final = 30_000  # a message's age, the difference of two machines' clocks included
WINDOW: Final = 1_024  # counters that may arrive out of order, as when a lost connection's bytes come late (RFC 6479)
MAX_BYTES: Final = 1024 * 1024
_HEADER: Final = struct.Struct(">B16sQQ")
_TAG_BYTES: Final = 16

Why = Literal["malformed", "stale", "forged", "replayed"]


class NotOurs(Exception):
    """A message that is not acted upon; `why` is fit for a metric's label."""

    def __init__(self, why: Why):
        self.why: Why = why
        super().__init__(why)


@dataclass(slots=True)
class _Sender:
    """A process whose messages opened: its key, and which counters were seen (bit 0: the highest)."""

    cipher: AESGCM
    highest: int = 0
    seen: int = 0
    heard_ms: int = 0

    def take(self, counter: int) -> None:
        """Raises NotOurs for a counter that came before, or is too old to tell."""
        ahead = counter - self.highest
        if ahead > 0:
            self.seen = (self.seen << ahead if ahead < WINDOW else 0) & ((1 << WINDOW) - 1) | 1
            self.highest = counter
        elif ahead <= -WINDOW or self.seen >> -ahead & 1:
            raise NotOurs("replayed")
        else:
            self.seen |= 1 << -ahead


@dataclass(slots=True)
class Seal:
    """One process's end of the sealed channel. `now_ms` is wall-clock time, which the processes share."""

    secret: bytes
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    process: str = field(default_factory=lambda: os.urandom(16).hex())
    _counter: int = 0
    _senders: dict[str, _Sender] = field(default_factory=dict)
    _own: AESGCM = field(init=False)

    def __post_init__(self) -> None:
        self._own = self._cipher(self.process)

    def channel(self, kind: str, name: str = "") -> str:
        """A keyed hash: the broker's operator does not learn which groups talk, and installations do not meet."""
        digest = hmac.new(self.secret, f"chatcore channel|{kind}|{name}".encode(), hashlib.sha256).hexdigest()
        return f"chatcore:{digest[:32]}"

    def close(self, channel: str, content: bytes) -> bytes:
        self._counter += 1
        header = _HEADER.pack(VERSION, bytes.fromhex(self.process), self._counter, self.now_ms())
        return header + self._own.encrypt(_nonce(self._counter), content, header + channel.encode())

    def open(self, channel: str, message: bytes) -> tuple[str, bytes]:
        """The sending process and the content. Raises NotOurs."""
        if not _HEADER.size + _TAG_BYTES <= len(message) <= MAX_BYTES or message[0] != VERSION:
            raise NotOurs("malformed")
        header = message[: _HEADER.size]
        _, process, counter, sent_ms = _HEADER.unpack(header)
        now = self.now_ms()
        if abs(now - sent_ms) > FRESH_MS:
            raise NotOurs("stale")
        name: str = process.hex()
        sender = self._senders.get(name) or _Sender(self._cipher(name))
        try:
            content = sender.cipher.decrypt(_nonce(counter), message[_HEADER.size :], header + channel.encode())
        except InvalidTag:
            raise NotOurs("forged") from None
        sender.take(counter)
        sender.heard_ms = now
        self._remember(name, sender)
        return name, content

    def _remember(self, name: str, sender: _Sender) -> None:
        """Only processes that hold the secret get here. One that fell silent is stale before it is forgotten."""
        if name not in self._senders:
            limit = sender.heard_ms - 2 * FRESH_MS
            for silent in [other for other, known in self._senders.items() if known.heard_ms < limit]:
                del self._senders[silent]
        self._senders[name] = sender

    def _cipher(self, process: str) -> AESGCM:
        derived = HKDF(SHA256(), 32, salt=bytes.fromhex(process), info=b"chatcore relay 1").derive(self.secret)
        return AESGCM(derived)


def _nonce(counter: int) -> bytes:
    return counter.to_bytes(12, "big")
