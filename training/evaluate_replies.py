"""How well the ranking finds the true next turn: `python -m training.evaluate_replies`.

Topical-Chat, one true turn among 99 turns of other conversations, R@1. Conversations in turn: one chooses the weights,
one is measured, one of four only tells which turns are common and which words rare. Nothing is learned from them.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from chatcore.models.embedding import Embedder, Vectors
from chatcore.models.replies import commonness, context_of, rank
from chatcore.models.shapes import RankingWeights
from chatcore.models.words import WordWeights, overlaps
from training.public_data import NoPublicData, conversations, explain_and_exit
from training.vectors import embed_cached

EXAMPLES, CANDIDATES = 2_000, 100
SEED = 11
CONTEXT_TURNS = 2
Talk = tuple[list[str], Vectors, Vectors]  # turns, their vectors, how common each is


@dataclass(frozen=True, slots=True)
class Likenesses:
    """Shapes (examples, CANDIDATES); the true turn is in column 0."""

    last_turn: Vectors
    context: Vectors
    words: Vectors
    common: Vectors

    def recall_at_1(self, weights: RankingWeights) -> float:
        """A tie is not a hit."""
        scores = rank(weights, self.last_turn, self.context, self.words, self.common)
        return float((scores[:, 0] > scores[:, 1:].max(axis=1)).mean())


def measure(talks: list[Talk], seed: int, weights: WordWeights) -> Likenesses:
    """EXAMPLES random places of these conversations."""
    draw = np.random.default_rng(seed)
    words = [[weights.vector(turn) for turn in turns] for turns, _, _ in talks]
    places = [(talk, turn) for talk, (turns, _, _) in enumerate(talks) for turn in range(1, len(turns))]
    rows = []
    for choice in draw.choice(len(places), EXAMPLES, replace=False):
        talk, turn = places[choice]
        others = [(talk, turn)]
        while len(others) < CANDIDATES:
            other = places[draw.integers(len(places))]
            if other[0] != talk:
                others.append(other)
        stack, vectors = np.stack([talks[t][1][i] for t, i in others]), talks[talk][1]
        context = context_of(vectors[max(turn - CONTEXT_TURNS, 0) : turn])
        shared = overlaps(words[talk][turn - 1], [words[t][i] for t, i in others])
        common = [talks[t][2][i] for t, i in others]
        rows.append((stack @ vectors[turn - 1], stack @ context, shared, common))
    return Likenesses(*(np.array(column, np.float32) for column in zip(*rows, strict=True)))


def load() -> tuple[Likenesses, Likenesses]:
    """(for choosing, for measuring). Raises NoPublicData."""
    told = conversations()
    flat = embed_cached(Embedder(), "topical", [turn for talk in told for turn in talk])
    ends = list(itertools.accumulate(len(talk) for talk in told))
    vectors = [flat[end - len(talk) : end] for talk, end in zip(told, ends, strict=True)]
    known = np.concatenate(vectors[3::4])
    talks = [(turns, rows, commonness(rows, known)) for turns, rows in zip(told, vectors, strict=True)]
    weights = WordWeights(turn for talk in told[3::4] for turn in talk)
    return measure(talks[0::4], SEED, weights), measure(talks[1::4] + talks[2::4], SEED + 1, weights)


def best_weights(chosen: Likenesses) -> RankingWeights:
    grid = itertools.product((0.0, 0.15, 0.3, 0.45, 0.6), (0.0, 0.1, 0.2, 0.4), (0.0, 0.5, 0.8, 1.1, 1.4))
    options = [RankingWeights(last_turn=1, context=context, words=words, common=far) for context, words, far in grid]
    return max(options, key=chosen.recall_at_1)


def results() -> dict[str, float]:
    """R@1 of 100 on the measured half, by the way of ranking."""
    chosen, held_out = load()
    best = best_weights(chosen)
    default = RankingWeights()
    only = {"last_turn": 0, "context": 0, "words": 0, "common": 0}
    return {
        "MiniLM, last turn": held_out.recall_at_1(RankingWeights(**only | {"last_turn": 1})),
        "MiniLM, last two turns": held_out.recall_at_1(RankingWeights(**only | {"context": 1})),
        "shared words (TF-IDF), last turn": held_out.recall_at_1(RankingWeights(**only | {"words": 1})),
        "ranking with the default weights": held_out.recall_at_1(default),
        f"ranking with weights chosen on other conversations (1, {best.context:g}, {best.words:g}, -{best.common:g})": (
            held_out.recall_at_1(best)
        ),
    }


def main() -> None:
    try:
        for way, recall in results().items():
            print(f"{recall:.3f}  {way}")
    except NoPublicData as missing:
        explain_and_exit(missing)


if __name__ == "__main__":
    main()
