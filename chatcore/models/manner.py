"""How somebody writes, apart from what they say: at length or in a word, with marks and capitals or without."""

from collections.abc import Sequence

import numpy as np

from chatcore.models.embedding import Vectors
from chatcore.models.words import sentences_of, words_of

FEATURES = 7
MOST_OWN = 6  # turns of a person that tell how they write


def manner_of(text: str) -> Vectors:
    """Shape (7,): words (half of their logarithm), sentences (logarithm), and whether it starts with a small letter,
    ends without a mark, and has an apostrophe, a comma, an exclamation mark. One step of each weighs about the same."""
    said = text.strip().replace("\u2019", "'")
    told = (
        np.log1p(len(words_of(said))) / 2,
        np.log1p(len(sentences_of(said))),
        said[:1].islower(),
        said[-1:].isalnum(),
        "'" in said,
        "," in said,
        "!" in said,
    )
    return np.array(told, np.float32)


def manners_of(texts: Sequence[str]) -> Vectors:
    """Shape (len(texts), 7)."""
    return np.array([manner_of(text) for text in texts], np.float32).reshape(-1, FEATURES)


def manners_apart(own: Vectors, candidates: Vectors) -> Vectors:
    """How far each candidate is from the mean of these turns, by sums of differences, from 0 to about 7; 0 for all
    where nobody knows how the person writes. Shapes (turns, 7) and (candidates, 7)."""
    if not len(own):
        return np.zeros(len(candidates), np.float32)
    return np.asarray(np.abs(candidates - own[-MOST_OWN:].mean(axis=0)).sum(axis=1), np.float32)
