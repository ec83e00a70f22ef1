"""Taking out of a text what tells who is meant: addresses, numbers, and the names of those who are or were in the room.

Names are found in any case, with the -s of a genitive, without their accents or with what Germans write for them, run
together or joined by dots and lines. Names of people who were never in the room stay, as no list of them is to be had.
"""

import ipaddress
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

LEAST_NAME: Final = 2
LEAST_INFLECTED: Final = 3  # two letters and an s are words of their own: als, his, was
_BETWEEN: Final = re.compile(r"[\s._-]+")
_JOINED: Final = r"[\s._-]*"
# Thai and Lao, Burmese, Khmer, Japanese, Chinese, Korean: what is written without spaces, or with endings attached.
_UNSPACED: Final = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_IS_UNSPACED: Final = re.compile(f"[{_UNSPACED}]")
_STARTS: Final = rf"(?<![^\W_{_UNSPACED}])"
_ENDS: Final = rf"(?![^\W_{_UNSPACED}])"
_GENITIVE: Final = rf"(?=(?:['\u2019\u02bc]?[sS])?{_ENDS})"
_GENITIVE_OF_HISSING: Final = rf"(?=(?:['\u2019\u02bc]?[sS]|[eE](?:[nN]?[sS])?)?{_ENDS})"  # Fritzens, Joneses
_HISSING: Final = "sxzß"
# Soft hyphens, joiners, marks of direction, and the like: seen by nobody, so that a name stays readable around them.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufe00-\ufe0f\ufeff]"
)
_GERMAN: Final = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d"}
_DATE: Final = r"(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?!-?\d)"
_FOUR: Final = r"(?:\d{1,3}\.){3}\d{1,3}"
_PATTERNS: Final = (
    ("url", re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)),
    ("email", re.compile(r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+")),
    # Of machines: with colons, as IPv6 and network cards have them, and the four numbers of IPv4.
    (
        "address",
        re.compile(rf"(?<![\w:.])(?:[0-9A-Fa-f]{{0,4}}:){{2,8}}(?:{_FOUR}|[0-9A-Fa-f]{{1,4}})?(?![\w:])(?:%\w+)?"),
    ),
    ("address", re.compile(rf"(?<![\d.]){_FOUR}(?![\d.])")),
    ("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")),
    # Seven digits or more, with what people put between them, but for dates.
    ("number", re.compile(rf"{_STARTS}(?!{_DATE})\+?\(?\d(?:[ ()./-]{{0,2}}\d){{6,}}{_ENDS}")),
    ("mention", re.compile(rf"{_STARTS}@\w[\w.-]*")),
)
_NETWORK_CARD: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}\Z")


Tree = dict[str, "Tree"]


class Redactor:
    """Of one group: `names` are all the names of all who write or wrote there, belong there, or did."""

    def __init__(self, names: Iterable[str]):
        composed = {unicodedata.normalize("NFKC", name) for name in names}
        words = {part for name in composed for part in (name, *_BETWEEN.split(name)) if len(part) >= LEAST_NAME}
        self._names = re.compile(_any_of(words)) if words else None

    def redact(self, text: str) -> tuple[str, Counter[str]]:
        """The text, composed (NFC), with `[kind]` in each place, and how many of each kind there were.

        Where invisible characters or odd forms of letters hide something, the text comes without them.
        """
        shown, counts = self._taken_out(unicodedata.normalize("NFC", text))
        plain, found = self._taken_out(_plain(text))
        return (shown, counts) if _plain(shown) == plain else (plain, found)

    def _taken_out(self, text: str) -> tuple[str, Counter[str]]:
        counts = Counter[str]()
        for kind, pattern in _PATTERNS:
            text = pattern.sub(_put(kind, counts), text)
        if self._names is not None:
            text = self._names.sub(_put("name", counts), text)
        return text, counts


def _put(kind: str, counts: Counter[str]) -> Callable[[re.Match[str]], str]:
    def put(found: re.Match[str]) -> str:
        if ":" in found[0] and kind == "address" and not _is_address(found[0]):
            return found[0]
        counts[kind] += 1
        return f"[{kind}]"

    return put


def _is_address(text: str) -> bool:
    """A time of day is none, and neither is a pair of colons."""
    if _NETWORK_CARD.match(text):
        return True
    try:
        return ipaddress.IPv6Address(text.partition("%")[0]) != ipaddress.IPv6Address(0)
    except ValueError:
        return False


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))


def _any_of(names: Iterable[str]) -> str:
    """One tree of letters for all names that begin and end alike: a thousand names cost a text no more than ten do."""
    trees: dict[tuple[str, str], Tree] = {}
    for name in names:
        tree = trees.setdefault((_start(name), _end(name)), {})
        for unit in _spelled(name):
            tree = tree.setdefault(unit, {})
        tree[""] = {}
    longest_end_first = sorted(trees.items(), key=lambda pair: (-len(pair[0][1]), pair[0]))
    return "|".join(f"{start}(?i:{_written(tree)}){end}" for (start, end), tree in longest_end_first)


def _written(tree: Tree) -> str:
    """What goes on before what ends here, so that the longest name is found."""
    branches = [unit + _written(tree[unit]) for unit in sorted(tree, reverse=True) if unit]
    if "" in tree:
        branches.append("")
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


def _start(name: str) -> str:
    return "" if _IS_UNSPACED.match(name[0]) else _STARTS


def _end(name: str) -> str:
    if _IS_UNSPACED.match(name[-1]):
        return ""
    if len(name) < LEAST_INFLECTED:
        return _ENDS
    return _GENITIVE_OF_HISSING if name[-1].lower() in _HISSING else _GENITIVE


def _spelled(name: str) -> Iterator[str]:
    """A pattern for each letter."""
    for number, part in enumerate(filter(None, _BETWEEN.split(name))):
        if number:
            yield _JOINED
        yield from map(_letter, part)


def _letter(letter: str) -> str:
    """As it is, without its accent, and as Germans write it where there is none on the keyboard."""
    small = letter.lower()
    bare = unicodedata.normalize("NFD", small)[0]
    forms = dict.fromkeys(form for form in (small, bare, _GERMAN.get(small, "")) if form)
    if len(forms) == 1 or _IS_UNSPACED.match(letter):
        return re.escape(small)
    return f"(?:{'|'.join(map(re.escape, forms))})"
