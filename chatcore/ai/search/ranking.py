"""One order out of two: by words and by meaning.

Both scores are shares of what is possible: the words' share of the query's rarity, and the cosine. So the words decide
where somebody remembers them, and the meaning where the words are common or other ones were used. (Sums of z-scores,
which do not know how good the best hit is, ranked what somebody remembers word by word below the words alone:
`python -m training.retrieval` compares them.)
"""

from collections.abc import Sequence
from typing import Final

from chatcore.ai.search.vectors import Hit

KEYWORD_WEIGHT: Final = 1.25  # against 1 for the meaning; the best of 0.3 to 2 on the half that was used for choosing
LEAST_SIMILARITY: Final = 0.6
"""On the scale `(1 + cosine) / 2`: what is further away than a cosine of 0.2 has nothing to do with the query."""
CANDIDATES: Final = 200
"""Taken from each of the two rankings."""


def fused(keywords: Sequence[Hit], vectors: Sequence[Hit]) -> list[Hit]:
    """Best first, with a score from 0 to 1. A message that only the words found counts in the other ranking as its last
    one. Of equal ones the newer comes first."""
    near = [hit for hit in vectors if hit.score >= LEAST_SIMILARITY]
    by_words = {hit.message_id: hit.score for hit in keywords}
    by_meaning = {hit.message_id: _cosine(hit) for hit in near}
    furthest = min(by_meaning.values(), default=0.0)
    known = {hit.message_id: hit for hit in (*keywords, *near)}
    sums = {
        id_: KEYWORD_WEIGHT * by_words.get(id_, 0.0) + by_meaning.get(id_, furthest if id_ in by_words else 0.0)
        for id_ in known
    }
    ordered = sorted(known.values(), key=lambda hit: (-sums[hit.message_id], -hit.seq))
    return [Hit(hit.message_id, hit.group_id, hit.seq, _shown(sums[hit.message_id])) for hit in ordered]


def _cosine(hit: Hit) -> float:
    return 2 * hit.score - 1


def _shown(total: float) -> float:
    return min(1.0, max(0.0, total / (KEYWORD_WEIGHT + 1)))
