"""Links of the chain: each bears a keyed hash over itself and the one before.

Whoever can write to the database but does not have the server's keys cannot make a link that fits.
"""

import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

FIRST = "0" * 64
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
COMMAND_LINE: Final = "command-line"  # who acts where nobody is signed in: whoever has the server itself


@dataclass(frozen=True, slots=True)
class Deed:
    """`action` is of a closed set, as `review.resolve`; `target` an id; `facts` are plain values, never content."""

    actor: str
    action: str
    target: str
    at: datetime
    facts: Mapping[str, str | int | float | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Link:
    """The n-th deed, from 1 on. `hash` covers all of it and `previous`, the hash of the link before."""

    n: int
    deed: Deed
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: how many links there are, and the last one's hash."""

    n: int = 0
    hash: str = FIRST


@dataclass(frozen=True, slots=True)
class Fault:
    """Where the chain does not hold, and why."""

    n: int
    reason: str


def next_link(key: bytes, head: Head, deed: Deed) -> Link:
    n = head.n + 1
    return Link(n, deed, head.hash, _hash(key, n, deed, head.hash))


def faults(key: bytes, links: Iterable[Link], before: Head) -> Iterable[Fault]:
    """Of links that should follow `before`, in order."""
    for link in links:
        if link.n != before.n + 1:
            yield Fault(before.n + 1, "missing")
        elif link.previous != before.hash:
            yield Fault(link.n, "does not follow the one before")
        if not hmac.compare_digest(link.hash, _hash(key, link.n, link.deed, link.previous)):
            yield Fault(link.n, "changed")
        before = Head(link.n, link.hash)


def _hash(key: bytes, n: int, deed: Deed, previous: str) -> str:
    moment = (deed.at - EPOCH) // timedelta(milliseconds=1)  # cut off as the database does, which keeps no more
    content = [n, previous, moment, deed.actor, deed.action, deed.target, dict(deed.facts)]
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), sha256).hexdigest()
