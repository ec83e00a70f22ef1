"""A recording room and people to put into it."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from chatcore.contract.base import Shape
from chatcore.contract.people import User
from chatcore.ports import Caller, SilentFanout

GROUP = "a" * 24
OTHER = "b" * 24


@dataclass
class Clock:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def pass_seconds(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class Rooms(SilentFanout):
    """What each group was told: (event, wire form, group, connection left out, volatile)."""

    told: list[tuple[str, dict[str, Any], str, str | None, bool]] = field(default_factory=list)

    def publish(
        self, event: str, payload: Shape, *, group_id: str, skip_connection: str | None = None, volatile: bool = False
    ) -> None:
        self.told.append((event, payload.wire(), group_id, skip_connection, volatile))

    def take(self) -> list[tuple[str, str, str]]:
        """(event, person, group) of what was told since the last look."""
        found = [(event, wire["userId"], group_id) for event, wire, group_id, _, _ in self.told]
        self.told.clear()
        return found


def caller(user_id: str, connection_id: str | None = None) -> Caller:
    user = User(user_id=user_id, name=user_id.title())
    return Caller(user_id=user_id, session_id="s", user=user, connection_id=connection_id or f"{user_id}-1")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rooms() -> Rooms:
    return Rooms()
