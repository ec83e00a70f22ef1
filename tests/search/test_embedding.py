"""How every message gets its vector, whatever happens in between."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatcore.ai.search import embedding
from chatcore.ai.search.embedding import Consent, Embedder
from chatcore.ai.search.records import Claim, Space
from chatcore.contract import groups as g
from chatcore.contract import messages as m
from tests.search.house import MODEL, SearchHouse

QUIET = 4  # rows of a new group's log that tell of its making and of one more member


async def edits(house: SearchHouse, caller: Any, group: str, message_id: str, content: str) -> None:
    request = m.EditMessage(group_id=group, message_id=message_id, content=content)
    await house.services.messages.edit(caller, request)


async def deletes(house: SearchHouse, caller: Any, group: str, message_id: str) -> None:
    await house.services.messages.delete(caller, m.MessagePath(group_id=group, message_id=message_id))


async def test_new_messages_get_vectors_and_system_messages_none(house: SearchHouse) -> None:
    ana, ben = house.people("ana", "ben")
    group = await house.group(ana, ben)
    sent = [await house.sends(ana, group, f"my car {number}") for number in range(3)]
    await house.works()
    assert sorted(await house.vectors(group)) == [one.seq for one in sent]
    assert house.few_words.asked == ["my car 0", "my car 1", "my car 2"]


async def test_a_change_wakes_the_worker_and_a_deletion_needs_no_model(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    await house.works()
    assert house.search.embedder is not None
    sent = await house.sends(ana, group, "rain")
    assert len(house.search.embedder) == 1
    await house.search.embedder.drain()
    await deletes(house, ana, group, sent.message_id)
    assert len(house.search.embedder) == 0


async def test_nothing_is_embedded_twice(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    await house.sends(ana, group, "rain")
    for _ in range(3):
        await house.works()
    house.restarts()
    await house.works()
    assert house.few_words.asked == ["rain"]


async def test_vectors_are_sealed_and_hold_nothing_readable(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    sent = await house.sends(ana, group, "rain")
    await house.works()
    line = (await house.search_store.by_ids([sent.message_id]))[sent.message_id]
    assert line.vector is not None
    assert line.vector.clear is None
    assert line.vector.sealed is not None
    assert len(line.vector.sealed.ct) == 8 * 2 + 16
    await house.vault.shred(group)
    with pytest.raises(Exception, match="key"):
        await house.vault.open(line.vector_place, line.vector.sealed)


async def test_an_edited_message_is_embedded_as_it_stands(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    sent = await house.sends(ana, group, "rain")
    await house.works()
    await edits(house, ana, group, sent.message_id, "salary")
    assert await house.vectors(group) == {}
    await house.works()
    assert await house.vectors(group) == {sent.seq: MODEL}
    assert house.few_words.asked == ["rain", "salary"]


async def test_more_than_a_batch_is_done_in_several_calls(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    for number in range(150):
        await house.sends(ana, group, f"cat {number}")
    await house.works()
    assert len(await house.vectors(group)) == 150
    assert len(house.few_words.asked) == 150
    assert 3 <= len(house.few_words.purposes) <= 4


async def test_after_an_outage_of_the_models_all_is_made_up_for(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    house.few_words.down = True
    sent = [await house.sends(ana, group, text) for text in ("rain", "salary")]
    await house.works()
    assert await house.vectors(group) == {}
    house.few_words.down = False
    assert house.search.embedder is not None
    assert len(house.search.embedder) == 1
    await house.search.embedder.drain()
    assert sorted(await house.vectors(group)) == [one.seq for one in sent]


async def test_a_text_that_the_models_cannot_take_holds_up_nothing(house: SearchHouse) -> None:
    """Refused twice it might be an outage; the third time its batch is taken apart."""
    (ana,) = house.people("ana")
    group = await house.group(ana)
    house.few_words.refused = {"the bad text", "another bad text"}
    texts = [f"cat {number}" for number in range(20)]
    sent = [
        await house.sends(ana, group, text) for text in (*texts[:7], "the bad text", *texts[7:], "another bad text")
    ]
    for _ in range(2):
        await house.works()
    assert await house.vectors(group) == {}
    await house.works()
    bad = {sent[7].seq, sent[-1].seq}
    assert sorted(await house.vectors(group)) == [one.seq for one in sent if one.seq not in bad]
    assert await house.finds(ana, "bad text", group, limit=2) != []
    last = await house.sends(ana, group, "rain")
    await house.works()
    assert last.seq in await house.vectors(group)


async def test_an_outage_is_no_bad_text_however_long_it_lasts(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    sent = await house.sends(ana, group, "rain")
    house.few_words.down = True
    for _ in range(6):
        await house.works()
    house.few_words.down = False
    await house.works()
    assert list(await house.vectors(group)) == [sent.seq]


async def test_what_a_killed_process_left_undone_is_done_at_the_next_start(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    sent = await house.sends(ana, group, "rain")
    await edits(house, ana, group, sent.message_id, "storm")
    house.restarts()
    await house.works()
    assert await house.vectors(group) == {sent.seq: MODEL}
    assert house.few_words.asked == ["storm"]


async def test_another_model_makes_all_vectors_anew_and_spaces_never_mix(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    sent = [await house.sends(ana, group, text) for text in ("rain", "salary")]
    await house.works()
    house.restarts("another-model")
    assert await house.finds(ana, "umbrella", group) == []
    await house.works()
    assert await house.vectors(group) == {one.seq: "another-model" for one in sent}
    house.search.door._library = None
    assert await house.finds(ana, "umbrella", group) == ["rain"]


async def test_vectors_are_sealed_again_without_asking_a_model(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    sent = await house.sends(ana, group, "rain")
    house.restarts(in_clear=True)
    await house.works()
    lines = await house.search_store.by_ids([sent.message_id])
    assert lines[sent.message_id].vector is not None
    assert lines[sent.message_id].vector.clear is not None
    house.restarts()
    await house.works()
    lines = await house.search_store.by_ids([sent.message_id])
    assert lines[sent.message_id].vector.clear is None
    assert house.few_words.asked == ["rain"]
    assert await house.finds(ana, "umbrella", group) == ["rain"]


async def test_an_answer_of_another_model_is_not_kept(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    await house.sends(ana, group, "rain")
    embed = house.few_words.embed

    async def fallen_back(*given: Any, **more: Any) -> Any:
        called = await embed(*given, **more)
        return replace(called, served=replace(called.served, model="smaller-model"))

    assert house.search.embedder is not None
    house.search.embedder._models = type("Ladder", (), {"embed": staticmethod(fallen_back)})()
    await house.works()
    assert await house.vectors(group) == {}


async def test_no_model_reads_a_group_that_has_switched_ai_off_until_it_is_on_again(house: SearchHouse) -> None:
    ana, ben = house.people("ana", "ben")
    group = await house.group(ana, ben)
    await switches_ai(house, ana, group, on=False)
    sent = [await house.sends(ana, group, text) for text in ("rain", "salary")]
    await house.works()
    assert house.few_words.asked == []
    await switches_ai(house, ana, group, on=True)
    sent.append(await house.sends(ana, group, "kitten"))
    await house.works()
    assert sorted(await house.vectors(group)) == [one.seq for one in sent]


async def switches_ai(house: SearchHouse, caller: Any, group: str, *, on: bool) -> None:
    settings = g.GroupSettingsChange(ai=on)
    await house.services.groups.update(caller, g.UpdateGroup(group_id=group, settings=settings))


async def test_no_model_reads_messages_of_people_who_have_switched_ai_off(house: SearchHouse) -> None:
    ana, ben = house.people("ana", "ben")
    group = await house.group(ana, ben)
    await house.declines_ai(ben)
    await house.sends(ben, group, "the secret of ben")
    mine = await house.sends(ana, group, "rain")
    await house.works()
    assert house.few_words.asked == ["rain"]
    assert list(await house.vectors(group)) == [mine.seq]


def worker_of(house: SearchHouse, name: str) -> Embedder:
    """As it is in another process: with no library to tell, and no time to lose."""

    async def every_group(_: str) -> bool:
        return True

    async def everybody(ids: Any) -> Any:
        return dict.fromkeys(ids, True)

    async def nothing(*_: Any) -> None:
        return None

    consent = Consent(every_group, everybody)
    store, models, space = house.search_store, house.few_words, Space(MODEL)
    return Embedder(store, house.vault, models, space, consent=consent, learn=nothing, owner=name, pause=nothing)


async def test_two_processes_share_the_work_and_miss_nothing(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    groups = [await house.group(ana, name=f"g{number}") for number in range(4)]
    for number in range(80):
        for group in groups:
            await house.sends(ana, group, f"cat {group} {number}")

    workers = [worker_of(house, name) for name in ("one", "two")]
    for worker in workers:
        await worker.wake_all()
    while busy := [worker for worker in workers if len(worker)]:
        for worker in busy:
            await worker._next()
    for group in groups:
        assert len(await house.vectors(group)) == 80
    assert len(house.few_words.asked) == len(set(house.few_words.asked)) == 320


async def test_a_group_that_another_process_works_on_is_tried_again_later_and_holds_up_no_other(
    house: SearchHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "TAKEN_SECONDS", 0.02)
    (ana,) = house.people("ana")
    busy, free = [await house.group(ana, name=name) for name in ("busy", "free")]
    for group in (busy, free):
        await house.sends(ana, group, f"rain {group}")
    now = datetime.now(UTC)
    await house.search_store.claim(busy, Claim("another", now + timedelta(seconds=0.1)), now)
    worker = worker_of(house, "me")
    for group in (busy, free):
        worker.wake(group)
    await worker.drain()
    assert house.few_words.asked == [f"rain {free}"]
    async with asyncio.timeout(5):
        while not await house.vectors(busy):
            await asyncio.sleep(0.01)
            await worker.drain()


async def test_a_group_that_is_gone_leaves_no_bookmark(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group = await house.group(ana)
    await house.sends(ana, group, "rain")
    await house.works()
    assert await house.finds(ana, "rain", group) == ["rain"]
    assert house.in_memory().groups == 1
    await house.services.groups.delete(ana, g.GroupPath(group_id=group))
    await house.background.drain(5)
    assert group not in house.search_store._progress
    assert (house.in_memory().groups, house.in_memory().bytes) == (0, 0)
