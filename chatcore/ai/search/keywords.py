"""Which messages of one group hold the words of a query: an inverted index in memory, ranked by BM25.

A word counts as a whole, or, less, where most of its pieces stand in the message ("plan" in "planning", "meetings" for
"meeting"). Not SQLite's full-text search: its trigrams do not find the two characters that most Chinese words have, and
its ranking takes time with every row that holds any word. A query here costs a few array operations for each word.

The index is a row of immutable segments, merged as they grow; a message that is edited or deleted dies in place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

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
LEVEL: Final = 3  # segments of about the same size that become one
NO_SLOTS: Final = np.zeros(0, np.int32)
NO_SCORES: Final = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class Segment:
    """Postings of some messages: `slots[starts[i]:starts[i + 1]]` hold `keys[i]`, in order. Most hold it once; the
    others' places among the postings are `repeated`, in order, and `times` says how often."""

    keys: Keys
    starts: Numbers
    slots: Numbers
    repeated: Numbers
    times: NDArray[np.uint8]

    @property
    def bytes(self) -> int:
        return sum(part.nbytes for part in (self.keys, self.starts, self.slots, self.repeated, self.times))

    def ranges(self, keys: Keys) -> tuple[Numbers, Numbers]:
        """Where the postings of each key begin and end."""
        at = np.minimum(self.keys.searchsorted(keys), len(self.keys) - 1)
        known = self.keys[at] == keys
        return np.where(known, self.starts[at], 0), np.where(known, self.starts[at + 1], 0)

    def more_than_once(self, low: int, high: int) -> tuple[Numbers, NDArray[np.uint8]]:
        """Which of these postings, counted from `low`, stand for more than one place, and for how many."""
        first, last = self.repeated.searchsorted(np.array((low, high), np.int32))
        return self.repeated[first:last] - np.int32(low), self.times[first:last]


@dataclass(frozen=True, slots=True)
class QueryWord:
    """One term of a query with the pieces it has; ideographs have none."""

    term: np.uint64
    pieces: Keys


class Postings:
    """Where in the segments the terms and pieces of one query stand: one look at each segment finds all of them."""

    def __init__(self, segments: Sequence[Segment], words: Sequence[QueryWord]):
        keys = np.unique(np.concatenate([[word.term for word in words], *(word.pieces for word in words)]))
        places: list[list[tuple[Segment, int, int]]] = [[] for _ in keys]
        for segment in segments:
            lows, highs = segment.ranges(keys)
            for number in np.flatnonzero(highs > lows).tolist():
                places[number].append((segment, int(lows[number]), int(highs[number])))
        self._places: dict[int, list[tuple[Segment, int, int]]] = dict(zip(keys.tolist(), places, strict=True))

    def of(self, key: np.uint64) -> Sequence[tuple[Segment, int, int]]:
        """(segment, first posting, behind the last one) for each segment that holds the key."""
        return self._places[int(key)]

    def frequency(self, key: np.uint64) -> int:
        return sum(high - low for _, low, high in self.of(key))


@dataclass(frozen=True, slots=True)
class Lengths:
    """By slot, how much the length of its text counts against it, and what a word that stands there once is worth."""

    norms: Scores
    once: Scores

    @classmethod
    def of(cls, lengths: NDArray[np.uint16], alive: Bools) -> Self:
        typical = max(1.0, float(lengths[alive].mean()))
        norms = lengths * np.float32(SATURATION * LENGTH_SHARE / typical)
        norms += np.float32(SATURATION * (1 - LENGTH_SHARE))
        return cls(norms, np.float32(SATURATION + 1) / (1 + norms))


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
        if len(keys):
            self._segments.append(_segment(keys, slots))
        self._lengths = np.concatenate([self._lengths, lengths])
        self._merge()

    def score(self, query: str, alive: Bools) -> Scores:
        """For each slot its BM25 as a share of what all the words once would be worth there, about 0 to 1 and 0 where
        none is; `alive` says which slots count."""
        scores = np.zeros(len(self._lengths), np.float32)
        count, words = int(np.count_nonzero(alive)), query_words(query)
        if not count or not words:
            return scores
        postings = Postings(self._segments, words)
        if len(words) > MOST_WORDS:
            words.sort(key=lambda word: postings.frequency(word.term) or len(self._lengths))
            del words[MOST_WORDS:]
        lengths = Lengths.of(self._lengths, alive)
        whole = 0.0
        for word in words:
            frequency = postings.frequency(word.term)
            whole += _weight(max(1, frequency), count)
            part_slots, part_scores = NO_SLOTS, NO_SCORES
            if len(word.pieces) and frequency < max(FEW, COMMON_SHARE * count):
                part_slots, part_scores = _by_parts(word.pieces, postings, count)
            with_parts = scores[part_slots] + part_scores
            _add_whole(scores, postings.of(word.term), _weight(frequency, count), lengths)
            scores[part_slots] = np.maximum(scores[part_slots], with_parts)
        scores *= alive
        scores /= np.float32(max(whole, 1e-9))
        return scores

    def _merge(self) -> None:
        """Where LEVEL segments of about the same size are the newest ones, they become one."""
        while len(self._segments) >= LEVEL:
            newest = self._segments[-LEVEL:]
            if len(newest[0].slots) >= LEVEL * len(newest[-1].slots):
                return
            self._segments[-LEVEL:] = [_merged(newest)]


