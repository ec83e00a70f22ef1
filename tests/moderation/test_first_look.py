"""Looks that are asked for in one turn of the loop are one, and none of them depends on another."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from chatcore.models.first_tier import FirstLook as Looked
from chatcore.models.first_tier import FirstTier
from chatcore.moderation import tiers as module
from chatcore.moderation.tiers import FirstLook


class CountingTier:
    def __init__(self) -> None:
        self.together: list[int] = []
        self.alone: list[str] = []

    def look_at_all(self, texts: Sequence[str]) -> list[Looked]:
        self.together.append(len(texts))
        if "broken" in texts:
            raise ValueError("broken")
        return [Looked({"any": len(text) / 1_000}, ()) for text in texts]

    def look(self, text: str) -> Looked:
        self.alone.append(text)
        return self.look_at_all([text])[0]


@pytest.fixture
def tier() -> CountingTier:
    return CountingTier()


@pytest.fixture
async def counting(tier: CountingTier) -> FirstLook:
    loaded: Any = tier
    found = FirstLook(lambda: loaded)
    await found.prepare()
    return found


async def test_all_that_is_asked_in_one_turn_is_one_look(counting: FirstLook, tier: CountingTier) -> None:
    seen = await asyncio.gather(*(counting.look_soon("x" * size) for size in range(10)))
    assert [evidence.scores["any"] for evidence in seen if evidence] == [size / 1_000 for size in range(10)]
    assert tier.together == [10]
    await counting.look_soon("later")
    assert tier.together == [10, 1]


async def test_many_and_long_ones_are_several_with_the_loop_free_between(
    counting: FirstLook, tier: CountingTier
) -> None:
    await asyncio.gather(*(counting.look_soon("short") for _ in range(2 * module.MOST_TOGETHER + 3)))
    assert tier.together == [module.MOST_TOGETHER, module.MOST_TOGETHER, 3]
    tier.together.clear()
    free: list[int] = []

    async def others() -> None:
        while len(tier.together) < 3:
            free.append(len(tier.together))
            await asyncio.sleep(0)

    await asyncio.gather(others(), *(counting.look_soon("x" * module.MOST_CHARACTERS) for _ in range(3)))
    assert tier.together == [1, 1, 1]
    assert {1, 2} <= set(free)


async def test_a_text_that_breaks_the_tier_concerns_no_other(counting: FirstLook, tier: CountingTier) -> None:
    seen = await asyncio.gather(*map(counting.look_soon, ("fine", "broken", "well")), return_exceptions=True)
    assert [isinstance(each, ValueError) for each in seen] == [False, True, False]
    assert tier.alone == ["fine", "broken", "well"]


async def test_who_waits_no_more_is_left_out(counting: FirstLook) -> None:
    gone, stays = (asyncio.create_task(counting.look_soon(text)) for text in ("gone", "stays"))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays is not None
    assert gone.cancelled()


async def test_there_is_no_look_before_it_is_loaded() -> None:
    assert await FirstLook().look_soon("good morning") is None


async def test_the_real_tier_sees_the_same_now_and_soon(first_tier: FirstTier) -> None:
    real = FirstLook(lambda: first_tier)
    await real.prepare()
    texts = ["I will kill you", "lunch at the park?", "y0u s.t.u.p.i.d f-o-o-l"]
    assert await asyncio.gather(*map(real.look_soon, texts)) == [real.look_now(text) for text in texts]
