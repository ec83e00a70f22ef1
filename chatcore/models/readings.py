"""Other ways to read a text, for those who disguise what they write: look-alike letters, digits for letters, letters
kept apart, marks that nobody sees, a word of harm in a long letter.

Whoever judges a text takes the highest score of all its readings, so a reading can only add; a text in plain writing
has one reading, itself.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

LONG: Final = 100
"""Characters from which on a text is also read piece by piece: a threat amid small talk, or behind orders to the judge,
does not show in the whole."""
SHORT, WINDOW, SENTENCE = 12, 80, 100
MOST_PIECES: Final = 24
ACCENTS: Final = 0.3
_FILLERS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f")  # letters by their category, and nothing to see
_OVERRIDE, _POP = "\u202e", "\u202c\u202d\u2066\u2067\u2068\u2069"
_DIRECTIONS: Final = frozenset(_OVERRIDE + _POP)
_LOOK_ALIKES: Final = dict(
    zip(
        "асеорхуіјѕԁһӏԛԝАВСЕНІЈКМОРЅТХУѴαοριυνκτΑΒΕΖΗΙΚΜΝΟΡΤΥΧᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢıɑɡ",
        "aceopxyijsdhlqwABCEHIJKMOPSTXYVaopiuvktABEZHIKMNOPTYXabcdefghijklmnoprstuvwyziag",
        strict=True,
    )
)
_SPELLINGS: Final = str.maketrans("01345789@$", "oieastbgas")
_APART: Final = re.compile(r"(?<![\w@$])([\w@$])([ .\-_*~|/+·•])(?:[\w@$]\2)+[\w@$](?![\w@$])")
_STRETCHED: Final = re.compile(r"([^\W\d_])\1{2,}", re.IGNORECASE)
_WORD: Final = re.compile(r"\S+")
_MIXED: Final = re.compile(r"(?<!\S)(?!@|\S*(?:://|@\S+\.))\S*[^\W\d_][0-9@$]+[^\W\d_]\S*")
"""Signs between letters: `id10t`; not `3pm`, `B12`, `@name` or an address."""
_SIGNED: Final = re.compile(r"(?<!\S)(?!@|\S*(?:://|@\S+\.))(?=\S*[^\W\d_])(?=\S*[0-9@$])\S+")
_LETTER: Final = re.compile(r"[^\W\d_]")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?;:\n>}\])])\s+|\n\s*|\s(?=[\[{<(])")
_GAP: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Reading:
    """`places[i]` is where character i of this reading stands in the text that was written."""

    text: str
    places: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """What text[start:end] of this reading covers there."""
        covered = self.places[start:end]
        return min(covered), max(covered) + 1


def readings(text: str) -> list[Reading]:
    """The text itself first."""
    found = wholes(text)
    return [*found, *pieces(found[-1])]


def wholes(text: str) -> list[Reading]:
    """The text itself, and where it is disguised, what its author means."""
    found = [Reading(text, range(len(text)))]
    if not text.isascii() or _is_odd(text):
        plain = undisguised(text)
        if _folded(plain.text) != _folded(text if _is_piled(text) else _without_accents(text)):
            found.append(plain)
    return found


def undisguised(text: str) -> Reading:
    """As its author means it to be read.

    >>> undisguised("y0u s.t.u.p.i.d f-o-o-l").text
    'you stupid fool'
    """
    reading = _visible(text)
    for change in (_without_override, _latin, _joined, _spelled, _unstretched):
        reading = change(reading)
    return reading


def _is_odd(text: str) -> bool:
    return any(pattern.search(text) for pattern in (_MIXED, _APART, _STRETCHED))


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _without_accents(text: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFD", text) if unicodedata.category(letter) != "Mn")


def _is_piled(text: str) -> bool:
    """More accents than languages have: a disguise, which n-grams are misled by. The embedder never sees any."""
    apart = unicodedata.normalize("NFD", text)
    return sum(unicodedata.category(letter) == "Mn" for letter in apart) > ACCENTS * len(text)


def _visible(text: str) -> Reading:
    """Compatibility forms as plain letters; without accents and without what cannot be seen."""
    letters: list[str] = []
    places: list[int] = []
    for place, written in enumerate(text):
        for letter in written if written.isascii() else unicodedata.normalize("NFKD", written):
            if _is_seen(letter) or letter in _DIRECTIONS:
                letters.append(letter)
                places.append(place)
    return Reading("".join(letters), places)


def _is_seen(letter: str) -> bool:
    return letter not in _FILLERS and unicodedata.category(letter) not in ("Mn", "Me", "Cf")


def _without_override(reading: Reading) -> Reading:
    """What is stored backwards between a right-to-left override and its end, in the order in which it is seen."""
    if not _DIRECTIONS.intersection(reading.text):
        return reading
    order: list[int] = []
    turned: list[int] | None = None
    for place, letter in enumerate(reading.text):
        if letter == _OVERRIDE:
            order += reversed(turned or [])
            turned = []
        elif letter in _POP:
            order += reversed(turned or [])
            turned = None
        else:
            (order if turned is None else turned).append(place)
    return _picked(reading, [*order, *reversed(turned or [])])


def _latin(reading: Reading) -> Reading:
    """Words that are made of look-alikes to the last letter; a word in a script of its own stays."""
    letters = list(reading.text)
    for found in _WORD.finditer(reading.text):
        word = "".join(_LOOK_ALIKES.get(letter, letter) for letter in found[0])
        if all(letter.isascii() for letter in word if letter.isalpha()):
            letters[found.start() : found.end()] = word
    return Reading("".join(letters), reading.places)


def _joined(reading: Reading) -> Reading:
    """Single letters with the same sign between them are one word, unless they are digits."""
    kept: list[int] = []
    end = 0
    for found in _APART.finditer(reading.text):
        kept += range(end, found.start())
        step = 2 if _LETTER.search(found[0]) else 1
        kept += range(found.start(), found.end(), step)
        end = found.end()
    return _picked(reading, [*kept, *range(end, len(reading.text))])


def _spelled(reading: Reading) -> Reading:
    """Digits and signs for letters, in words that have a letter: `233333` stays a number, and so does `3pm` unless
    another word shows that signs are letters here."""
    if not _MIXED.search(reading.text):
        return reading
    return Reading(_SIGNED.sub(lambda word: word[0].translate(_SPELLINGS), reading.text), reading.places)


def _unstretched(reading: Reading) -> Reading:
    kept: list[int] = []
    end = 0
    for found in _STRETCHED.finditer(reading.text):
        kept += range(end, found.start() + 1)
        end = found.end()
    return _picked(reading, [*kept, *range(end, len(reading.text))])


def _picked(reading: Reading, order: Sequence[int]) -> Reading:
    return Reading("".join(reading.text[at] for at in order), [reading.places[at] for at in order])


def pieces(reading: Reading) -> Iterator[Reading]:
    """Of a long text: each sentence; of what goes on without an end, windows that overlap by
    half, so that words that belong together stand in one of them. A very long text has longer pieces."""
    length = len(reading.text)
    if length < LONG:
        return
    stretch = length // (MOST_PIECES * WINDOW // 2) + 1
    gaps = [0, *(found.end() for found in _GAP.finditer(reading.text)), length]
    for start, end in _sentences(reading.text, SHORT * stretch):
        size = end - start if end - start <= SENTENCE * stretch else WINDOW * stretch
        for at in _starts(gaps, start, end, size):
            stop = max((gap for gap in gaps if at < gap <= at + size), default=at + size)
            yield Reading(reading.text[at:stop], reading.places[at:stop])


def _sentences(text: str, least: int) -> list[tuple[int, int]]:
    """Where each begins and ends; a short one belongs to the one before, which it changes least."""
    ends = [*(found.end() for found in _SENTENCE_END.finditer(text)), len(text)]
    found: list[tuple[int, int]] = []
    start = 0
    for end in ends:
        if end - start >= least or not found:
            found.append((start, end))
        else:
            found[-1] = (found[-1][0], end)
        start = end
    return found


def _starts(gaps: Sequence[int], start: int, end: int, size: int) -> Iterator[int]:
    """Of windows of this size between the two, half a window apart and where a word begins, if one does."""
    while True:
        yield start
        if start + size >= end:
            return
        half = start + size // 2
        start = max((gap for gap in gaps if start < gap <= half), default=half)
