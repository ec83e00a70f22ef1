"""Finding words in one group's messages."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatcore.ai.search.features import features_of
from chatcore.ai.search.keywords import KeywordIndex

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
