"""Finding words in one group's messages."""

import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatcore.ai.search.features import features_of
from chatcore.ai.search.keywords import KeywordIndex, query_words
from chatcore.ai.search.matrix import best

TALK = [
    "Shall we move the planning to Thursday?",
    "The café on Straße 5 opens at nine",
    "明天下午开会请大家准时到会议室",
    "東京タワーに行きたい",
    "พรุ่งนี้ประชุมที่ห้องใหญ่",
    "Встреча переносится на пятницу",
    "회의는 내일 아침에 시작합니다",
    "We fixed the bug 🐛 in the parser",
    "Thursday works, Thursday is good, Thursday it is",
    "Nobody talks about anything here",
]


def index_of(*texts: str) -> KeywordIndex:
    index = KeywordIndex()
    for text in texts:
        index.add([text])
    return index


def found(index: KeywordIndex, query: str, count: int) -> list[int]:
    scores = index.score(query, np.ones(count, bool))
    return [int(slot) for slot in np.argsort(-scores, kind="stable") if scores[slot] > 0]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("planning thursday", 0),
        ("plan", 0),
        ("PLANNINGS", 0),
        ("cafe strasse", 1),
        ("ＣＡＦÉ", 1),
        ("会议", 2),
        ("会", 2),
        ("开会", 2),
        ("タワー", 3),
        ("ประชุม", 4),
        ("встреч", 5),
        ("내일", 6),
        ("🐛", 7),
    ],
)
def test_a_message_is_found_by_words_and_parts_of_words_in_any_script(query: str, first: int) -> None:
    assert found(index_of(*TALK), query, len(TALK))[0] == first


def test_what_is_in_no_message_finds_none() -> None:
    assert found(index_of(*TALK), "xylophone 龍 zzz", len(TALK)) == []


def test_a_whole_word_counts_more_than_a_part_of_a_longer_one() -> None:
    texts = ["the planning was long", "the plan was long", *["something else"] * 8]
    assert found(index_of(*texts), "plan", len(texts)) == [1, 0]


def test_rare_words_count_more_than_common_ones() -> None:
    texts = ["the zebra", *["the horse and the cow"] * 20]
    assert found(index_of(*texts), "the zebra", len(texts))[0] == 0


def test_only_living_slots_are_found() -> None:
    index, alive = index_of(*TALK), np.ones(len(TALK), bool)
    alive[8] = False
    scores = index.score("thursday", alive)
    assert scores[8] == 0
    assert scores[0] > 0


def test_many_small_additions_become_few_segments_that_find_the_same() -> None:
    texts = [f"word{number} and {TALK[number % len(TALK)]}" for number in range(300)]
    little_by_little, at_once = index_of(*texts), KeywordIndex()
    at_once.add(texts)
    alive = np.ones(len(texts), bool)
    assert len(little_by_little._segments) <= 9
    for query in ("word17", "thursday planning", "会议", "parser"):
        assert np.allclose(little_by_little.score(query, alive), at_once.score(query, alive))


@given(st.lists(st.text(max_size=60), min_size=1, max_size=12), st.data())
def test_every_message_is_found_by_its_own_text(texts: list[str], data: st.DataObject) -> None:
    index = KeywordIndex()
    index.add(texts)
    slot = data.draw(st.integers(0, len(texts) - 1))
    scores = index.score(texts[slot], np.ones(len(texts), bool))
    has_words = slot in features_of(texts).term_texts
    assert (scores[slot] > 0) == has_words


@given(st.text(max_size=4096))
def test_no_query_breaks_the_index(query: str) -> None:
    scores = index_of(*TALK).score(query, np.ones(len(TALK), bool))
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    "query",
    [
        'planning" OR 1=1 --',
        "planning NEAR(a b) AND NOT *",
        "planning)))(((",
        "planning " + "a" * 4000,
        "planning " + " ".join(f"w{number}" for number in range(800)),
        "planning \ud800 \x00",
        "^planning* -col:x",
    ],
)
def test_operators_and_bombs_are_only_words(query: str) -> None:
    assert found(index_of(*TALK), query, len(TALK))[:1] == [0]


