"""Who waits for a sender, and who overtakes."""

import asyncio
from datetime import UTC, datetime

from chatcore.push import lanes
from chatcore.push.lanes import Lanes, Notice, Resting
from chatcore.push.records import News, Subscription


def notice(user_id: str, number: int = 1) -> Notice:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    browser = Subscription(f"{user_id}{number}", user_id, "s", "https://push.example.org/1", b"", b"", "all", at)
    return Notice(browser, News("garden", "Garden", False, "ben", frozenset()), 1)


async def is_stuck(call: "asyncio.Future[object]") -> bool:
    for _ in range(5):
        await asyncio.sleep(0)
    return not call.done()


async def test_two_of_one_person_are_under_way_and_others_overtake_the_third() -> None:
    waiting = Lanes()
    for number in (1, 2, 3):
        await waiting.put(notice("eve", number))
    await waiting.put(notice("ben"))
    taken = [await waiting.take() for _ in range(3)]
    assert sorted(each.to.id for each in taken) == ["ben1", "eve1", "eve2"]
    third = asyncio.ensure_future(waiting.take())
    assert await is_stuck(third)
    await waiting.done(next(each for each in taken if each.to.id == "eve1"))
    assert (await third).to.id == "eve3"
    assert len(waiting) == 0


async def test_one_person_fills_a_lane_and_not_the_house() -> None:
    waiting = Lanes(most=4, a_person=2)
    assert [await waiting.put(notice("eve", number)) for number in range(4)] == [True, True, False, False]
    assert await waiting.put(notice("ben"))


async def test_who_comes_to_a_full_house_waits() -> None:
    waiting = Lanes(most=2, a_person=2)
    await waiting.put(notice("ana"))
    await waiting.put(notice("ben"))
    third = asyncio.ensure_future(waiting.put(notice("carl")))
    assert await is_stuck(third)
    await waiting.take()
    assert await third


async def test_nothing_is_kept_of_who_was_served() -> None:
    waiting = Lanes()
    for number in range(6):
        await waiting.put(notice(f"p{number}"))
        await waiting.done(await waiting.take())
    assert (len(waiting), len(waiting._waiting), len(waiting._under_way), len(waiting._ready)) == (0, 0, 0, 0)


def test_rests_double_up_to_an_hour_and_end_with_an_answer() -> None:
    seconds = 0.0
    resting = Resting(lambda: seconds)
    rests = []
    for _ in range(12):
        resting.failed("b")
        rests.append(resting._failures["b"][1])
    assert rests[:3] == [30.0, 60.0, 120.0]
    assert rests[-1] == lanes.LONGEST_REST_SECONDS
    assert resting.rests("b")
    resting.answered("b")
    assert not resting.rests("b")
    for number in range(lanes.MOST_RESTING + 5):
        resting.failed(str(number))
    assert len(resting._failures) == lanes.MOST_RESTING
