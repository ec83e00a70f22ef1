"""The tasks behind the inboxes: used again, bounded while idle, and none of them is lost to a fault."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from chatcore.transport import drains as module
from chatcore.transport.drains import Drains


class Visitor:
    """What the drains know of a session."""

    def __init__(self) -> None:
        self.draining = False
        self.may_end = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


async def wait(visitor: Any) -> None:
    visitor.task = asyncio.current_task()
    await visitor.may_end.wait()


async def run_together(drains: Drains, count: int) -> list[Visitor]:
    visitors = [Visitor() for _ in range(count)]
    for visitor in visitors:
        drains.start(visitor)  # type: ignore[arg-type]
    for _ in range(3):
        await asyncio.sleep(0)
    assert len({visitor.task for visitor in visitors}) == len(drains) == count
    for visitor in visitors:
        visitor.may_end.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(visitor.draining for visitor in visitors)
    assert len(drains) == 0
    return visitors


async def test_a_task_that_is_done_takes_the_next_inbox() -> None:
    drains = Drains(wait)
    (first,) = await run_together(drains, 1)
    (second,) = await run_together(drains, 1)
    assert first.task is second.task
    await drains.finish(1)


async def answer_at_once(visitor: Any) -> None:
    visitor.task = asyncio.current_task()


async def test_those_who_need_not_wait_share_a_task() -> None:
    drains, visitors = Drains(answer_at_once), [Visitor() for _ in range(20)]
    for visitor in visitors:
        drains.start(visitor)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert len({visitor.task for visitor in visitors}) == 1
    assert len(drains) == 0
    assert not any(visitor.draining for visitor in visitors)
    await drains.finish(1)


async def test_where_one_had_to_wait_the_next_ones_all_begin_at_once() -> None:
    drains = Drains(wait)
    await run_together(drains, 20)
    visitors = [Visitor() for _ in range(20)]
    for visitor in visitors:
        drains.start(visitor)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert len({visitor.task for visitor in visitors} - {None}) == 20
    for visitor in visitors:
        visitor.may_end.set()
    await drains.finish(1)


async def test_tasks_that_are_called_at_the_end_end_as_well() -> None:
    drains, visitors = Drains(wait), [Visitor() for _ in range(20)]
    before = len(asyncio.all_tasks())
    for visitor in visitors:
        drains.start(visitor)  # type: ignore[arg-type]
    await drains.finish(0.01)  # one is called for all, and calls the others
    assert len(asyncio.all_tasks()) == before
    assert len(drains) == 0


async def test_so_many_wait_for_work_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    before = len(asyncio.all_tasks())
    drains = Drains(wait)
    await run_together(drains, 5)
    assert len(asyncio.all_tasks()) == before + 2
    await drains.finish(1)
    assert len(asyncio.all_tasks()) == before


async def test_a_task_that_waits_holds_nobody_who_has_gone() -> None:
    drains = Drains(wait)
    gone = weakref.ref((await run_together(drains, 1)).pop())
    gc.collect()
    assert gone() is None
    await drains.finish(1)


async def test_a_fault_is_shown_and_the_task_goes_on() -> None:
    shown: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: shown.append(context))
    failures: list[Callable[[], None]] = [lambda: None]

    async def fail(visitor: Any) -> None:
        visitor.task = asyncio.current_task()
        failures.pop()()

    drains, visitors = Drains(fail), [Visitor(), Visitor()]
    for visitor in reversed(visitors):
        drains.start(visitor)  # type: ignore[arg-type]
        await asyncio.sleep(0)
    assert [str(context["exception"]) for context in shown] == ["pop from empty list"]
    assert visitors[0].task is visitors[1].task
    assert not visitors[0].draining
    await drains.finish(1)


async def test_what_does_not_end_in_time_is_cancelled() -> None:
    drains, visitor = Drains(wait), Visitor()
    drains.start(visitor)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await drains.finish(0.01)
    assert visitor.task is not None
    assert visitor.task.cancelled()
    assert not visitor.draining
