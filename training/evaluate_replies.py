"""How well the ranking finds the true next turn: `python -m training.evaluate_replies`.

Topical-Chat, one true turn among 99 turns of other conversations, R@1. Conversations 0 to 149 choose the weights,
150 to 299 are measured; nothing is learned from either.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from chatcore.models.embedding import Embedder, Vectors
from chatcore.models.replies import context_of, rank
from chatcore.models.shapes import RankingWeights
from chatcore.models.words import WordWeights, overlaps
from training.public_data import NoPublicData, conversations, explain_and_exit
from training.vectors import embed_cached

READ, CHOSEN_ON = 300, 150
EXAMPLES, CANDIDATES = 1_000, 100
SEED = 11
CONTEXT_TURNS = 2


@dataclass(frozen=True, slots=True)
class Likenesses:
    """Shapes (examples, CANDIDATES); the true turn is in column 0."""

    last_turn: Vectors
    context: Vectors
    words: Vectors

    def recall_at_1(self, weights: RankingWeights) -> float:
        """A tie is not a hit."""
        scores = rank(weights, self.last_turn, self.context, self.words)
        return float((scores[:, 0] > scores[:, 1:].max(axis=1)).mean())


def measure(talks: list[list[str]], vectors: list[Vectors], seed: int, weights: WordWeights) -> Likenesses:
    """EXAMPLES random places of these conversations."""
    draw = np.random.default_rng(seed)
    words = [[weights.vector(turn) for turn in talk] for talk in talks]
    places = [(talk, turn) for talk, turns in enumerate(talks) for turn in range(1, len(turns))]
    rows: list[tuple[Vectors, Vectors, list[float]]] = []
    for choice in draw.choice(len(places), EXAMPLES, replace=False):
        talk, turn = places[choice]
        others = [(talk, turn)]
        while len(others) < CANDIDATES:
            other = places[draw.integers(len(places))]
            if other[0] != talk:
                others.append(other)
        stack = np.stack([vectors[t][i] for t, i in others])
        context = context_of(vectors[talk][max(turn - CONTEXT_TURNS, 0) : turn])
        shared = overlaps(words[talk][turn - 1], [words[t][i] for t, i in others])
        rows.append((stack @ vectors[talk][turn - 1], stack @ context, shared))
    last, context_rows, shared_rows = zip(*rows, strict=True)
    return Likenesses(np.stack(last), np.stack(context_rows), np.array(shared_rows, np.float32))


def load() -> tuple[Likenesses, Likenesses]:
    """(for choosing, for measuring). Raises NoPublicData. The rarity of words comes from the conversations of the
    first half alone."""
    talks = conversations()[:READ]
    flat = embed_cached(Embedder(), "topical", [turn for talk in talks for turn in talk])
    ends = list(itertools.accumulate(len(talk) for talk in talks))
    vectors = [flat[end - len(talk) : end] for talk, end in zip(talks, ends, strict=True)]
    weights = WordWeights(turn for talk in talks[:CHOSEN_ON] for turn in talk)
    chosen = measure(talks[:CHOSEN_ON], vectors[:CHOSEN_ON], SEED, weights)
    return chosen, measure(talks[CHOSEN_ON:], vectors[CHOSEN_ON:], SEED + 1, weights)


def best_weights(chosen: Likenesses) -> RankingWeights:
    grid = itertools.product((0.5, 1.0), (0.0, 0.25, 0.5, 0.75), (0.0, 0.25, 0.5, 0.75, 1.0))
    options = [RankingWeights(last_turn=last, context=context, words=words) for last, context, words in grid]
    return max(options, key=chosen.recall_at_1)


def results() -> dict[str, float]:
    """R@1 of 100 on the measured half, by the way of ranking."""
    chosen, held_out = load()
    best = best_weights(chosen)
    default = RankingWeights()
    return {
        "MiniLM, last turn": held_out.recall_at_1(RankingWeights(last_turn=1, context=0, words=0)),
        "MiniLM, last two turns": held_out.recall_at_1(RankingWeights(last_turn=0, context=1, words=0)),
        "shared words (TF-IDF), last turn": held_out.recall_at_1(RankingWeights(last_turn=0, context=0, words=1)),
        "all three, default weights": held_out.recall_at_1(default),
        f"all three, weights chosen on the other half ({best.last_turn:g}, {best.context:g}, {best.words:g})": (
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
