"""Canary and shadow: who got what, and what may be concluded from it."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from chatcore import lab
from chatcore.lab.decisions import frame
from chatcore.lab.experiments import (
    Arms,
    NoExperiment,
    arms,
    begin,
    beside,
    compare,
    exposures,
    outcome_bars,
    path_chart,
    shadowed,
)
from chatcore.lab.live import LiveChat
from chatcore.lab.traffic import simulate

ARMS = Arms("SmartReplies@1", "SmartReplies@2", 0.5)


def answer(number: int, person: str, prompt: str, *ratings: str, **changed: Any) -> dict[str, Any]:
    served = {"provider": "embedded", "model": "m", "degraded": True, "latencyMs": 5, "promptTokens": 10,
              "completionTokens": 2, "costUsd": 0.0}  # fmt: skip
    told = dict.fromkeys(("shown", *ratings), "2026-01-05T10:00:00Z")
    plain = {"decisionId": f"{number:024}", "at": f"2026-01-05T10:{number // 60:02}:{number % 60:02}Z",
             "feature": "smart_reply", "mode": "live", "arm": "live", "person": person, "prompt": prompt,
             "groupId": f"g{number % 7}", "action": "suggested", "inputSha256": "", "served": served,
             "exposure": {"items": [{"place": 0, "ratings": told}]}}  # fmt: skip
    return plain | changed


def experiment(canary_takes: float, live_takes: float, people: int = 400, **more: Any) -> pd.DataFrame:
    dice = np.random.default_rng(1)
    rows = []
    for number in range(people):
        prompt, takes = (ARMS.canary, canary_takes) if number % 2 else (ARMS.live, live_takes)
        rows.append(answer(number, f"p{number}", prompt, *(["accepted"] if dice.random() < takes else [])))
    return exposures(frame(rows))


def test_a_better_canary_is_told_and_an_equal_one_is_not() -> None:
    better = compare(experiment(0.6, 0.2), ARMS)
    assert better.taken.low > 0
    assert ", better; no guardrail is broken." in better.sentence
    equal = compare(experiment(0.3, 0.3), ARMS)
    assert equal.taken.low < 0 < equal.taken.high
    assert "not told apart yet" in equal.sentence
    assert len(better.path) == 399
    assert better.path.iloc[-1]["low"] == pytest.approx(better.taken.low)


def test_few_people_bound_nothing() -> None:
    found = compare(experiment(1.0, 0.0, people=20), ARMS)
    assert math.isinf(found.taken.high)
    assert "not bounded yet" in found.sentence


def test_an_uneven_split_breaks_the_experiment() -> None:
    exposed = experiment(0.6, 0.2)
    uneven = exposed[(exposed["prompt"] == ARMS.live) | (exposed.index % 6 == 1)]
    found = compare(uneven, ARMS)
    assert not found.sound
    assert "Nothing else may be read" in found.sentence
    assert compare(uneven, Arms(ARMS.live, ARMS.canary, 0.25)).sound, "a quarter was meant to get it"


def test_whoever_got_both_versions_counts_for_neither() -> None:
    rows = [answer(0, "ana", ARMS.live), answer(1, "ben", ARMS.canary, "accepted"), answer(2, "cleo", ARMS.live),
            answer(3, "cleo", ARMS.canary, "accepted"), answer(4, "dan", "SmartReplies@0")]  # fmt: skip
    found = compare(exposures(frame(rows)), ARMS)
    assert found.in_two_arms == 1
    assert found.other_versions == 1
    assert set(found.people["person"]) == {"ana", "ben"}
    assert not found.sound


def test_an_answer_without_suggestions_counts_against_its_version() -> None:
    rows = [answer(0, "ana", ARMS.live, action="nothing", exposure=None), answer(1, "ana", ARMS.live, "edited"),
            answer(2, "ben", ARMS.canary, "dismissed", "negative")]  # fmt: skip
    exposed = exposures(frame(rows))
    assert exposed["taken"].tolist() == [0.0, 1.0, 0.0]
    assert exposed["nothing"].tolist() == [1.0, 0.0, 0.0]
    assert exposed["ignored"].tolist() == [0.0, 0.0, 0.0]
    people = compare(exposed, ARMS).people.set_index("person")
    assert people.loc["ana", "taken"] == 0.5
    assert people.loc["ben", "disliked"] == 1.0


def test_a_canary_that_annoys_breaks_its_guardrail() -> None:
    rows = []
    for number in range(400):
        canary = bool(number % 2)
        disliked = canary and number % 4 == 1
        ratings = ("dismissed", "negative") if disliked else ()
        rows.append(answer(number, f"p{number}", ARMS.canary if canary else ARMS.live, *ratings))
    found = compare(exposures(frame(rows)), ARMS)
    assert found.harmed == 1
    assert found.guardrails.set_index("what").loc["disliked", "verdict"] == "failed"
    assert "1 guardrails are broken" in found.sentence


def test_an_arm_without_people_is_said() -> None:
    with pytest.raises(ValueError, match="0 with the canary"):
        compare(exposures(frame([answer(0, "ana", ARMS.live)])), ARMS)


def test_a_shadow_is_compared_on_the_same_questions() -> None:
    rows = []
    for number in range(12):
        rows.append(answer(number, f"p{number}", ARMS.live))
        slower = {**rows[-1]["served"], "promptTokens": 15}
        rows.append(answer(100 + number, f"p{number}", "SmartReplies@3", mode="shadow", exposure=None, served=slower,
                           shadowOf=f"{number:024}"))  # fmt: skip
    rows.append(answer(300, "p", "SmartReplies@3", mode="shadow", shadowOf="of a decision before the window"))
    pairs = shadowed(frame(rows))
    found = beside(pairs)
    assert found.questions == len(pairs) == 12
    assert found.measured["tokens"].estimate == 5
    assert beside(shadowed(frame(rows[:1]))).measured == {}


@pytest.fixture(scope="module")
def chat() -> Iterator[LiveChat]:
    with lab.live_chat(ai=True) as running:
        yield running


def test_a_real_canary_splits_real_people_and_a_real_shadow_is_seen_by_nobody(chat: LiveChat) -> None:
    with pytest.raises(NoExperiment):
        arms(chat)
    begun = begin(chat, '{"cosine_floor": 0.9}', share=0.5, shadow='{"context_turns": 1}')
    assert begun == arms(chat)
    done = simulate(lab.conversations(limit=6), chat, asks_each=1, typing=False, summaries=False)
    rows = lab.ledger(chat, feature="smart_reply", content=True)
    found = compare(exposures(rows), begun)
    assert len(found.people) == done.people
    assert found.in_two_arms == found.other_versions == 0
    pairs = shadowed(rows)
    assert set(pairs["version"]) == set(begun.shadows)
    assert pairs["overlap"].between(0, 1).all()
    assert rows.loc[rows["mode"] == "shadow", "exposure"].isna().all()
    assert outcome_bars(exposures(rows), begun).axes[0].get_xlabel() == "share of answers"
    assert "too few people" in path_chart(found).axes[0].get_title()
