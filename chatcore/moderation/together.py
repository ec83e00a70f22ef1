"""One call to a moderation model for several texts: what it costs hardly depends on their number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from chatcore.ai.calls import Called, Purpose, Served
from chatcore.ai.provider.failures import RungFailed
from chatcore.errors import CapabilityUnavailable, ChatError, RateLimited, Unavailable
from chatcore.moderation.records import Evidence, Subject
from chatcore.moderation.tiers import Judging, evidence_of_model

SPOILT_BY_ONE: Final = frozenset({"refused_request", "too_large", "schema", "not_json", "refusal", "cut_off"})
"""Why an endpoint may not have answered because of one text among them; the others must not go without it."""


class ModeratesTexts(Protocol):
    async def moderate(self, texts: Sequence[str], purpose: Purpose) -> Called[list[dict[str, float]]]: ...


@dataclass(frozen=True, slots=True)
class Said:
    """What the model said of one text: scores and who gave them, or why there are none."""

    scores: Mapping[str, float] | None = None
    served: Served | None = None
    refusal: ChatError | None = None


async def ask_together(models: ModeratesTexts, texts: Sequence[str], deadline_seconds: float) -> list[Said]:
    """In the order of the texts. Where one text may have spoilt it for the others, each is asked about alone, once."""
    said = await _ask(models, texts, deadline_seconds)
    if len(texts) > 1 and _spoilt(said[0]):
        return [(await _ask(models, [text], deadline_seconds))[0] for text in texts]
    return said


class SaidTier(Judging):
    """A tier that has spoken already."""

    only_gray = False

    def __init__(self, said: Said):
        super().__init__()
        self._said = said

    async def look(self, text: str, subject: Subject) -> Evidence:
        if self._said.scores is None or self._said.served is None:
            raise self._said.refusal or Unavailable
        self.served = self._said.served
        return evidence_of_model(self._said.scores, self._said.served)


async def _ask(models: ModeratesTexts, texts: Sequence[str], deadline_seconds: float) -> list[Said]:
    try:
        called = await models.moderate(texts, Purpose("moderation", deadline_seconds=deadline_seconds))
    except (CapabilityUnavailable, Unavailable, RateLimited) as refusal:
        return [Said(refusal=refusal) for _ in texts]
    return [Said(scores, called.served) for scores in called.value]


def _spoilt(said: Said) -> bool:
    if said.served is not None:
        return said.served.fallback in SPOILT_BY_ONE
    cause = said.refusal.__cause__ if said.refusal is not None else None
    return isinstance(cause, RungFailed) and cause.kind in SPOILT_BY_ONE
