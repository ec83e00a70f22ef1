import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from chatcore.ai.prompts.shipped import shipped
from chatcore.ai.provider.breaker import Breaker
from chatcore.ai.provider.budget import Budget
from chatcore.ai.provider.models import Models
from chatcore.ai.provider.rungs import (
    EMBEDDED_CHAT,
    EMBEDDED_MODERATION,
    EMBEDDED_SPACE,
    MODERATION_MODEL,
    Configured,
    Endpoint,
    ModelNames,
    Rung,
)
from chatcore.ai.provider.store import MemoryBudgetStore
from chatcore.embedded.models import EmbeddedModels
from chatcore.metrics import Metrics
from tests.ai.fake_provider import KEY, FakeProvider, fake_provider

PROVIDER_NAMES = ModelNames("gpt-4o-mini", "text-embedding-3-small", MODERATION_MODEL)
EMBEDDED_NAMES = ModelNames(EMBEDDED_CHAT, EMBEDDED_SPACE, EMBEDDED_MODERATION)
READY_SECONDS = 60
T = TypeVar("T")


@dataclass
class Clock:
    seconds: float = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Bench:
    """Models on endpoints of the test, with everything at hand that a test may turn."""

    provider: Endpoint | None = None
    embedded: Endpoint | None = None
    clock: Clock = field(default_factory=Clock)
    metrics: Metrics = field(default_factory=Metrics)
    store: MemoryBudgetStore = field(default_factory=MemoryBudgetStore)
    breakers: dict[str, Breaker] = field(default_factory=dict)

    def models(
        self, *, daily: int | None = None, per_user: int | None = None, seconds: float = 8.0, disabled: str = ""
    ) -> Models:
        rungs = []
        if self.provider is not None:
            rungs.append(self._rung("openai", self.provider, PROVIDER_NAMES, metered=True))
        if self.embedded is not None:
            rungs.append(self._rung("embedded", self.embedded, EMBEDDED_NAMES))
        budget = Budget(self.store, daily=daily, daily_per_user=per_user, person=lambda user_id: user_id)
        return Models(
            rungs, disabled=disabled, timeout_seconds=seconds, budget=budget, metrics=self.metrics, shipped=shipped()
        )

    def _rung(self, name: str, endpoint: Endpoint, models: ModelNames, *, metered: bool = False) -> Rung:
        self.breakers[name] = Breaker(self.clock)
        return Rung(name, endpoint, models, self.breakers[name], self.clock, metered, not metered)  # type: ignore[arg-type]


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    async with fake_provider() as fake:
        yield fake


@pytest.fixture
def bench(fake: FakeProvider) -> Bench:
    """A provider and nothing below it."""
    return Bench(provider=Configured(fake.url, KEY))


class EmbeddedInThread:
    """The real endpoint in its process, supervised from a loop of its own, so that it outlives the loops of tests."""

    def __init__(self, home: Path):
        self._models = EmbeddedModels(home)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="embedded-models", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._wait(self._models.start())
        assert self._wait(self._models.wait_ready(READY_SECONDS))

    def stop(self) -> None:
        self._wait(self._models.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @property
    def url(self) -> str | None:
        return self._models.url

    @property
    def token(self) -> str:
        return self._models.token


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedInThread]:
    """Loaded and serving, for the session."""
    running = EmbeddedInThread(tmp_path_factory.mktemp("embedded"))
    running.start()
    yield running
    running.stop()
