"""What a browser gave so that its owner can be told, and what there is to tell."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Scope = Literal["all", "mentions"]
Payload = Literal["titles", "bare", "off"]


@dataclass(frozen=True, slots=True)
class Subscription:
    """One browser of one person. `endpoint` is a capability: whoever has it and our key can wake that browser.

    `point` is the browser's public key (65 bytes, uncompressed P-256), `secret` its 16 bytes of authentication.
    """

    id: str
    user_id: str
    session_id: str
    endpoint: str
    point: bytes
    secret: bytes
    scope: Scope
    created_at: datetime


def subscription_id(endpoint: str) -> str:
    """24 hexadecimal characters: the same browser has the same, whoever is signed in there."""
    return hashlib.sha256(endpoint.encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class News:
    """A new message as far as notices tell of it, which is never its text."""

    group_id: str
    group_name: str
    direct: bool
    sender_id: str
    mentions: frozenset[str]

    def calls(self, user_id: str) -> bool:
        """Whether it is meant for this person more than for the others."""
        return self.direct or user_id in self.mentions


class PushStore(Protocol):
    async def save(self, subscription: Subscription) -> bool:
        """A browser belongs to whoever signed in there last. False, and nothing changes, where another person has it
        with other keys: a browser's keys stay as long as its endpoint."""
        ...

    async def find(self, subscription_id: str) -> Subscription | None: ...

    async def of_people(self, user_ids: Iterable[str]) -> list[Subscription]:
        """Oldest first."""
        ...

    async def remove(self, user_id: str, subscription_ids: Iterable[str]) -> int:
        """Only of this person; how many were there."""
        ...

    async def remove_session(self, user_id: str, session_id: str | None) -> None:
        """All of one sign-in; without a session all of the person."""
        ...
