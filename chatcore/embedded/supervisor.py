"""A child process that we start, watch, start again when it dies, and never leave behind."""

import asyncio
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chatcore.logs import get_logger

State = Literal["stopped", "starting", "running", "restarting"]
SHIM = Path(__file__).with_name("shim.py")
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 10.0
STEADY_SECONDS = 30.0  # a child that lived this long starts again without a pause
MAX_LOG_BYTES = 5 * 1024 * 1024
TAIL_LINES = 12
log = get_logger("embedded")


class ProcessFailed(Exception):
    """The child ended, or did not become ready in time; the message ends with its last log lines."""


@dataclass(frozen=True, slots=True)
class Health:
    """For readiness: only `running` is good. `restarts` counts since the start."""

    state: State
    pid: int | None
    restarts: int
    last_exit_code: int | None


class SupervisedProcess:
    """`command(port)` is the whole argument list, program first; secrets do not belong there, everyone can read it.

    `ready(port)` returns once the child serves and raises while it does not; it is called again until
    `ready_seconds` are over. A child that ends early with `retry_when` in its log is started again for
    `retry_seconds` (its folder is still locked by a predecessor). The port is chosen once, so that clients find a
    restarted child again. `keep_open` are file descriptors that the child inherits.

    Must be started on the thread that runs the loop and lives as long as the child should: on Linux the kernel ends
    the child together with that thread.
    """

    def __init__(
        self,
        name: str,
        *,
        command: Callable[[int], Sequence[str]],
        ready: Callable[[int], Awaitable[object]],
        log_file: Path,
        ready_seconds: float = 30.0,
        stop_seconds: float = 3.0,
        retry_when: re.Pattern[str] | None = None,
        retry_seconds: float = 15.0,
        keep_open: Sequence[int] = (),
        on_restart: Callable[[], Awaitable[object]] | None = None,
        bound_by_kernel: bool = sys.platform == "linux",
    ):
        self.name, self.port = name, 0
        self._command, self._ready, self._log_file = command, ready, log_file
        self._ready_seconds, self._stop_seconds = ready_seconds, stop_seconds
        self._retry_when, self._retry_seconds = retry_when, retry_seconds
        self._keep_open, self._on_restart, self._bound_by_kernel = tuple(keep_open), on_restart, bound_by_kernel
        self._state: State = "stopped"
        self._process: Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._restarts = 0
        self._last_exit_code: int | None = None
        self._log_start = 0

    @property
    def health(self) -> Health:
        pid = self._process.pid if self._process and self._process.returncode is None else None
        return Health(self._state, pid, self._restarts, self._last_exit_code)

    async def start(self) -> int:
        """Start and wait until it is ready; returns the port. Raises ProcessFailed."""
        if self._state != "stopped":
            raise RuntimeError(f"{self.name} is already started")
        self._state, self.port = "starting", _free_port()
        try:
            await self._launch()
        except BaseException:
            self._state = "stopped"
            raise
        self._state = "running"
        self._watcher = asyncio.create_task(self._keep_alive(), name=f"supervise:{self.name}")
        return self.port

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when it is not gone after `stop_seconds`. A repeat is a no-op."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """SIGKILL at once, as a power cut of this one process; it is not started again."""
        await self._end(signal.SIGKILL)

    async def _end(self, how: signal.Signals) -> None:
        self._state = "stopped"
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
            self._watcher = None
        await self._reap(how)

    async def _keep_alive(self) -> None:
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = loop.time()
            assert self._process is not None
            self._last_exit_code = await self._process.wait()
            self._state = "restarting"
            log.error("child_died", child=self.name, exit_code=self._last_exit_code)
            if loop.time() - began > STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            pause = await self._restart(pause)
            self._restarts += 1
            self._state = "running"
            log.warning("child_restarted", child=self.name, count=self._restarts)
            await self._tell_restart()

    async def _restart(self, pause: float) -> float:
        """Try until it is ready, whatever goes wrong; returns the pause that the next restart begins with."""
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            try:
                await self._launch()
            except Exception:
                log.exception("child_not_restarted", child=self.name)
            else:
                return pause

    async def _tell_restart(self) -> None:
        """A listener's fault must not end the supervision."""
        if self._on_restart is None:
            return
        try:
            await self._on_restart()
        except Exception:
            log.exception("restart_listener_failed", child=self.name)

    async def _launch(self) -> None:
        deadline = asyncio.get_running_loop().time() + self._retry_seconds
        while True:
            try:
                await self._launch_once()
            except ProcessFailed:
                late = asyncio.get_running_loop().time() > deadline
                if late or self._retry_when is None or not self._retry_when.search(self._log_since_launch()):
                    raise
                await asyncio.sleep(0.2)
            else:
                return

    async def _launch_once(self) -> None:
        self._process = await self._spawn()
        ended = asyncio.create_task(self._process.wait())
        ready = asyncio.create_task(self._until_ready())
        try:
            await asyncio.wait({ended, ready}, timeout=self._ready_seconds, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise ProcessFailed(self._explain(f"ended with exit code {ended.result()} before it was ready"))
            if not ready.done():
                raise ProcessFailed(self._explain(f"was not ready after {self._ready_seconds:g} s"))
            ready.result()
        except BaseException:
            await self._reap(signal.SIGKILL)
            raise
        finally:
            ended.cancel()
            ready.cancel()
            await asyncio.gather(ended, ready, return_exceptions=True)

    async def _until_ready(self) -> None:
        while True:
            try:
                await self._ready(self.port)
            except (OSError, NotReady):
                await asyncio.sleep(0.02)
            else:
                return

    async def _spawn(self) -> Process:
        mode = "signal" if self._bound_by_kernel else "watch"
        command = [sys.executable, "-I", "-S", str(SHIM), mode, str(os.getpid()), *self._command(self.port)]
        output = self._open_log()
        try:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=DEVNULL if self._bound_by_kernel else PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C goes to the terminal's group: we drain first, then stop the child
                pass_fds=self._keep_open,
            )
        finally:
            os.close(output)

    def _open_log(self) -> int:
        with suppress(FileNotFoundError):
            if self._log_file.stat().st_size > MAX_LOG_BYTES:
                self._log_file.replace(self._log_file.with_suffix(".old.log"))
        output = os.open(self._log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._log_start = os.fstat(output).st_size
        return output

    async def _reap(self, how: signal.Signals) -> None:
        """Ends the whole process group, so that a watching shim cannot leave its command behind."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        try:
            async with asyncio.timeout(self._stop_seconds):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        finally:
            if process.stdin is not None:
                process.stdin.close()

    def _log_since_launch(self) -> str:
        with self._log_file.open("rb") as lines:
            lines.seek(max(self._log_start, lines.seek(0, os.SEEK_END) - 16_384))
            return lines.read().decode("utf-8", "replace")

    def _explain(self, what: str) -> str:
        tail = "\n".join(self._log_since_launch().splitlines()[-TAIL_LINES:])
        return f"{self.name} {what}; its last lines in {self._log_file}:\n{tail or '(none)'}"


class NotReady(Exception):
    """For a `ready` function: it answers, but does not serve yet."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
