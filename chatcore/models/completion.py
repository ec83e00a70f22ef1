"""Typing completion: what usually followed these words, in the group's own past and in the reply bank."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from chatcore.models.shapes import CompleteTyping, CompleteTypingInput, CompletionParameters

ORDER = 4  # words looked at: three before and the one that follows
END = ""  # follows the last word of a message
OWN_PAST_WEIGHT = 3  # a group's own words count more than the bank's
SURE_ENOUGH = 0.34  # share of the next word among all that followed; below, guessing would annoy
MOST_RECENT = 500  # messages of the past that are read
NOTHING = CompleteTyping(completion="", confidence=0)


@dataclass(slots=True)
class Phrases:
    """Counts of what followed each run of up to three words, matched without regard to case."""

    following: defaultdict[tuple[str, ...], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    words: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, texts: Iterable[str], weight: int = 1) -> "Phrases":
        phrases = cls()
        for text in texts:
            phrases.learn(text, weight)
        return phrases

    def learn(self, text: str, weight: int = 1) -> None:
        written = text.split()
        folded = [word.casefold() for word in written]
        self.words.update(dict.fromkeys(written, weight))
        for place in range(1, len(written) + 1):
            follower = written[place] if place < len(written) else END
            for size in range(1, ORDER):
                if place >= size:
                    self.following[tuple(folded[place - size : place])][follower] += weight


class Completions:
    """Holds the phrases of the reply bank; those of a group are made for one call and forgotten."""

    def __init__(self, bank_texts: Iterable[str]):
        self._bank = Phrases.of(bank_texts)

    def complete(self, asked: CompleteTypingInput) -> CompleteTyping:
        """The rest of a begun word and the words after it, as far as the past is clear about them."""
        parameters = asked.parameters
        if len(asked.text.strip()) < parameters.min_characters:
            return NOTHING
        past = Phrases.of((turn.text for turn in asked.messages[-MOST_RECENT:]), OWN_PAST_WEIGHT)
        sources = (past, self._bank)
        written = asked.text.split()
        begun = written.pop() if not asked.text[-1].isspace() else ""
        added: list[str] = []
        confidence = 1.0
        while len(added) < parameters.max_words:
            word, share = _next_word(sources, [*written, *added], begun if not added else "", parameters)
            if not word or confidence * share < SURE_ENOUGH:
                break
            added.append(word)
            confidence *= share
        return _as_typed(added, begun, confidence) if added else NOTHING


def _next_word(
    sources: Sequence[Phrases], before: Sequence[str], begun: str, parameters: CompletionParameters
) -> tuple[str, float]:
    """The likeliest word that starts with `begun` (or follows it, when it is whole already), and its share.

    The longest run of words that was seen decides (stupid back-off without mixing); with nothing before, the words
    themselves.
    """
    folded = [word.casefold() for word in before]
    start = begun.casefold()
    for size in range(min(ORDER - 1, len(folded)), 0, -1):
        seen = _count(sources, tuple(folded[-size:]))
        if found := _likeliest(seen, start, parameters.min_count):
            return found
    if not start:
        return "", 0.0
    return _likeliest(sum((source.words for source in sources), Counter()), start, parameters.min_count) or ("", 0.0)


def _count(sources: Sequence[Phrases], run: tuple[str, ...]) -> Counter[str]:
    seen: Counter[str] = Counter()
    for source in sources:
        if run in source.following:
            seen.update(source.following[run])
    return seen


def _likeliest(seen: Counter[str], start: str, min_count: int) -> tuple[str, float] | None:
    fitting = {word: count for word, count in seen.items() if word.casefold().startswith(start) and (word or not start)}
    if not fitting:
        return None
    word, count = max(fitting.items(), key=lambda pair: (pair[1], pair[0]))
    return (word, count / sum(fitting.values())) if count >= min_count else None


def _as_typed(added: Sequence[str], begun: str, confidence: float) -> CompleteTyping:
    rest = " ".join(added)[len(begun) :]
    return CompleteTyping(completion=rest[:280], confidence=round(confidence, 4)) if rest else NOTHING
