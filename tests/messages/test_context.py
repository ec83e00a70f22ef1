"""What AI features read of conversations: as somebody, checked anew each time."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from chatcore.contract import groups as g
from chatcore.contract import messages as m
from tests.memory import Household


@pytest.fixture
async def house() -> AsyncIterator[Household]:
    async with Household() as house:
        yield house


async def test_facts_of_a_group_are_those_of_the_asking_member(house: Household) -> None:
    ana, ben = house.people("ana", "ben")
    group = await house.group(
        ana, settings=g.GroupSettingsChange(history_for_new_members="none", moderation="strict", ai=False)
    )
    await house.sends(ana, group, "before")
    await house.services.members.add(ana, g.MemberPath(group_id=group, user_id="ben"))
    for_ana, for_ben = [await house.conversations.facts(one, group) for one in (ana, ben)]
    assert (for_ana.ai, for_ana.moderation, for_ana.member_count) == (False, "strict", 2)
    assert for_ana.latest_seq == for_ben.latest_seq == house.rooms.head(group).seq
    assert (for_ana.floor, for_ben.floor > for_ana.floor) == (0, True)
    assert [facts.group_id for facts in await house.conversations.groups_of(ben)] == [group]


async def test_a_stranger_is_told_that_there_is_nothing(house: Household) -> None:
    ana, eve = house.people("ana", "eve")
    group = await house.group(ana)
    sent = await house.sends(ana, group)
    view = house.conversations
    assert await house.refusal(view.facts(eve, group)) == "not_found"
    assert await house.refusal(view.recent(eve, group, 5)) == "not_found"
    assert await house.refusal(view.since(eve, group, house.now, 5)) == "not_found"
    assert await view.by_ids(eve, [sent.message_id]) == []
    assert await view.groups_of(eve) == []


async def test_the_newest_lines_come_oldest_first_without_what_is_deleted_or_told_by_the_system(
    house: Household,
) -> None:
    ana, ben = house.people("ana", "ben")
    group = await house.group(ana, ben)
    sent = [await house.sends(ana if number % 2 else ben, group, f"line {number}") for number in range(8)]
    await house.services.messages.delete(ana, m.MessagePath(group_id=group, message_id=sent[5].message_id))
    lines = await house.conversations.recent(ana, group, 3)
    assert [line.text for line in lines] == ["line 4", "line 6", "line 7"]
    assert (lines[-1].sender_id, lines[-1].sender_name, lines[-1].seq) == ("ana", "Ana", sent[7].seq)
    earlier = await house.conversations.recent(ana, group, 3, before=lines[0].seq)
    assert [line.text for line in earlier] == ["line 1", "line 2", "line 3"]
    assert await house.conversations.recent(ana, group, 0) == []


async def test_more_lines_than_a_page_are_put_together(house: Household) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    for number in range(230):
        await house.sends(ana, group, f"line {number}")
    lines = await house.conversations.recent(ana, group, 220)
    assert [line.text for line in lines] == [f"line {number}" for number in range(10, 230)]


async def test_since_a_moment_takes_the_newest_from_then_on(house: Household) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    await house.sends(ana, group, "yesterday")
    house.pass_hours(24)
    start = house.now
    for number in range(5):
        await house.sends(ana, group, f"today {number}")
    since = house.conversations.since
    assert [line.text for line in await since(ana, group, start, 100)] == [f"today {number}" for number in range(5)]
    assert [line.text for line in await since(ana, group, start, 2)] == ["today 3", "today 4"]
    assert await since(ana, group, start + timedelta(hours=1), 5) == []


async def test_who_joined_later_reads_nothing_from_before(house: Household) -> None:
    ana, ben = house.people("ana", "ben")
    group = await house.group(ana, settings=g.GroupSettingsChange(history_for_new_members="none"))
    old = await house.sends(ana, group, "before")
    await house.services.members.add(ana, g.MemberPath(group_id=group, user_id="ben"))
    new = await house.sends(ana, group, "after")
    view = house.conversations
    assert [line.text for line in await view.recent(ben, group, 10)] == ["after"]
    assert [line.text for line in await view.since(ben, group, house.now - timedelta(days=9), 10)] == ["after"]
    assert [line.text for line in await view.by_ids(ben, [old.message_id, new.message_id])] == ["after"]
    assert [line.text for line in await view.by_ids(ana, [old.message_id, new.message_id])] == ["before", "after"]


async def test_by_ids_keeps_the_order_and_leaves_out_what_may_not_be_read(house: Household) -> None:
    ana, ben = house.people("ana", "ben")
    group, other = await house.group(ana, ben), await house.group(ben, name="other")
    sent = [await house.sends(ana, group, text) for text in ("one", "two", "three")]
    foreign = await house.sends(ben, other, "foreign")
    await house.services.messages.delete(ana, m.MessagePath(group_id=group, message_id=sent[1].message_id))
    wanted = [sent[2].message_id, "f" * 24, foreign.message_id, sent[1].message_id, sent[0].message_id]
    assert [line.text for line in await house.conversations.by_ids(ana, wanted)] == ["three", "one"]
    await house.services.groups.leave_for_good(ben, g.GroupPath(group_id=group))
    assert [line.text for line in await house.conversations.by_ids(ben, wanted)] == ["foreign"]


async def test_an_edited_line_is_read_as_it_stands(house: Household) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    sent = await house.sends(ana, group, "old")
    await house.services.messages.edit(ana, m.EditMessage(group_id=group, message_id=sent.message_id, content="new"))
    (line,) = await house.conversations.by_ids(ana, [sent.message_id])
    assert (line.text, line.seq) == ("new", sent.seq)


async def test_what_cannot_be_opened_is_left_out(house: Household) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    sent = await house.sends(ana, group, "sealed")
    row = house.journal._by_id[sent.message_id]
    assert row.sealed is not None
    row.rev += 1  # another place than the one it was sealed for
    assert await house.conversations.by_ids(ana, [sent.message_id]) == []
