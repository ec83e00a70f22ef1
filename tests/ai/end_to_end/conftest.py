"""Two servers for the session, with the models that ship or with a provider, and people who connect to it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.ai.fake_provider import KEY, FakeProvider, fake_provider
from tests.servers import ServerInThread, people_of
from tests.talking import People

READY_SECONDS = 60


class FakeInThread:
    """A provider on a loop of its own: there before the server starts, and after it has ended."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-provider", daemon=True)
        self._context = fake_provider()

    def start(self) -> FakeProvider:
        self._thread.start()
        return asyncio.run_coroutine_threadsafe(self._context.__aenter__(), self._loop).result(READY_SECONDS)

    def stop(self) -> None:
        leaving = self._context.__aexit__(None, None, None)
        asyncio.run_coroutine_threadsafe(leaving, self._loop).result(READY_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(READY_SECONDS)
        self._loop.close()


@contextmanager
def serving(home: Path, **settings: Any) -> Iterator[ServerInThread]:
    running = ServerInThread(home, ai=True, **settings)
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def provider() -> Iterator[FakeProvider]:
    thread = FakeInThread()
    yield thread.start()
    thread.stop()


@pytest.fixture(scope="session")
def own_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerInThread]:
    """Without any key."""
    with serving(tmp_path_factory.mktemp("own") / "home") as server:
        yield server


@pytest.fixture(scope="session")
def with_provider(tmp_path_factory: pytest.TempPathFactory, provider: FakeProvider) -> Iterator[ServerInThread]:
    """It waits long for its provider, so that a test decides when that answers."""
    home = tmp_path_factory.mktemp("provided") / "home"
    with serving(home, openai_api_key=KEY, openai_base_url=provider.url, ai_timeout_seconds=60) as server:
        yield server


@pytest.fixture(scope="session", params=["own_models", "with_provider"])
def ai_server(request: pytest.FixtureRequest) -> ServerInThread:
    """The same promises with the models that ship and with a provider."""
    running: ServerInThread = request.getfixturevalue(request.param)
    return running


async def ready(server: ServerInThread) -> None:
    """Once its own models serve and the first tier of moderation is loaded; the chat has been up before them."""
    embedded = server.chat.core.ai.embedded
    assert embedded is not None
    assert await server.inside(embedded.wait_ready(READY_SECONDS))
    await server.inside(server.chat.core.moderation.first.prepare())


@pytest.fixture
async def ai_people(ai_server: ServerInThread) -> AsyncIterator[People]:
    await ready(ai_server)
    async with people_of(ai_server.url) as fresh:
        yield fresh
