"""What is to end ends, also where a cancellation gets lost."""

import asyncio

import pytest

from chatcore import background as module
from chatcore.background import Background, end
from chatcore.mongo import Mongo
from chatcore.transport.drains import Drains
from chatcore.transport.slow import SlowPool


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CANCEL_AGAIN_SECONDS", 0.01)


async def deaf_to_the_first() -> None:
    """As a step that waited in `asyncio.wait_for` of Python 3.11 for what came together with the cancellation."""
    try:
        await asyncio.sleep(3_600)
    except asyncio.CancelledError:
        await asyncio.sleep(3_600)


async def fails() -> None:
    try:
        await asyncio.sleep(3_600)
    finally:
        raise ValueError("at its end")


async def started(*work: object) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(one) for one in work]  # type: ignore[arg-type]
    await asyncio.sleep(0)
    return tasks


async def test_who_misses_the_first_cancellation_is_told_again() -> None:
    tasks = await started(deaf_to_the_first(), asyncio.sleep(3_600), fails())
    async with asyncio.timeout(5):
        await end(tasks)
    assert [task.done() for task in tasks] == [True, True, True]


async def test_what_has_ended_already_is_left_alone() -> None:
    (done,) = await started(asyncio.sleep(0, "kept"))
    await done
    await end([done])
    assert done.result() == "kept"
    await end([])


async def test_a_drain_ends_with_a_chore_and_a_job_that_miss_it() -> None:
    background = Background()
    background.watch("chore", deaf_to_the_first())
    background.spawn("job", deaf_to_the_first())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await background.drain(0.01)
    assert background.busy == 0


async def test_slow_commands_end_with_their_connection_all_the_same() -> None:
    pool = SlowPool()
    pool.start("c1", deaf_to_the_first())
    pool.start("c2", asyncio.sleep(3_600))
    await asyncio.sleep(0)
    pool.abandon("c1")
    async with asyncio.timeout(5):
        while len(pool) > 1:
            await asyncio.sleep(0.01)
    pool.abandon("c2")
    async with asyncio.timeout(5):
        while len(pool):
            await asyncio.sleep(0.01)


async def test_inboxes_are_cut_off_all_the_same() -> None:
    class Visitor:
        draining = False

    async def work(_: object) -> None:
        await deaf_to_the_first()

    drains = Drains(work)
    drains.start(Visitor())  # type: ignore[arg-type]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await drains.finish(0.01)
    assert len(drains) == 0


async def test_who_was_cancelled_together_with_an_answer_of_the_database_ends(mongo: Mongo) -> None:
    """At whichever step of the loop; on Python 3.11 one in thirty of these misses its first cancellation."""

    async def reads_and_waits() -> None:
        await mongo.database["probe"].find_one({"_id": 1})
        await asyncio.sleep(3_600)

    async with asyncio.timeout(30):
        for steps in range(60):
            (task,) = await started(reads_and_waits())
            for _ in range(steps):
                await asyncio.sleep(0)
            await end([task])
            assert task.done()
