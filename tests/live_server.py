"""The real server as its own process on a fresh folder: `python server.py`, as a person starts it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


@dataclass(frozen=True)
class LiveServer:
    url: str
    home: Path
    process: subprocess.Popen[str]


def clean_environment(**variables: str) -> dict[str, str]:
    """Without the settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR", "LC_ALL")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"} | variables


@contextmanager
def serving(folder: Path, **variables: str) -> Iterator[LiveServer]:
    home = folder / "home"
    log = (folder / "server.log").open("w")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "server.py")],
        cwd=folder,
        env=clean_environment(CHATCORE_HOME=str(home), PORT="0", LOG_LEVEL="error", **variables),
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        yield LiveServer(_address_of(process, folder), home, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        log.close()


def _address_of(process: subprocess.Popen[str], folder: Path) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := ADDRESS.search(line):
            return found[0]
    raise AssertionError(f"the server did not start:\n{(folder / 'server.log').read_text()}")


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with serving(tmp_path_factory.mktemp("live")) as server:
        yield server
