"""Taking out of a text what tells who is meant: addresses, numbers, and the names of those in the room.

Names of people who are not in the room stay, as no list of them is to be had.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Final

LEAST_NAME: Final = 2
_BETWEEN: Final = re.compile(r"[\s._-]+")
# Thai and Lao, Burmese, Khmer, Japanese, Chinese, Korean: what is written without spaces, or with endings attached.
_UNSPACED: Final = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_IS_UNSPACED: Final = re.compile(f"[{_UNSPACED}]")
_STARTS: Final = rf"(?<![^\W{_UNSPACED}])"
_ENDS: Final = rf"(?![^\W{_UNSPACED}])"
_DATE: Final = r"(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?!-?\d)"
_PATTERNS: Final = (
    ("url", re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)),
    ("email", re.compile(r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+")),
    ("address", re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")),
    ("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")),
    # Seven digits or more, with what people put between them, but for dates.
    ("number", re.compile(rf"{_STARTS}(?!{_DATE})\+?\(?\d(?:[ ()./-]{{0,2}}\d){{6,}}{_ENDS}")),
    ("mention", re.compile(rf"{_STARTS}@\w[\w.-]*")),
)


class Redactor:
    """Of one group: `names` are all the names of all who write there or belong there."""

    def __init__(self, names: Iterable[str]):
        composed = [unicodedata.normalize("NFC", name) for name in names]
        words = {part for name in composed for part in (name, *_BETWEEN.split(name)) if len(part) >= LEAST_NAME}
        longest_first = sorted(words, key=lambda word: (-len(word), word))
        self._names = re.compile("|".join(map(_standing_alone, longest_first)), re.IGNORECASE) if words else None

    def redact(self, text: str) -> tuple[str, Counter[str]]:
        """The text, composed (NFC), with `[kind]` in each place, and how many of each kind there were."""
        text, counts = unicodedata.normalize("NFC", text), Counter[str]()
        for kind, pattern in _PATTERNS:
            text, times = pattern.subn(f"[{kind}]", text)
            counts[kind] += times
        if self._names is not None:
            text, times = self._names.subn("[name]", text)
            counts["name"] += times
        return text, +counts


def _standing_alone(name: str) -> str:
    starts = "" if _IS_UNSPACED.match(name[0]) else _STARTS
    ends = "" if _IS_UNSPACED.match(name[-1]) else _ENDS
    return f"{starts}{re.escape(name)}{ends}"
