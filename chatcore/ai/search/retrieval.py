"""What a person may read now that has to do with a query: candidates by words and by meaning, checked one by one."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chatcore.ai.calls import Called, Feature, Purpose, Served
from chatcore.ai.context import Conversations, GroupFacts, Line
from chatcore.ai.search.door import Door
from chatcore.ai.search.embedding import EmbedsTexts
from chatcore.ai.search.ranking import CANDIDATES, fused
from chatcore.ai.search.vectors import Hit, Scope
from chatcore.errors import CapabilityUnavailable, RateLimited, Unavailable
from chatcore.logs import get_logger
from chatcore.ports import Caller

if TYPE_CHECKING:
    from chatcore.ai.search.library import Library
    from chatcore.ai.search.vectors import Vector

log = get_logger("search")
PATIENCE_SECONDS: Final = 1.5  # for groups that are not in memory yet; they are read on after that
EMBED_SECONDS: Final = 1.5  # a query waits so long for its vector, then goes by words alone
MARGIN: Final = 2  # hits checked beyond those asked for, as some may have been deleted since
BY_WORDS: Final = "keywords"


@dataclass(frozen=True, slots=True)
class Found:
    line: Line
    score: float


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Best first. `served` tells who made the query's vector; `rules` where the words alone decided.

    `incomplete`: some groups are still being read into memory.
    """

    found: Sequence[Found]
    served: Served
    incomplete: bool


class Retrieval:
    """No message leaves here that the caller may not read at this moment, whatever an index says."""

    def __init__(
        self,
        conversations: Conversations,
        models: EmbedsTexts,
        door: Door,
        *,
        user_ai: Callable[[str], Awaitable[bool]],
        patience_seconds: float = PATIENCE_SECONDS,
    ):
        self._conversations = conversations
        self._models = models
        self._door = door
        self._user_ai = user_ai
        self._patience_seconds = patience_seconds

    async def find(
        self, caller: Caller, query: str, groups: Sequence[GroupFacts], limit: int, *, feature: Feature = "search"
    ) -> Retrieved:
        """In these groups, which the caller is a member of. Raises CapabilityUnavailable, Unavailable."""
        library = await self._door.library()
        began = time.monotonic()
        incomplete = await self._open(library, groups)
        scopes = [Scope(facts.group_id, facts.floor) for facts in groups]
        (embedded, by_meaning), by_words = await asyncio.gather(  # the model's process works while the words are ranked
            self._by_meaning(library, caller, query, groups, feature), library.keywords(query, scopes, CANDIDATES)
        )
        found = await self._readable(caller, fused(by_words, by_meaning), {scope.group_id for scope in scopes}, limit)
        served = embedded.served if embedded is not None else by_words_alone(time.monotonic() - began)
        return Retrieved(found, served, incomplete)

    async def _open(self, library: "Library", groups: Sequence[GroupFacts]) -> bool:
        """Whether any group is not ready in time. A group that cannot be read now counts as that too."""
        opening = [
            asyncio.ensure_future(library.open(facts.group_id, facts.latest_seq))
            for facts in groups
            if not library.is_current(facts.group_id, facts.latest_seq)
        ]
        if not opening:
            return False
        done, late = await asyncio.wait(opening, timeout=self._patience_seconds)
        for task in late:
            task.cancel()  # the reading itself is shielded
        await asyncio.gather(*late, return_exceptions=True)
        failed = [task.exception() for task in done if not task.cancelled() and task.exception() is not None]
        if failed and len(failed) == len(groups):
            raise Unavailable from failed[0]
        return bool(late or failed)

    async def _by_meaning(
        self, library: "Library", caller: Caller, query: str, groups: Sequence[GroupFacts], feature: Feature
    ) -> "tuple[Called[Vector] | None, list[Hit]]":
        embedded = await self._embed(library, caller, query, groups, feature)
        return embedded, await self._nearest(library, embedded, groups)

    async def _embed(
        self, library: "Library", caller: Caller, query: str, groups: Sequence[GroupFacts], feature: Feature
    ) -> "Called[Vector] | None":
        """None where no model may be asked, or none answers: the words alone decide then."""
        allowed = [facts for facts in groups if facts.ai]
        if not allowed or not library.space.model:
            return None
        purpose = Purpose(
            feature,
            user_id=caller.user_id,
            group_id=groups[0].group_id if len(groups) == 1 else "",
            user_ai=await self._user_ai(caller.user_id),
            deadline_seconds=EMBED_SECONDS,
        )
        try:
            called = await self._models.embed([query], purpose, space=library.space.model)
        except (CapabilityUnavailable, Unavailable, RateLimited) as refusal:
            log.info("search_by_words_alone", code=refusal.code)
            return None
        if called.served.model != library.space.model:
            return None
        return Called(called.value[0], called.served)

    @staticmethod
    async def _nearest(
        library: "Library", embedded: "Called[Vector] | None", groups: Sequence[GroupFacts]
    ) -> list[Hit]:
        if embedded is None:
            return []
        scopes = [Scope(facts.group_id, facts.floor) for facts in groups if facts.ai]
        return await library.vectors.search(embedded.value, scopes, CANDIDATES)

    async def _readable(self, caller: Caller, hits: Sequence[Hit], groups: set[str], limit: int) -> list[Found]:
        """The best that may be read, looked at in steps, as a step may hold some that may not."""
        found: list[Found] = []
        position, step = 0, limit + MARGIN
        while len(found) < limit and position < len(hits):
            tried = hits[position : position + step]
            position += step
            lines = await self._conversations.by_ids(caller, [hit.message_id for hit in tried])
            found += _scored(lines, tried, groups)
        return found[:limit]


def _scored(lines: Sequence[Line], hits: Sequence[Hit], groups: set[str]) -> list[Found]:
    scores: Mapping[str, float] = {hit.message_id: hit.score for hit in hits}
    return [Found(line, scores[line.message_id]) for line in lines if line.group_id in groups]


def by_words_alone(seconds: float) -> Served:
    return Served("rules", BY_WORDS, True, "", seconds * 1_000, 0, 0, 0.0)
