"""The embedded model endpoint: what answers AI calls when no provider is configured.

It starts late: `start` returns at once and the chat serves while the models load. It may never come (a package is
missing, memory is short): then `health` says so, and callers fall back.
"""

import asyncio
import contextlib
import json
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout

from chatcore.embedded.home import write_private
from chatcore.embedded.supervisor import Health, NotReady, ProcessFailed, SupervisedProcess
from chatcore.logs import get_logger

ENDPOINT_FILE = "endpoint.json"
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
LOOK_SECONDS = 1.0
READY_SECONDS = 60.0  # a cold disk and two busy cores; warm it takes about two seconds
PING_TIMEOUT = ClientTimeout(total=2.0)
log = get_logger("embedded")


class EmbeddedModels:
    """One endpoint under `home`; its token is new at each start and stands in a file of the owner's alone.

    `shared`: other processes of the same owner find it by `SharedModels`.
    """

    def __init__(self, home: Path, *, python: str = sys.executable, shared: bool = False):
        self._folder = home / "models"
        self._python, self._shared = python, shared
        self._token = ""
        self._process: SupervisedProcess | None = None
        self._starting: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    @property
    def health(self) -> Health:
        return self._process.health if self._process else Health("stopped", None, 0, None)

    @property
    def url(self) -> str | None:
        """The base URL for OpenAI's clients, or None while the endpoint does not serve."""
        if self._process is None or self._process.health.state != "running":
            return None
        return f"http://127.0.0.1:{self._process.port}/v1"

    @property
    def token(self) -> str:
        """The key that goes with `url`: keep it out of logs."""
        return self._token

    async def start(self) -> None:
        """Returns at once; the endpoint comes up in the background and is tried again when it does not."""
        if self._starting is not None:
            raise RuntimeError("the embedded models are already started")
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder.chmod(0o700)
        (self._folder / ENDPOINT_FILE).unlink(missing_ok=True)  # of a process that was killed
        self._token = secrets.token_urlsafe(32)
        await asyncio.to_thread(write_private, self._token_file, self._token)
        self._process = self._supervised()
        self._starting = asyncio.create_task(self._come_up(self._process), name="start:embedded-models")

    async def wait_ready(self, timeout_seconds: float) -> bool:
        """Whether it serves within that time; for tools and tests, never for the chat."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), timeout_seconds)
        return self.url is not None

    async def stop(self) -> None:
        """A repeat is a no-op."""
        if self._starting is None or self._process is None:
            return
        self._starting.cancel()
        await asyncio.gather(self._starting, return_exceptions=True)
        await self._process.stop()
        self._ready.clear()
        self._token_file.unlink(missing_ok=True)
        (self._folder / ENDPOINT_FILE).unlink(missing_ok=True)
        self._process = self._starting = None

    @property
    def _token_file(self) -> Path:
        return self._folder / "token"

    async def _come_up(self, process: SupervisedProcess) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await process.start()
            except (ProcessFailed, OSError) as error:
                log.warning("models_not_started", child=process.name, error=type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            else:
                await self._tell_where()
                self._ready.set()
                return

    async def _tell_where(self) -> None:
        """The port stays when the endpoint is started again, so this is said once."""
        if self._shared:
            where = json.dumps({"url": self.url, "token": self._token})
            await asyncio.to_thread(write_private, self._folder / ENDPOINT_FILE, where)

    def _supervised(self) -> SupervisedProcess:
        return SupervisedProcess(
            "embedded-models",
            command=self._command,
            ready=self._require_serving,
            log_file=self._folder / "models.log",
            ready_seconds=READY_SECONDS,
        )

    def _command(self, port: int) -> Sequence[str]:
        options = ("--port", str(port), "--token-file", str(self._token_file))
        return [self._python, "-m", "chatcore.models.server", *options]

    async def _require_serving(self, port: int) -> None:
        """Raises NotReady until the models answer; only our child knows the token, so a stranger on the port fails."""
        url, key = f"http://127.0.0.1:{port}/health", {"Authorization": f"Bearer {self._token}"}
        try:
            async with ClientSession(timeout=PING_TIMEOUT) as session, session.get(url, headers=key) as answer:
                if answer.status != 200:
                    raise NotReady(f"the model endpoint answers {answer.status}")
        except (ClientError, TimeoutError) as error:
            raise NotReady(str(error)) from error


class SharedModels:
    """The endpoint that another process under the same `home` runs, such as the supervisor of several servers."""

    def __init__(self, home: Path):
        self._file = home / "models" / ENDPOINT_FILE
        self._found = {"url": "", "token": ""}
        self._looked = float("-inf")

    @property
    def url(self) -> str | None:
        """None until it is ready; looked for once a second, in one small file."""
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            try:
                self._found = json.loads(self._file.read_text("utf-8"))
            except (OSError, ValueError):
                self._found = {"url": "", "token": ""}
        return self._found["url"] or None

    @property
    def token(self) -> str:
        return self._found["token"]
