"""Recorded conversations as one long group, in the indexes that the server searches."""

import random
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from chatcore.ai.calls import Called, Purpose, Served
from chatcore.ai.search.keywords import KeywordIndex
from chatcore.ai.search.matrix import GroupMatrix, Matrix, Precision, Vector, best
from chatcore.ai.search.ranking import CANDIDATES, fused
from chatcore.ai.search.vectors import Hit
from chatcore.lab import endpoint
from chatcore.lab.datasets.vocabulary import Dataset, Sample
from chatcore.lab.pages import facts

if TYPE_CHECKING:
    import pandas as pd

Rank = Literal["hybrid", "words", "meaning"]
PATIENCE_SECONDS: Final = 600.0
MEASURING: Final = Purpose("judge", deadline_seconds=PATIENCE_SECONDS)
TELLING_LETTERS: Final = 4  # of a word that somebody would type into a search box
WORDS, PIECE = 3, 5
LEAST_TELLING: Final = 5


class NoVectors(Exception):
    """A model other than the first choice answered, so the vectors do not compare: missing data."""


class Corpus:
    """One row of `vectors` for each message of `talks`, as `lab.conversations` gives them, in their order.

    Raises NoVectors, endpoint.ModelsNotThere.
    """

    def __init__(self, talks: "pd.DataFrame", precision: Precision = "int8"):
        self.data = str(talks.attrs.get("dataset", ""))
        self.texts: list[str] = list(talks["text"])
        self.names = [
            message_name(conversation, seq)
            for conversation, seq in zip(talks["conversation"], talks["seq"], strict=True)
        ]
        self.vectors, self.served = embedded(self.texts)
        self._keywords = KeywordIndex()
        self._keywords.add(self.texts)
        self._alive = np.ones(len(self.texts), bool)
        self.matrix = GroupMatrix(self.vectors.shape[1], precision)
        self.matrix.put(numbered(len(self.texts)), self.vectors)
        self._asked: dict[str, Called[Matrix]] = {}

    def __len__(self) -> int:
        return len(self.texts)

    async def asked(self, query: str) -> Called[Matrix]:
        """The query's vector, as one row; asked for once, however many rankings are compared."""
        if query not in self._asked:
            self._asked[query] = await endpoint.elsewhere(endpoint.models().embed([query], MEASURING))
        return self._asked[query]

    def ranked(self, query: str, vector: Vector, rank: Rank = "hybrid") -> list[str]:
        """Names of messages, best first, by the server's ranking or one of the two it is made of."""
        by_words = self._by_words(query) if rank != "meaning" else []
        by_meaning = self.matrix.nearest("", vector, 0, CANDIDATES) if rank != "words" else []
        hits = fused(by_words, by_meaning) if rank == "hybrid" else (by_words or by_meaning)
        return [self.names[hit.seq - 1] for hit in hits]

    def _by_words(self, query: str) -> list[Hit]:
        scores = self._keywords.score(query, self._alive)
        return [
            Hit(_id(at + 1), "", at + 1, float(scores[at])) for at in best(scores, CANDIDATES).tolist() if scores[at]
        ]

    def _repr_html_(self) -> str:
        told = {
            "messages": f"{len(self):,}",
            "data": self.data,
            "vectors": f"{self.served.provider} {self.served.model}{' (degraded)' if self.served.degraded else ''}",
            "numbers in each": str(self.vectors.shape[1]),
            "in memory": f"{self.matrix.bytes / 2**20:.2f} MiB of vectors as {self.matrix.precision}, "
            f"{self._keywords.bytes / 2**20:.2f} MiB of words",
        }
        return facts("Search corpus", told)


def embedded(texts: Sequence[str]) -> tuple[Matrix, Served]:
    """By the models of `lab.endpoint`, all by the same one."""
    called = endpoint.run(endpoint.models().embed(texts, MEASURING), timeout_seconds=PATIENCE_SECONDS)
    if called.served.fallback:
        raise NoVectors(f"the first choice did not answer: {called.served.fallback}")
    return called.value, called.served


def needles(talks: "pd.DataFrame", count: int = 200, *, seed: int = 0) -> Dataset:
    """Queries made of messages, whose target is the message they were taken from: three words of it in any order
    (`words`), or five in a row (`piece`). Nobody typed them; they compare rankings and promise no quality."""
    chance = random.Random(seed)  # noqa: S311 - a reproducible draw
    samples: list[Sample] = []
    rows = list(talks[["conversation", "seq", "text"]].itertuples(index=False))
    for conversation, seq, text in chance.sample(rows, len(rows)):
        words = re.findall(r"[^\W\d_]+", text)
        telling = [word for word in words if len(word) >= TELLING_LETTERS]
        if len(telling) < LEAST_TELLING:
            continue
        kind = "words" if len(samples) % 2 else "piece"
        start = chance.randrange(max(1, len(words) - PIECE))
        query = chance.sample(telling, WORDS) if kind == "words" else words[start : start + PIECE]
        target = {"conversation": conversation, "seqs": [int(seq)]}
        samples.append(Sample(f"n{len(samples):04}", " ".join(query), target, conversation, slices={"kind": kind}))
        if len(samples) == count:
            break
    return Dataset(f"needles({talks.attrs.get('dataset', '')}, {seed})", tuple(samples))


def message_name(conversation: str, seq: int) -> str:
    return f"{conversation}#{seq}"


def relevant(sample: Sample) -> set[str]:
    return {message_name(sample.target["conversation"], seq) for seq in sample.target["seqs"]}


def numbered(count: int) -> list[tuple[int, str]]:
    """Log positions from 1 with message ids."""
    return [(seq, _id(seq)) for seq in range(1, count + 1)]


def _id(seq: int) -> str:
    return f"{seq:024x}"


def search_corpus(talks: "pd.DataFrame", precision: Precision = "int8") -> Corpus:
    """The messages of `lab.conversations(...)` as one long group, embedded once for all that is asked of them."""
    return Corpus(talks, precision)
