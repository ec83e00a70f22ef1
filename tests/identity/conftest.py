"""Fixtures of the tests of identity."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import pytest

from chatcore.contract.base import Shape
from chatcore.ports import SilentFanout
from tests.identity.issuer import Issuer


@dataclass
class Clock:
    """Time that moves when told."""

    seconds: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds

    def pass_seconds(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class RecordingFanout(SilentFanout):
    """Who was told what, and whose connection was closed."""

    told: list[tuple[str, str, Shape]] = field(default_factory=list)
    closed: list[tuple[str, str]] = field(default_factory=list)

    def tell_connection(self, connection_id: str, event: str, payload: Shape) -> None:
        self.told.append((connection_id, event, payload))

    def disconnect(self, connection_ids: Iterable[str], *, reason: str) -> None:
        self.closed += [(connection_id, reason) for connection_id in connection_ids]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fanout() -> RecordingFanout:
    return RecordingFanout()


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    running = Issuer()
    await running.start()
    yield running
    await running.stop()
