"""Taking out of a text what tells who is meant: addresses, numbers, and the names of those in the room.

Names of people who are not in the room stay, as no list of them is to be had.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

LEAST_NAME: Final = 2
_BETWEEN: Final = re.compile(r"[\s._-]+")
_PATTERNS: Final = (
    ("url", re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)),
    ("email", re.compile(r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+")),
    ("address", re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")),
    ("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")),
    # Seven digits or more, with what people put between them, but for dates.
    ("number", re.compile(r"(?<!\w)(?!\d{4}-\d\d-\d\d(?!\d))\+?\(?\d(?:[ ()./-]{0,2}\d){6,19}(?!\w)")),
    ("mention", re.compile(r"(?<!\w)@\w[\w.-]*")),
)


class Redactor:
    """Of one group: `names` are all the names of all who write there or belong there."""

    def __init__(self, names: Iterable[str]):
        words = {part for name in names for part in (name, *_BETWEEN.split(name)) if len(part) >= LEAST_NAME}
        longest_first = sorted(words, key=lambda word: (-len(word), word))
        self._names = (
            re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE) if words else None
        )

    def redact(self, text: str) -> tuple[str, Counter[str]]:
        """The text with `[kind]` in each place, and how many of each kind there were."""
        counts: Counter[str] = Counter()
        for kind, pattern in _PATTERNS:
            text, times = pattern.subn(f"[{kind}]", text)
            counts[kind] += times
        if self._names is not None:
            text, times = self._names.subn("[name]", text)
            counts["name"] += times
        return text, +counts
