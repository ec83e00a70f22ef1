"""What was heard and is not acted upon yet: news of logs gathered by group, all else in order, bounded."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from chatcore.journal.peers import News
from chatcore.relay.words import Word, news_in

MAX_WORDS: Final = 20_000
LOOKS_AT_ONCE: Final = 20  # reads of the database while our own sends wait


@dataclass(slots=True)
class Heard:
    """What is acted upon together: first the logs, then the rest."""

    news: dict[str, News] = field(default_factory=dict)
    others: list[tuple[str, Word]] = field(default_factory=list)


class Inbox:
    def __init__(self, max_words: int = MAX_WORDS):
        self._max_words = max_words
        self._waiting: deque[tuple[str, Word]] = deque()
        self._looks: dict[str, None] = {}
        self._filled = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._looks)

    def add(self, process: str, word: Word) -> None:
        """Where it is full, the oldest goes, and its group is looked up in the database."""
        if len(self._waiting) >= self._max_words:
            _, old = self._waiting.popleft()
            self.dropped += 1
            if old[0] == "rows":
                self._looks[old[1]] = None
        self._waiting.append((process, word))
        self._filled.set()

    def look(self, group_id: str) -> None:
        """See what the database holds, whatever anybody says."""
        self._looks[group_id] = None
        self._filled.set()

    async def take(self) -> Heard:
        """Waits for something."""
        await self._filled.wait()
        heard = Heard()
        while self._waiting:
            process, word = self._waiting.popleft()
            if word[0] == "rows":
                news = news_of(word)
                heard.news[news.group_id] = joined(heard.news.get(news.group_id), news)
            else:
                heard.others.append((process, word))
        for group_id in list(self._looks)[:LOOKS_AT_ONCE]:
            del self._looks[group_id]
            heard.news[group_id] = News(group_id, None)
        if not self._looks:
            self._filled.clear()
        return heard


def news_of(word: Word) -> News:
    """Of a word that another version wrote only the group is taken: the database has the rest."""
    try:
        return news_in(word)
    except (ValueError, TypeError, IndexError):
        return News(word[1], None)


def joined(first: News | None, second: News) -> News:
    """Both at once; rows that do not follow each other are left to the database."""
    if first is None or first.up_to is None or second.up_to is None:
        return second if first is None or first.up_to is not None else first
    if second.up_to <= first.up_to:
        return first
    follows = bool(second.rows) and second.rows[0].seq == first.up_to + 1
    complete = bool(first.rows) and first.rows[-1].seq == first.up_to
    return News(second.group_id, second.up_to, first.rows + second.rows if follows and complete else first.rows)
