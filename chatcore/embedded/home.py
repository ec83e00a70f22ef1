"""The embedded database's folder: who holds it, which version wrote it, its password, and where it runs.

CHATCORE_HOME/
  runtime.json          0600  the running server: process, port; gone after a stop
  database/             0700
    lock                held by the supervising process and by the database itself (the child inherits it)
    stamp.json          engine, version, and whether the first start got to its end
    password            0600
    secantusd.toml      empty: keeps the daemon from a configuration of the current folder or the user's home
    database.log
    data/               the engine's own files
"""

import asyncio
import fcntl
import json
import os
import secrets
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import psutil

ENGINE = "secantusdb"
USER = "chatcore"
LOCK_WAIT_SECONDS = 15.0  # after a killed parent the child needs a moment to go
HOLDER_GRACE_SECONDS = 0.5  # and so does the parent itself, after the kill was sent


class EmbeddedRefused(Exception):
    """The embedded database must not or cannot start; the message says why and what to do."""


class AlreadyRunning(EmbeddedRefused):
    """Another process serves this folder."""

    def __init__(self, home: Path, pid: int):
        self.pid = pid
        super().__init__(
            f"process {pid} already runs the embedded database of {home}; stop it, or set another CHATCORE_HOME"
        )


class WrongVersion(EmbeddedRefused):
    """Another version of the engine wrote this folder. Its format has no guarantee across versions."""

    def __init__(self, folder: Path, written: str, installed: str):
        super().__init__(
            f"{folder} was written by {ENGINE} {written}, but {installed} is installed. "
            f"Install {ENGINE}=={written} and run `python -m chatcore backup FILE`; "
            f"then install {ENGINE}=={installed}, move {folder} away and run `python -m chatcore restore FILE`"
        )


@dataclass(frozen=True, slots=True)
class Stamp:
    """`preparing` until the first authenticated answer: up to then nothing was served and all may be made again."""

    engine: str
    version: str
    state: Literal["preparing", "ready"]


@dataclass(frozen=True, slots=True)
class Process:
    """A process that is still the same one: numbers are used again, so its time of start counts too."""

    pid: int
    started: float

    @classmethod
    def current(cls) -> "Process":
        return cls(os.getpid(), psutil.Process().create_time())

    def alive(self) -> bool:
        try:
            found = psutil.Process(self.pid)
            return abs(found.create_time() - self.started) < 1.0 and found.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


class DatabaseFolder:
    """The files beside the engine's own. Everything is readable by the owner alone, and replaced as a whole."""

    def __init__(self, home: Path):
        self.home = home
        self.root = home / "database"
        self.data = self.root / "data"
        self.config = self.root / "secantusd.toml"
        self.log = self.root / "database.log"
        self._stamp, self._password = self.root / "stamp.json", self.root / "password"
        self._lock, self._runtime = self.root / "lock", home / "runtime.json"

    async def lock(self) -> int:
        """Hold the folder; returns the descriptor that the child inherits. Waits for a child without a parent.

        Raises AlreadyRunning when the holder is alive and stays so for half a second.
        """
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.root.chmod(0o700)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await self._wait_for_lock(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(Process.current())).encode(), 0)
        return descriptor

    async def _wait_for_lock(self, descriptor: int) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _holder(os.pread(descriptor, 4096, 0))
                waited = loop.time() - began
                if waited > HOLDER_GRACE_SECONDS and holder is not None and holder.alive():
                    raise AlreadyRunning(self.home, holder.pid) from None
                if waited > LOCK_WAIT_SECONDS:
                    raise EmbeddedRefused(
                        f"a database process still holds {self.root}; end it and start again"
                    ) from None
                await asyncio.sleep(0.1)
            else:
                return

    def check(self, installed: str) -> Stamp | None:
        """The stamp, or None for a new folder. Raises WrongVersion, or EmbeddedRefused for a foreign folder."""
        if not self._stamp.exists():
            if self.data.exists() and any(self.data.iterdir()):
                raise EmbeddedRefused(
                    f"{self.data} holds a database without {self._stamp.name}; move it away to start anew"
                )
            return None
        stamp = Stamp(**json.loads(self._stamp.read_text("utf-8")))
        if (stamp.engine, stamp.version) != (ENGINE, installed):
            raise WrongVersion(self.root, stamp.version, installed)
        if stamp.state == "ready" and not (self.data.is_dir() and self._password.is_file()):
            raise EmbeddedRefused(f"{self.root} lost its data or its password; restore a backup into a fresh folder")
        return stamp

    def prepare(self, version: str) -> str:
        """Begin the first start, or begin it again; returns the new password."""
        self.stamp(Stamp(ENGINE, version, "preparing"))
        if self.data.exists():
            shutil.rmtree(self.data)
        self.data.mkdir(mode=0o700)
        password = secrets.token_urlsafe(32)
        write_private(self._password, password)
        return password

    def stamp(self, stamp: Stamp) -> None:
        write_private(self._stamp, json.dumps(asdict(stamp)))

    def password(self) -> str:
        return self._password.read_text("utf-8").strip()

    def announce(self, port: int) -> None:
        write_private(self._runtime, json.dumps({**asdict(Process.current()), "databasePort": port}))

    def withdraw(self) -> None:
        self._runtime.unlink(missing_ok=True)

    def uri(self, port: int) -> str:
        return f"mongodb://{USER}:{self.password()}@127.0.0.1:{port}/?authSource=admin&directConnection=true"


def find_running_database(home: Path) -> str | None:
    """The URI (with the password) of the embedded database that another process of this user serves from `home`."""
    folder = DatabaseFolder(home)
    try:
        told = json.loads((home / "runtime.json").read_text("utf-8"))
        running = Process(told["pid"], told["started"]).alive()
        return folder.uri(told["databasePort"]) if running else None
    except (FileNotFoundError, ValueError, KeyError):
        return None


def write_private(path: Path, text: str) -> None:
    """Replace the file as a whole, mode 0600, on disk before this returns."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _holder(text: bytes) -> Process | None:
    try:
        return Process(**json.loads(text))
    except (ValueError, TypeError):
        return None
