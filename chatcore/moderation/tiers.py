"""Three ways to look at a text, by cost: inside this process, a moderation model, a prompt."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from chatcore.ai.calls import Called, Purpose, Served
from chatcore.ai.prompts.versions import PromptVersion
from chatcore.errors import Unavailable
from chatcore.models.categories import OPENAI_NAMES
from chatcore.moderation.records import Evidence, Span, Subject, TierName

if TYPE_CHECKING:
    from chatcore.models.first_tier import FirstLook as Looked
    from chatcore.models.first_tier import FirstTier

FUNCTION: Final = "ModerateMessage"
DEADLINE_SECONDS: Final = 3.0
MOST_TOGETHER: Final = 32
MOST_CHARACTERS: Final = 8_000
HATEFUL: Final = ("racial", "religious", "sexual orientation", "mental", "physical")
RULES: Final = Served("rules", "first-tier", True, "", 0.0, 0, 0, 0.0)


class FirstLook:
    """Known words and linear heads in this process: no wait, no call. Loaded once, in a thread."""

    only_gray = False

    def __init__(self, load: "Callable[[], FirstTier] | None" = None):
        self._load = load
        self._tier: FirstTier | None = None
        self._asking: deque[tuple[str, asyncio.Future[Evidence]]] = deque()

    @property
    def ready(self) -> bool:
        return self._tier is not None

    async def prepare(self) -> None:
        """Raises ModelFileRefused."""
        self._tier = await asyncio.to_thread(self._load or _load)

    def look_now(self, text: str) -> Evidence | None:
        """None until it is loaded."""
        return None if self._tier is None else _evidence(self._tier.look(text))

    async def look_soon(self, text: str) -> Evidence | None:
        """The same for all who ask in one turn of the loop, at the end of it: 75 us for each of many, 118 us alone."""
        if self._tier is None:
            return None
        loop = asyncio.get_running_loop()
        seen: asyncio.Future[Evidence] = loop.create_future()
        self._asking.append((text, seen))
        if len(self._asking) == 1:
            loop.call_soon(self._look_for_all)
        return await seen

    async def look(self, text: str, subject: Subject) -> Evidence:
        seen = await self.look_soon(text)
        if seen is None:
            raise Unavailable("The first tier is still being loaded")
        return seen

    def _look_for_all(self) -> None:
        """So many at once as hold the loop up for some milliseconds; the others after whoever else waits for it."""
        assert self._tier is not None
        asking: list[tuple[str, asyncio.Future[Evidence]]] = []
        characters = 0
        while self._asking and len(asking) < MOST_TOGETHER and characters < MOST_CHARACTERS:
            asking.append(self._asking.popleft())
            characters += len(asking[-1][0])
        if self._asking:
            asyncio.get_running_loop().call_soon(self._look_for_all)
        try:
            looks = self._tier.look_at_all([text for text, _ in asking])
        except Exception:  # noqa: BLE001 - one of them breaks it; the others must not hear of that
            looks = []
        for place, (text, seen) in enumerate(asking):
            if seen.done():
                continue
            try:
                seen.set_result(_evidence(looks[place] if looks else self._tier.look(text)))
            except Exception as error:  # noqa: BLE001 - told to whoever waits
                seen.set_exception(error)


def _evidence(found: "Looked") -> Evidence:
    spans = tuple(Span(each.start, each.end, family(each.category), each.severity) for each in found.matches)
    scores = {OPENAI_NAMES.get(head, head): score for head, score in found.scores.items()}
    return Evidence("first", scores, spans, RULES.model)


def _load() -> "FirstTier":
    from chatcore.models.first_tier import FirstTier  # noqa: PLC0415 - numpy, which a server without AI does without

    return FirstTier.load()


class TextModels(Protocol):
    """What moderation asks of Models; a workbench asks in batches."""

    async def moderate(self, texts: Sequence[str], purpose: Purpose) -> Called[list[dict[str, float]]]: ...

    async def call(
        self,
        function: str,
        arguments: Mapping[str, Any],
        purpose: Purpose,
        *,
        version: PromptVersion | None = None,
    ) -> Called[dict[str, Any]]: ...


class Judging:
    """A tier that remembers who served it, for one decision."""

    def __init__(self) -> None:
        self.served: Served | None = None


class ModelTier(Judging):
    """`/v1/moderations` of the ladder: the provider's model, else the embedded heads."""

    only_gray = False

    def __init__(self, models: TextModels, *, deadline_seconds: float = DEADLINE_SECONDS):
        super().__init__()
        self._models = models
        self._deadline = deadline_seconds

    async def look(self, text: str, subject: Subject) -> Evidence:
        called = await self._models.moderate([text], purpose(subject, self._deadline))
        self.served = called.served
        return evidence_of_model(called.value[0], called.served)


def evidence_of_model(scores: Mapping[str, float], served: Served) -> Evidence:
    tier: TierName = "embedded" if served.degraded else "provider"
    return Evidence(tier, dict(scores), model=served.model)


class PromptTier(Judging):
    """The BAML function. Of its answer only the scores are believed; what happens is decided here."""

    def __init__(
        self,
        models: TextModels,
        version: PromptVersion | None = None,
        *,
        only_gray: bool = True,
        deadline_seconds: float = DEADLINE_SECONDS,
    ):
        super().__init__()
        self.only_gray = only_gray
        self._models = models
        self._version = version
        self._deadline = deadline_seconds

    async def look(self, text: str, subject: Subject) -> Evidence:
        asked = purpose(subject, self._deadline)
        called = await self._models.call(FUNCTION, {"text": text}, asked, version=self._version)
        self.served = called.served
        scores = {str(row["category"]): float(row["score"]) for row in called.value.get("categories", [])}
        tier: TierName = "embedded" if called.served.degraded else "prompt"
        return Evidence(tier, scores, model=called.served.model)


def purpose(subject: Subject, deadline_seconds: float) -> Purpose:
    """On behalf of the server: nobody can opt out of it for oneself; a group can keep its texts from all models."""
    return Purpose("moderation", group_id=subject.group_id, group_ai=subject.ai, deadline_seconds=deadline_seconds)


def family(lexicon_category: str) -> str:
    """The word list's names as moderation's."""
    if lexicon_category.startswith(HATEFUL):
        return "hate"
    return "sexual" if lexicon_category.startswith("sexual anatomy") else "harassment"
