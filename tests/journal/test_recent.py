"""Rows kept in memory answer as the store does, whatever happens to them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatcore.contract.groups import MemberPath
from chatcore.contract.messages import EditMessage, History, MarkMessagesRead, MessagePath, React
from chatcore.errors import Conflict, Unavailable
from chatcore.journal.pending import DOUBT_SECONDS
from chatcore.journal.recent import MAX_ROWS, ROW_BYTES, RecentRows
from chatcore.journal.rows import Row
from chatcore.journal.store import MemoryJournalStore
from chatcore.ports import Caller
from tests.journal.log import NOW, a_message, numbered
from tests.memory import Household

GROUP, OTHER = "a" * 24, "b" * 24


class Counting(MemoryJournalStore):
    """Counts the windows that are read, and can be held up or fail in the middle of one call."""

    def __init__(self) -> None:
        super().__init__()
        self.windows = 0
        self.meanwhile: Any = None
        self.lost_answer = False

    async def window(self, group_id: str, after: int, up_to: int) -> list[Row]:
        self.windows += 1
        rows = await super().window(group_id, after, up_to)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return rows

    async def transact(self, rows: Sequence[Row], changes: Any, *, claim: bool = False) -> None:
        if self.lost_answer:
            raise Unavailable()
        await super().transact(rows, changes, claim=claim)


@pytest.fixture
def store() -> Counting:
    return Counting()


@pytest.fixture
def recent(store: Counting) -> RecentRows:
    return RecentRows(store)


async def talk(recent: RecentRows, count: int, group_id: str = GROUP, first: int = 1) -> list[Row]:
    rows = numbered([a_message(group_id) for _ in range(count)], first)
    await recent.insert(rows)
    return rows


def an_edit(row: Row) -> tuple[Row, Row]:
    """The message as edited, and the event that tells of it as row 100."""
    return replace(row, is_deleted=True), replace(a_message(row.group_id), kind="delete", seq=100)


async def test_a_window_read_once_is_not_read_again_nor_are_parts_of_it(store: Counting, recent: RecentRows) -> None:
    rows = await talk(recent, 20)
    assert await recent.window(GROUP, 5, 20) == rows[5:]
    assert await recent.window(GROUP, 5, 20) == rows[5:]
    assert await recent.window(GROUP, 7, 9) == rows[7:9]
    assert store.windows == 1


async def test_what_comes_later_is_there_without_reading(store: Counting, recent: RecentRows) -> None:
    rows = await talk(recent, 20)
    await recent.window(GROUP, 0, 20)
    rows += await talk(recent, 5, first=21)
    assert await recent.window(GROUP, 10, 25) == rows[10:]
    assert store.windows == 1


async def test_beyond_the_last_row_the_store_is_asked(store: Counting, recent: RecentRows) -> None:
    """Somebody who looks for rows that may have come must not be told by memory that there are none."""
    rows = await talk(recent, 5)
    await recent.window(GROUP, 0, 5)
    await store.insert(late := numbered([a_message(GROUP)], 6))
    assert await recent.window(GROUP, 3, 10) == [*rows[3:], *late]


async def test_an_older_page_is_joined_where_it_touches_and_passed_by_where_not(
    store: Counting, recent: RecentRows
) -> None:
    rows = await talk(recent, 60)
    await recent.window(GROUP, 50, 60)
    await recent.window(GROUP, 0, 10)
    assert len(recent) == 10
    await recent.window(GROUP, 40, 50)
    assert await recent.window(GROUP, 45, 55) == rows[45:55]
    assert store.windows == 3


async def test_a_change_is_seen_by_the_next_reader(store: Counting, recent: RecentRows) -> None:
    rows = await talk(recent, 10)
    await recent.window(GROUP, 0, 10)
    gone, event = an_edit(rows[3])
    await recent.transact([event], [recent.marked_deleted(gone, NOW)])
    assert (await recent.window(GROUP, 3, 4))[0].is_deleted


async def test_a_change_that_lands_while_a_page_is_read_is_not_covered_up(store: Counting, recent: RecentRows) -> None:
    rows = await talk(recent, 10)
    gone, event = an_edit(rows[3])

    async def delete() -> None:
        await recent.transact([event], [recent.marked_deleted(gone, NOW)])

    store.meanwhile = delete
    await recent.window(GROUP, 0, 10)
    assert (await recent.window(GROUP, 3, 4))[0].is_deleted


async def test_a_page_read_while_a_change_is_under_way_is_not_kept(store: Counting, recent: RecentRows) -> None:
    rows = await talk(recent, 10)
    gone, event = an_edit(rows[3])

    async def read(session: Any, _: Sequence[Row]) -> None:
        await recent.window(GROUP, 0, 10)

    await recent.transact([event], [read, recent.marked_deleted(gone, NOW)])
    assert (await recent.window(GROUP, 3, 4))[0].is_deleted


async def test_after_a_lost_answer_nothing_of_the_group_is_kept_until_the_doubt_is_over(store: Counting) -> None:
    now = [0.0]
    recent = RecentRows(store, clock=lambda: now[0])
    rows = await talk(recent, 10)
    gone, event = an_edit(rows[3])
    store.lost_answer = True
    with pytest.raises(Unavailable):
        await recent.transact([event], [recent.marked_deleted(gone, NOW)])
    await recent.window(GROUP, 0, 10)
    await store.marked_deleted(gone, NOW)(None, [])  # it lands
    assert (await recent.window(GROUP, 3, 4))[0].is_deleted
    now[0] = DOUBT_SECONDS + 1
    await recent.window(GROUP, 0, 10)
    assert len(recent) == 10


async def test_a_refused_change_leaves_no_doubt(store: Counting, recent: RecentRows) -> None:
    rows = await talk(recent, 10)
    gone, event = an_edit(rows[3])
    await recent.transact([event], [recent.marked_deleted(gone, NOW)])
    with pytest.raises(Conflict):
        await recent.transact([replace(event, id="c" * 24, seq=101)], [recent.marked_deleted(gone, NOW)])
    await recent.window(GROUP, 0, 10)
    assert len(recent) == 10


async def test_erased_rows_are_gone_and_erased_contents_too(store: Counting, recent: RecentRows) -> None:
    rows = await talk(recent, 10)
    gone, event = an_edit(rows[3])
    await recent.transact([event], [recent.marked_deleted(gone, NOW)])
    await recent.window(GROUP, 0, 10)
    assert await recent.erase_due(NOW) == 1
    assert len(recent) == 0
    await recent.window(GROUP, 0, 10)
    await recent.erase_group(GROUP, 0, 10)
    assert len(recent) == 0
    assert await recent.window(GROUP, 0, 10) == []


async def test_a_log_with_a_hole_is_not_kept(store: Counting, recent: RecentRows) -> None:
    await talk(recent, 10)
    await store.erase_group(GROUP, 4, 5)
    await recent.window(GROUP, 0, 10)
    assert len(recent) == 0


async def test_a_row_that_does_not_follow_drops_what_is_there(store: Counting, recent: RecentRows) -> None:
    """After a lost answer the row before it may have been stored without anybody here knowing."""
    await talk(recent, 10)
    await recent.window(GROUP, 0, 10)
    await store.insert(numbered([a_message(GROUP)], 11))
    await talk(recent, 1, first=12)
    assert [row.seq for row in await recent.window(GROUP, 0, 12)] == list(range(1, 13))


async def test_memory_is_bounded_in_rows_and_bytes_and_the_group_read_last_stays(store: Counting) -> None:
    recent = RecentRows(store, max_bytes=100 * ROW_BYTES)
    for group_id in (GROUP, OTHER):
        await talk(recent, 80, group_id)
        await recent.window(group_id, 0, 80)
        assert len(recent) == 80
    before = store.windows
    await recent.window(OTHER, 0, 80)
    assert store.windows == before
    large = RecentRows(store)
    await large.window(OTHER, 0, 80)
    for first in range(81, 3 * MAX_ROWS, 16):
        await talk(large, 16, OTHER, first)
    assert len(large) <= 2 * MAX_ROWS


STEP = st.one_of(
    st.tuples(st.just("say"), st.integers(1, 5), st.just(0)),
    st.tuples(st.just("delete"), st.integers(0, 200), st.just(0)),
    st.tuples(st.just("read"), st.integers(0, 200), st.integers(1, 40)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=40))
async def test_whatever_is_done_every_window_is_what_the_store_holds(steps: list[tuple[str, int, int]]) -> None:
    store = MemoryJournalStore()
    recent = RecentRows(store, max_bytes=30 * ROW_BYTES)
    end = 0
    for what, number, width in steps:
        if what == "say":
            await talk(recent, number, first=end + 1)
            end += number
        elif what == "delete" and end:
            (row,) = await store.window(GROUP, number % end, number % end + 1)
            event = replace(a_message(GROUP), kind="delete", seq=end + 1)
            if row.shown and not row.is_deleted:
                await recent.transact([event], [recent.marked_deleted(row, NOW)])
                end += 1
        elif what == "read":
            assert await recent.window(GROUP, number, number + width) == await store.window(
                GROUP, number, number + width
            )
    assert await recent.window(GROUP, 0, end) == await store.window(GROUP, 0, end)


# --- as people see it


async def page(house: Household, caller: Caller, group_id: str, **how: Any) -> list[str]:
    found = await house.services.reading.history(caller, History(group_id=group_id, **how))
    return [message.content for message in found.messages]


async def test_the_newest_page_is_read_from_the_database_once() -> None:
    async with Household() as house:
        ana, ben = house.people("ana", "ben")
        group_id = await house.group(ana, ben)
        for number in range(60):
            await house.sends(ana, group_id, f"m{number}")
        first = await page(house, ana, group_id)
        house.journal.rows_read = 0
        await house.sends(ben, group_id, "m60")
        assert await page(house, ben, group_id) == [*first[1:], "m60"]
        assert house.journal.rows_read == 0


async def test_few_events_among_messages_cost_a_page_few_more_rows() -> None:
    async with Household() as house:
        (ana,) = house.people("ana")
        group_id = await house.group(ana)
        sent = [await house.sends(ana, group_id, f"m{number}") for number in range(200)]
        path = MessagePath(group_id=group_id, message_id=sent[-1].message_id)
        await house.services.responses.pin(ana, path)
        house.journal.rows_read = 0
        assert len(await page(house, ana, group_id)) == 50
        assert house.journal.rows_read <= 58


async def test_edits_reactions_and_deletions_show_at_once_to_those_who_read_before() -> None:
    async with Household() as house:
        ana, ben = house.people("ana", "ben")
        group_id = await house.group(ana, ben)
        sent = [await house.sends(ana, group_id, f"m{number}") for number in range(3)]
        await page(house, ben, group_id)
        ids = [receipt.message_id for receipt in sent]
        messages, responses = house.services.messages, house.services.responses
        await messages.edit(ana, EditMessage(group_id=group_id, message_id=ids[0], content="new"))
        await page(house, ben, group_id)
        await messages.delete(ana, MessagePath(group_id=group_id, message_id=ids[1]))
        await page(house, ben, group_id)
        await responses.add_reaction(ben, React(group_id=group_id, message_id=ids[2], emoji="\U0001f44d"))
        shown = (await house.reads(ben, group_id))[-3:]
        assert [message.content for message in shown] == ["new", "", "m2"]
        assert shown[1].is_deleted
        assert shown[2].reactions == {"\U0001f44d": 1}


async def test_what_others_may_see_is_not_shown_to_one_whose_history_begins_later() -> None:
    async with Household() as house:
        ana, ben = house.people("ana", "ben")
        group_id = await house.group(ana, settings={"historyForNewMembers": "none"})
        for number in range(5):
            await house.sends(ana, group_id, f"m{number}")
        assert (await page(house, ana, group_id))[-1] == "m4"
        await house.services.members.add(ana, MemberPath(group_id=group_id, user_id="ben"))
        assert not {f"m{number}" for number in range(5)} & set(await page(house, ben, group_id))
        await house.sends(ana, group_id, "m5")
        assert (await page(house, ben, group_id, before=5)) == []
        assert (await page(house, ben, group_id))[-1] == "m5"


async def test_marking_read_and_paging_go_through_the_same_rows() -> None:
    async with Household() as house:
        ana, ben = house.people("ana", "ben")
        group_id = await house.group(ana, ben)
        sent = [await house.sends(ana, group_id, f"m{number}") for number in range(10)]
        await page(house, ben, group_id)
        house.journal.rows_read = 0
        receipt = await house.services.reading.mark_many_read(
            ben, MarkMessagesRead(group_id=group_id, up_to_seq=sent[4].seq)
        )
        assert receipt.up_to_seq == sent[4].seq
        assert house.journal.rows_read == 0
