"""Search on recorded conversations, and on the real server with them in it."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from chatcore import lab
from chatcore.lab import endpoint
from chatcore.lab.datasets import Sample
from chatcore.lab.searching.corpus import Corpus, needles, relevant
from chatcore.lab.searching.served import ServedSearch, grounded
from chatcore.lab.searching.tuning import IndexSetting, filled_up, measure_indexes


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    endpoint.close()


@pytest.fixture(scope="module")
def talks() -> pd.DataFrame:
    return lab.conversations("small/talks", limit=12)


@pytest.fixture(scope="module")
def corpus(talks: pd.DataFrame) -> Corpus:
    return lab.search_corpus(talks)


def test_needles_are_words_of_the_message_they_point_at(talks: pd.DataFrame) -> None:
    queries = needles(talks, 20, seed=4)
    texts = {f"{row.conversation}#{row.seq}": row.text for row in talks.itertuples()}
    assert {one.slices["kind"] for one in queries} == {"words", "piece"}
    for one in queries:
        (name,) = relevant(one)
        assert all(word in texts[name] for word in one.text.split())
    assert queries.version == needles(talks, 20, seed=4).version != needles(talks, 20, seed=5).version


def test_words_in_a_row_of_a_message_find_that_message(corpus: Corpus, talks: pd.DataFrame) -> None:
    queries = needles(talks, 24).where(lambda one: one.slices["kind"] == "piece")
    report = lab.evaluate(lab.Task(queries, lab.search(corpus), lab.ndcg()))
    assert report.totals["errors"] == 0
    assert report.totals["degraded"] == len(queries)
    assert report.mean.estimate > 0.8


def test_a_ranking_by_words_knows_nothing_of_the_meaning(corpus: Corpus) -> None:
    vector = np.zeros(corpus.vectors.shape[1], np.float32)
    assert corpus.ranked("xyzzy", vector, "words") == []
    assert corpus.ranked("xyzzy", corpus.vectors[3], "meaning")[0] == corpus.names[3]


def test_a_ranking_that_misses_the_right_message_scores_nothing() -> None:
    sample = Sample("q", "who", {"conversation": "a", "seqs": [2]})
    score = lab.ndcg()
    assert score(sample, lab.Output(["a#1", "b#2"])) == 0
    assert score(sample, lab.Output(["a#2", "b#2"])) == 1
    assert score(sample, lab.Output(["b#2", "a#2"])) == pytest.approx(1 / np.log2(3))


def test_eight_bits_find_what_exact_vectors_find_and_eight_numbers_do_not(corpus: Corpus, talks: pd.DataFrame) -> None:
    measured = measure_indexes(corpus, needles(talks, 20), ["float32", "int8", "int8/8"], messages=600, rounds=1)
    assert measured.messages == 600
    assert measured.recall("float32").estimate == 1.0
    assert measured.recall("int8").estimate > 0.95
    assert measured.recall("int8/8").estimate < 0.6
    weights = [measured.row(setting)["mib_per_1000"] for setting in ("float32", "int8", "int8/8")]
    assert weights == sorted(weights, reverse=True)
    assert measured.smallest(recall=0.9, within_ms=1_000) == "int8"
    assert measured.smallest(recall=0.9, within_ms=0) == ""
    assert "int8, first 8" in measured._repr_html_()


def test_a_setting_with_a_typo_is_refused() -> None:
    with pytest.raises(ValueError, match="int9"):
        IndexSetting.read("int9/4")


def test_a_corpus_is_filled_up_with_vectors_of_length_one_that_crowd_real_ones() -> None:
    dice = np.random.default_rng(1)
    real = dice.normal(size=(20, 64)).astype(np.float32)
    real /= np.linalg.norm(real, axis=1, keepdims=True)
    many = filled_up(real, 200, dice)
    assert many.shape == (200, 64)
    assert (many[:20] == real).all()
    assert np.linalg.norm(many, axis=1) == pytest.approx(np.ones(200), abs=1e-5)
    assert np.median((many[20:] @ real.T).max(axis=1)) > 0.7
    assert filled_up(real, 5, dice) is real


def test_an_answer_is_grounded_by_the_words_it_shares_with_its_citations() -> None:
    assert grounded("The lemon cake is baked by Carla", ["I will bake the lemon cake, Carla said; baked!"]) == 1.0
    assert grounded("The lemon cake", ["nothing of that"]) == 0.0
    assert grounded("lemon pudding", ["lemon", "cake"]) == 0.5


def test_on_the_real_server_nothing_is_stale_and_nothing_leaves_its_group(talks: pd.DataFrame) -> None:
    some = talks[talks["conversation"].isin(list(talks["conversation"].unique())[:4])]
    questions = lab.dataset("search")
    with lab.live_chat(ai=True) as chat:
        served = ServedSearch(some, chat)
        answers = served.asks(questions)
        assert len(answers.table) == len(answers.wrong_place) >= 4
        assert answers.foreign == 0
        assert answers.answered.estimate > 0
        apart = served.isolation(questions, people=3)
        assert apart.hits > 0
        assert (apart.foreign, apart.let_in, apart.knocked) == (0, 0, 6)
        fresh = served.freshness(3)
        assert (fresh.edited, fresh.deleted, fresh.stale, fresh.new_text_missed) == (3, 3, 0, 0)
        first, second = list(served.groups)[:2]
        served.owners[first].joins(served.groups[second])
        leaked = served.isolation(questions, people=1)
        assert leaked.let_in == 2, "who joined is let in, and the count must see it"
