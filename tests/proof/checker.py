"""Judges a recorded history of a group against the delivery guarantees, without asking the server anything.

A history holds what every client did and heard, and the log as it is stored at the end. Content of messages is
`NAME ORDINAL`, counted by each sender from 1, so that stored rows can be matched with sends that were never answered.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

Finding = tuple[str, str]  # what kind, and the case


class Ack(NamedTuple):
    message_id: str
    seq: int
    duplicate: bool


class LogEntry(NamedTuple):
    """One event of the log, by what must be the same wherever it is seen."""

    seq: int
    event: str
    subject: str
    content: str = ""

    @classmethod
    def of(cls, seq: int, event: str, data: dict[str, Any]) -> "LogEntry":
        subject = data.get("_id") or data.get("messageId") or data.get("userId") or ""
        return cls(seq, event, str(subject), str(data.get("content", "")))


@dataclass(slots=True)
class Sent:
    """One message from its first try on. `acks` has one entry for each answered try; `refused` ends it without."""

    sender: str
    ordinal: int
    acks: list[Ack] = field(default_factory=list)
    refused: str = ""

    @property
    def content(self) -> str:
        return f"{self.sender} {self.ordinal}"


@dataclass(slots=True)
class Device:
    """What one device of a person heard. `pushed` is as it came, by connection; `view` as a following client shows it.

    `began` is the place in the log after which the view follows. `member` is False for one who never was.
    """

    user_id: str
    began: int = 0
    follows: bool = True
    pushed: list[list[LogEntry]] = field(default_factory=list)
    view: list[LogEntry] = field(default_factory=list)


@dataclass(slots=True)
class History:
    """`stored` is the whole log of the group at the end; `members` those who belong to it then."""

    sends: list[Sent] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    stored: list[LogEntry] = field(default_factory=list)
    members: set[str] = field(default_factory=set)

    def findings(self) -> list[Finding]:
        return [
            *self._lost(),
            *self._changed_retries(),
            *self._duplicates(),
            *self._holes(),
            *self._disorder(),
            *self._phantoms(),
            *self._pushes_out_of_order(),
            *self._strays(),
            *self._views(),
        ]

    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.findings()}

    def _lost(self) -> Iterator[Finding]:
        """G1: what was acknowledged is stored, at the place the ack named."""
        stored = {(entry.seq, entry.subject, entry.content) for entry in self.stored}
        for send in self.sends:
            for ack in send.acks[:1]:
                if (ack.seq, ack.message_id, send.content) not in stored:
                    yield "lost", f"{send.content} was acknowledged at {ack.seq} and is not there"

    def _changed_retries(self) -> Iterator[Finding]:
        """G2: every answer names one id and place, and a later one says that it is a repeat."""
        for send in self.sends:
            if len({(ack.message_id, ack.seq) for ack in send.acks}) > 1:
                yield "retry", f"{send.content} was answered with several ids or places: {send.acks}"
            if any(not ack.duplicate for ack in send.acks[1:]):
                yield "retry", f"a repeat of {send.content} was answered as if it were the first"

    def _duplicates(self) -> Iterator[Finding]:
        messages = [entry for entry in self.stored if entry.event == "new_message"]
        known = {send.content for send in self.sends}
        for content, count in Counter(entry.content for entry in messages).items():
            if count > 1 and content in known:
                yield "duplicate", f"{content} is stored {count} times"
        for subject, count in Counter(entry.subject for entry in messages).items():
            if count > 1:
                yield "duplicate", f"id {subject} is stored {count} times"

    def _holes(self) -> Iterator[Finding]:
        """G3: 1, 2, 3, ... each once."""
        places = Counter(entry.seq for entry in self.stored)
        for seq in range(1, max(places, default=0) + 1):
            if places[seq] != 1:
                yield ("hole" if not places[seq] else "duplicate"), f"place {seq} is taken {places[seq]} times"

    def _disorder(self) -> Iterator[Finding]:
        """Each sender waits for an answer before the next message, so their messages stand in the order of sending."""
        last: dict[str, int] = defaultdict(int)
        known = {send.content for send in self.sends}
        for entry in sorted(self.stored):
            if entry.event == "new_message" and entry.content in known:
                sender, _, number = entry.content.rpartition(" ")
                if int(number) <= last[sender]:
                    yield "order", f"{entry.content} stands after {sender} {last[sender]}"
                last[sender] = int(number)

    def _phantoms(self) -> Iterator[Finding]:
        """Nothing is pushed that is not stored."""
        stored = set(self.stored)
        for device in self.devices:
            for entry in (entry for connection in device.pushed for entry in connection):
                if entry not in stored:
                    yield "phantom", f"{device.user_id} was pushed {entry}, which is not stored so"

    def _pushes_out_of_order(self) -> Iterator[Finding]:
        for device in self.devices:
            for connection in device.pushed:
                for before, after in pairwise(connection):
                    if after.seq <= before.seq:
                        yield "order", f"{device.user_id} was pushed {after.seq} after {before.seq}"

    def _strays(self) -> Iterator[Finding]:
        """Nobody hears what comes after the end of their membership, or anything without one."""
        for device in self.devices:
            joined, left = self._membership(device.user_id)
            for entry in (*device.view, *(entry for connection in device.pushed for entry in connection)):
                if joined is None or (left is not None and entry.seq > left):
                    yield "stray", f"{device.user_id} (joined {joined}, left {left}) heard {entry}"

    def _membership(self, user_id: str) -> tuple[int | None, int | None]:
        """The last joining, and the leaving after it if there was one."""
        joined = left = None
        for entry in sorted(self.stored):
            if entry.event == "member_joined" and entry.subject == user_id:
                joined, left = entry.seq, None
            elif entry.event == "member_left" and entry.subject == user_id:
                left = entry.seq
        return joined, left

    def _views(self) -> Iterator[Finding]:
        """G4: who follows the log ends with exactly what is stored, in its order."""
        for device in self.devices:
            if not device.follows:
                continue
            _, left = self._membership(device.user_id)
            end = max((entry.seq for entry in self.stored), default=0) if left is None else left
            wanted = [entry for entry in sorted(self.stored) if device.began < entry.seq <= end]
            if left is None and device.view != wanted:
                yield "view", f"{device.user_id} shows {_difference(device.view, wanted)}"
            elif device.view != wanted[: len(device.view)]:
                yield "view", f"{device.user_id} showed {_difference(device.view, wanted)} until the removal"


def _difference(shown: list[LogEntry], wanted: list[LogEntry]) -> str:
    missing, more = set(wanted) - set(shown), set(shown) - set(wanted)
    if not missing and not more:
        return "the right events in another order, or several times"
    return f"{len(missing)} events less and {len(more)} more, such as {sorted(missing | more)[:3]}"
