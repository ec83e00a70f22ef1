"""Vectors of recent texts are remembered: what moderation read, the search reads again."""

import numpy as np
import pytest

from chatcore.models.embedding import REMEMBERED, Embedder, Vectors
from chatcore.models.loaded import Models


class Counting(Embedder):
    """Counts the runs of a model that it does without."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[str] = []

    def _compute(self, text: str) -> tuple[Vectors, int]:
        self.runs.append(text)
        return np.full(4, len(self.runs), np.float32), 1


@pytest.fixture(scope="module")
def real(models: Models) -> Embedder:
    return models.embedder


@pytest.fixture
def counting() -> Counting:
    return Counting()


def test_a_text_is_read_once_and_another_one_by_itself(counting: Counting) -> None:
    assert counting.embed_one("soup")[0] is counting.embed_one("soup")[0]
    counting.embed_one("Soup")
    assert counting.runs == ["soup", "Soup"]


def test_the_texts_used_longest_ago_are_forgotten(counting: Counting) -> None:
    for number in range(REMEMBERED):
        counting.embed_one(str(number))
    counting.embed_one("0")
    counting.embed_one("one more")
    counting.embed_one("0")
    assert len(counting.runs) == REMEMBERED + 1
    counting.embed_one("1")
    assert len(counting.runs) == REMEMBERED + 2


def test_what_is_remembered_cannot_be_changed_by_who_got_it(real: Embedder) -> None:
    vector, _ = real.embed_one("Nobody writes into this.")
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 1.0


def test_half_a_character_is_read_like_any_text(counting: Counting) -> None:
    assert counting.embed_one("\ud83d")[1] == 1
