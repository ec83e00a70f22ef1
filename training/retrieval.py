"""Measure how well search ranks: `python -m training.retrieval`; prints a table, ends with 1 when the target is missed.

Made from Topical-Chat (valid_freq, 539 conversations, CDLA-Sharing 1.0): groups of 20 conversations, about 430 messages
each. Conversations with an even number chose the settings, those with an odd number are measured. Queries of a group:

    words   three words, not the commonest, of one message; that message is right
    piece   five words in a row of one message; that message is right
    reply   a message; the one before and the one after it are right (it is left out itself)
    topic   a message; all others of its conversation are right

Nothing here is a query that a person typed into a search box, so the numbers compare rankings and promise no quality.
"""

import math
import random
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

import numpy as np
from rich.console import Console
from rich.table import Table

from chatcore.ai.search.keywords import KeywordIndex
from chatcore.ai.search.matrix import Vector, best
from chatcore.ai.search.ranking import CANDIDATES, fused
from chatcore.ai.search.vectors import Hit
from chatcore.models.embedding import Embedder
from training.public_data import NoPublicData, conversations, explain_and_exit
from training.vectors import embed_cached

GROUP_CONVERSATIONS = 20
QUERIES_OF_A_GROUP = 48
KINDS = ("words", "piece", "reply", "topic")
DEPTH = 10
COMMON = frozenset(
    re.findall(
        r"\w+",
        "the a an and or of to in is it that i you was for on are with as they be at this have from by not but what "
        "all were we when your can said there use do how their if will up about out many then them so some would like "
        "him into has more no way could my than been who its now did get im yes yeah know think just really didnt dont",
    )
)


@dataclass(frozen=True)
class Group:
    """Messages with the conversation and the place in it that each comes from, and their vectors."""

    texts: list[str]
    conversation: list[int]
    place: list[int]
    vectors: Vector


@dataclass(frozen=True)
class Query:
    kind: str
    text: str
    right: frozenset[int]
    left_out: int | None


def ndcg(order: Sequence[int], right: frozenset[int]) -> float:
    """Of the first ten, with gain 1 for what is right."""
    gained = sum(1 / math.log2(rank + 2) for rank, at in enumerate(order[:DEPTH]) if at in right)
    return gained / sum(1 / math.log2(rank + 2) for rank in range(min(DEPTH, len(right))))


def groups(odd: bool) -> Iterator[Group]:
    talks = conversations()
    vectors = embed_cached(Embedder(), "topical-turns", [text for talk in talks for text in talk])
    starts = np.cumsum([0, *(len(talk) for talk in talks)])
    numbers = [number for number in range(len(talks)) if number % 2 == odd]
    for first in range(0, len(numbers) - GROUP_CONVERSATIONS + 1, GROUP_CONVERSATIONS):
        chosen = [
            (number, place)
            for number in numbers[first : first + GROUP_CONVERSATIONS]
            for place in range(len(talks[number]))
        ]
        rows = [int(starts[number]) + place for number, place in chosen]
        texts = [talks[number][place] for number, place in chosen]
        yield Group(texts, [number for number, _ in chosen], [place for _, place in chosen], vectors[rows])


def queries(group: Group, chance: random.Random) -> Iterator[Query]:
    for turn in range(QUERIES_OF_A_GROUP):
        kind, at = KINDS[turn % len(KINDS)], chance.randrange(len(group.texts))
        words = re.findall(r"[A-Za-z']+", group.texts[at])
        telling = [word for word in words if word.lower() not in COMMON and len(word) > 2]
        same = [other for other in range(len(group.texts)) if group.conversation[other] == group.conversation[at]]
        if kind in ("words", "piece") and len(telling) < 5:
            continue
        if kind == "words":
            yield Query(kind, " ".join(chance.sample(telling, 3)), frozenset([at]), None)
        elif kind == "piece":
            start = chance.randrange(max(1, len(words) - 5))
            yield Query(kind, " ".join(words[start : start + 5]), frozenset([at]), None)
        else:
            reach = 1 if kind == "reply" else len(same)
            near = [other for other in same if other != at and abs(group.place[other] - group.place[at]) <= reach]
            yield Query(kind, group.texts[at], frozenset(near), at)


def hits(scores: Vector, query: Query) -> list[Hit]:
    if query.left_out is not None:
        scores[query.left_out] = -1
    return [Hit(str(at), "", at, float(scores[at])) for at in best(scores, CANDIDATES).tolist() if scores[at] > 0]


def z_scores(keywords: Sequence[Hit], vectors: Sequence[Hit]) -> list[int]:
    """For comparison: the sum of both in units of their own spread."""
    sums: dict[int, float] = {}
    for ranking in (keywords, vectors):
        scores = [hit.score for hit in ranking]
        middle, spread = (fmean(scores), pstdev(scores) or 1.0) if scores else (0.0, 1.0)
        last = min(scores, default=0.0)
        known = {hit.seq: hit.score for hit in ranking}
        for hit in (*keywords, *vectors):
            sums.setdefault(hit.seq, 0.0)
        for seq in sums:
            sums[seq] += (known.get(seq, last) - middle) / spread
    return sorted(sums, key=lambda seq: -sums[seq])


def measure(*, odd: bool) -> dict[str, dict[str, list[float]]]:
    """nDCG@10 of every query, by ranking and kind."""
    embedder, chance = Embedder(), random.Random(7)  # noqa: S311
    measured: dict[str, dict[str, list[float]]] = {}
    for group in groups(odd):
        index = KeywordIndex()
        index.add(group.texts)
        alive = np.ones(len(group.texts), bool)
        for query in queries(group, chance):
            by_words = hits(index.score(query.text, alive), query)
            by_meaning = hits((1 + group.vectors @ embedder.embed_one(query.text)[0]) / 2, query)
            orders = {
                "keywords": [hit.seq for hit in by_words],
                "vectors": [hit.seq for hit in by_meaning],
                "z-scores": z_scores(by_words, by_meaning),
                "hybrid": [hit.seq for hit in fused(by_words, by_meaning)],
            }
            for name, order in orders.items():
                measured.setdefault(name, {}).setdefault(query.kind, []).append(ndcg(order, query.right))
    return measured


def show(title: str, measured: dict[str, dict[str, list[float]]]) -> dict[str, float]:
    table = Table(title=title)
    for name in ("ranking", *KINDS, "all"):
        table.add_column(name)
    means: dict[str, float] = {}
    for name, kinds in measured.items():
        means[name] = fmean(value for values in kinds.values() for value in values)
        cells = [fmean(kinds[kind]) for kind in KINDS] + [means[name]]
        table.add_row(name, *(f"{cell:.3f}" for cell in cells))
    Console().print(table, f"{sum(map(len, measured['hybrid'].values()))} queries")
    return means


def main() -> None:
    show("nDCG@10, conversations that chose the settings", measure(odd=False))
    means = show("nDCG@10, conversations that were not used for choosing", measure(odd=True))
    if means["hybrid"] < max(means["keywords"], means["vectors"]):
        sys.exit("missed: the hybrid ranking is below the better of the two it is made of")


if __name__ == "__main__":
    try:
        main()
    except NoPublicData as error:
        explain_and_exit(error)
