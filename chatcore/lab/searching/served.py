"""The real server with recorded conversations in it, one group each: what search and ask do for real people."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import pandas as pd

from chatcore.ai.search.store import MongoSearchStore
from chatcore.contract.base import Shape
from chatcore.contract.search import Answered, SearchResult, SearchResults
from chatcore.errors import NotFound
from chatcore.lab import statistics as st
from chatcore.lab.datasets.vocabulary import Dataset, Sample
from chatcore.lab.live import LiveChat, Person
from chatcore.lab.pages import Table, facts

S = TypeVar("S", bound=Shape)
SETTLE_SECONDS: Final = 90.0
PAUSE_SECONDS: Final = 0.2
FAR: Final = 5_000  # log positions; no recorded group is that long
MOST: Final = 50
LETTERS: Final = 4  # of a word that says something


@dataclass(frozen=True)
class AskReport:
    """`table`: sample, language, answered, right (a right message is cited), cited, foreign, grounded, answer.

    `grounded` is the share of the answer's words that the cited messages hold, their sender's name counted.
    `wrong_place` are the same questions put to another group.
    """

    table: pd.DataFrame
    wrong_place: pd.DataFrame

    @property
    def answered(self) -> "st.Interval":
        return st.wilson(int(self.table["answered"].sum()), len(self.table))

    @property
    def right(self) -> "st.Interval":
        """Of those answered: how many cite a message that answers."""
        given = self.table[self.table["answered"]]
        return st.wilson(int(given["right"].sum()), len(given))

    @property
    def grounded(self) -> "st.Interval":
        given = self.table[self.table["answered"]]
        found = st.clustered_mean(given["grounded"].to_numpy(), clusters=[given["conversation"].to_numpy()])
        return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))

    @property
    def foreign(self) -> int:
        """Citations of messages outside the group that was asked."""
        return int(self.table["foreign"].sum() + self.wrong_place["foreign"].sum())

    @property
    def invented(self) -> "st.Interval":
        """How often a group that says nothing about it was said to answer."""
        return st.wilson(int(self.wrong_place["answered"].sum()), len(self.wrong_place))


@dataclass(frozen=True)
class Freshness:
    """Messages that were edited and deleted, looked for by their old and their new words right after the change."""

    edited: int
    deleted: int
    old_text_found: int
    new_text_missed: int
    deleted_found: int
    deleted_by_meaning: int

    @property
    def stale(self) -> int:
        return self.old_text_found + self.deleted_found + self.deleted_by_meaning

    def _repr_html_(self) -> str:
        rows = [
            ["edited messages", f"{self.edited:,}", "found by what they said before", f"{self.old_text_found:,}"],
            ["", f"{self.edited:,}", "not found by what they say now", f"{self.new_text_missed:,}"],
            ["deleted messages", f"{self.deleted:,}", "found by their words", f"{self.deleted_found:,}"],
            ["", f"{self.deleted:,}", "cited in an answer", f"{self.deleted_by_meaning:,}"],
        ]
        return Table(["right after a change", "how many", "", "times"], rows, frozenset({1, 3})).html()


@dataclass(frozen=True)
class Isolation:
    """`foreign` hits among all `hits` of searches by people who are members of one group each; `let_in` counts
    searches and questions in a group of others that were answered at all, of `knocked`."""

    searches: int
    hits: int
    foreign: int
    knocked: int
    let_in: int

    def _repr_html_(self) -> str:
        rows = [
            ["searches in all of one's groups", f"{self.searches:,}", "hits", f"{self.hits:,}"],
            ["", f"{self.searches:,}", "hits of other groups", f"{self.foreign:,}"],
            ["searches and questions in a group of others", f"{self.knocked:,}", "answered", f"{self.let_in:,}"],
        ]
        return Table(["what was tried", "how often", "what came of it", "times"], rows, frozenset({1, 3})).html()


class ServedSearch:
    """`chat` has AI on. Each conversation's group has one owner, who is a member of no other group."""

    def __init__(self, talks: pd.DataFrame, chat: LiveChat):
        self.chat = chat
        self.groups: dict[str, str] = {}
        self.owners: dict[str, Person] = {}
        self._ids: dict[tuple[str, int], str] = {}
        self._texts: dict[str, str] = {}
        self._group_of: dict[str, str] = {}
        for name, rows in talks.groupby("conversation", sort=False):
            self._fill(str(name), rows)
        self.settle()

    def _fill(self, name: str, rows: pd.DataFrame) -> None:
        owner = self.owners[name] = self.chat.person(name)
        group_id = self.groups[name] = owner.creates_group(name).id
        for row in rows.itertuples():
            sent = owner.sends(group_id, str(row.text))
            self._ids[name, int(row.seq)] = sent.message_id
            self._texts[sent.message_id] = str(row.text)
            self._group_of[sent.message_id] = name

    def settle(self) -> float:
        """Waits until every message has its vector; the seconds that took. Raises TimeoutError."""
        core = self.chat._chat.core  # noqa: SLF001 - no client is told of vectors
        store, began = MongoSearchStore(core.mongo.database), time.monotonic()
        for group_id in self.groups.values():
            while any(
                line.searchable and (line.vector is None or line.vector.rev != line.rev)
                for line in self.chat.run(store.window(group_id, 0, FAR))
            ):
                if time.monotonic() - began > SETTLE_SECONDS:
                    raise TimeoutError(f"not every message had its vector within {SETTLE_SECONDS:g} s")
                time.sleep(PAUSE_SECONDS)
        return time.monotonic() - began

    # --- what people do

    def searches(self, who: Person, query: str, group: str | None = None, limit: int = 10) -> list[SearchResult]:
        """Results as the server gives them, once every group is in its memory."""
        place = {"groupId": self.groups[group]} if group else {}
        while True:
            found = self._post(SearchResults, who, "search", {"query": query, "limit": limit, **place})
            if not found.incomplete:
                return found.results
            time.sleep(PAUSE_SECONDS)

    def _asks_group(self, who: Person, question: str, group: str) -> Answered:
        return self._post(Answered, who, "ask", {"question": question, "groupId": self.groups[group]})

    def _post(self, shape: type[S], who: Person, path: str, body: dict[str, Any]) -> S:
        answer: S = self.chat.run(who.client.rest.post(shape, f"/api/ai/{path}", body))
        return answer

    def asks(self, questions: Dataset) -> AskReport:
        """Every question in its own group, then in the next one, which knows nothing about it."""
        names = list(self.groups)
        at_home, elsewhere = [], []
        for sample in self._known(questions):
            home = sample.target["conversation"]
            at_home.append(self._asked(sample, home))
            elsewhere.append(self._asked(sample, names[(names.index(home) + 1) % len(names)]))
        return AskReport(pd.DataFrame(at_home), pd.DataFrame(elsewhere))

    def _asked(self, sample: Sample, group: str) -> dict[str, Any]:
        told = self._asks_group(self.owners[group], sample.text, group)
        cited, name = told.citations, self.owners[group].client.user.name
        right = {self._ids[sample.target["conversation"], seq] for seq in sample.target["seqs"]}
        return {
            "sample": sample.id, "conversation": sample.target["conversation"], **sample.slices,
            "question": sample.text,
            "answer": told.answer, "answered": told.answered, "right": bool(right & set(cited)),
            "cited": len(cited), "foreign": sum(self._group_of.get(one) != group for one in cited),
            "grounded": grounded(told.answer, [name, *(self._texts.get(one, "") for one in cited)]),
            "degraded": told.degraded,
        }  # fmt: skip

    def _known(self, questions: Dataset) -> Iterator[Sample]:
        return (sample for sample in questions if sample.target["conversation"] in self.groups)

    # --- what must never happen

    def freshness(self, count: int = 10) -> Freshness:
        """Edits and deletes messages of as many groups, and looks for them at once. Changes the groups: do it last."""
        edited = deleted = old = missed = gone = by_meaning = 0
        for number, (name, owner) in enumerate(list(self.owners.items())[:count]):
            ids = [(seq, id_) for (talk, seq), id_ in self._ids.items() if talk == name]
            (_, first), (_, second) = ids[0], ids[1]
            fresh = f"zanzibar{number} quokka{number}"
            owner.command("edit_message", groupId=self.groups[name], messageId=first, content=fresh)
            owner.command("delete_message", groupId=self.groups[name], messageId=second)
            edited, deleted = edited + 1, deleted + 1
            was = [one for one in self.searches(owner, self._texts[first], name, MOST) if one.message_id == first]
            old += any(one.content != fresh for one in was)
            missed += not any(one.message_id == first for one in self.searches(owner, fresh, name))
            gone += any(one.message_id == second for one in self.searches(owner, self._texts[second], name, MOST))
            by_meaning += second in self._asks_group(owner, self._texts[second], name).citations
        return Freshness(edited, deleted, old, missed, gone, by_meaning)

    def isolation(self, questions: Dataset, people: int = 6) -> Isolation:
        """So many people look for everything in all of their groups, and knock at the next one, which is not theirs."""
        searches = hits = foreign = knocked = let_in = 0
        names = list(self.groups)
        for place, (name, owner) in enumerate(list(self.owners.items())[:people]):
            for sample in self._known(questions):
                results = self.searches(owner, sample.text, limit=MOST)
                searches, hits = searches + 1, hits + len(results)
                foreign += sum(one.group_id != self.groups[name] for one in results)
            others = names[(place + 1) % len(names)]
            for knock in (self.searches, self._asks_group):
                knocked += 1
                let_in += self._is_let_in(knock, owner, others)
        return Isolation(searches, hits, foreign, knocked, let_in)

    @staticmethod
    def _is_let_in(knock: Callable[[Person, str, str], object], who: Person, group: str) -> bool:
        try:
            knock(who, "hello", group)
        except NotFound:
            return False
        return True

    def _repr_html_(self) -> str:
        told = {"groups": str(len(self.groups)), "messages": f"{len(self._ids):,}", "address": self.chat.url}
        return facts("Search on the real server", told)


def grounded(answer: str, cited: list[str]) -> float:
    """The share of the answer's telling words that stand in the cited messages; 1 where it has none."""
    words = telling(answer)
    return len(words & telling(" ".join(cited))) / len(words) if words else 1.0


def telling(text: str) -> set[str]:
    spaced = "".join(letter if letter.isalnum() else " " for letter in text.casefold())
    return {word for word in spaced.split() if len(word) >= LETTERS}


def served_search(talks: pd.DataFrame, chat: LiveChat) -> ServedSearch:
    """Puts the conversations into the server and waits until each message can be found by its meaning."""
    return ServedSearch(talks, chat)
