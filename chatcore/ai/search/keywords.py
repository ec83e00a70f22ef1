"""Which messages of one group hold the words of a query: an inverted index in memory, ranked by BM25.

A word counts as a whole, or, less, where most of its pieces stand in the message ("plan" in "planning", "meetings" for
"meeting"). Not SQLite's full-text search: its trigrams do not find the two characters that most Chinese words have, and
its ranking takes time with every row that holds any word. A query here costs a few array operations for each word.

The index is a row of immutable segments, merged as they grow; a message that is edited or deleted dies in place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chatcore.ai.search.features import Features, Keys, Numbers, features_of

Scores = NDArray[np.float32]
Bools = NDArray[np.bool_]

SATURATION: Final = 1.2  # k1 of BM25
LENGTH_SHARE: Final = 0.5  # b of BM25; chat messages are short, so length says less than in documents
PART_WEIGHT: Final = 0.5  # of a word's pieces against the word itself
LEAST_PART: Final = 0.7  # share of a word's pieces below which the word does not count as there
COMMON_SHARE: Final = 0.05  # of the messages; a word that stands in more of them is looked for as a whole only
FEW: Final = 50  # messages; in fewer no word counts as common
MOST_WORDS: Final = 48  # of a query; the rarest are taken
MERGE_FACTOR: Final = 2


@dataclass(frozen=True, slots=True)
class Segment:
    """Postings of some messages: `slots[starts[i]:starts[i + 1]]` hold `keys[i]`, `times` as often each."""

    keys: Keys
    starts: NDArray[np.int64]
    slots: Numbers
    times: NDArray[np.uint8]

    @property
    def bytes(self) -> int:
        return self.keys.nbytes + self.starts.nbytes + self.slots.nbytes + self.times.nbytes

    def find(self, key: np.uint64) -> tuple[Numbers, NDArray[np.uint8]]:
        at = int(np.searchsorted(self.keys, key))
        if at == len(self.keys) or self.keys[at] != key:
            return self.slots[:0], self.times[:0]
        low, high = int(self.starts[at]), int(self.starts[at + 1])
        return self.slots[low:high], self.times[low:high]


@dataclass(frozen=True, slots=True)
class QueryWord:
    """One term of a query with the pieces it has; ideographs have none."""

    term: np.uint64
    pieces: Keys


class KeywordIndex:
    """Slots are numbered by the caller, upwards from 0. Not safe for several threads at once."""

    def __init__(self) -> None:
        self._segments: list[Segment] = []
        self._lengths: NDArray[np.uint16] = np.zeros(0, np.uint16)

    @property
    def bytes(self) -> int:
        return sum(segment.bytes for segment in self._segments) + self._lengths.nbytes

    def add(self, texts: Sequence[str]) -> None:
        """The texts take the next slots."""
        if not texts:
            return
        features = features_of(texts)
        lengths = np.bincount(features.term_texts, minlength=len(texts)).clip(0, 65_535).astype(np.uint16)
        keys = np.concatenate([features.terms, features.pieces])
        slots = np.concatenate([features.term_texts, features.piece_texts]) + np.int32(len(self._lengths))
        self._segments.append(_segment(keys, slots))
        self._lengths = np.concatenate([self._lengths, lengths])
        self._merge()

    def score(self, query: str, alive: Bools) -> Scores:
        """For each slot its BM25 as a share of what all the words once would be worth there, about 0 to 1 and 0 where
        none is; `alive` says which slots count."""
        scores = np.zeros(len(self._lengths), np.float32)
        count = int(alive.sum())
        if not count:
            return scores
        typical = max(1.0, float(self._lengths[alive].mean()))
        norms = SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * self._lengths / typical)
        words, norms = self._rarest(query_words(query)), norms.astype(np.float32)
        of_word = np.zeros_like(scores)
        for word in words:
            touched = self._score_word(word, norms, count, of_word)
            scores[touched] += of_word[touched]
            of_word[touched] = 0
        scores[~alive] = 0
        whole = sum(_weight(max(1, self._frequency(word.term)), count) for word in words)
        return scores / np.float32(max(whole, 1e-9))

    def _score_word(self, word: QueryWord, norms: Scores, count: int, scores: Scores) -> Numbers:
        """Into `scores`, which holds zeros; the slots that have the word or most of its pieces, some twice."""
        frequency = self._frequency(word.term)
        touched = []
        if len(word.pieces) and frequency < max(FEW, COMMON_SHARE * count):
            touched.append(self._score_parts(word.pieces, count, scores))
        for_whole = _weight(frequency, count)
        for segment in self._segments:
            slots, times = segment.find(word.term)
            often = times.astype(np.float32)
            whole = for_whole * often * (SATURATION + 1) / (often + norms[slots])
            scores[slots] = np.maximum(scores[slots], whole)
            touched.append(slots)
        return np.concatenate(touched)

    def _score_parts(self, pieces: Keys, count: int, scores: Scores) -> Numbers:
        """By the share of the pieces that are there; as rare as the rarest piece makes it at most."""
        postings = [[slots for segment in self._segments if len(slots := segment.find(key)[0])] for key in pieces]
        needed = math.ceil(LEAST_PART * len(pieces))
        if sum(map(bool, postings)) < needed:
            return np.zeros(0, np.int32)
        present = np.zeros(len(scores), np.uint16)
        for lists in postings:
            for slots in lists:
                present[slots] += 1
        there = np.flatnonzero(present >= needed).astype(np.int32)
        shares = present[there].astype(np.float32) / len(pieces)
        rarest = min(sum(map(len, lists)) for lists in postings)
        scores[there] = shares * shares * np.float32(PART_WEIGHT * _weight(rarest, count))
        return there

    def _frequency(self, key: np.uint64) -> int:
        return sum(len(segment.find(key)[0]) for segment in self._segments)

    def _rarest(self, words: list[QueryWord]) -> list[QueryWord]:
        if len(words) <= MOST_WORDS:
            return words
        return sorted(words, key=lambda word: self._frequency(word.term) or len(self._lengths))[:MOST_WORDS]

    def _merge(self) -> None:
        while len(self._segments) > 1 and len(self._segments[-2].slots) < MERGE_FACTOR * len(self._segments[-1].slots):
            right, left = self._segments.pop(), self._segments.pop()
            self._segments.append(_merged(left, right))


def query_words(query: str) -> list[QueryWord]:
    """Each different word once, in order."""
    features = features_of([query])
    found: dict[int, QueryWord] = {}
    pieces = _pieces_by_word(features)
    for number, term in enumerate(features.terms):
        word_pieces = pieces[number] if number < len(pieces) else features.pieces[:0]
        found.setdefault(int(term), QueryWord(term, word_pieces))
    return list(found.values())


def _pieces_by_word(features: Features) -> list[Keys]:
    count = len(features.word_terms)
    bounds = np.searchsorted(features.piece_words, np.arange(count + 1))
    return [np.unique(features.pieces[bounds[word] : bounds[word + 1]]) for word in range(count)]


def _weight(frequency: int, count: int) -> float:
    """BM25's weight of rarity, never below zero."""
    return float(np.log1p((max(0, count - frequency) + 0.5) / (frequency + 0.5)))


def _segment(keys: Keys, slots: Numbers) -> Segment:
    order = np.lexsort((slots, keys))
    keys, slots = keys[order], slots[order]
    fresh = np.ones(len(keys), bool)
    fresh[1:] = (keys[1:] != keys[:-1]) | (slots[1:] != slots[:-1])
    firsts = np.flatnonzero(fresh)
    times = np.diff(firsts, append=len(keys)).clip(0, 255).astype(np.uint8)
    return _with_starts(keys[firsts], slots[firsts], times)


def _with_starts(keys: Keys, slots: Numbers, times: NDArray[np.uint8]) -> Segment:
    firsts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.zeros(0, np.int64)
    return Segment(keys[firsts], np.append(firsts, len(keys)).astype(np.int64), slots, times)


def _merged(left: Segment, right: Segment) -> Segment:
    """All slots of the left one come before those of the right one, so a stable sort keeps them in order."""
    keys = np.concatenate([np.repeat(part.keys, np.diff(part.starts)) for part in (left, right)])
    order = np.argsort(keys, kind="stable")
    slots = np.concatenate([left.slots, right.slots])[order]
    times = np.concatenate([left.times, right.times])[order]
    return _with_starts(keys[order], slots, times)
