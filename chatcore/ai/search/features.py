"""Text as what it can be found by: words, pieces of words, and characters of scripts that put no spaces.

    "Straße nach 東京" -> terms: strasse, nach, 東, 京, 東京; pieces: str tra ras ass sse nac ach

Everything is arrays of numbers, made for many texts at once: a loop in Python over each word would hold up the server.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Numbers = NDArray[np.int32]

OTHER, LETTER, IDEOGRAPH, IGNORED = range(4)
PIECE: Final = 3  # letters; fewer would be found in nearly every message
TEXT_END: Final = "\x00"  # no message holds one
_CODE_POINTS: Final = 0x110000
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_WORD, _SINGLE, _PAIR, _PIECE = (np.uint64(seed) for seed in (0x51ED270B, 0x2545F491, 0x6C62272E, 0x1B873593))
# Scripts without spaces, and pictures: each character counts, and each pair of neighbours.
_IDEOGRAPHS: Final = (
    (0x0E00, 0x0F00), (0x1000, 0x10A0), (0x1780, 0x1800), (0x2600, 0x27C0), (0x3005, 0x3008), (0x3040, 0x3100),
    (0x31F0, 0x3200), (0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00), (0x1F000, 0x1FB00), (0x20000, 0x32000),
)  # fmt: skip
# Accents, vowel points, variation selectors, skin tones, joiners: with or without them it is the same word.
_IGNORED: Final = (
    (0x00AD, 0x00AE), (0x0300, 0x0370), (0x0591, 0x05C8), (0x064B, 0x0660), (0x0670, 0x0671), (0x200B, 0x2010),
    (0x3099, 0x309B), (0xFE00, 0xFE10), (0x1F3FB, 0x1F400),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Features:
    """Terms and pieces of many texts. `term_texts[i]` is the text that holds `terms[i]`, and so for the pieces, whose
    `piece_words[i]` is the word they are from (numbered through all texts; `word_terms` gives each word's own term)."""

    count: int
    terms: Keys
    term_texts: Numbers
    pieces: Keys
    piece_texts: Numbers
    piece_words: Numbers
    word_terms: Keys


def features_of(texts: Sequence[str]) -> Features:
    kinds = _kinds()
    characters = _characters(texts)
    kind = kinds[characters]
    characters, kind = characters[kind != IGNORED], kind[kind != IGNORED]
    text_of = np.cumsum(characters == 0, dtype=np.int32)
    word_keys, word_starts, pieces, piece_starts = _words(characters, kind == LETTER)
    singles, pairs, single_at, pair_at = _ideographs(characters, kind == IDEOGRAPH)
    return Features(
        count=len(texts),
        terms=np.concatenate([word_keys, singles, pairs]),
        term_texts=text_of[np.concatenate([word_starts, single_at, pair_at])],
        pieces=pieces,
        piece_texts=text_of[piece_starts],
        piece_words=(np.searchsorted(word_starts, piece_starts, side="right") - 1).astype(np.int32),
        word_terms=word_keys,
    )


def _characters(texts: Sequence[str]) -> NDArray[np.uint32]:
    """One array with a zero after each text; case, width and accents are taken apart first."""
    joined = TEXT_END.join(text.replace(TEXT_END, " ") for text in texts) + TEXT_END
    folded = unicodedata.normalize("NFKD", joined).casefold()
    return np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), np.uint32)


def _words(characters: NDArray[np.uint32], letter: NDArray[np.bool_]) -> tuple[Keys, Numbers, Keys, Numbers]:
    """Keys of the words, where each begins, keys of their pieces, where each begins."""
    at = np.flatnonzero(letter)
    if not len(at):
        empty, nowhere = np.empty(0, np.uint64), np.empty(0, np.int32)
        return empty, nowhere, empty, nowhere
    first = np.flatnonzero(np.diff(at, prepend=-2) > 1)
    lengths = np.diff(first, append=len(at))
    place = np.arange(len(at)) - np.repeat(first, lengths)
    weighed = (characters[at].astype(np.uint64) + np.uint64(1)) * _powers(int(lengths.max()))[place]
    words = _mixed(np.add.reduceat(weighed, first), _WORD)
    begins = at[np.flatnonzero(place + PIECE <= np.repeat(lengths, lengths))]
    wide = characters.astype(np.uint64)
    packed = wide[begins] | wide[begins + 1] << np.uint64(21) | wide[begins + 2] << np.uint64(42)
    return words, at[first].astype(np.int32), _mixed(packed, _PIECE), begins.astype(np.int32)


def _ideographs(characters: NDArray[np.uint32], among: NDArray[np.bool_]) -> tuple[Keys, Keys, Numbers, Numbers]:
    at = np.flatnonzero(among)
    wide = characters.astype(np.uint64)
    paired = at[:-1][np.diff(at) == 1]
    pairs = wide[paired] | wide[paired + 1] << np.uint64(21)
    return _mixed(wide[at], _SINGLE), _mixed(pairs, _PAIR), at.astype(np.int32), paired.astype(np.int32)


def _mixed(values: Keys, seed: np.uint64) -> Keys:
    """Spread over all 64 bits (the finisher of splitmix64), so that kinds do not meet."""
    mixed = values + np.uint64(int(seed) * int(_MULTIPLIER) & 0xFFFFFFFFFFFFFFFF)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return mixed ^ mixed >> np.uint64(31)


def _powers(length: int) -> Keys:
    powers = np.full(length, _MULTIPLIER, np.uint64)
    powers[0] = 1
    return np.cumprod(powers, dtype=np.uint64)


@cache
def _kinds() -> NDArray[np.uint8]:
    """What each code point is, by number."""
    kinds = np.zeros(_CODE_POINTS, np.uint8)
    for number in range(0x20000):
        if unicodedata.category(chr(number))[0] in "LNM":
            kinds[number] = LETTER
    for ranges, kind in ((_IDEOGRAPHS, IDEOGRAPH), (_IGNORED, IGNORED)):
        for low, high in ranges:
            kinds[low:high] = kind
    return kinds
