"""Moderation leaves everyday talk alone, sees what it was made for, and never blocks on hate by itself."""

from pathlib import Path

import numpy as np
import pytest

from chatcore.models.first_tier import FirstTier, Lexicon, Match, NgramHeads, fingerprint
from chatcore.models.loaded import Models
from chatcore.models.moderation import HEADS, NEVER_BLOCKED
from chatcore.models.ngrams import count_ngrams, fold
from chatcore.models.shapes import ModerateMessageInput, ModerationParameters

EVERYDAY = Path(__file__).parents[2] / "training" / "everyday_lines.txt"
LESSONS = EVERYDAY.with_name("everyday_lessons.txt")


def test_everyday_lines_raise_no_alarm(models: Models) -> None:
    lines = EVERYDAY.read_text("utf-8").splitlines()
    assert len(lines) >= 204
    assert not set(lines) & set(LESSONS.read_text("utf-8").splitlines())
    judged = {line: models.moderation.look(line, models.embedder) for line in lines}
    assert {line: verdict.flags for line, verdict in judged.items() if verdict.flagged} == {}


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("I want to kill myself tonight, I have the pills ready.", "self-harm"),
        ("He slowly undressed her and began to suck her nipples, she moaned with lust", "sexual"),
        ("You are a disgusting worthless piece of shit and everybody hates you", "harassment"),
        ("I will kill you", "violence"),
        ("You will die tonight, I will kill you.", "violence"),
        ("I know where you live and I will kill your family", "any"),
    ],
)
def test_what_it_was_made_for_is_flagged(models: Models, text: str, category: str) -> None:
    verdict = models.moderation.look(text, models.embedder)
    assert verdict.flagged
    assert verdict.flags[category]


def test_hate_alone_is_flagged_for_a_person_and_never_blocked(models: Models) -> None:
    everything_else = dict.fromkeys(("sexual", "violence", "violence/graphic", "harassment", "self-harm", "toxic"), 1.0)
    asked = ModerateMessageInput(
        text="Kill all the jews, they are vermin", parameters=ModerationParameters(thresholds=everything_else)
    )
    answer = models.moderation.decide(asked, models.embedder)
    assert {row.category for row in answer.categories if row.flagged} <= NEVER_BLOCKED
    assert answer.action == "flag"


def test_hidden_and_stretched_letters_fold_to_the_same_text() -> None:
    assert fold("\uff48\uff45\u200b\uff4c\uff4cooooo  YOU") == fold("helloo you")
    assert np.array_equal(count_ngrams(fold("hello"))[0], count_ngrams(fold("HELLO"))[0])


def test_no_text_at_all_has_no_ngrams_to_trip_over() -> None:
    heads = NgramHeads(("x",), np.ones(1 << 17), np.ones((1 << 17, 1)), np.zeros(1))
    assert heads.score("").shape == (1,)


def test_texts_that_are_scored_together_score_as_each_alone() -> None:
    heads = FirstTier.load()._heads
    texts = ["I will kill you", "", "a", "lunch at the park?", "soooo \u4f60\u597d \U0001f600", "I will kill you"]
    alone = [heads.score(text) for text in texts]
    assert np.array_equal(heads.highest([texts]), [np.maximum.reduce(alone)])
    assert np.array_equal(heads.highest([[text] for text in texts]), alone)
    mixed = heads.highest([texts[:2], texts[2:3], texts[3:]])
    assert np.array_equal(mixed, [np.maximum.reduce(part) for part in (alone[:2], alone[2:3], alone[3:])])


def test_messages_that_are_looked_at_together_look_as_each_alone() -> None:
    tier = FirstTier.load()
    long = "Nobody has said anything yet. " * 40 + "I will kill you, you piece of shit. " + "And so it went on. " * 40
    texts = [*EVERYDAY.read_text("utf-8").splitlines()[:50], long, "y0u s.t.u.p.i.d f-o-o-l", "", "I will kill you"]
    assert tier.look_at_all(texts) == [tier.look(text) for text in texts]
    assert tier.look_at_all([]) == []


@pytest.fixture
def lexicon() -> Lexicon:
    known = {"blast it": ("mild", 1.0), "dangnab": ("strong", 2.5)}
    firsts = frozenset(fingerprint(phrase.split()[0]) for phrase in known)
    return Lexicon({fingerprint(phrase): entry for phrase, entry in known.items()}, firsts)


def test_known_words_are_found_in_any_case_or_spelling_with_their_place(lexicon: Lexicon) -> None:
    text = "Oh, BLAST it! You d4ngn4b."
    assert lexicon.find(text) == (Match(4, 12, "mild", 1.0), Match(18, 25, "strong", 2.5))


@pytest.mark.parametrize("text", ["", "233333", "blaster items", "dangnabbit", "it blast", "6 9 @ $"])
def test_parts_of_other_words_and_numbers_are_not_known_words(lexicon: Lexicon, text: str) -> None:
    assert lexicon.find(text) == ()


def test_the_first_tier_works_without_a_model_runtime() -> None:
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    code = (
        "import sys; from chatcore.models.first_tier import FirstTier; FirstTier.load().look('hello');"
        "print([name for name in ('onnxruntime', 'tokenizers', 'aiohttp', 'sklearn', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_first_tier_says_nothing_severe_about_everyday_lines() -> None:
    tier = FirstTier.load()
    looks = {line: tier.look(line) for line in EVERYDAY.read_text("utf-8").splitlines()}
    assert set(next(iter(looks.values())).scores) == set(HEADS)
    assert [line for line, look in looks.items() if any(match.severity >= 2 for match in look.matches)] == []
