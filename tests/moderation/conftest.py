import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from chatcore.models.first_tier import FirstTier
from chatcore.moderation.records import Mode
from chatcore.moderation.tiers import FirstLook
from chatcore.ports import Caller
from tests.ai.conftest import Bench, Configured
from tests.ai.fake_provider import KEY, FakeProvider, fake_provider
from tests.memory import Household

INSULT = "you are a stupid asshole, fuck you"
"""Refused by the first tier alone."""


@pytest.fixture(scope="session", autouse=True)
def sdk() -> None:
    """Imported before the first call: on a busy machine that alone takes longer than a strict group waits."""
    importlib.import_module("openai")


@pytest.fixture(scope="session")
def first_tier() -> FirstTier:
    return FirstTier.load()


@pytest.fixture
def first(first_tier: FirstTier) -> FirstLook:
    look = FirstLook()
    look._tier = first_tier
    return look


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    async with fake_provider() as fake:
        yield fake


class Watched(Household):
    """A household with moderation on, its workers running, and a person who reviews for the whole server."""

    def reviewer(self, name: str = "rita") -> Caller:
        person = self._person(name)
        return Caller(person.user_id, person.session_id, person.user, roles=frozenset({"reviewer"}))

    async def decided(self) -> None:
        """Everything that waited is decided and done."""
        async with asyncio.timeout(10):
            while len(self.moderation.later):
                await asyncio.sleep(0.005)
        await self.ledger.flush()

    def decisions(self, mode: str = "live") -> list[Any]:
        rows = [stored.decision for stored in self.ledger_store.rows.values()]
        return [row for row in rows if row.feature == "moderation" and row.mode == mode]

    async def opened(self) -> list[Any]:
        """Decisions with what they hold sealed."""
        return [await self.ledger.find(decision.decision_id) for decision in self.decisions()]


Houses = Callable[..., Any]


@pytest.fixture
async def houses(fake: FakeProvider, first: FirstLook) -> AsyncIterator[Houses]:
    """Makes households; `embedded` puts the fake where the embedded models would be."""
    async with AsyncExitStack() as stack:

        @asynccontextmanager
        async def made(house: Watched) -> AsyncIterator[Watched]:
            worker = asyncio.create_task(house.moderation.later.run())
            async with house:
                try:
                    yield house
                finally:
                    worker.cancel()
                    await asyncio.gather(worker, return_exceptions=True)
                    await house.models.close()

        async def make(policy: Mode = "fast", *, embedded: bool = False, seconds: float = 2.0, **more: Any) -> Watched:
            endpoint = Configured(fake.url, KEY)
            bench = Bench(embedded=endpoint) if embedded else Bench(provider=endpoint)
            house = Watched(models=bench.models(seconds=seconds), moderation=policy, first=first, **more)
            return await stack.enter_async_context(made(house))

        yield make
