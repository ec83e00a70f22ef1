"""How well the ranking finds the true next turn: `python -m training.evaluate_replies`.

Topical-Chat, one true turn among 99 turns of other conversations, R@1. Conversations in turn: one chooses the weights,
one is measured, one of four only tells which turns are common and which words rare. Nothing is learned from them.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from chatcore.models.embedding import Embedder, Vectors
from chatcore.models.manner import MOST_OWN, manners_apart, manners_of
from chatcore.models.replies import Likenesses, commonness, context_of, edges_of, rank
from chatcore.models.shapes import RankingWeights
from chatcore.models.words import WordWeights, overlaps
from training.public_data import NoPublicData, conversations, explain_and_exit
from training.vectors import embed_cached

EXAMPLES, CANDIDATES = 2_000, 100
SEED = 11
CONTEXT_TURNS = 2


@dataclass(frozen=True, slots=True)
class Talk:
    """Turns of two people who take turns; one row of each array for each turn."""

    turns: list[str]
    vectors: Vectors
    openings: Vectors
    endings: Vectors
    common: Vectors
    manners: Vectors


def recall_at_1(found: Likenesses, weights: RankingWeights) -> float:
    """A tie is not a hit."""
    scores = rank(weights, found)
    return float((scores[:, 0] > scores[:, 1:].max(axis=1)).mean())


def measure(talks: list[Talk], seed: int, weights: WordWeights) -> Likenesses:
    """EXAMPLES random places of these conversations: shapes (EXAMPLES, CANDIDATES), the true turn in column 0."""
    draw = np.random.default_rng(seed)
    words = [[weights.vector(turn) for turn in talk.turns] for talk in talks]
    places = [(talk, turn) for talk, told in enumerate(talks) for turn in range(1, len(told.turns))]
    rows = []
    for choice in draw.choice(len(places), EXAMPLES, replace=False):
        talk, turn = places[choice]
        others = [(talk, turn)]
        while len(others) < CANDIDATES:
            other = places[draw.integers(len(places))]
            if other[0] != talk:
                others.append(other)
        told, stack = talks[talk], np.stack([talks[t].vectors[i] for t, i in others])
        context = context_of(told.vectors[max(turn - CONTEXT_TURNS, 0) : turn])
        shared = overlaps(words[talk][turn - 1], [words[t][i] for t, i in others])
        common = [talks[t].common[i] for t, i in others]
        opening = np.stack([talks[t].openings[i] for t, i in others]) @ told.endings[turn - 1]
        own = told.manners[turn % 2 : turn : 2][-MOST_OWN:]
        apart = manners_apart(own, np.stack([talks[t].manners[i] for t, i in others]))
        rows.append((stack @ told.vectors[turn - 1], opening, stack @ context, shared, common, apart))
    return Likenesses(*(np.array(column, np.float32) for column in zip(*rows, strict=True)))


def load() -> tuple[Likenesses, Likenesses]:
    """(for choosing, for measuring). Raises NoPublicData."""
    told, embedder = conversations(), Embedder()
    flat = embed_cached(embedder, "topical", [turn for talk in told for turn in talk])
    ends = list(itertools.accumulate(len(talk) for talk in told))
    vectors = [flat[end - len(talk) : end] for talk, end in zip(told, ends, strict=True)]
    known = np.concatenate(vectors[3::4])
    weights = WordWeights(turn for talk in told[3::4] for turn in talk)
    used = [place for place in range(len(told)) if place % 4 != 3]
    sentences = _sentence_vectors(embedder, [turn for place in used for turn in told[place]])
    talks = {place: _talk(told[place], vectors[place], known, sentences) for place in used}
    parts = [[talks[place] for place in used if place % 4 == part] for part in range(3)]
    return measure(parts[0], SEED, weights), measure(parts[1] + parts[2], SEED + 1, weights)


def _talk(turns: list[str], vectors: Vectors, known: Vectors, sentences: dict[str, Vectors]) -> Talk:
    edges = [
        [sentences.get(edge, whole) for edge in edges_of(turn)] for turn, whole in zip(turns, vectors, strict=True)
    ]
    openings, endings = (np.stack(side) for side in zip(*edges, strict=True))
    return Talk(turns, vectors, openings, endings, commonness(vectors, known), manners_of(turns))


def _sentence_vectors(embedder: Embedder, turns: list[str]) -> dict[str, Vectors]:
    """Of first and last sentences; a turn of one sentence has its vector already."""
    texts = sorted({edge for turn in turns for edge in edges_of(turn) if edge != turn.strip()})
    return dict(zip(texts, embed_cached(embedder, "topical-edges", texts), strict=True))


def best_weights(chosen: Likenesses) -> RankingWeights:
    grid = itertools.product((0.0, 0.4, 0.8), (0.3, 0.6, 0.9), (0.0, 0.1), (0.5, 0.8, 1.1), (0.0, 0.15, 0.25, 0.35))
    options = [
        RankingWeights(last_turn=1, last_sentence=sentence, context=context, words=words, common=far, manner=manner)
        for sentence, context, words, far, manner in grid
    ]
    return max(options, key=lambda weights: recall_at_1(chosen, weights))


def results() -> dict[str, float]:
    """R@1 of 100 on the measured half, by the way of ranking."""
    chosen, held_out = load()
    best = best_weights(chosen)
    default = RankingWeights()
    none = dict.fromkeys(RankingWeights.model_fields, 0.0)
    picked = f"1, {best.last_sentence:g}, {best.context:g}, {best.words:g}, -{best.common:g}, -{best.manner:g}"
    ways = {
        "MiniLM, last turn": RankingWeights(**none | {"last_turn": 1}),
        "MiniLM, last two turns": RankingWeights(**none | {"context": 1}),
        "shared words (TF-IDF), last turn": RankingWeights(**none | {"words": 1}),
        "ranking without sentences and manner": default.model_copy(update={"last_sentence": 0, "manner": 0}),
        "ranking without manner": default.model_copy(update={"manner": 0}),
        "ranking with the default weights": default,
        f"ranking with the best of a grid on other conversations ({picked})": best,
    }
    return {way: recall_at_1(held_out, weights) for way, weights in ways.items()}


def main() -> None:
    try:
        for way, recall in results().items():
            print(f"{recall:.3f}  {way}")
    except NoPublicData as missing:
        explain_and_exit(missing)


if __name__ == "__main__":
    main()
