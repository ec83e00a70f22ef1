"""The one decision. Pure but for the tiers it is given, so that a replay decides exactly as the live server did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from chatcore.errors import CapabilityUnavailable, RateLimited, Unavailable
from chatcore.moderation.records import SEVERITY, Action, Evidence, Overrides, Ruling, Span, Subject, TierName
from chatcore.moderation.thresholds import DEFAULT, PERSON_ONLY, Limits, Thresholds

HIDDEN = "[hidden by moderation]"
COVER = "\u2022"
GRAY = 0.6
"""A score from this share of its limit on is worth a look by the next tier."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What decides beside the scores: the table, the group's stricter wishes, the prompt version's own limits."""

    thresholds: Thresholds = DEFAULT
    overrides: Overrides = field(default_factory=dict)
    flags: Mapping[str, float] = field(default_factory=dict)


class Tier(Protocol):
    """One way to look at a text; the cheapest comes first. `only_gray` is asked where the others leave doubt."""

    only_gray: bool

    async def look(self, text: str, subject: Subject) -> Evidence:
        """Raises CapabilityUnavailable, Unavailable or RateLimited."""
        ...


async def decide(
    text: str, subject: Subject, policy: Policy, tiers: Sequence[Tier], known: Sequence[Evidence] = ()
) -> Ruling:
    """Ask tier after tier until one blocks or all have spoken. A tier that cannot answer is named in `missing`."""
    seen, missing = list(known), ""
    ruling = rule(text, seen, policy)
    for tier in tiers:
        if ruling.action == "block" or (tier.only_gray and not in_doubt(ruling, seen, policy)):
            continue
        try:
            seen.append(await tier.look(text, subject))
        except (CapabilityUnavailable, Unavailable, RateLimited) as error:
            missing = error.code
            continue
        ruling = rule(text, seen, policy)
    return replace(ruling, missing=missing) if missing else ruling


def rule(text: str, seen: Sequence[Evidence], policy: Policy) -> Ruling:
    """What follows from what was seen. The strictest tier wins: a later one may add to an earlier one and take nothing
    away, so that a model which believes what the message says of itself frees nobody. Flags of the first tier count
    only where no better one has spoken.
    """
    alone = all(evidence.tier == "first" for evidence in seen)
    best: tuple[int, float, str, TierName] = (0, 0.0, "", "first")
    flags: dict[str, None] = {}
    scores: dict[str, float] = {}
    for evidence in seen:
        for category, raw in evidence.scores.items():
            score = min(1.0, max(0.0, raw)) if raw == raw else 1.0  # noqa: PLR0124 - not a number: a person decides
            scores[category] = max(score, scores.get(category, 0.0))
            action = _action(evidence.tier, category, score, policy)
            if action == "allow" or (action == "flag" and evidence.tier == "first" and not alone):
                continue
            flags[category] = None
            best = max(best, (SEVERITY[action], score, category, evidence.tier))
    words = _words(seen, policy)
    if words and best[0] < SEVERITY["mask"]:
        worst = max(words, key=lambda span: span.severity)
        best = (SEVERITY["mask"], worst.severity / 3, worst.category, "first")
        flags[worst.category] = None
    return Ruling(
        action=_named(best[0]),
        category=best[2],
        score=round(best[1], 5),
        tiers=tuple(evidence.tier for evidence in seen),
        scores={name: round(score, 5) for name, score in scores.items()},
        flags=tuple(flags),
        thresholds_version=policy.thresholds.version,
        spans=words if best[0] == SEVERITY["mask"] and best[3] == "first" else (),
    )


def in_doubt(ruling: Ruling, seen: Sequence[Evidence], policy: Policy) -> bool:
    """Flagged, or near it by what a model (and not only the first tier) said."""
    if ruling.action != "allow":
        return True
    return any(
        score >= GRAY * _limits(evidence.tier, category, policy).flag
        for evidence in seen
        if evidence.tier != "first"
        for category, score in evidence.scores.items()
    )


def masked(text: str, ruling: Ruling) -> str:
    """The text with the known words covered, or a notice in its place where no word can be named."""
    if not ruling.spans:
        return HIDDEN
    pieces, end = [], 0
    for span in ruling.spans:
        pieces += [text[end : span.start], COVER * (span.end - span.start)]
        end = span.end
    return "".join([*pieces, text[end:]])


def _limits(tier: TierName, category: str, policy: Policy) -> Limits:
    return policy.thresholds.limits(tier, category, policy.overrides, policy.flags)


def _action(tier: TierName, category: str, score: float, policy: Policy) -> Action:
    limits = _limits(tier, category, policy)
    if category not in PERSON_ONLY or tier in ("provider", "prompt"):
        if score >= limits.block:
            return "block"
        if score >= limits.mask:
            return "mask"
    return "flag" if score >= min(limits.flag, limits.mask, limits.block) else "allow"


def _words(seen: Sequence[Evidence], policy: Policy) -> tuple[Span, ...]:
    """Known words that are bad enough, in the order of the text."""
    found = [span for evidence in seen for span in evidence.spans if span.severity >= policy.thresholds.mask_words]
    return tuple(sorted(found, key=lambda span: span.start))


def _named(severity: int) -> Action:
    return next(action for action, rank in SEVERITY.items() if rank == severity)
