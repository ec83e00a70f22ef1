"""Moderation on the workbench: the server's own rulings, limits from costs, and disguises that are counted honestly."""

import asyncio
import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from chatcore import lab
from chatcore.ai.calls import Called, Purpose, Served
from chatcore.errors import Unavailable
from chatcore.lab import endpoint, moderating
from chatcore.lab.datasets import Dataset, Sample
from chatcore.lab.moderating.costs import best_limit, with_limits
from chatcore.lab.moderating.judgements import Judgements, truth_of
from chatcore.lab.moderating.solver import InBatches
from chatcore.moderation.decide import Policy
from chatcore.moderation.records import Evidence
from chatcore.moderation.thresholds import DEFAULT

SERVED = Served("embedded", "m", True, "", 1.0, 0, 0, 0.0)
THREAT = "You disgusting worthless piece of trash, everybody hates you"


def judged(rows: Sequence[tuple[float | None, Any]], category: str = "harassment") -> Judgements:
    """Of a score of one category and a target each; None: it could not be judged."""
    samples = tuple(
        Sample(f"s{n:03}", f"text {n}", target, slices={"kind": "odd" if n % 2 else "even"})
        for n, (_, target) in enumerate(rows)
    )
    seen = tuple(None if score is None else (Evidence("embedded", {category: score}),) for score, _ in rows)
    return Judgements("small", samples, seen)


@pytest.mark.parametrize(
    ("target", "category", "truth"),
    [
        (["violence"], "violence", 1.0),
        (["violence"], "any", 1.0),
        (["violence"], "hate", math.nan),
        ([], "hate", 0.0),
        ({"hate": 0, "sexual": 1}, "hate", 0.0),
        ({"hate": 0, "sexual": 1}, "any", 1.0),
        ({"hate": 0}, "sexual", math.nan),
        ({}, "any", math.nan),
        (True, "harassment", 1.0),
        (False, "toxic", 0.0),
        ("neither", "any", 0.0),
        ("offensive", "hate", math.nan),
        ("hate", "toxic", 1.0),
    ],
)
def test_what_nobody_labelled_is_unknown_and_not_harmless(target: Any, category: str, truth: float) -> None:
    assert truth_of(target, category) == pytest.approx(truth, nan_ok=True)


def test_rulings_are_those_of_the_server_under_any_limits() -> None:
    seen = judged([(0.8, ["harassment"]), (0.5, ["harassment"]), (0.75, []), (None, [])])
    assert list(seen.flagged()[:3]) == [1, 0, 1]
    assert math.isnan(seen.flagged()[3])
    lower = with_limits(Policy(), {"harassment": 0.4})
    assert list(seen.flagged(lower)[:3]) == [1, 1, 1]
    assert (seen.recall().estimate, seen.recall().n) == (0.5, 2)
    assert (seen.false_alarms().estimate, seen.false_alarms().n, seen.missing) == (1.0, 1, 1)
    assert list(seen.wrong()["what"]) == ["false alarm", "missed"]


def test_the_cheapest_limit_follows_the_prices() -> None:
    scores, truth = np.array([0.9, 0.6, 0.5, 0.1]), np.array([1.0, 0.0, 1.0, 0.0])
    dear_miss = moderating.Costs({"x": 50.0}, alarm=1.0, share=0.5)
    dear_alarm = moderating.Costs({"x": 1.0}, alarm=50.0, share=0.5)
    assert 0.1 < best_limit(scores, truth, dear_miss, "x") < 0.5
    assert 0.6 < best_limit(scores, truth, dear_alarm, "x") < 0.9


def test_the_cost_of_a_message_counts_harm_as_often_as_the_operator_has_it() -> None:
    costs = moderating.Costs({"x": 10.0}, alarm=1.0, share=0.1)
    truth, flagged = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.0, 1.0, 1.0, 0.0])
    price = costs.per_message(truth, flagged, np.array([10.0, 10.0, 0.0, 0.0]))
    assert price.mean() == pytest.approx(0.1 * 0.5 * 10 + 0.9 * 0.5 * 1)
    with pytest.raises(ValueError, match="share"):
        moderating.Costs({}, share=2.0)


def test_limits_that_are_far_too_high_are_found_and_the_saving_is_told_from_other_texts() -> None:
    draw = random.Random(3)
    rows: list[tuple[float | None, Any]] = [(draw.uniform(0.3, 0.6), ["harassment"]) for _ in range(60)]
    rows += [(draw.uniform(0.0, 0.2), []) for _ in range(60)]
    found = moderating.recommend(judged(rows), moderating.Costs({"harassment": 5.0}))
    assert 0.2 <= found.limits["harassment"] <= 0.31
    assert found.saved.low > 0
    assert found.recall.estimate > 0.9
    assert "candidate" in found.sentence
    assert json.loads(found.as_parameters)["thresholds"]["harassment"] == pytest.approx(
        found.limits["harassment"], abs=1e-4
    )


