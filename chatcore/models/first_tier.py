"""The first look at a message inside the server process: numpy alone, some ten microseconds a word.

Two parts: fingerprints of known words (so that no list of slurs has to lie in the source), and the linear n-gram
heads that the endpoint uses too. What they say is a score; what happens then is decided by the caller.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from chatcore.models.files import require_file
from chatcore.models.ngrams import count_all, fold, weigh
from chatcore.models.readings import Reading, pieces, wholes

NGRAM_FILE, LEXICON_FILE = "moderation.ngrams.npz", "moderation.lexicon.npz"
MAX_PHRASE_WORDS = 3
KNOWN_WORDS = 4_096
"""Words whose fingerprints are remembered; most of what people write is made of fewer."""
_TOKEN = re.compile(r"[^\s.,;:!?()\[\]{}\"“”…/\\<>|]+")
_SPELLINGS = str.maketrans("0134578@$", "oieastbas")  # digits and signs that stand for letters
_HAS_LETTER = re.compile(r"[^\W\d_]")


class Match(NamedTuple):
    """A known word at text[start:end]; severity 1 (mild) to 3 (severe)."""

    start: int
    end: int
    category: str
    severity: float


@dataclass(frozen=True, slots=True)
class FirstLook:
    """`scores` by head (`any`, `toxic`, `S`, `H`, ...), each 0 to 1; `matches` in the order of the text."""

    scores: dict[str, float]
    matches: tuple[Match, ...]


class NgramHeads:
    """Logistic heads over character n-grams. `weights` has the shape (buckets, heads), and stays in the precision that
    it has: in half of it the file's take 2 MB."""

    def __init__(
        self,
        names: tuple[str, ...],
        rarity: npt.NDArray[np.floating],
        weights: npt.NDArray[np.floating],
        bias: npt.NDArray[np.floating],
    ):
        self.names = names
        self._rarity, self._weights = rarity.astype(np.float32), weights
        self._bias = bias.astype(np.float32)

    @classmethod
    def load(cls, path: Path) -> "NgramHeads":
        with np.load(path) as stored:
            return cls(tuple(map(str, stored["names"])), stored["rarity"], stored["weights"], stored["bias"])

    def score(self, text: str) -> npt.NDArray[np.float32]:
        return sigmoid(self._logits([text])[0])

    def highest(self, readings: Sequence[Sequence[str]]) -> npt.NDArray[np.float32]:
        """The highest score of each head over the readings of each message, of which each has one at least; the shape
        is (messages, heads)."""
        logits = np.stack(self._logits([text for texts in readings for text in texts]))
        starts = [0, *accumulate(len(texts) for texts in readings[:-1])]
        return sigmoid(np.maximum.reduceat(logits, starts, axis=0))

    def _logits(self, texts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        buckets, counts, cuts = count_all([fold(text) for text in texts])
        values, weights = weigh(buckets, counts, self._rarity, cuts), self._weights[buckets].astype(np.float32)
        return [values[start:end] @ weights[start:end] + self._bias for start, end in pairwise(cuts)]


class Lexicon:
    """Words and phrases of up to three words, known by a 64-bit fingerprint of their folded form.

    Digits and signs that stand for letters are read as letters too, unless the word has no letter at all: `233333`
    and `69` are numbers here.
    """

    def __init__(self, entries: dict[int, tuple[str, float]], first_words: frozenset[int]):
        """`first_words` are the fingerprints of the first words of all entries: most words end there."""
        self._entries, self._first_words = entries, first_words
        self._begins = lru_cache(KNOWN_WORDS)(self._may_begin)

    @classmethod
    def load(cls, path: Path) -> "Lexicon":
        with np.load(path) as stored:
            categories = [str(name) for name in stored["categories"]]
            rows = zip(stored["prints"].tolist(), stored["category"].tolist(), stored["severity"].tolist(), strict=True)
            entries = {mark: (categories[category], round(severity, 2)) for mark, category, severity in rows}
            return cls(entries, frozenset(stored["first_words"].tolist()))

    def find(self, text: str) -> tuple[Match, ...]:
        """The longest known phrase at each word."""
        tokens = [(found.start(), found.end(), fold_word(found.group())) for found in _TOKEN.finditer(text)]
        matches: list[Match] = []
        place = 0
        while place < len(tokens):
            size, match = self._longest(tokens[place : place + MAX_PHRASE_WORDS])
            if match is not None:
                matches.append(match)
            place += size
        return tuple(matches)

    def _longest(self, tokens: list[tuple[int, int, str]]) -> tuple[int, Match | None]:
        if not self._begins(tokens[0][2]):
            return 1, None
        for size in range(len(tokens), 0, -1):
            for phrase in _readings(" ".join(word for _, _, word in tokens[:size])):
                known = self._entries.get(fingerprint(phrase))
                if known is not None:
                    return size, Match(tokens[0][0], tokens[size - 1][1], *known)
        return 1, None

    def _may_begin(self, word: str) -> bool:
        return any(fingerprint(reading) in self._first_words for reading in _readings(word))


class FirstTier:
    def __init__(self, heads: NgramHeads, lexicon: Lexicon):
        self._heads, self._lexicon = heads, lexicon

    @classmethod
    def load(cls) -> "FirstTier":
        """About 30 ms. Raises ModelFileRefused."""
        return cls(NgramHeads.load(require_file(NGRAM_FILE)), Lexicon.load(require_file(LEXICON_FILE)))

    def look(self, text: str) -> FirstLook:
        """The highest scores and the known words of all readings; a word that is read twice is told once."""
        return self.look_at_all([text])[0]

    def look_at_all(self, texts: Sequence[str]) -> list[FirstLook]:
        """At each for itself, but the heads take a third of the time where there are many: most of it is numpy's for a
        call."""
        if not texts:
            return []
        ways = [wholes(text) for text in texts]
        scores = self._heads.highest([[each.text for each in (*of, *pieces(of[-1]))] for of in ways])
        return [
            FirstLook(dict(zip(self._heads.names, of_heads, strict=True)), self._known_words(of))
            for of, of_heads in zip(ways, scores.tolist(), strict=True)
        ]

    def _known_words(self, ways: Sequence[Reading]) -> tuple[Match, ...]:
        found: dict[tuple[int, int], Match] = {}
        for way in ways:  # a piece has no word that the whole has not
            for match in self._lexicon.find(way.text):
                start, end = way.span(match.start, match.end)
                if not any(start < known_end and known_start < end for known_start, known_end in found):
                    found[start, end] = match._replace(start=start, end=end)
        return tuple(found[place] for place in sorted(found))


def fold_word(word: str) -> str:
    return word.lower() if word.isascii() else unicodedata.normalize("NFKC", word).casefold()


def fingerprint(phrase: str) -> int:
    """Of a folded phrase, its words parted by one space."""
    return int.from_bytes(blake2b(phrase.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(1.0 / (1.0 + np.exp(-np.minimum(np.maximum(logits, -30), 30))), np.float32)


def _readings(phrase: str) -> tuple[str, ...]:
    if phrase.isascii() and phrase.isalpha():
        return (phrase,)
    if not _HAS_LETTER.search(phrase):
        return ()
    spelled = phrase.translate(_SPELLINGS)
    return (phrase,) if spelled == phrase else (phrase, spelled)
