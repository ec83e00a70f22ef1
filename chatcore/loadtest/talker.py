"""One client under load: sends, notes acknowledgements and pushes, comes back after a cut."""

import asyncio
import time
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from chatcore.loadtest.measures import View
from chatcore.loadtest.plan import Person
from chatcore.loadtest.wire import Wire, open_wire

# Content of a message: marker, message key (15 digits), moment it was meant to leave (monotonic, 19 digits), padding.
MARKER = b"load|"
KEY_DIGITS = 15
MOMENT_DIGITS = 19
NUMBERS_PER_CLIENT = 100_000_000
NEW_MESSAGE = b'42["new_message",'
SEQ = b'"seq":'
SYNC_TIMEOUT_SECONDS = 20.0
MAX_TRIES = 6
WORDS = "we meet at the station a little before nine and take the long way round to the lake if it does not rain "
"""What people might write, as models read every message; a row of equal letters would cost them nothing."""


@dataclass(slots=True)
class Tally:
    """What all clients of one process count together. Latencies in microseconds, in order of arrival."""

    timed_from: int = 0
    acks: "array[int]" = field(default_factory=lambda: array("I"))
    deliveries: "array[int]" = field(default_factory=lambda: array("I"))
    sent: int = 0
    acked: int = 0
    repeated: int = 0
    delivered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    cuts: int = 0
    failed_connects: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Outstanding:
    """A message without its acknowledgement; sent again, under the same `tempId`, while its outcome is unknown."""

    key: int
    intended: int
    packet: bytes
    tries: int = 0


