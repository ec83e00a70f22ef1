"""`python -m chatcore ...` as a child process, talked to by lines."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.live_server import clean_environment

PATIENCE_SECONDS = 20.0


class Terminal:
    """What a person types and reads."""

    def __init__(self, process: asyncio.subprocess.Process):
        self._process = process
        self.seen: list[str] = []

    async def type(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()

    async def sees(self, pattern: str) -> str:
        """The next line, or one already read, that matches; each line is found once."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                for place, line in enumerate(self.seen):
                    if re.search(pattern, line):
                        del self.seen[: place + 1]
                        return line
                await self._read()

    async def leave(self) -> int:
        """Close the input and wait for the end; all further output is in `seen`."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self._read(until_end=True):
                pass
            return await self._process.wait()

    async def _read(self, *, until_end: bool = False) -> bool:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line and not until_end:
            raise AssertionError(f"the program ended; last lines: {self.seen[-5:]}")
        self.seen.append(line.decode().rstrip("\n"))
        return bool(line)


@asynccontextmanager
async def chatting(url: str, folder: Path, *arguments: str, **variables: str) -> AsyncIterator[Terminal]:
    """`chat` in plain lines, ready to talk."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chatcore", "chat", "--url", url, *arguments),
        cwd=folder,
        env=clean_environment(**variables),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    terminal = Terminal(process)
    try:
        await terminal.sees(r"\* you are ")
        yield terminal
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def run_command(folder: Path, *arguments: str, typed: str = "", **variables: str) -> tuple[int, str]:
    """Exit status and everything printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chatcore", *arguments),
        cwd=folder,
        env=clean_environment(**variables),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate(typed.encode())
    assert process.returncode is not None
    return process.returncode, output.decode()
