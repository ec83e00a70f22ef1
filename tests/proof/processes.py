"""Server processes that are killed and started again on the same data and the same port."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

ROOT = Path(__file__).parent.parent.parent
LAUNCHER = Path(__file__).with_name("launcher.py")
START_SECONDS = 60.0
END_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Launcher:
    """`launcher.py` as a process, which forks the servers."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(LAUNCHER)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def order(self, **order: Any) -> int:
        return await asyncio.to_thread(self._order, order)

    def _order(self, order: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(END_SECONDS)
        self._process.stdout.close()


@dataclass(eq=False)
class ServerProcess:
    """A server on `home`, on one port for all its lives. `variables` are its settings."""

    home: Path
    variables: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    launcher: Launcher = field(default_factory=Launcher)
    pid: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.home.parent / f"server-{self.port}.log"

    async def start(self, variant: str = "", *, ready: bool = True) -> None:
        """Returns when it is ready to serve, with `ready=False` at once."""
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        environment = kept | {
            "CHATCORE_HOME": str(self.home),
            "PORT": str(self.port),
            "LOG_LEVEL": "error",
            "AI": "off",
        }
        self.pid = await self.launcher.order(
            do="start",
            variant=variant,
            environment=environment | {"RATE_LIMITS": "off"} | self.variables,
            folder=str(self.home.parent),
            log=str(self.log),
        )
        if ready:
            async with asyncio.timeout(START_SECONDS):
                while await self.health("ready") != 200:
                    assert psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE, self.written()
                    await asyncio.sleep(0.03)

    def written(self) -> str:
        return self.log.read_text(errors="replace")[-4_000:]

    async def health(self, which: str) -> int:
        """Status of `/health/live` or `/health/ready`; 0 where nobody answers."""
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{self.url}/health/{which}") as answer:
                return answer.status
        except (aiohttp.ClientError, OSError):
            return 0

    def database_child(self) -> psutil.Process:
        (child,) = psutil.Process(self.pid).children()
        return child

    async def ended(self) -> int:
        """Its exit code, once it has one."""
        pid, self.pid = self.pid, None
        async with asyncio.timeout(END_SECONDS):
            return await self.launcher.order(do="wait", server=pid)

    async def end(self, how: signal.Signals) -> int:
        assert self.pid is not None
        os.kill(self.pid, how)
        return await self.ended()

    async def kill(self) -> None:
        assert await self.end(signal.SIGKILL) == -signal.SIGKILL

    async def stop(self) -> int:
        return await self.end(signal.SIGTERM)

    async def close(self) -> None:
        if self.pid is not None:
            await self.kill()
        self.launcher.close()
