"""Fixtures of tests that need a listening server: one for the session in this process, one as a process of its own."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
import uvloop

from chatcore.app import Chat, open_chat
from chatcore.settings import Settings
from tests.talking import People

T = TypeVar("T")
ROOT = Path(__file__).parent.parent
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
START_SECONDS = 60


class ServerInThread:
    """The real server with its embedded database on a loop of its own, so that it outlives the loops of the tests.

    In this process, so that a test may look at what the server holds in memory, and so that the guard of the queries
    sees what it asks the database.
    """

    def __init__(self, home: Path, **settings: Any):
        """Without models, as they take seconds and 300 MB; `ai=True` starts them."""
        plain = {"port": 0, "rate_limits": False, "log_level": "error", "metrics_token": "scrape", "ai": False}
        self._settings = Settings(_env_file=None, chatcore_home=home, **(plain | settings))
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chat-server", daemon=True)
        self._context = open_chat(self._settings)
        self.chat: Chat

    def start(self) -> None:
        self._thread.start()
        self.chat = self._wait(self._context.__aenter__())

    def stop(self) -> None:
        self._wait(self._context.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_SECONDS)
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_SECONDS)

    async def inside(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the server's own loop, where its parts live."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    @property
    def url(self) -> str:
        return self.chat.url


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerInThread]:
    running = ServerInThread(tmp_path_factory.mktemp("server") / "home")
    running.start()
    yield running
    running.stop()


@asynccontextmanager
async def people_of(url: str) -> AsyncIterator[People]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        people = People(url, http)
        yield people
        await people.close()


@pytest.fixture
async def people(server: ServerInThread) -> AsyncIterator[People]:
    """Fresh people on the session's server."""
    async with people_of(server.url) as fresh:
        yield fresh


@dataclass(frozen=True)
class ServerProcess:
    """`python server.py` with everything it writes in `log`; started as by a person, at the most talkative level."""

    url: str
    home: Path
    log: Path
    process: subprocess.Popen[bytes]

    def written(self) -> str:
        return self.log.read_text(errors="replace")


def start_process(folder: Path, **variables: str) -> ServerProcess:
    """On a free port, with the data in `folder/home`. Raises AssertionError with the log where it does not start."""
    log = folder / "server.log"
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    environment = kept | {"CHATCORE_HOME": str(folder / "home"), "PORT": "0", "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "server.py")],
            cwd=folder,
            env=environment | {"LOG_LEVEL": "debug", "LOG_FORMAT": "json"} | variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return ServerProcess(_address_in(log, process), folder / "home", log, process)


def _address_in(log: Path, process: subprocess.Popen[bytes]) -> str:
    waited = threading.Event()
    for _ in range(START_SECONDS * 20):
        if found := ADDRESS.search(log.read_text(errors="replace")):
            return found[0]
        if process.poll() is not None:
            break
        waited.wait(0.05)
    stop_process(process)
    raise AssertionError(f"the server did not start:\n{log.read_text(errors='replace')}")


def stop_process(process: subprocess.Popen[bytes]) -> int:
    """In order, or by force after a while; returns the exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


@pytest.fixture(scope="session")
def server_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """For hostile input and for what must not be written down. Without rate limits, as a test is faster than people."""
    running = start_process(tmp_path_factory.mktemp("process"), RATE_LIMITS="off", METRICS_TOKEN="scrape", AI="off")
    yield running
    stop_process(running.process)


@pytest.fixture
async def strangers(server_process: ServerProcess) -> AsyncIterator[People]:
    """Fresh people on the server process."""
    async with people_of(server_process.url) as fresh:
        yield fresh
