"""What this process has to say, until the broker takes it: bounded, so that a broker that hangs costs no memory."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

MAX_WORDS: Final = 10_000
BATCH_WORDS: Final = 500
BATCH_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Said:
    """`group_id` is empty for what goes to all processes."""

    channel: str
    group_id: str
    word: bytes


class Outbox:
    """Oldest first out, and oldest first dropped; of which groups something was dropped is kept in `lost`."""

    def __init__(self, max_words: int = MAX_WORDS):
        self._max_words = max_words
        self._waiting: deque[Said] = deque()
        self._filled = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.lost: set[str] = set()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, said: Said) -> None:
        if len(self._waiting) >= self._max_words:
            self.drop([self._waiting.popleft()])
        self._waiting.append(said)
        self._filled.set()
        self._empty.clear()

    def drop(self, words: list[Said]) -> None:
        self.dropped += len(words)
        self.lost.update(said.group_id for said in words if said.group_id)

    async def take(self) -> list[Said]:
        """Waits for something; what queued up meanwhile goes together."""
        await self._filled.wait()
        batch: list[Said] = []
        size = 0
        while self._waiting and len(batch) < BATCH_WORDS and size < BATCH_BYTES:
            batch.append(self._waiting.popleft())
            size += len(batch[-1].word)
        if not self._waiting:
            self._filled.clear()
        return batch

    def sent(self) -> None:
        """What was taken last is out."""
        if not self._waiting:
            self._empty.set()

    async def until_empty(self) -> None:
        await self._empty.wait()
