"""All models, loaded once, and the one thread they run on."""

import asyncio
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

from chatcore.models.completion import Completions
from chatcore.models.embedding import Embedder
from chatcore.models.files import DATA
from chatcore.models.moderation import Moderation
from chatcore.models.refusals import BadRequest, TooBusy
from chatcore.models.replies import Replies, ReplyBank, bank_languages
from chatcore.models.shapes import SmartReplies, SmartRepliesInput

Result = TypeVar("Result")
MAX_WAITING = 512


@dataclass(frozen=True, slots=True)
class Models:
    embedder: Embedder
    moderation: Moderation
    replies: dict[str, Replies]
    completions: Completions

    @classmethod
    def load(cls) -> "Models":
        """About a second; raises ModelFileRefused when a file is not the measured one."""
        languages = bank_languages()
        banks = [ReplyBank.read(DATA / f"replies.{language}.toml") for language in languages]
        models = cls(
            embedder=Embedder(),
            moderation=Moderation.load(),
            replies={language: Replies.load(language) for language in languages},
            completions=Completions(phrase for bank in banks for phrase in bank.phrases),
        )
        models.embedder.embed_one("The first call takes longer than all others.")
        return models

    def suggest(self, asked: SmartRepliesInput) -> SmartReplies:
        if asked.language not in self.replies:
            raise BadRequest(f"no reply bank for this language; there are {', '.join(self.replies)}", param="language")
        return self.replies[asked.language].suggest(asked, self.embedder)


class Urgency(IntEnum):
    """A person waits for `NOW`. `SOON` is moderation of what stands in a group already, `LATER` bulk work; both are
    cut into single texts by their callers."""

    NOW = 0
    SOON = 1
    LATER = 2


class Turnstile:
    """One job at a time on one thread, the urgent before the bulk, in order of arrival among equals."""

    def __init__(self) -> None:
        self._queue: asyncio.PriorityQueue[tuple[int, int, Callable[[], Any], asyncio.Future[Any]]]
        self._queue = asyncio.PriorityQueue(MAX_WAITING)
        self._numbers = itertools.count()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="models")

    async def run(self, urgency: Urgency, job: Callable[[], Result]) -> Result:
        """Raises TooBusy when too many wait, and whatever the job raises. A cancelled caller's job is left out."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((urgency, next(self._numbers), job, done))
        except asyncio.QueueFull:
            raise TooBusy("too many requests are waiting; try again in a second") from None
        return await done

    async def serve(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                _, _, job, done = await self._queue.get()
                if done.cancelled():
                    continue
                try:
                    result = await loop.run_in_executor(self._thread, job)
                except Exception as error:  # noqa: BLE001 - the asker gets it, whatever it is
                    if not done.done():
                        done.set_exception(error)
                else:
                    if not done.done():
                        done.set_result(result)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)
