"""Words, sentences and their weights: the small tools of extractive answers."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W\d_]+)?")
_SENTENCE = re.compile(r"[^.!?。！？\n]+(?:[.!?。！？]+|\n|$)")  # noqa: RUF001 - full-width ends are meant
_STOP = """
a about above after again all also am an and any anyone anything are aren't as at be because been before being
below between both but by can can't cannot come could did didn't do does doesn't doing don't done down during each
even every everyone few for from further get gets getting go goes going gonna good got had has have haven't having
he her here hers him his how i i'd i'll i'm i've if in into is isn't it it's its just know last let let's like lol
look lot made make many maybe me mean more most much my need never new next nice no nor not now of off oh ok okay
on once one only or other our out over own people please pretty put quite really right said same say see she should
so some someone something soon still such sure take tell than thank thanks that that's the their them then there
there's these they they're thing things think this those though through time to today told tomorrow too under until
up us use very want was wasn't way we we'll we're well went were what what's when where which while who why will
with won't would yeah yes yesterday yet you you're your yours
"""
STOP_WORDS = frozenset(_STOP.split())


def words_of(text: str) -> list[str]:
    """Lower case; a straight apostrophe inside a word belongs to it."""
    return [word.replace("\u2019", "'") for word in _WORD.findall(text.lower())]


def content_words(text: str) -> list[str]:
    return [word for word in words_of(text) if word not in STOP_WORDS and len(word) > 1 and not word.isdecimal()]


def sentences_of(text: str) -> list[str]:
    return [sentence for found in _SENTENCE.findall(text) if (sentence := found.strip())]


class WordWeights:
    """Rarity of words (inverse document frequency, smoothed) over a collection of texts."""

    def __init__(self, texts: Iterable[str]):
        documents = [set(words_of(text)) for text in texts]
        self._size = len(documents)
        self._documents = Counter(word for document in documents for word in document)

    def rarity(self, word: str) -> float:
        return math.log((1 + self._size) / (1 + self._documents[word])) + 1

    def vector(self, text: str) -> dict[str, float]:
        """Weights of the content words, of length 1; empty for a text without any."""
        weights = {
            word: (1 + math.log(count)) * self.rarity(word) for word, count in Counter(content_words(text)).items()
        }
        length = math.sqrt(sum(weight * weight for weight in weights.values()))
        return {word: weight / length for word, weight in weights.items()}


def overlap(one: dict[str, float], other: dict[str, float]) -> float:
    """Cosine of two WordWeights vectors."""
    small, large = sorted((one, other), key=len)
    return sum(weight * large.get(word, 0.0) for word, weight in small.items())


def overlaps(one: dict[str, float], others: Sequence[dict[str, float]]) -> list[float]:
    return [overlap(one, other) for other in others]
