"""The budget of a day, over both stores: reserved in one step, shared by all processes, kept over restarts."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from chatcore.ai.provider import store
from chatcore.ai.provider.budget import Budget, BudgetStore
from chatcore.ai.provider.costs import cost_usd
from chatcore.ai.provider.failures import RungFailed
from chatcore.ai.provider.store import MemoryBudgetStore, MongoBudgetStore
from chatcore.mongo import Mongo

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = "2026-06-01"


@pytest.fixture(params=["memory", "mongo"])
async def used(request: pytest.FixtureRequest, mongo: Mongo) -> BudgetStore:
    if request.param == "memory":
        return MemoryBudgetStore()
    await mongo.ensure_indexes(store.INDEXES)
    return MongoBudgetStore(mongo.database)


class Process:
    """One of several servers on the same store."""

    def __init__(self, used: BudgetStore, now: datetime = NOON, daily: int | None = 1_000, per_user: int | None = None):
        self.now = now
        self.budget = Budget(
            used, daily=daily, daily_per_user=per_user, person=lambda user_id: f"h{user_id}", clock=lambda: self.now
        )

    async def spends(self, tokens: int, user_id: str = "ana") -> bool:
        try:
            await self.budget.reserve(user_id, tokens)
        except RungFailed as failed:
            return failed.kind != "budget"
        return True


async def test_processes_that_spend_at_once_cannot_exceed_it(used: BudgetStore) -> None:
    processes = [Process(used) for _ in range(4)]
    spent = await asyncio.gather(*(process.spends(90) for process in processes for _ in range(10)))
    assert sum(spent) == 11, "11 times 90 fit into 1,000"
    assert await used.used("all", DAY) == 990


async def test_a_restart_forgets_nothing(used: BudgetStore) -> None:
    assert await Process(used).spends(900)
    assert not await Process(used).spends(101)
    assert await Process(used).spends(100)


async def test_what_was_not_used_is_free_again_and_what_was_over_is_counted(used: BudgetStore) -> None:
    budget = Process(used).budget
    await budget.settle(await budget.reserve("ana", 800), 300)
    assert await used.used("all", DAY) == 300
    await budget.settle(await budget.reserve("ana", 100), 700)
    assert await used.used("all", DAY) == 1_000
    assert not await Process(used).spends(1)


async def test_a_person_over_the_bound_takes_nothing_from_the_others(used: BudgetStore) -> None:
    process = Process(used, daily=1_000, per_user=300)
    assert [await process.spends(200, "ana") for _ in range(3)] == [True, False, False]
    assert await used.used("all", DAY) == 200, "what the person could not have was given back to all"
    assert await process.spends(200, "ben")
    assert await process.spends(200, ""), "the server itself counts only among all"


async def test_each_day_begins_anew(used: BudgetStore) -> None:
    process = Process(used)
    assert await process.spends(1_000)
    assert not await process.spends(1)
    process.now += timedelta(days=1)
    assert await process.spends(1_000)


async def test_a_call_over_midnight_settles_with_its_own_day(used: BudgetStore) -> None:
    process = Process(used)
    reservation = await process.budget.reserve("ana", 500)
    process.now += timedelta(days=1)
    await process.budget.settle(reservation, 100)
    assert (await used.used("all", DAY), await used.used("all", "2026-06-02")) == (100, 0)


async def test_more_than_a_whole_day_allows_is_never_spent(used: BudgetStore) -> None:
    assert not await Process(used, daily=0).spends(1)
    assert not await Process(used).spends(1_001)
    assert await used.used("all", DAY) == 0


@pytest.mark.parametrize(
    ("model", "usd"),
    [
        ("gpt-4o-mini", 0.15 + 0.60),
        ("gpt-4o-mini-2024-07-18", 0.15 + 0.60),
        ("gpt-4o", 2.50 + 10.0),
        ("gpt-4o-2024-08-06", 2.50 + 10.0),
        ("text-embedding-3-small", 0.02),
        ("omni-moderation-latest", 0.0),
        ("gpt-4o-realtime-preview", None),
        ("llama3.1:8b", None),
    ],
)
def test_a_million_tokens_each_way_cost_what_the_list_says_or_are_said_to_be_unknown(
    model: str, usd: float | None
) -> None:
    assert cost_usd(model, 1_000_000, 1_000_000) == (None if usd is None else pytest.approx(usd))
