"""What the log says of commands: refusals and slow ones always, the others only where somebody asked for details."""

import io
import json
from collections.abc import Iterator
from typing import Any, cast

import pytest

from chatcore import logs
from chatcore.limits import RateLimits
from chatcore.metrics import Metrics
from chatcore.transport.connection import Connection
from chatcore.transport.fanout import SocketFanout
from chatcore.transport.session import Session
from chatcore.transport.socket import SLOW_SECONDS, SocketHandlers
from tests.memory import Household


class Line:
    """A session that takes every frame."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def send_frame(self, frame: bytes) -> None:
        self.frames.append(frame)


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    yield stream
    logs.set_up()


class Ana:
    """Signed in at handlers whose clock moves on by `takes` between any two looks."""

    def __init__(self, house: Household):
        (caller,) = house.people("ana")
        self.takes = 0.0
        self._now = 0.0
        self.metrics = Metrics(["change_status"])
        self._handlers = SocketHandlers(house.services, SocketFanout(), RateLimits(), self.metrics, self._clock)
        self._connection = Connection(cast(Session, Line()), "c1", {})
        self._connection.state = caller

    def _clock(self) -> float:
        self._now += self.takes
        return self._now

    async def says(self, event: str, **payload: Any) -> None:
        await self._handlers.on_event(self._connection, event, [payload])

    def counted(self) -> float:
        labels = {"event": "change_status", "code": "ok"}
        return self.metrics.registry.get_sample_value("chatcore_commands_total", labels) or 0.0


def codes(written: io.StringIO) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    return [(line["command"], line["code"]) for line in lines if line["event"] == "command"]


async def test_a_command_that_goes_well_is_counted_and_not_written_down(written: io.StringIO) -> None:
    logs.set_up("info", stream=written)
    async with Household() as house:
        ana = Ana(house)
        await ana.says("change_status", status="away")
        assert codes(written) == []
        assert ana.counted() == 1


async def test_a_refusal_is_written_down_with_its_code(written: io.StringIO) -> None:
    logs.set_up("info", stream=written)
    async with Household() as house:
        ana = Ana(house)
        await ana.says("change_status", status="away", x=1)
        await ana.says("no_such_event")
        assert codes(written) == [("change_status", "unknown_field"), ("other", "unknown_event")]


async def test_a_slow_command_is_written_down(written: io.StringIO) -> None:
    logs.set_up("info", stream=written)
    async with Household() as house:
        ana = Ana(house)
        ana.takes = SLOW_SECONDS
        await ana.says("change_status", status="away")
        assert codes(written) == [("change_status", "ok")]


async def test_with_details_every_command_is_written_down(written: io.StringIO) -> None:
    logs.set_up("debug", stream=written)
    async with Household() as house:
        await Ana(house).says("change_status", status="away")
        assert codes(written) == [("change_status", "ok")]
