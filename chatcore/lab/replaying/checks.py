"""What a transport must keep of what was acknowledged: nothing lost, twice or out of order, and all receipts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sent:
    """One acknowledged message; `seq` is its place in the group's log."""

    group: str
    seq: int
    sender: str
    text: str


@dataclass(frozen=True, slots=True)
class Heard:
    """One `new_message` as somebody got it, in the order of arrival."""

    listener: str
    group: str
    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class Violations:
    """Counts over every listener: all of them 0 in a sound run. `strangers` are messages to people outside the group,
    `altered` came with another text than was sent."""

    lost: int = 0
    duplicated: int = 0
    out_of_order: int = 0
    altered: int = 0
    strangers: int = 0
    receipts_missing: int = 0

    @property
    def total(self) -> int:
        return sum(self.counts().values())

    def counts(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


def check_transport(
    sent: Sequence[Sent],
    heard: Iterable[Heard],
    members: Mapping[str, set[str]],
    read_up_to: Mapping[tuple[str, str], int],
    expected_reads: Mapping[tuple[str, str], int],
) -> Violations:
    """`members` by group. `read_up_to` is the highest watermark that others were told, by (group, reader)."""
    texts = {(one.group, one.seq): one.text for one in sent}
    arrived: dict[tuple[str, str], list[int]] = {}
    altered = strangers = 0
    for message in heard:
        if message.listener not in members.get(message.group, set()):
            strangers += 1
            continue
        arrived.setdefault((message.group, message.listener), []).append(message.seq)
        altered += texts.get((message.group, message.seq), message.text) != message.text
    lost = duplicated = out_of_order = 0
    by_group: dict[str, list[Sent]] = {}
    for one in sent:
        by_group.setdefault(one.group, []).append(one)
    for group, people in members.items():
        for person in people:
            places = arrived.get((group, person), [])
            # A sender has the acknowledgement; the server pushes the message to everybody else.
            lost += len({one.seq for one in by_group.get(group, []) if one.sender != person} - set(places))
            duplicated += sum(count - 1 for count in Counter(places).values())
            out_of_order += _inversions(places)
    missing = sum(read_up_to.get(key, 0) < seq for key, seq in expected_reads.items())
    return Violations(lost, duplicated, out_of_order, altered, strangers, missing)


def _inversions(places: Sequence[int]) -> int:
    """How many came after a later one; a repeat is counted as a duplicate, not here."""
    highest, found, seen = 0, 0, set[int]()
    for place in places:
        found += place < highest and place not in seen
        highest = max(highest, place)
        seen.add(place)
    return found
