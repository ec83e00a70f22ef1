"""The other processes that people are connected to: what presence tells them, and what it hears."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chatcore.contract.groups import PresenceStatus
from chatcore.contract.people import User


@dataclass(frozen=True, slots=True)
class Attendee:
    """One person as one process sees them there; `status` None: not connected to it any more."""

    user: User
    status: PresenceStatus | None
    last_activity: datetime


class PresencePeers(Protocol):
    """No call waits; what is told may get lost, so that whoever hears it must hold it as a lease."""

    def attending(self, group_id: str, attendees: Sequence[Attendee]) -> None:
        """What changed among the people who are connected to this process."""

    def typing(self, group_id: str, user: User, *, started: bool) -> None: ...


class NoPresencePeers:
    """One process alone."""

    def attending(self, group_id: str, attendees: Sequence[Attendee]) -> None:
        return None

    def typing(self, group_id: str, user: User, *, started: bool) -> None:
        return None
