"""Many small requests as few large ones: what goes together, and what waits."""

import asyncio
from collections.abc import Sequence

from chatcore.batches import Batches

LONG = 3_600.0


class Work:
    """Writes down each batch; held up while `gate` is clear."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, batch: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(batch))
        await self.gate.wait()
        return [item * 10 for item in batch]


async def some_turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_comes_while_one_batch_is_under_way_goes_together_in_the_next() -> None:
    work = Work()
    batches = Batches(work)
    work.gate.clear()
    asked = [asyncio.create_task(batches.do(1))]
    await some_turns()
    asked += [asyncio.create_task(batches.do(item)) for item in (2, 3)]
    await some_turns()
    work.gate.set()
    assert await asyncio.gather(*asked) == [10, 20, 30]
    assert work.batches == [[1], [2, 3]]


async def test_work_that_may_wait_rests_after_each_batch() -> None:
    work = Work()
    batches = Batches(work, 2, LONG)
    for item in range(6):
        batches.soon(item)
    await some_turns()
    assert work.batches == [[0, 1]]
    await asyncio.wait_for(batches.flush(), 5)


async def test_a_flush_cuts_the_rest_short_and_the_next_batch_rests_again() -> None:
    work = Work()
    batches = Batches(work, 2, LONG)
    for item in range(6):
        batches.soon(item)
    await asyncio.wait_for(batches.flush(), 5)
    assert work.batches == [[0, 1], [2, 3], [4, 5]]
    for item in range(6, 10):
        batches.soon(item)
    await some_turns()
    assert work.batches[3:] == [[6, 7]]
    await asyncio.wait_for(batches.flush(), 5)
    assert work.batches[3:] == [[6, 7], [8, 9]]


async def test_work_that_may_wait_begins_when_no_more_comes() -> None:
    work = Work()
    batches = Batches(work, calm_seconds=0.05, patience_seconds=LONG)
    for item in range(3):
        batches.soon(item)
        await some_turns()
    assert work.batches == []
    async with asyncio.timeout(10):
        while not work.batches:
            await asyncio.sleep(0.01)
    assert work.batches == [[0, 1, 2]]


async def test_work_that_may_wait_begins_while_more_comes_once_its_first_item_has_waited_long() -> None:
    work = Work()
    batches = Batches(work, calm_seconds=LONG, patience_seconds=0.05)
    came = 0
    async with asyncio.timeout(10):
        while not work.batches:
            batches.soon(came)
            came += 1
            await asyncio.sleep(0.01)
    assert work.batches[0][0] == 0
    await asyncio.wait_for(batches.flush(), 5)
    assert sum(map(len, work.batches)) == came


async def test_a_flush_does_not_wait_for_calm() -> None:
    work = Work()
    batches = Batches(work, calm_seconds=LONG, patience_seconds=LONG)
    batches.soon(1)
    await some_turns()
    await asyncio.wait_for(batches.flush(), 5)
    assert work.batches == [[1]]
