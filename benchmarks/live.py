"""The chat server as its own process, pinned to the first core; its database and the load share the last one."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
SERVER_CORE, OTHER_CORE = 0, (os.cpu_count() or 1) - 1
CORES = f"server on core {SERVER_CORE}; database and load on core {OTHER_CORE}"
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
METRICS_TOKEN = "benchmark"  # noqa: S105 - of a server on loopback that lives for minutes
SETTLE_SECONDS = 2.0
START_SECONDS = 60


@dataclass(frozen=True)
class Live:
    url: str
    process: psutil.Process
    log: Path

    def rss_mib(self) -> float:
        return float(self.process.memory_info().rss) / 1024**2


@contextlib.contextmanager
def free_to_run() -> Iterator[None]:
    """For preparations: on all cores meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def serving(home: Path, settings: Mapping[str, str] | None = None, *, core: int = SERVER_CORE) -> Iterator[Live]:
    """Default settings but for these, and without rate limits: one person of a load test stands for many."""
    home.mkdir(parents=True, exist_ok=True)
    log = home.parent / "server.log"
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "CHATCORE_HOME": str(home),
        "PORT": "0",
        "RATE_LIMITS": "off",
        "METRICS_TOKEN": METRICS_TOKEN,
        "LOG_FORMAT": "json",
        "COLUMNS": "200",
        **(settings or {}),
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "server.py")], cwd=home, env=environment, stdout=out, stderr=out
        )  # fmt: skip
        try:
            yield _ready(process, log, core)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(process: subprocess.Popen[bytes], log: Path, core: int) -> Live:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if found := ADDRESS.search(log.read_text("utf-8", errors="replace")):
            server = psutil.Process(process.pid)
            pin(server, core)
            time.sleep(SETTLE_SECONDS)
            pin(server, core)  # the models' process, which starts last
            return Live(found[0], server, log)
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start:\n{log.read_text('utf-8', errors='replace')[-2_000:]}")


def pin(server: psutil.Process, core: int = SERVER_CORE) -> None:
    """Threads that run already keep the cores they were given, so each is moved."""
    for process, place in [(server, core), *((child, OTHER_CORE) for child in server.children(recursive=True))]:
        for thread in process.threads():
            with contextlib.suppress(OSError):
                os.sched_setaffinity(thread.id, {place})
