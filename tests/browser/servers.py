"""A server process on one port for all its lives, for pages that must find it again."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.live_server import clean_environment

ROOT = Path(__file__).parents[2]
START_SECONDS = 60


class KillableServer:
    def __init__(self, folder: Path):
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self.home = folder / "home"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Returns when it is ready to serve."""
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "server.py")],
                cwd=self._folder,
                env=clean_environment(
                    CHATCORE_HOME=str(self.home), PORT=str(self._port), LOG_LEVEL="error", RATE_LIMITS="off"
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until = time.monotonic() + START_SECONDS
        while not self._is_ready():
            assert self._process.poll() is None, (self._folder / "server.log").read_text()
            assert time.monotonic() < until, "the server did not become ready"
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """kill -9: nothing is told to anybody, nothing is finished."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def add_account(self, name: str, password: str, *roles: str) -> None:
        """As an operator does it, beside the running server."""
        options = [word for role in roles for word in ("--role", role)]
        subprocess.run(
            [sys.executable, "-m", "chatcore", "users", "add", name, *options],
            cwd=self._folder,
            env=clean_environment(CHATCORE_HOME=str(self.home)),
            input=f"{password}\n".encode(),
            capture_output=True,
            timeout=START_SECONDS,
            check=True,
        )