def test_scores_without_meaning_save_nothing_on_texts_that_did_not_choose_the_limit() -> None:
    """Chosen and counted on the same texts, noise would look like a gain."""
    draw = random.Random(4)
    rows = [(draw.uniform(0, 0.69), ["harassment"] if n % 2 else []) for n in range(120)]
    found = moderating.recommend(judged(rows), moderating.Costs({"harassment": 40.0}))
    assert found.saved.low <= 0
    assert "keep the limits" in found.sentence


def test_too_few_examples_keep_their_limit() -> None:
    rows: list[tuple[float | None, Any]] = [(0.4, ["harassment"])] * 3 + [(0.1, [])] * 30
    assert moderating.recommend(judged(rows), moderating.Costs({})).limits == {}


class Counted:
    """Models that count requests and say each text's length."""

    def __init__(self, fails: bool = False):
        self.fails, self.sizes = fails, list[int]()

    async def moderate(self, texts: Sequence[str], purpose: Purpose) -> Called[list[dict[str, float]]]:
        self.sizes.append(len(texts))
        if self.fails:
            raise Unavailable("nobody there")
        return Called([{"harassment": len(text) / 100} for text in texts], SERVED)


async def test_texts_of_one_moment_go_out_as_one_request_and_keep_their_answers() -> None:
    models = Counted()
    batches = InBatches(models)  # type: ignore[arg-type]
    asked = [batches.moderate(["x" * n], Purpose("moderation")) for n in range(1, 41)]
    answers = await asyncio.gather(*asked)
    assert [one.value[0]["harassment"] for one in answers] == [n / 100 for n in range(1, 41)]
    assert models.sizes == [32, 8]


async def test_a_failed_request_fails_each_of_its_texts() -> None:
    batches = InBatches(Counted(fails=True))  # type: ignore[arg-type]
    asked = [batches.moderate([text], Purpose("moderation")) for text in "abc"]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in answers] == [Unavailable] * 3


def test_every_attack_changes_the_text_or_where_it_stands_and_repeats_itself() -> None:
    sample = Sample("m1", THREAT)
    for attack in moderating.ATTACKS:
        first, again = (moderating.attacked(sample, attack, seed=5) for _ in range(2))
        assert [one.text for one in first] == [one.text for one in again]
        assert [one.text for one in first] != [THREAT]
        assert {one.conversation for one in first} == {"m1"}


@pytest.fixture(scope="module")
def solver() -> Iterator[moderating.Moderator]:
    yield lab.moderate()
    endpoint.close()


def test_the_solver_says_what_the_server_would_and_asks_the_model_even_where_the_first_tier_refuses(
    solver: moderating.Moderator,
) -> None:
    texts = Dataset(
        "two", (Sample("bad", "you are a stupid asshole, fuck you", ["harassment"]), Sample("good", "Hello!", []))
    )
    report = lab.evaluate(lab.Task(texts, solver, lab.labels(), name="moderation", version=solver.name))
    assert list(report.table["score"]) == [1.0, 1.0]
    told = report.table.set_index("sample")["evidence"]["bad"]
    assert told["action"] == "block"
    assert [each["tier"] for each in told["tiers"]] == ["first", "embedded"]
    assert solver.judgements(report, texts).recall().estimate == 1.0
    assert report.totals["degraded"] == 2
    assert "degraded" in moderating.caution(report)
    assert "LEARNED" in moderating.caution(replace(report, dataset="public/openai-moderation@sha256:1"))


def test_a_stricter_version_flags_more_through_the_same_decision(solver: moderating.Moderator) -> None:
    strict = lab.moderate(json.dumps({"thresholds": {"harassment": 0.0}}))
    assert strict.name != solver.name
    texts = Dataset("one", (Sample("good", "See you at the station tomorrow", []),))
    for each, flagged in ((solver, "[]"), (strict, "['harassment']")):
        report = lab.evaluate(lab.Task(texts, each, lab.labels(), version=each.name))
        assert list(report.table["answer"]) == [flagged]


def test_a_siege_counts_split_texts_once_and_leaves_out_what_was_never_caught(solver: moderating.Moderator) -> None:
    wanted = {"Cyrillic look-alikes", "a message a word", "capitals"}
    attacks = [attack for attack in moderating.ATTACKS if attack.name in wanted]
    texts = Dataset(
        "few",
        (
            Sample("bad", "He should be shot and I will do it", ["violence"]),
            Sample("unseen", "Hm.", ["hate"]),
            Sample("good", "Hi!", []),
        ),
    )
    siege = moderating.besiege(texts, solver, attacks=attacks, texts=5, harmless=5)
    assert len(siege.trials) == 2 * len(attacks)
    assert (siege.originals, siege.uncaught, siege.missing) == (2, 1, 0)
    share = siege.by_attack().set_index("attack")["share"]
    assert share["Cyrillic look-alikes"] == share["capitals"] == 0.0
    assert share["a message a word"] == 1.0
    assert siege.false_alarms.estimate == 0.0
    assert "Weakest against: a message a word" in siege.sentence


def test_a_table_of_limits_is_part_of_the_solver_s_name(solver: moderating.Moderator) -> None:
    """A cache must not answer for other limits."""
    assert DEFAULT.version in solver.name
    assert lab.moderate(limits={"hate": {"flag": 0.1}}).name != solver.name
    assert lab.moderate(kind="group_name").name != solver.name
