"""Several server processes on one embedded database and one Redis, each part a process that may be ended by itself."""

import asyncio
import contextlib
import os
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.live import OTHER_CORE, SERVER_CORE, Live, serving
from chatcore.embedded.broker import find_redis_server
from chatcore.embedded.database import EmbeddedDatabase

SECOND_CORE = min(SERVER_CORE + 1, OTHER_CORE)
CORES = f"servers on cores {SERVER_CORE} and {SECOND_CORE}; database, Redis and load on core {OTHER_CORE}; AI off"
ANSWER_SECONDS = 10.0


class Redis:
    """A redis-server of the installed wheel on a port that it keeps, as one that is restarted is found where it was."""

    def __init__(self, folder: Path):
        program = find_redis_server()
        if program is None:
            raise RuntimeError("no redis-server here: install the extra `redis`")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        settings = {"port": str(self._port), "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": str(folder)}
        self._command = [program, *(part for name, value in settings.items() for part in (f"--{name}", value))]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Returns when it takes connections."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return
            time.sleep(0.01)
        raise RuntimeError("redis-server did not start")

    def kill(self) -> None:
        """As by a crash. A repeat is a no-op."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def database(home: Path) -> Iterator[str]:
    """URI of an embedded database on the cores of this thread; supervised on a loop of its own."""
    home.mkdir(parents=True, exist_ok=True)
    embedded = EmbeddedDatabase(home)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(embedded.start(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(embedded.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Cluster:
    """Servers of one installation: the same database and keys. Without `redis` they are one process alone."""

    def __init__(self, folder: Path, database_uri: str):
        self._folder = folder
        self._shared = {
            "MONGODB_URI": database_uri,
            "ENCRYPTION_SECRET_KEY": secrets.token_urlsafe(32),
            "AI": "off",
        }

    @contextlib.contextmanager
    def alone(self) -> Iterator[Live]:
        with serving(self._folder / "alone" / "home", self._shared) as live:
            yield live

    @contextlib.contextmanager
    def pair(self, redis: Redis) -> Iterator[tuple[Live, Live]]:
        settings = self._shared | {"REDIS_URL": redis.url}
        with ExitStack() as stack:
            first, second = (
                stack.enter_context(serving(self._folder / name / "home", settings, core=core))
                for name, core in (("first", SERVER_CORE), ("second", SECOND_CORE))
            )
            yield first, second


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """On a database of its own, which stays on the load's core also while preparations run on all."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {OTHER_CORE})
    try:
        with database(folder / "database") as uri:
            yield Cluster(folder, uri)
    finally:
        os.sched_setaffinity(0, before)
