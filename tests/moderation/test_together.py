"""Texts that wait share one call to the moderation model, and none of them suffers from another."""

import asyncio

import pytest

from chatcore.contract import groups as g
from chatcore.moderation import later as later_module
from chatcore.moderation.later import BATCH, WORKERS, Later
from chatcore.ports import Caller
from tests.ai.fake_provider import Asked, FakeProvider
from tests.moderation.conftest import Houses, Watched


def calls(fake: FakeProvider) -> list[Asked]:
    return [asked for asked in fake.requests if asked.path == "/moderations"]


def texts_of(asked: Asked) -> list[str]:
    return list(asked.body["input"])


async def send_at_once(house: Watched, ada: Caller, group: str, *texts: str) -> None:
    """All of them wait before any is decided."""
    await asyncio.gather(*(house.sends(ada, group, text) for text in texts))


async def test_messages_that_wait_are_asked_about_in_one_call_and_each_gets_its_own_answer(
    houses: Houses, fake: FakeProvider
) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    await house.decided()
    before = len(calls(fake))
    texts = [f"line {number}" for number in range(BATCH - 1)] + ["so [sexual]"]
    await send_at_once(house, ada, group, *texts)
    await house.decided()
    asked = calls(fake)[before:]
    assert len(asked) <= 2
    assert sorted(text for each in asked for text in texts_of(each)) == sorted(texts)
    actions = {decision.message_id: decision.action for decision in house.decisions() if decision.seq}
    assert sorted(actions.values()).count("allow") == BATCH - 1
    assert len(actions) == BATCH


async def test_a_text_that_the_provider_refuses_to_read_leaves_the_others_their_answer(
    houses: Houses, fake: FakeProvider
) -> None:
    house = await houses()
    fake.unwelcome = "~poison~"
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    await send_at_once(house, ada, group, "~poison~", "good morning", "so [sexual]")
    await house.decided()
    served = {decision.served.provider for decision in house.decisions() if decision.action != "allow"}
    assert served == {"openai"}
    missing = [decision.output["missing"] for decision in await house.opened()]
    assert sorted(missing) == ["", "", "unavailable"]


async def test_a_group_that_keeps_its_texts_from_models_is_in_no_call_with_others(
    houses: Houses, fake: FakeProvider
) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    open_group = await house.group(ada, bob)
    closed = await house.group(ada, bob, settings=g.GroupSettingsChange(ai=False))
    await asyncio.gather(house.sends(ada, open_group, "for everybody"), house.sends(ada, closed, "for us alone"))
    await house.decided()
    assert any("for everybody" in each.text for each in calls(fake))
    assert not any("for us alone" in each.text for each in calls(fake))


async def test_what_cannot_be_done_for_one_text_is_done_for_the_others(houses: Houses, fake: FakeProvider) -> None:
    house = await houses(sample_share=1.0)
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    broken = _breaks_on(house.moderation.later, "third")
    await send_at_once(house, ada, group, "first", "second", "third", "fourth")
    await house.decided()
    await house.sends(ada, group, "fifth")
    await house.decided()
    assert broken == ["third"]
    assert len(await house.moderation_store.reviews("open", 10)) == 4


def _breaks_on(later: Later, text: str) -> list[str]:
    """The judge raises something unforeseen for this text."""
    judge, met = later._judge.judge, []

    async def breaking(said_text: str, *args: object, **more: object) -> object:
        if said_text == text:
            met.append(said_text)
            raise RuntimeError("unforeseen")
        return await judge(said_text, *args, **more)  # type: ignore[arg-type]

    later._judge.judge = breaking  # type: ignore[method-assign, assignment]
    return met


async def test_models_on_this_machine_answer_one_call_at_a_time(houses: Houses, fake: FakeProvider) -> None:
    house = await houses(embedded=True)
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    await house.sends(ada, group, "good morning")
    await house.decided()
    fake.mode = "timeout"
    await send_at_once(house, ada, group, *(f"line {number}" for number in range(2 * BATCH)))
    async with asyncio.timeout(5):
        while house.moderation.later._busy < 2 * BATCH or not fake.hanging:
            await asyncio.sleep(0.01)
    assert fake.hanging == 1
    fake.mode = "good"


async def test_what_models_on_this_machine_had_no_time_for_is_asked_again(houses: Houses, fake: FakeProvider) -> None:
    house = await houses(embedded=True, seconds=0.2)
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    await house.sends(ada, group, "good morning")
    await house.decided()
    fake.mode = "timeout"
    await send_at_once(house, ada, group, "one", "so [sexual]")
    async with asyncio.timeout(5):
        while not fake.hanging:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    assert len(house.moderation.later) == 2
    fake.mode = "good"
    async with asyncio.timeout(20):
        await house.decided()
    assert len(house.decisions()) == 3
    assert all(each.served.provider == "embedded" for each in house.decisions())


async def test_what_they_never_have_time_for_is_decided_without_them(
    houses: Houses, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(later_module, "BREATHER_SECONDS", 0.05)
    monkeypatch.setattr(later_module, "ASKED_AGAIN", 1)
    house = await houses(embedded=True, seconds=0.2)
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    await house.sends(ada, group, "good morning")
    await house.decided()
    fake.mode = "timeout"
    await house.sends(ada, group, "one")
    async with asyncio.timeout(20):
        await house.decided()
    assert len(house.decisions()) == 2
    assert len(house.moderation.later) == 0


async def test_a_provider_is_asked_by_both_workers_at_once(houses: Houses, fake: FakeProvider) -> None:
    house = await houses()
    ada, bob = house.people("ada", "bob")
    group = await house.group(ada, bob)
    await house.sends(ada, group, "good morning")
    await house.decided()
    fake.mode = "timeout"
    await send_at_once(house, ada, group, *(f"line {number}" for number in range(2 * BATCH)))
    async with asyncio.timeout(5):
        while fake.hanging < WORKERS:
            await asyncio.sleep(0.01)
    fake.mode = "good"