class Talker:
    """Holds one connection at a time.

    `on_acked` is told after each answer to a message, good or bad, with the pause that the server asks for; `on_cut`
    when the connection was lost without our doing.
    """

    def __init__(self, url: str, person: Person, run: str, message_bytes: int, tally: Tally):
        self._url = url
        self.person = person
        self._run = run
        length = message_bytes - len(MARKER) - KEY_DIGITS - MOMENT_DIGITS - 2
        self._padding = (WORDS * (length // len(WORDS) + 1))[: length - 1] + "."
        self._tally = tally
        self._wire: Wire | None = None
        self._next_number = 0
        self._next_ack = 0
        self._waiting: dict[int, Outstanding] = {}
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._groups: asyncio.Future[int] | None = None
        self.view = View()
        self.slow = False
        self.on_acked: Callable[[Talker, int], None] = lambda talker, wait_ms: None
        self.on_cut: Callable[[Talker], None] = lambda talker: None

    @property
    def online(self) -> bool:
        return self._wire is not None

    @property
    def unanswered(self) -> int:
        return len(self._waiting)

    # --- connecting

    async def connect(self) -> None:
        """Connected, signed in, and in the room of the group. Raises OSError or TimeoutError."""
        self.view.connections.append(len(self.view.places))
        self._groups = asyncio.get_running_loop().create_future()
        wire = await open_wire(
            self._url, {"token": self.person.token}, self._take, self._lost, slow=self.slow, timeout_seconds=30
        )
        self._wire = wire
        latest = await asyncio.wait_for(self._groups, 20)
        if not self.view.base:
            self.view.base = latest

    def _lost(self, wire: Wire) -> None:
        """Whoever cut it; a connection that was given up before is passed over."""
        if wire is not self._wire:
            return
        self._wire = None
        self._tally.cuts += 1
        self._forget_questions()
        self.on_cut(self)

    def _forget_questions(self) -> None:
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(ConnectionResetError("cut"))
        self._asked.clear()

    def cut(self) -> None:
        if self._wire is not None:
            self._wire.cut()
            self._wire = None
            self._forget_questions()

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()

    def stop_reading(self) -> None:
        if self._wire is not None:
            self._wire.stop_reading()

    def read_on(self) -> None:
        if self._wire is not None:
            self._wire.read_on()

    async def catch_up(self) -> None:
        """After a reconnect: `sync` from the first gap on, then send again what was never acknowledged."""
        since = self.view.complete_up_to()
        for place, key in (await self.read_log(since)).items():
            self.view.synced[place] = key
        waiting, self._waiting = list(self._waiting.values()), {}
        for message in waiting:
            self._send(message)

    async def read_log(self, since: int) -> dict[int, int]:
        """The messages of this test in the group's log after `since`, by place."""
        found: dict[int, int] = {}
        while True:
            request = {"groups": [{"groupId": self.person.group_id, "since": since}]}
            answer = await self._ask("sync", request)
            if not answer["ok"]:
                if not answer["error"]["retryable"]:
                    raise ConnectionAbortedError(f"sync was refused: {answer['error']['code']}")
                await asyncio.sleep(_pause_ms(answer["error"]) / 1000)
                continue
            group = answer["data"]["groups"][0]
            for event in group["events"]:
                since = event["seq"]
                if event["event"] == "new_message":
                    found[since] = _key_in(event["data"]["content"].encode())
            if not group["hasMore"]:
                return found

    async def _ask(self, event: str, payload: dict[str, Any]) -> Any:
        number = self._next_ack = self._next_ack + 1
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        if self._wire is None or not self._wire.send(b"42%d%b" % (number, orjson.dumps([event, payload]))):
            raise ConnectionResetError("cut")
        async with asyncio.timeout(SYNC_TIMEOUT_SECONDS):
            return await answer

    # --- sending

    def send(self, intended: int) -> None:
        """A new message that should leave at `intended` (monotonic nanoseconds); kept for later while offline."""
        key = self.person.index * NUMBERS_PER_CLIENT + self._next_number
        self._next_number += 1
        content = f"{MARKER.decode()}{key:0{KEY_DIGITS}d}|{intended:0{MOMENT_DIGITS}d}|{self._padding}"
        payload = {"groupId": self.person.group_id, "content": content, "tempId": f"{self._run}-{key}"}
        self._tally.sent += 1
        self._send(Outstanding(key, intended, orjson.dumps(["send_message", payload])))

    def _send(self, message: Outstanding) -> None:
        number = self._next_ack = self._next_ack + 1
        self._waiting[number] = message
        if self._wire is not None:
            self._wire.send(b"42%d%b" % (number, message.packet))

    # --- what comes in

    def _take(self, packet: bytes) -> None:
        if packet.startswith(NEW_MESSAGE):
            self._note_push(packet)
        elif packet.startswith(b"43"):
            self._take_ack(packet)
        elif self._groups is not None and packet.startswith(b'42["user_groups",') and not self._groups.done():
            groups = orjson.loads(packet[2:])[1]["groups"]
            latest = [group["latestSeq"] for group in groups if group["_id"] == self.person.group_id]
            if latest:
                self._groups.set_result(latest[0])
            else:
                self._groups.set_exception(ConnectionAbortedError("not a member of the group"))

    def _note_push(self, packet: bytes) -> None:
        """The hot path: about a microsecond for each delivery."""
        now = time.monotonic_ns()
        tally = self._tally
        at = packet.find(MARKER)
        if at < 0:
            return
        at += len(MARKER)
        seq_at = packet.find(SEQ) + len(SEQ)
        intended = int(packet[at + KEY_DIGITS + 1 : at + KEY_DIGITS + 1 + MOMENT_DIGITS])
        self.view.places.append(int(packet[seq_at : packet.index(b",", seq_at)]))
        self.view.keys.append(int(packet[at : at + KEY_DIGITS]))
        tally.delivered += 1
        if intended >= tally.timed_from and not self.slow:  # what somebody does not read comes late by his own doing
            tally.deliveries.append((now - intended) // 1000)

    def _take_ack(self, packet: bytes) -> None:
        now = time.monotonic_ns()
        start = packet.index(b"[")
        number = int(packet[2:start])
        answer = orjson.loads(packet[start:])[0]
        asked = self._asked.pop(number, None)
        if asked is not None:
            if not asked.done():
                asked.set_result(answer)
            return
        message = self._waiting.pop(number, None)
        if message is None:
            return
        if answer["ok"]:
            self._note_acked(message, answer["data"], now)
            self.on_acked(self, 0)
        else:
            self._note_refused(number, message, answer["error"])

    def _note_refused(self, number: int, message: Outstanding, error: dict[str, Any]) -> None:
        """Where the message may be stored all the same, it is sent again, as a client must."""
        self._tally.refused[error["code"]] += 1
        message.tries += 1
        if error["code"] == "unavailable" and message.tries < MAX_TRIES:
            self._waiting[number] = message
            asyncio.get_running_loop().call_later(_pause_ms(error) / 1000, self._try_again, number)
        else:
            self.on_acked(self, _pause_ms(error) if error["retryable"] else 0)

    def _try_again(self, number: int) -> None:
        """Unless a reconnect has done so already."""
        message = self._waiting.pop(number, None)
        if message is not None:
            self._send(message)

    def _note_acked(self, message: Outstanding, receipt: dict[str, Any], now: int) -> None:
        tally = self._tally
        self.view.acked[receipt["seq"]] = message.key
        tally.acked += 1
        tally.repeated += receipt["duplicate"]
        if message.intended >= tally.timed_from:
            tally.acks.append((now - message.intended) // 1000)


def _pause_ms(error: dict[str, Any]) -> int:
    return int(error.get("retryAfterMs") or 500)


def _key_in(content: bytes) -> int:
    """0 for a message that is not of a load test: nobody has that key, so it counts as unknown."""
    if not content.startswith(MARKER):
        return 0
    return int(content[len(MARKER) : len(MARKER) + KEY_DIGITS])
