"""Many deadlines on one timer."""

import asyncio
from math import inf

import pytest

from chatcore.transport.timers import Timers


async def test_items_expire_in_order_once_and_never_early() -> None:
    loop, fired = asyncio.get_running_loop(), []
    table = Timers(0.001).deadlines(0.05, lambda item: fired.append((item, loop.time())))
    began = loop.time()
    for item in "abc":
        table.start(item)
    table.stop("b")
    await asyncio.sleep(0.15)
    assert [item for item, _ in fired] == ["a", "c"]
    assert all(at >= began + 0.05 for _, at in fired)
    assert len(table) == 0


async def test_starting_anew_puts_an_item_off() -> None:
    fired: list[str] = []
    table = Timers(0.001).deadlines(0.08, fired.append)
    table.start("late")
    table.start("early")
    await asyncio.sleep(0.05)
    table.start("late")
    await asyncio.sleep(0.05)
    assert fired == ["early"]
    await asyncio.sleep(0.08)
    assert fired == ["early", "late"]


async def test_a_short_deadline_does_not_wait_for_a_long_one_that_started_first() -> None:
    fired: list[str] = []
    timers = Timers(0.001)
    long, short = timers.deadlines(60, fired.append), timers.deadlines(0.02, fired.append)
    long.start("long")
    short.start("short")
    await asyncio.sleep(0.08)
    assert fired == ["short"]
    timers.stop()


async def test_an_item_may_start_itself_again_when_it_expires() -> None:
    fired: list[str] = []

    def again(item: str) -> None:
        fired.append(item)
        table.start(item)

    timers = Timers(0.001)
    table = timers.deadlines(0.01, again)
    table.start("ping")
    await asyncio.sleep(0.15)
    timers.stop()
    seen = len(fired)
    assert seen >= 5
    await asyncio.sleep(0.03)
    assert len(fired) == seen


async def test_one_that_fails_does_not_stop_the_others() -> None:
    fired: list[str] = []

    def fail(item: str) -> None:
        raise ValueError(item)

    timers = Timers(0.001)
    failing, table = timers.deadlines(0.01, fail), timers.deadlines(0.02, fired.append)
    errors: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
    failing.start("a")
    table.start("b")
    await asyncio.sleep(0.1)
    assert fired == ["b"]
    assert len(errors) == 1


async def test_ten_thousand_sockets_share_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    armed: list[float] = []
    real = loop.call_at

    def counting(when: float, *args: object, **more: object) -> asyncio.TimerHandle:
        armed.append(when)
        return real(when, *args, **more)  # type: ignore[arg-type]

    fired: list[int] = []
    timers = Timers(0.02)
    table = timers.deadlines(0.05, fired.append)
    monkeypatch.setattr(loop, "call_at", counting)
    for number in range(10_000):
        table.start(number)
    assert len(armed) == 1
    monkeypatch.undo()
    async with asyncio.timeout(5):
        while len(fired) < 10_000:
            await asyncio.sleep(0.01)
    assert fired == list(range(10_000))
    assert table.first_due == inf