def _add_whole(scores: Scores, found: Sequence[tuple[Segment, int, int]], weight: float, lengths: Lengths) -> None:
    for segment, low, high in found:
        slots = segment.slots[low:high]
        worth = lengths.once.take(slots)
        repeated, times = segment.more_than_once(low, high)
        often = times.astype(np.float32)
        worth[repeated] = often * np.float32(SATURATION + 1) / (often + lengths.norms[slots[repeated]])
        worth *= np.float32(weight)
        scores[slots] += worth


def _by_parts(pieces: Keys, postings: Postings, count: int) -> tuple[Numbers, Scores]:
    """The slots that have enough of the pieces, and their scores by the share that is there; as rare as the rarest
    piece makes it at most."""
    lists = [[segment.slots[low:high] for segment, low, high in postings.of(piece)] for piece in pieces]
    needed = math.ceil(LEAST_PART * len(pieces))
    if sum(map(bool, lists)) < needed:
        return NO_SLOTS, NO_SCORES
    present = np.bincount(np.concatenate([slots for parts in lists for slots in parts]))
    there = np.flatnonzero(present >= needed).astype(np.int32)
    shares = present[there].astype(np.float32) / np.float32(len(pieces))
    rarest = min(sum(map(len, parts)) for parts in lists)
    worth: Scores = shares * shares * np.float32(PART_WEIGHT * _weight(rarest, count))
    return there, worth


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
    """Of each key the slots come in order, so a stable sort by keys alone keeps them so."""
    order = np.argsort(keys, kind="stable")
    keys, slots = keys[order], slots[order]
    fresh = np.ones(len(keys), bool)
    fresh[1:] = (keys[1:] != keys[:-1]) | (slots[1:] != slots[:-1])
    postings = np.flatnonzero(fresh)
    times = np.diff(postings, append=len(keys)).clip(0, 255).astype(np.uint8)
    keys, slots, repeated = keys[postings], slots[postings], np.flatnonzero(times > 1).astype(np.int32)
    firsts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return Segment(keys[firsts], _bounds(np.diff(firsts, append=len(keys))), slots, repeated, times[repeated])


def _merged(parts: Sequence[Segment]) -> Segment:
    """All slots of one come before those of the next, so the postings of a key are only put behind each other."""
    keys = np.unique(np.concatenate([part.keys for part in parts]))
    places = [keys.searchsorted(part.keys) for part in parts]
    counts = np.zeros(len(keys), np.int32)
    for part, place in zip(parts, places, strict=True):
        counts[place] += np.diff(part.starts)
    starts = _bounds(counts)
    free, slots = starts[:-1].copy(), np.empty(starts[-1], np.int32)
    repeated = []
    for part, place in zip(parts, places, strict=True):
        sizes = np.diff(part.starts)
        target = np.repeat(free[place] - part.starts[:-1], sizes)
        target += np.arange(len(target), dtype=np.int32)
        slots[target] = part.slots
        repeated.append(target[part.repeated])
        free[place] += sizes
    again = np.concatenate(repeated)
    order = np.argsort(again)
    return Segment(keys, starts, slots, again[order], np.concatenate([part.times for part in parts])[order])


def _bounds(counts: NDArray[np.signedinteger]) -> Numbers:
    bounds = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=bounds[1:])
    return bounds