def plain_scores(texts: list[str], query: str, alive: list[bool]) -> list[float]:
    """The ranking as one would write it down, text by text: BM25 (k1 1.2, b 0.5) of whole words, or half of the rarest
    piece's weight, by the square of the share of pieces that are there, where at least 0.7 are and the word is rare."""
    told = features_of(texts)
    holds = [Counter[int]() for _ in texts]
    lengths = Counter(told.term_texts.tolist())
    for keys, places in ((told.terms, told.term_texts), (told.pieces, told.piece_texts)):
        for key, at in zip(keys.tolist(), places.tolist(), strict=True):
            holds[at][key] += 1
    living = sum(alive)
    typical = max(1.0, sum(lengths[at] for at in range(len(texts)) if alive[at]) / living)

    def frequency(key: int) -> int:
        return sum(key in held for held in holds)

    def weight(often: int) -> float:
        return math.log1p((max(0, living - often) + 0.5) / (often + 0.5))

    totals, whole = [0.0] * len(texts), 0.0
    for word in query_words(query):
        term, pieces = int(word.term), word.pieces.tolist()
        whole += weight(max(1, frequency(term)))
        with_pieces = pieces and frequency(term) < max(50, 0.05 * living)
        rarest = min(map(frequency, pieces)) if with_pieces else 0
        for at, held in enumerate(holds):
            times = min(255, held[term])
            worth = weight(frequency(term)) * times * 2.2 / (times + 1.2 * (0.5 + 0.5 * lengths[at] / typical))
            present = sum(piece in held for piece in pieces)
            if with_pieces and present >= math.ceil(0.7 * len(pieces)):
                worth = max(worth, (present / len(pieces)) ** 2 * 0.5 * weight(rarest))
            totals[at] += worth
    return [total / whole if lives else 0.0 for total, lives in zip(totals, alive, strict=True)]


def test_the_ranking_is_that_of_its_definition_however_the_texts_came() -> None:
    chance = random.Random(5)
    vocabulary = ["the", "and", "plan", "planning", "planned", "meeting", "meetings", "東京", "会议", "über", "zebra"]
    vocabulary += [f"word{number}ish" for number in range(40)]
    texts = [" ".join(chance.choices(vocabulary, k=chance.randrange(0, 14))) for _ in range(400)]
    alive = [chance.random() < 0.9 for _ in texts]
    index, at = KeywordIndex(), 0
    while at < len(texts):
        count = chance.randrange(1, 30)
        index.add(texts[at : at + count])
        at += count
    for query in ("plan", "the meetings", "planning the zebra", "会议 東京", "word7ish word8ish plan", "uber the the"):
        scores = index.score(query, np.array(alive))
        assert np.allclose(scores, plain_scores(texts, query, alive), atol=1e-5), query
        assert (scores > 0).any()


@given(st.lists(st.integers(0, 40), max_size=3_000), st.integers(1, 20))
def test_the_best_are_the_greatest_in_their_order(numbers: list[int], limit: int) -> None:
    scores = np.array(numbers, np.float32)
    found = best(scores, limit)
    assert scores[found].tolist() == sorted(numbers, reverse=True)[:limit]
    assert len(set(found.tolist())) == len(found)


def test_the_best_are_found_where_nearly_all_are_nothing() -> None:
    scores = np.full(20_000, -np.inf, np.float32)
    scores[[3, 64, 19_999]] = 1, 3, 2
    assert best(scores, 200)[:3].tolist() == [64, 19_999, 3]


@pytest.mark.parametrize("levels", [3, 300, 1_000_000])
def test_the_best_of_very_many_are_the_greatest_however_often_they_are_equal(levels: int) -> None:
    scores = np.random.default_rng(levels).integers(0, levels, 30_011).astype(np.float32)
    found = best(scores, 200)
    assert len(set(found.tolist())) == 200
    assert scores[found].tolist() == sorted(scores.tolist(), reverse=True)[:200]


def test_the_best_are_found_where_no_two_lie_near_each_other() -> None:
    scores = np.zeros(30_000, np.float32)
    scores[: 200 * 64 : 64] = np.arange(1, 201)
    assert best(scores, 200).tolist() == [at * 64 for at in reversed(range(200))]
