"""The watch raises its hand at what it should, and seldom otherwise."""

import doctest
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from chatcore.lab import drift
from chatcore.lab.drift import history, limits
from chatcore.lab.drift.watching import label_of, ratings_of

DAYS = pd.date_range("2026-01-05", periods=40, freq="1D", tz="UTC")


def counts(value: float | list[float]) -> pd.Series:
    return pd.Series(value, index=DAYS, dtype=float)


@pytest.fixture(scope="module")
def quiet() -> pd.DataFrame:
    return drift.synthetic_history(40, messages_a_day=100, seed=5)


def test_a_share_that_jumps_is_beyond_its_limits_and_one_that_wanders_is_not() -> None:
    dice = np.random.default_rng(1)
    events = counts(list(dice.binomial(200, 0.1, 40)))
    still = drift.p_chart("flags", events, counts(200), reference=14)
    assert still.alarms.empty
    events.iloc[30:] = 60
    jumped = drift.p_chart("flags", events, counts(200), reference=14)
    assert jumped.alarms["bucket"].tolist() == list(DAYS[30:])


def test_the_reference_period_never_alarms_and_days_of_few_cases_are_not_judged() -> None:
    events, cases = counts(10), counts(100)
    events.iloc[5] = 90
    events.iloc[20], cases.iloc[20] = 9, 10
    chart = drift.p_chart("flags", events, cases, reference=14)
    assert chart.alarms.empty
    assert chart.judged == 40 - 14 - 1
    assert math.isnan(chart.points.loc[20, "value"])


def test_limits_are_as_wide_as_the_reference_period_really_varied() -> None:
    cases = counts(5_000)
    wandering = counts(list(5_000 * (0.2 + 0.05 * np.random.default_rng(2).standard_normal(40))))
    varied = drift.p_chart("share", wandering, cases, reference=14)
    even = drift.p_chart("share", counts(1_000), cases, reference=14)
    width = [float((one.points["high"] - one.points["low"]).iloc[-1]) for one in (varied, even)]
    assert width[0] > 4 * width[1]


def test_what_never_happened_before_may_happen_once() -> None:
    events = counts(0)
    events.iloc[20], events.iloc[30] = 1, 40
    chart = drift.p_chart("appeals", events, counts(100), reference=14)
    assert chart.alarms["bucket"].tolist() == [DAYS[30]]


def test_rates_are_judged_by_their_exposure() -> None:
    events, people = counts(100), counts(50)
    events.iloc[25], people.iloc[25] = 200, 100
    assert drift.u_chart("asked", events, people, reference=14).alarms.empty
    people.iloc[25] = 50
    assert len(drift.u_chart("asked", events, people, reference=14).alarms) == 1


def test_a_small_shift_that_lasts_shows_in_the_moving_average() -> None:
    means = counts(list(np.random.default_rng(3).normal(6.0, 0.1, 40)))
    assert drift.ewma_chart("length", means, counts(50), reference=14).alarms.empty
    means.iloc[20:] += 0.2
    first = drift.ewma_chart("length", means, counts(50), reference=14).alarms["bucket"].min()
    assert DAYS[20] < first < DAYS[34]


def test_a_new_language_moves_the_distribution_and_a_draw_from_the_old_one_does_not() -> None:
    dice = np.random.default_rng(4)
    told: dict[Any, list[str]] = {day: list(dice.choice(["en", "de"], 60, p=[0.9, 0.1])) for day in DAYS}
    assert drift.psi_chart("language", told, reference=14).alarms.empty
    told[DAYS[-1]] = ["en"] * 40 + ["pt"] * 20
    assert drift.psi_chart("language", told, reference=14).alarms["bucket"].tolist() == [DAYS[-1]]


def test_without_a_reference_there_are_no_limits() -> None:
    with pytest.raises(drift.TooLittle):
        drift.p_chart("flags", counts(1), counts(2), reference=14)
    with pytest.raises(drift.TooLittle):
        drift.psi_chart("language", {day: [] for day in DAYS}, reference=14)


@pytest.mark.parametrize("what", drift.WHATS)
def test_each_change_of_a_history_is_noticed(what: str) -> None:
    made = drift.changes(what, 21)
    watched = drift.watch(drift.synthetic_history(42, messages_a_day=150, changes=made, seed=3))
    assert drift.tried(watched, made).noticed == 1


def test_a_quiet_history_gives_no_more_alarms_than_chance(quiet: pd.DataFrame) -> None:
    watched = drift.watch(quiet)
    assert len(watched.charts) >= 9
    assert len(watched.alarms) <= drift.most_by_chance(watched.expected_false)
    assert "appeals upheld" in watched.left_out
    assert quiet.attrs["dataset"].startswith("synthetic-history@")


def test_equal_seeds_are_equal_histories(quiet: pd.DataFrame) -> None:
    again = drift.synthetic_history(40, messages_a_day=100, seed=5)
    assert again.attrs["dataset"] == quiet.attrs["dataset"]
    assert again.attrs["dataset"] != drift.synthetic_history(40, messages_a_day=100, seed=6).attrs["dataset"]


def test_neighbouring_alarms_are_one_episode(quiet: pd.DataFrame) -> None:
    chart = drift.p_chart("flags", counts([10.0] * 20 + [60, 60, 10, 60] + [10] * 16), counts(100), reference=14)
    watched = drift.Watch({"flags": chart}, {}, "1D", 14)
    assert watched.alarms["episode"].tolist() == [1, 1, 2]
    assert watched.episodes["points"].tolist() == [2, 1]
    assert set(watched.episodes["direction"]) == {"up"}
    assert "2 episodes" in watched.sentence
    assert "flags up (3 points)" in watched.sentence


def test_shadows_and_replays_are_no_traffic(quiet: pd.DataFrame) -> None:
    shadows = quiet.assign(mode="shadow", action="block", decision_id="x")
    both = pd.concat([quiet, shadows], ignore_index=True)
    assert (
        drift.watch(both).charts["flagged messages"].points.equals(drift.watch(quiet).charts["flagged messages"].points)
    )


def test_too_short_a_time_is_refused_with_what_to_do(quiet: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="smaller reference"):
        drift.watch(quiet, reference=40)
    with pytest.raises(ValueError, match="there are flags"):
        drift.changes("weather", 3)


def test_a_flag_is_about_its_highest_category() -> None:
    row = pd.Series({"action": "flag", "scores": {"any": 0.99, "hate": 0.7, "sexual": 0.2}})
    assert label_of(row) == "hate"
    assert label_of(pd.Series({"action": "allow", "scores": {"hate": 0.9}})) == "none"
    assert ratings_of({"items": [{"ratings": {"shown": ""}}, {"ratings": {"accepted": ""}}]}) == {"shown", "accepted"}
    assert ratings_of(None) == frozenset()


def test_what_the_pages_say_is_so() -> None:
    assert doctest.testmod(limits).failed == doctest.testmod(history).failed == 0
