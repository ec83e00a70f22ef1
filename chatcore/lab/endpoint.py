"""The models behind notebooks: the provider of OPENAI_API_KEY or OPENAI_BASE_URL, else small ones on this machine.

from chatcore.lab import endpoint
called = endpoint.run(endpoint.models().embed(["hello"], Purpose("search")))

One for the process, started at first use, with the same ladder as the server's; it ends with the kernel.
"""

import asyncio
import atexit
import tempfile
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

from chatcore import logs
from chatcore.ai.prompts.runtime import Runtimes
from chatcore.ai.provider.budget import Budget
from chatcore.ai.provider.models import Models
from chatcore.ai.provider.store import MemoryBudgetStore
from chatcore.app.ai import has_embedded_models, has_provider, make_models, why_disabled
from chatcore.embedded.models import EmbeddedModels
from chatcore.lab.loops import LoopThread
from chatcore.lab.surroundings import Settings, settings
from chatcore.metrics import Metrics

T = TypeVar("T")
READY_SECONDS: Final = 90.0  # a cold disk and busy cores; warm it takes two seconds
STOP_SECONDS: Final = 20.0
_lock = threading.Lock()
_running: "Running | None" = None


class ModelsNotThere(Exception):
    """No model can be asked here; the message says why and what to do."""


class Running:
    """The models with the loop they live on. Raises ModelsNotThere where none came up."""

    def __init__(self, ours: Settings):
        if why := why_disabled(ours):
            raise ModelsNotThere(why)
        self.thread = LoopThread("chatcore-models")
        self._home = tempfile.TemporaryDirectory(prefix="chatcore-models-")
        self._embedded = EmbeddedModels(Path(self._home.name)) if has_embedded_models() else None
        # A notebook's own count: what it may spend in all is the operator's setting, whatever the day has seen so far.
        budget = Budget(MemoryBudgetStore(), daily=ours.ai_daily_tokens, daily_per_user=None, person=str)
        self.models = make_models(ours, self._embedded, budget, Metrics(), Runtimes())
        try:
            self.thread.run(self._start(ours), timeout_seconds=READY_SECONDS + 5)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int | None:
        """Of the process of the embedded models."""
        return self._embedded.health.pid if self._embedded else None

    async def _start(self, ours: Settings) -> None:
        """A provider can be asked at once; without one there is nothing to ask until the embedded models serve."""
        if self._embedded is None:
            if not has_provider(ours):
                raise ModelsNotThere("the embedded models are not installed; set OPENAI_API_KEY, or add chatcore[ai]")
            return
        await self._embedded.start()
        if not await self._embedded.wait_ready(READY_SECONDS) and not has_provider(ours):
            log = Path(self._home.name) / "models" / "models.log"
            tail = log.read_text("utf-8", "replace")[-1_000:] if log.exists() else ""
            raise ModelsNotThere(f"the embedded models did not serve within {READY_SECONDS:g} s\n{tail}")

    async def _stop(self) -> None:
        await self.models.close()
        if self._embedded is not None:
            await self._embedded.stop()

    def close(self) -> None:
        try:
            self.thread.run(self._stop(), timeout_seconds=STOP_SECONDS)
        finally:
            self.thread.close()
            self._home.cleanup()


def running() -> Running:
    """Started by whoever asks first. Raises ModelsNotThere, BadSettings."""
    global _running  # noqa: PLW0603 - one for the process, as its name says
    with _lock:
        if _running is None:
            logs.set_up("error")
            _running = Running(settings())
            atexit.register(close)
        return _running


def models() -> Models:
    """To be asked through `run` or `elsewhere` alone: its connections belong to the loop of this module."""
    return running().models


def run(work: Coroutine[Any, Any, T], *, timeout_seconds: float | None = None) -> T:
    """Waits in a cell for what a coroutine about `models()` gives."""
    return running().thread.run(work, timeout_seconds=timeout_seconds)


async def elsewhere(work: Coroutine[Any, Any, T]) -> T:
    """The same, awaited on another loop, as solvers of `lab.evaluate` run on."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, running().thread.loop))


def close() -> None:
    """Ends the process of the models; a repeat does nothing, and the next use starts them again."""
    global _running
    with _lock:
        if _running is not None:
            atexit.unregister(close)
            ended, _running = _running, None
            ended.close()
