"""Several processes that write to the same groups at once: what each hears of the other spares both being overtaken."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from chatcore.errors import NotFound
from chatcore.journal.ids import new_id
from chatcore.journal.peers import News
from chatcore.journal.rows import Inserted, Row
from chatcore.journal.store import MemoryJournalStore
from chatcore.journal.told import MAX_ROWS, Told
from tests.journal.log import NOW, Process, a_message, a_removal, stored_log

GROUP = "a" * 24


class Counting(MemoryJournalStore):
    """`before` runs once, before the next write reaches the log."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = self.reads = 0
        self.before: Callable[[], None] | None = None

    async def insert(self, rows: Sequence[Row]) -> Inserted:
        self.writes += 1
        before, self.before = self.before, None
        if before is not None:
            before()
        return await super().insert(rows)

    async def window(self, group_id: str, after: int, up_to: int) -> list[Row]:
        self.reads += 1
        return await super().window(group_id, after, up_to)

    def put_by_another(self, *rows: Row) -> list[News]:
        for row in rows:
            self._put(row)
        return [News(row.group_id, row.seq, (row,)) for row in rows]


@pytest.fixture
def counting() -> Counting:
    return Counting()


async def three_groups(counting: Counting) -> tuple[Process, list[str]]:
    """Each with one row that this process knows."""
    process, groups = Process(counting), [new_id(NOW) for _ in range(3)]
    for group in groups:
        await process.write(a_message(group))
    counting.writes = counting.reads = 0
    return process, groups


def next_row(group: str, seq: int = 2) -> Row:
    return replace(a_message(group, "ben"), seq=seq, n=seq, p=seq)


async def in_all(process: Process, groups: Sequence[str]) -> list[int]:
    stored = await asyncio.gather(*(process.write(a_message(group)) for group in groups))
    return [rows[0].seq for rows in stored]


async def test_what_was_heard_before_a_write_does_not_overtake_it(counting: Counting) -> None:
    process, groups = await three_groups(counting)
    for news in counting.put_by_another(*map(next_row, groups)):
        process.writer.hear(news)
    assert await in_all(process, groups) == [3, 3, 3]
    assert (counting.writes, counting.reads) == (1, 0)
    assert list(process.pushed.values()) == [[1, 2, 3]] * 3


async def test_what_was_heard_during_a_write_moves_all_its_groups_at_once(counting: Counting) -> None:
    process, groups = await three_groups(counting)

    def another_is_first() -> None:
        for news in counting.put_by_another(*map(next_row, groups)):
            process.writer.hear(news)

    counting.before = another_is_first
    assert await in_all(process, groups) == [3, 3, 3]
    assert (counting.writes, counting.reads) == (2, 0), "one clash, whatever the number of groups"
    assert list(process.pushed.values()) == [[1, 2, 3]] * 3


async def test_whose_removal_was_only_heard_of_is_refused(counting: Counting) -> None:
    process, (group, *_) = await three_groups(counting)
    removal = replace(a_removal(group, "ana"), seq=2, n=1, p=1)
    (news,) = counting.put_by_another(removal)
    process.writer.hear(news)
    with pytest.raises(NotFound):
        await process.write(a_message(group, "ana"))
    assert [row.seq for row in await stored_log(counting, group)] == [1, 2]


async def test_what_was_applied_for_a_write_is_not_pushed_again_when_it_is_followed(counting: Counting) -> None:
    process, groups = await three_groups(counting)
    told = counting.put_by_another(*map(next_row, groups))
    for news in told:
        process.writer.hear(news)
    await in_all(process, groups)
    assert await process.writer.follow([News(news.group_id, news.up_to) for news in told]) == []
    assert list(process.pushed.values()) == [[1, 2, 3]] * 3
    assert counting.reads == 0


async def test_two_processes_that_both_write_to_all_groups_store_everything_without_much_in_vain() -> None:
    """Measured with what the other said unheard during writes: nine rows sent for each that was stored."""
    store, groups = Counting(), [new_id(NOW) for _ in range(20)]
    first, second = Process(store), Process(store)
    sent = 0
    insert = store.insert

    async def slowly(rows: Sequence[Row]) -> Inserted:
        nonlocal sent
        sent += len(rows)
        outcome = await insert(rows)
        for _ in range(20):  # the way back, on which the other's words come in
            await asyncio.sleep(0)
        return outcome

    store.insert = slowly  # type: ignore[method-assign]

    async def talk(process: Process, other: Process, group: str) -> None:
        for _ in range(20):
            (row,) = await process.write(a_message(group))
            other.writer.hear(News(group, row.seq, (row,)))

    await asyncio.gather(*(talk(*sides, group) for group in groups for sides in ((first, second), (second, first))))
    for group in groups:
        assert [row.seq for row in await stored_log(store, group)] == list(range(1, 41))
    assert sent < 4 * 800


# --- what is kept


def test_rows_come_in_any_order_and_those_of_the_past_are_dropped() -> None:
    told = Told()
    for seq in (6, 4, 5, 9):
        told.add(News(GROUP, seq, (next_row(GROUP, seq),)))
    assert [row.seq for row in told.next_rows(GROUP, 3)] == [4, 5, 6]
    assert [row.seq for row in told.next_rows(GROUP, 6)] == []
    assert told.is_behind(GROUP, 8)
    assert not told.is_behind(GROUP, 9)
    assert [row.seq for row in told.next_rows(GROUP, 8)] == [9]


def test_the_word_to_look_for_oneself_is_not_forgotten_for_what_comes_after() -> None:
    told = Told()
    told.add(News(GROUP, None))
    told.add(News(GROUP, 4, (next_row(GROUP, 4),)))
    assert told.is_behind(GROUP, 4)


def test_of_one_log_only_so_much_is_kept_and_the_rest_is_known_to_be_missing() -> None:
    told = Told()
    for seq in range(1, MAX_ROWS + 11):
        told.add(News(GROUP, seq, (next_row(GROUP, seq),)))
    assert len(told.next_rows(GROUP, 0)) == MAX_ROWS
    assert told.is_behind(GROUP, MAX_ROWS)


async def test_nothing_is_kept_of_groups_that_are_not_followed_or_no_longer(counting: Counting) -> None:
    process, (group, *_) = await three_groups(counting)
    process.writer.hear(News(GROUP, 4, (next_row(GROUP, 4),)))
    process.writer.hear(News(group, 4, (next_row(group, 4),)))
    process.writer.forget(group)
    assert process.writer.told == 0
