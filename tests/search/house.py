"""A household whose messages can be searched, on memory stores and a model that knows a few words."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chatcore.ai.calls import Called, Purpose, Served
from chatcore.ai.search.records import Space
from chatcore.ai.search.store import MemorySearchStore
from chatcore.ai.search.vectors import Status
from chatcore.app.search import SearchParts, compose_search
from chatcore.contract.people import UpdateMe, UserSettingsChange
from chatcore.contract.search import SearchMessages, SearchResults
from chatcore.errors import CapabilityUnavailable, Unavailable
from chatcore.ports import Caller
from tests.memory import Household

MEANINGS = (
    ("car", "automobile", "vehicle", "drive"),
    ("cat", "kitten", "tomcat", "purr"),
    ("rain", "storm", "umbrella", "weather"),
    ("money", "salary", "pay", "invoice"),
)
MODEL = "a-few-words"


@dataclass
class FewWords:
    """Embeds a text by which of four things it speaks of; the rest of it makes the texts differ a little.

    `down` is an endpoint that does not answer, `refused` are texts it cannot take. `asked` are those it was given, in
    order.
    """

    model: str = MODEL
    down: bool = False
    refused: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    purposes: list[Purpose] = field(default_factory=list)

    async def embed(self, texts: Sequence[str], purpose: Purpose, *, space: str = "") -> Called[Any]:
        if not purpose.group_ai or not purpose.user_ai:
            raise CapabilityUnavailable
        if self.down or space not in ("", self.model):
            raise Unavailable
        if self.refused & set(texts):
            raise Unavailable
        self.asked += texts
        self.purposes.append(purpose)
        served = Served("embedded", self.model, True, "", 1.0, 1, 0, 0.0)
        return Called(np.stack([vector_of(text) for text in texts]), served)


def vector_of(text: str) -> Any:
    spoken = text.lower()
    vector = np.zeros(8, np.float32)
    for place, words in enumerate(MEANINGS):
        vector[place] = sum(word in spoken for word in words)
    vector[4 + sum(map(ord, text)) % 4] = 0.3
    return vector / np.linalg.norm(vector)


class SearchHouse(Household):
    """`works` gives every message its vector; `restarts` forgets what a process has in memory."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.few_words = FewWords()
        self.left_behind: list[SearchParts] = []
        self.search_store = MemorySearchStore(self.journal)
        self.space = Space(MODEL)
        self.restarts()

    def restarts(self, model: str = MODEL, *, in_clear: bool = False) -> None:
        self.left_behind.append(self.search)
        self.few_words.model = model
        self.space = Space(model, in_clear)
        self.services.messages.changes._listeners.clear()
        self.search = compose_search(
            store=self.search_store, space=self.space, vault=self.vault, rooms=self.rooms, identity=self.identity,
            groups=self.services.groups, messages=self.services.messages, conversations=self.conversations,
            models=self.few_words, prompted=self.prompted, ledger=self.ledger, owner="house",
        )  # fmt: skip

    async def group(self, *args: Any, **fields: Any) -> str:
        group_id = await super().group(*args, **fields)
        self.search_store.has_group(group_id)
        return group_id

    async def declines_ai(self, caller: Caller) -> None:
        await self.services.identity.update_me(caller, UpdateMe(settings=UserSettingsChange(ai=False)))

    async def works(self) -> None:
        assert self.search.embedder is not None
        self.search.embedder._pause = _at_once
        await self.search.embedder.wake_all()
        await self.search.embedder.drain()

    async def finds(self, caller: Caller, query: str, group_id: str | None = None, limit: int = 20) -> list[str]:
        """The contents found, best first."""
        return [result.content for result in (await self.searches(caller, query, group_id, limit)).results]

    async def searches(self, caller: Caller, query: str, group_id: str | None = None, limit: int = 20) -> SearchResults:
        request = SearchMessages(query=query, group_id=group_id, limit=limit)
        return await self.search.search.search(caller, request)

    async def vectors(self, group_id: str) -> dict[int, str]:
        """Log positions whose messages have a vector that fits them, with its model."""
        lines = await self.search_store.window(group_id, 0, 10_000)
        return {
            line.seq: line.vector.space.model
            for line in lines
            if line.vector is not None and line.searchable and line.vector.rev == line.rev
        }

    def in_memory(self) -> Status:
        library = self.search.door.known
        return library.status() if library is not None else Status("none")

    async def __aexit__(self, *args: Any) -> None:
        for parts in self.left_behind:
            await parts.close()
        await super().__aexit__(*args)


async def _at_once(_: float) -> None:
    return None
