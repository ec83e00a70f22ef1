"""What every text of a model passes before anybody sees it."""

import asyncio
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chatcore.models.first_tier import FirstTier

MAX_CHARACTERS: Final = 280
TOO_ROUGH: Final = 0.6
"""Of the first tier's heads. Below the least threshold of moderation (.7): a machine should not come near it."""
ANY: Final = "any"
TOO_ROUGH_OF_ANY_KIND: Final = 0.8
"""Of the head that names no category, which is the least sure of everyday lines: between .6 and .8 lay `yes and I will
let you know`, and nothing rough that another head had not found."""
TOO_SEVERE: Final = 2.0
_LINK: Final = re.compile(
    r"""(?xi)
    \b[a-z][a-z0-9+.-]{1,15}://\S+               # any scheme
    | \b(?:data|file|javascript|mailto|sms|tel|vbscript):\S+
    | \b(?:[\w-]+\.)+[a-z]{2,24}\b(?:[:/?\#]\S*)?  # a name with dots, also of a mail address
    | \b(?:xn--[\w-]+)(?:\.[\w-]+)*
    | \b\d{1,3}(?:\.\d{1,3}){3}\b\S*
    """
)
_TRAILING: Final = ".,;:!?)]}>\"'"


class Safety:
    """The first tier of moderation and a few plain rules. Loads the tier once, in a thread."""

    def __init__(self, load: "Callable[[], FirstTier] | None" = None):
        self._load = load
        self._tier: FirstTier | None = None
        self._loading = asyncio.Lock()

    async def warm(self) -> None:
        """Raises ModelFileRefused."""
        async with self._loading:
            if self._tier is None:
                self._tier = await asyncio.to_thread(self._load or _first_tier)

    async def kept(self, texts: Iterable[str], context: Sequence[str]) -> list[str]:
        """Those fit to be suggested, cleaned: at most 280 characters, nothing rough, no link that is not in `context`,
        no echo of its last text, none twice. In their order."""
        await self.warm()
        last = _folded(context[-1]) if context else ""
        chosen: dict[str, str] = {}
        for text in map(clean, texts):
            fits = 0 < len(text) <= MAX_CHARACTERS and _folded(text) != last
            if fits and not self.is_rough(text) and not unknown_links(text, context):
                chosen.setdefault(_folded(text), text)
        return list(chosen.values())

    def is_rough(self, text: str) -> bool:
        """After `warm`. Also true where the words would be masked or sent to review had a person written them."""
        assert self._tier is not None
        seen = self._tier.look(text)
        severe = any(match.severity >= TOO_SEVERE for match in seen.matches)
        return severe or any(
            score >= (TOO_ROUGH_OF_ANY_KIND if head == ANY else TOO_ROUGH) for head, score in seen.scores.items()
        )


def clean(text: str) -> str:
    """One line without control and invisible format characters (joiners inside of emoji stay)."""
    kept = (sign if sign == "\u200d" or unicodedata.category(sign)[0] != "C" else " " for sign in _visible(text))
    return " ".join("".join(kept).split())


def links(text: str) -> list[str]:
    """Whatever a client might make a link of, as written.

    >>> links("see https://example.org/a, or write to ann@example.com")
    ['https://example.org/a', 'example.com']
    """
    return [found.group().rstrip(_TRAILING) for found in _LINK.finditer(unicodedata.normalize("NFKC", _visible(text)))]


def unknown_links(text: str, context: Iterable[str]) -> list[str]:
    """Links that stand as they are in no text of the context."""
    found = links(text)
    if not found:
        return []
    known = {link.casefold() for each in context for link in links(each)}
    return [link for link in found if link.casefold() not in known]


def without_unknown_links(text: str, context: Iterable[str]) -> str:
    for link in unknown_links(text, context):
        text = unicodedata.normalize("NFKC", _visible(text)).replace(link, "[…]")
    return text


def _visible(text: str) -> str:
    return "".join(sign for sign in text if sign == "\u200d" or unicodedata.category(sign) != "Cf")


def _folded(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold())) or text.casefold()


def _first_tier() -> "FirstTier":
    from chatcore.models.first_tier import FirstTier  # noqa: PLC0415 - numpy, which a server without AI does not need

    return FirstTier.load()
