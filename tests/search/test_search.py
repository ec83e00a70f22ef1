"""What people find, and what they never do."""

import asyncio
from dataclasses import replace

import pytest

from chatcore.contract import groups as g
from chatcore.contract.search import SearchMessages
from chatcore.errors import Unavailable
from tests.search.house import SearchHouse
from tests.search.test_embedding import deletes, edits, switches_ai


async def test_a_message_is_found_by_its_words_and_by_its_meaning(house: SearchHouse) -> None:
    ana, ben = house.people("ana", "ben")
    group = await house.group(ana, ben)
    for text in ("We take my automobile", "The kitten sleeps", "The invoice is late"):
        await house.sends(ana, group, text)
    await house.works()
    assert (await house.finds(ben, "automobile", group))[0] == "We take my automobile"
    assert (await house.finds(ben, "who can drive", group))[0] == "We take my automobile"
    assert (await house.finds(ben, "kitt", group))[0] == "The kitten sleeps"


async def test_a_result_says_where_it_stands_and_who_ranked(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    sent = await house.sends(ana, group, "rain")
    await house.works()
    answer = await house.searches(ana, "rain", group)
    (result,) = answer.results
    assert (result.message_id, result.group_id, result.seq) == (sent.message_id, group, sent.seq)
    assert (result.sender_id, result.sender_name, result.created_at) == ("ana", "Ana", sent.created_at)
    assert 0 < result.score <= 1
    assert (answer.provider, answer.model, answer.incomplete) == ("embedded", "a-few-words", False)
    decision = await house.ledger.find(answer.decision_id)
    assert (decision.feature, decision.input["query"]) == ("search", "rain")
    assert decision.output == {"messageIds": [sent.message_id]}


async def test_without_a_group_all_of_ones_own_are_searched(house: SearchHouse) -> None:
    ana, ben = house.people("ana", "ben")
    shared, own = await house.group(ana, ben, name="shared"), await house.group(ana, name="own")
    await house.sends(ana, shared, "storm in the shared one")
    await house.sends(ana, own, "storm in ana's own")
    await house.works()
    assert sorted(await house.finds(ana, "storm")) == ["storm in ana's own", "storm in the shared one"]
    assert await house.finds(ben, "storm") == ["storm in the shared one"]
    (cyd,) = house.people("cyd")
    assert await house.finds(cyd, "storm") == []


async def test_a_group_one_is_no_member_of_is_not_there(house: SearchHouse) -> None:
    ana, eve = house.people("ana", "eve")
    group = await house.group(ana)
    await house.sends(ana, group, "rain")
    assert await house.refusal(house.searches(eve, "rain", group)) == "not_found"
    assert await house.refusal(house.searches(ana, "rain", "f" * 24)) == "not_found"


async def test_no_canary_ever_leaves_its_group(house: SearchHouse) -> None:
    people = house.people(*(f"p{number}" for number in range(10)))
    groups = {}
    for number in range(50):
        members = [people[number % 10], people[(number * 3 + 1) % 10]]
        group = await house.group(members[0], *members[1:2] if members[0] is not members[1] else [])
        groups[group] = {member.user_id for member in members}
        await house.sends(members[0], group, f"canary in the rain {group}")
    await house.works()
    foreign = seen = 0
    for person in people:
        for query in ("canary", "umbrella", "rain canary in", "storm"):
            for result in (await house.searches(person, query, limit=50)).results:
                seen += 1
                foreign += person.user_id not in groups[result.group_id] or result.group_id not in result.content
    assert seen > 200
    assert foreign == 0


async def test_who_joined_later_finds_nothing_from_before(house: SearchHouse) -> None:
    ana, new = house.people("ana", "new")
    group = await house.group(ana, settings=g.GroupSettingsChange(history_for_new_members="none"))
    await house.sends(ana, group, "storm before")
    await house.works()
    assert await house.finds(ana, "storm", group) == ["storm before"]
    await house.services.members.add(ana, g.MemberPath(group_id=group, user_id="new"))
    await house.sends(ana, group, "storm after")
    await house.works()
    for query in ("storm", "umbrella", "before"):
        assert "storm before" not in await house.finds(new, query, group)
    assert await house.finds(new, "storm") == ["storm after"]
    assert sorted(await house.finds(ana, "storm", group)) == ["storm after", "storm before"]


async def test_who_left_finds_nothing_any_more(house: SearchHouse) -> None:
    ana, ben = house.people("ana", "ben")
    group = await house.group(ana, ben)
    await house.sends(ana, group, "storm")
    await house.works()
    assert await house.finds(ben, "storm") == ["storm"]
    await house.services.groups.leave_for_good(ben, g.GroupPath(group_id=group))
    assert await house.finds(ben, "storm") == []
    assert await house.refusal(house.searches(ben, "storm", group)) == "not_found"


async def test_a_deleted_message_is_never_found_also_not_by_an_index_that_does_not_know_yet(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    sent = await house.sends(ana, group, "storm")
    await house.works()
    assert await house.finds(ana, "storm", group) == ["storm"]
    await deletes(house, ana, group, sent.message_id)
    library = house.search.door.known
    assert library is not None
    library._shelves[group].seq += 100  # as a process would be that had not heard
    for query in ("storm", "umbrella"):
        assert await house.finds(ana, query, group) == []


async def test_an_edited_message_is_found_by_its_new_words_alone(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    sent = await house.sends(ana, group, "the zebra in the rain")
    await house.works()
    assert await house.finds(ana, "zebra", group) == ["the zebra in the rain"]
    await edits(house, ana, group, sent.message_id, "the giraffe gets a salary")
    assert await house.finds(ana, "zebra", group) == []
    assert await house.finds(ana, "giraffe", group) == ["the giraffe gets a salary"]
    await house.works()
    assert await house.finds(ana, "umbrella", group) == []
    assert await house.finds(ana, "money", group) == ["the giraffe gets a salary"]


async def test_what_was_just_sent_is_found_at_once_by_its_words_and_then_by_its_meaning(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    await house.sends(ana, group, "first")
    await house.works()
    assert await house.finds(ana, "automobile", group) == []
    await house.sends(ana, group, "an automobile")
    assert await house.finds(ana, "automobile", group) == ["an automobile"]
    assert await house.finds(ana, "drive", group) == []
    await house.works()
    assert await house.finds(ana, "drive", group) == ["an automobile"]


async def test_vectors_that_another_process_made_are_found_after_a_moment(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    await house.sends(ana, group, "an automobile")
    assert await house.finds(ana, "drive", group) == []
    library = house.search.door.known
    assert library is not None
    house.search.door._library = None
    await house.works()  # by a process that knows nothing of this one's library
    house.search.door._library = library
    library._shelves[group].look_at = 0.0
    assert await house.finds(ana, "drive", group) == ["an automobile"]


async def test_while_no_model_answers_the_words_are_enough(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    await house.sends(ana, group, "an automobile")
    house.few_words.down = True
    await house.works()
    answer = await house.searches(ana, "automobile", group)
    assert [result.content for result in answer.results] == ["an automobile"]
    assert (answer.provider, answer.model, answer.degraded) == ("rules", "keywords", True)
    house.few_words.down = False
    await house.works()
    house.search.door._library = None
    assert await house.finds(ana, "drive", group) == ["an automobile"]


async def test_a_group_without_ai_is_searched_by_words_and_no_model_hears_of_it(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    await switches_ai(house, ana, group, on=False)
    await house.sends(ana, group, "an automobile")
    await house.works()
    answer = await house.searches(ana, "automobile", group)
    assert [result.content for result in answer.results] == ["an automobile"]
    assert answer.degraded
    assert house.few_words.asked == []


async def test_who_has_switched_ai_off_searches_by_words(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    await house.sends(ana, group, "an automobile")
    await house.works()
    house.few_words.asked.clear()
    await house.declines_ai(ana)
    assert await house.finds(ana, "automobile", group) == ["an automobile"]
    assert await house.finds(ana, "drive", group) == []
    assert house.few_words.asked == []


async def test_at_most_as_many_as_asked_for_also_where_some_were_deleted(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    sent = [await house.sends(ana, group, f"storm {number}") for number in range(40)]
    await house.works()
    assert len(await house.finds(ana, "storm", group, limit=5)) == 5
    for one in sent[:30]:
        await house.journal.transact([], [house.journal.marked_deleted(await row_of(house, one.message_id), house.now)])
    assert len(await house.finds(ana, "storm", group, limit=10)) == 10


async def row_of(house: SearchHouse, message_id: str):  # type: ignore[no-untyped-def]
    return replace((await house.journal.by_ids([message_id]))[message_id], is_deleted=True)


async def test_the_least_used_groups_give_way_when_memory_is_short_and_come_back(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    groups = [await house.group(ana, name=f"g{number}") for number in range(4)]
    for group in groups:
        await house.sends(ana, group, f"storm in {group}")
    await house.works()
    await house.finds(ana, "storm", groups[0])
    library = house.search.door.known
    assert library is not None
    library._memory_bytes = 2 * house.in_memory().bytes + 1
    for group in groups:
        assert await house.finds(ana, "storm", group) == [f"storm in {group}"]
    assert set(library._shelves) == set(groups[2:])
    assert house.in_memory().bytes <= library._memory_bytes
    assert await house.finds(ana, "umbrella", groups[0]) == [f"storm in {groups[0]}"]


async def test_a_group_that_is_slow_to_read_is_said_to_be_missing_and_read_on(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group, slow = await house.group(ana, name="quick"), await house.group(ana, name="slow")
    for one in (group, slow):
        await house.sends(ana, one, f"storm in {one}")
    await house.works()
    window, goes_on = house.search_store.window, asyncio.Event()

    async def hanging(group_id: str, after: int, up_to: int):  # type: ignore[no-untyped-def]
        if group_id == slow:
            await goes_on.wait()
        return await window(group_id, after, up_to)

    house.search_store.window = hanging  # type: ignore[method-assign]
    house.search.search._retrieval._patience_seconds = 0.05
    answer = await house.searches(ana, "storm")
    assert answer.incomplete
    assert [result.group_id for result in answer.results] == [group]
    goes_on.set()
    house.search.search._retrieval._patience_seconds = 5
    answer = await house.searches(ana, "storm")
    assert not answer.incomplete
    assert {result.group_id for result in answer.results} == {group, slow}


async def test_without_a_database_search_says_so(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    await house.sends(ana, group, "storm")

    async def gone(*_: object) -> None:
        raise Unavailable

    house.search_store.window = gone  # type: ignore[assignment,method-assign]
    assert await house.refusal(house.searches(ana, "storm", group)) == "unavailable"


@pytest.mark.parametrize("query", ["a" * 4096, '" OR "', "*", "((((", "storm NEAR/3 x", "ß" * 2000, "👩‍👩‍👧‍👦" * 100])
async def test_hostile_queries_are_answered(house: SearchHouse, query: str) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    await house.sends(ana, group, "storm")
    await house.works()
    assert len(await house.finds(ana, query, group)) <= 1


def test_a_query_has_bounds() -> None:
    for query in ("", "   ", "a" * 4097, "a\x00b", "\ud800"):
        with pytest.raises(ValueError, match="query"):
            SearchMessages(query=query)


async def test_messages_in_scripts_without_spaces_are_found_by_two_characters(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    for text in ("明天下午开会请大家准时到会议室", "東京タワーに行きたい", "nothing of the kind"):
        await house.sends(ana, group, text)
    assert await house.finds(ana, "会议", group) == ["明天下午开会请大家准时到会议室"]
    assert await house.finds(ana, "東京", group) == ["東京タワーに行きたい"]


async def test_without_any_model_nothing_waits_for_vectors(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    await house.sends(ana, group, "an automobile")
    house.restarts("")
    assert house.search.embedder is None
    assert await house.finds(ana, "automobile", group) == ["an automobile"]
    library = house.search.door.known
    assert library is not None
    assert library._shelves[group].bare == {}
    assert house.few_words.asked == []
