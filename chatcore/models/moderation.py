"""Moderation of one text: heads on its MiniLM vector averaged with heads on its character n-grams.

The head `any` is a Gaussian kernel machine on the vector: it ranked better than a line in cross-validation (AUPRC
.796 against .745), while the single categories have too few examples for curved borders.

Seven categories are covered. Minors, threats that are not about hate, and instructions are not, and the answer says so.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from chatcore.models.categories import CATEGORIES, HEADS, OPENAI_NAMES
from chatcore.models.embedding import Embedder, Vectors
from chatcore.models.files import require_file
from chatcore.models.first_tier import NGRAM_FILE, NgramHeads, sigmoid
from chatcore.models.readings import readings
from chatcore.models.shapes import CategoryScore, ModerateMessage, ModerateMessageInput

VECTOR_FILE = "moderation.vectors.npz"
NOT_COVERED = (
    "sexual/minors",
    "harassment/threatening",
    "self-harm/intent",
    "self-harm/instructions",
    "illicit",
    "illicit/violent",
)
NEVER_BLOCKED = frozenset({"hate", "hate/threatening", "any"})  # AUC .59 to .69 on HateCheck: a person decides
BLOCK_ABOVE = 0.97
GAMMA = 2.0
MARGIN_SCALE = 2.0  # a margin of 1, where the kernel machine's examples lie, is a score of .88
OTHER_HEADS = "the moderation files belong to other heads; run `python -m training.moderation`"


Array = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Scores and flags by OpenAI's category names, and by `toxic` and `any`.

    What is flagged as toxic (insults, vulgar attacks) is flagged as harassment too, as OpenAI's clients expect.
    """

    scores: dict[str, float]
    flags: dict[str, bool]

    @property
    def flagged(self) -> bool:
        return any(self.flags.values())


class VectorHeads:
    """`any` by kernel, all others by a line.

    Shapes: `support` (examples, 384), `shares` (examples,), `weights` (384, heads but any), `bias` (heads but any,).
    """

    def __init__(self, support: Array, shares: Array, offset: float, weights: Array, bias: Array):
        self._support, self._shares, self._offset = support.astype(np.float32), shares.astype(np.float32), offset
        self._weights, self._bias = weights.astype(np.float32), bias.astype(np.float32)

    @classmethod
    def load(cls, path: Path) -> "VectorHeads":
        with np.load(path) as stored:
            if tuple(map(str, stored["names"])) != HEADS:
                raise ValueError(OTHER_HEADS)
            support, shares, offset = stored["support"], stored["shares"], float(stored["offset"])
            return cls(support, shares, offset, stored["weights"], stored["bias"])

    def score(self, vector: Vectors) -> Vectors:
        """In the order of HEADS."""
        margin = float(gaussian(self._support @ vector) @ self._shares) + self._offset
        logits = np.append(np.float32(MARGIN_SCALE * margin), vector @ self._weights + self._bias)
        return sigmoid(logits.astype(np.float32))


class Moderation:
    def __init__(self, vectors: VectorHeads, ngrams: NgramHeads, thresholds: dict[str, float]):
        if ngrams.names != HEADS:
            raise ValueError(OTHER_HEADS)
        self._vectors, self._ngrams, self.thresholds = vectors, ngrams, thresholds

    @classmethod
    def load(cls) -> "Moderation":
        path = require_file(VECTOR_FILE)
        with np.load(path) as stored:
            thresholds = dict(zip(HEADS, stored["thresholds"].tolist(), strict=True))
        return cls(VectorHeads.load(path), NgramHeads.load(require_file(NGRAM_FILE)), thresholds)

    def judge(self, text: str, vector: Vectors, thresholds: dict[str, float] | None = None) -> Verdict:
        """One reading. `thresholds` by the names of the answer replace the measured ones."""
        means = (self._vectors.score(vector) + self._ngrams.score(text)) / 2
        scores = with_any(dict(zip(HEADS, means.tolist(), strict=True)))
        limits = {OPENAI_NAMES.get(head, head): limit for head, limit in self.thresholds.items()} | (thresholds or {})
        named = {OPENAI_NAMES.get(head, head): round(score, 5) for head, score in scores.items()}
        flags = {name: score >= limits[name] for name, score in named.items()}
        return Verdict(named, flags | {"harassment": flags["harassment"] or flags["toxic"]})

    def look(self, text: str, embedder: Embedder, thresholds: dict[str, float] | None = None) -> Verdict:
        """The highest score of each category over all readings of the text, and a flag where one of them has it."""
        each = [self.judge(way.text, embedder.embed_one(way.text)[0], thresholds) for way in readings(text)]
        return Verdict(
            {name: max(one.scores[name] for one in each) for name in each[0].scores},
            {name: any(one.flags[name] for one in each) for name in each[0].flags},
        )

    def decide(self, asked: ModerateMessageInput, embedder: Embedder) -> ModerateMessage:
        verdict = self.look(asked.text, embedder, asked.parameters.thresholds)
        flagged = [name for name, flag in verdict.flags.items() if flag]
        certain = [name for name in flagged if verdict.scores[name] >= BLOCK_ABOVE and name not in NEVER_BLOCKED]
        return ModerateMessage(
            flagged=verdict.flagged,
            action="block" if certain else "flag" if flagged else "allow",
            categories=[
                CategoryScore(category=name, score=score, flagged=verdict.flags[name])
                for name, score in verdict.scores.items()
            ],
            reason=f"scores above the threshold: {', '.join(flagged)}" if flagged else "",
        )


def with_any(scores: dict[str, float]) -> dict[str, float]:
    """`any` takes a third of its score from the strongest category: together they rank better than each alone."""
    strongest = max(scores[category] for category in CATEGORIES)
    return scores | {"any": (2 * scores["any"] + strongest) / 3}


def gaussian(cosines: Vectors) -> Vectors:
    """The kernel exp(-GAMMA |x - y|^2) of vectors of length 1, from their cosines."""
    return np.asarray(np.exp(-2 * GAMMA * (1 - cosines)), np.float32)
