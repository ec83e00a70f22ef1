"""From which score on what happens: one table, named by its content, so that a decision tells which one it was.

The embedded limits of `flag` are those that the training measured (models/EVALUATION.md: no false alarm on everyday
lines). `block` is where the linear heads alone raised nothing in 6,000 lines of Topical-Chat and 800 harmless tweets.
A provider's scores mean something else and have limits of their own.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final

from chatcore.contract.groups import GroupSettings
from chatcore.moderation.records import Limit, Overrides, TierName

NEVER: Final = math.inf
EVERY_CATEGORY: Final = "*"
NO_WISHES: Final[Overrides] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Limits:
    """Scores at or above which a text is flagged for a person, masked, blocked."""

    flag: float
    mask: float = NEVER
    block: float = NEVER

    def stricter(self, wishes: Mapping[Limit, float]) -> "Limits":
        """Never laxer, whatever is wished."""
        return Limits(
            min(self.flag, wishes.get("flag", NEVER)),
            min(self.mask, wishes.get("mask", NEVER)),
            min(self.block, wishes.get("block", NEVER)),
        )


Table = Mapping[TierName, Mapping[str, Limits]]


@dataclass(frozen=True)
class Thresholds:
    """`table` by tier and category; `*` stands for categories that are not named. `mask_words` is the severity of
    known words from which on they are covered."""

    table: Table
    mask_words: float = 2.8

    @cached_property
    def version(self) -> str:
        content = {tier: {name: _plain(limits) for name, limits in row.items()} for tier, row in self.table.items()}
        text = json.dumps([content, self.mask_words], sort_keys=True)
        return "t-" + hashlib.sha256(text.encode()).hexdigest()[:16]

    def limits(self, tier: TierName, category: str, overrides: Overrides, flags: Mapping[str, float]) -> Limits:
        """`flags` are a prompt version's own limits, which replace the table's; `overrides` a group's, which only
        lower them."""
        row = self.table[tier]
        found = row.get(category, row[EVERY_CATEGORY])
        if category in flags and tier != "first":
            found = Limits(flags[category], found.mask, found.block)
        wishes = overrides.get(category)
        return found.stricter(wishes) if wishes else found


def wishes(settings: GroupSettings) -> Overrides:
    """A group's own limits, as its settings tell them."""
    limits: Overrides | None = settings.moderation_limits  # type: ignore[assignment]
    return limits or NO_WISHES


def _plain(limits: Limits) -> list[float | None]:
    return [None if value == NEVER else value for value in (limits.flag, limits.mask, limits.block)]


PERSON_ONLY: Final = frozenset({"hate", "hate/threatening", "self-harm", "self-harm/intent", "any"})
"""Never blocked or hidden on the scores of the embedded models: they hardly tell hate from swearing (AUC .59 to .69 on
HateCheck), `any` is no reason to give, and who speaks of harming oneself needs a person and not silence."""

DEFAULT: Final = Thresholds(
    MappingProxyType(
        {
            "first": {
                "sexual": Limits(0.9, block=0.97),
                "harassment": Limits(0.9, block=0.985),
                "violence": Limits(0.9, block=0.985),
                "hate": Limits(0.9),
                "self-harm": Limits(0.9),
                EVERY_CATEGORY: Limits(0.95),
            },
            "embedded": {
                "sexual": Limits(0.7, mask=0.93, block=0.97),
                "hate": Limits(0.8036),
                "hate/threatening": Limits(0.7),
                "violence": Limits(0.7, block=0.97),
                "violence/graphic": Limits(0.7, mask=0.93),
                "harassment": Limits(0.7252, block=0.97),
                "self-harm": Limits(0.731),
                "toxic": Limits(0.7, block=0.985),
                EVERY_CATEGORY: Limits(0.7),
            },
            "provider": {
                "sexual": Limits(0.5, mask=0.9, block=0.97),
                "sexual/minors": Limits(0.2, mask=0.4, block=0.6),
                "violence/graphic": Limits(0.5, mask=0.9),
                "self-harm": Limits(0.4),
                "self-harm/intent": Limits(0.4),
                "self-harm/instructions": Limits(0.4, block=0.9),
                EVERY_CATEGORY: Limits(0.5, block=0.97),
            },
            "prompt": {
                "sexual/minors": Limits(0.2, mask=0.4, block=0.6),
                "self-harm": Limits(0.4),
                "self-harm/intent": Limits(0.4),
                EVERY_CATEGORY: Limits(0.5, block=0.97),
            },
        }
    )
)
