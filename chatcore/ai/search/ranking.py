"""One order out of two: by words and by meaning."""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, pstdev
from typing import Final

from chatcore.ai.search.vectors import Hit

LEAST_SIMILARITY: Final = 0.6
"""On the scale `(1 + cosine) / 2`: what is further away than a cosine of 0.2 has nothing to do with the query."""
CANDIDATES: Final = 200
"""Taken from each of the two rankings. Fewer make the scores of the fusion depend on where the cut happened to fall."""
KEYWORD_WEIGHT: Final = 1.0


def fused(keywords: Sequence[Hit], vectors: Sequence[Hit]) -> list[Hit]:
    """The sum of both scores, each in units of its own spread (z-scores), best first.

    A message that one ranking does not have counts there as its last one. The new score lies between 0 and 1 and says
    nothing but the order. Where one ranking is empty the other one's order stands.
    """
    vectors = [hit for hit in vectors if hit.score >= LEAST_SIMILARITY]
    by_words, by_meaning = _in_spreads(keywords), _in_spreads(vectors)
    known = {hit.message_id: hit for hit in (*keywords, *vectors)}
    last_by_words, last_by_meaning = min(by_words.values(), default=0.0), min(by_meaning.values(), default=0.0)
    sums = {
        id_: KEYWORD_WEIGHT * by_words.get(id_, last_by_words) + by_meaning.get(id_, last_by_meaning) for id_ in known
    }
    ranked = [replace(hit, score=_between_0_and_1(sums[id_])) for id_, hit in known.items()]
    return sorted(ranked, key=lambda hit: (-hit.score, -hit.seq))


def _in_spreads(hits: Sequence[Hit]) -> dict[str, float]:
    if not hits:
        return {}
    scores = [hit.score for hit in hits]
    middle, spread = fmean(scores), pstdev(scores) or 1.0
    return {hit.message_id: (hit.score - middle) / spread for hit in hits}


def _between_0_and_1(value: float) -> float:
    return 1 / (1 + math.exp(-value / 2))
