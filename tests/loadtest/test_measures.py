"""Percentiles stay true when histograms add up, and a view that differs from the log is told how."""

import random

from hypothesis import given
from hypothesis import strategies as st

from chatcore.loadtest.measures import Histogram, View, bucket_of, judge, value_of

MICROSECONDS = st.integers(0, 2**40)


@given(MICROSECONDS)
def test_a_bucket_names_a_value_at_most_one_part_in_128_above_the_true_one(value: int) -> None:
    shown = value_of(bucket_of(value))
    assert value <= shown <= value + value / 128


@given(st.lists(MICROSECONDS, min_size=2))
def test_buckets_keep_the_order_of_values(values: list[int]) -> None:
    ordered = sorted(values)
    assert [bucket_of(value) for value in ordered] == sorted(bucket_of(value) for value in values)


def test_percentiles_are_those_of_the_sorted_values() -> None:
    values = [random.Random(7).randrange(100, 2_000_000) for _ in range(1)] + list(range(1_000, 101_000, 10))
    histogram = Histogram()
    histogram.add(values)
    for percent in (50, 95, 99, 99.9):
        exact = sorted(values)[round(len(values) * percent / 100) - 1] / 1000
        found = histogram.percentile(percent)
        assert found is not None
        assert exact * 0.99 <= found <= exact * 1.02


def test_histograms_of_two_processes_add_up_to_the_histogram_of_all() -> None:
    together, first, second = Histogram(), Histogram(), Histogram()
    first.add(range(0, 50_000, 7))
    second.add(range(50_000, 90_000, 3))
    together.add([*range(0, 50_000, 7), *range(50_000, 90_000, 3)])
    first.merge(Histogram.from_json(second.to_json()))
    assert first.summary() == together.summary()
    assert first.curve()[-1][1] == 1.0


def test_nothing_measured_is_not_zero() -> None:
    assert Histogram().summary()["p50"] is None


LOG = {11: 901, 12: 902, 13: 903, 14: 904}


def seen(*places: int, acked: tuple[int, ...] = (), synced: tuple[int, ...] = ()) -> View:
    view = View(base=10, connections=[0])
    for place in places:
        view.places.append(place)
        view.keys.append(LOG.get(place, 777))
    view.acked = {place: LOG.get(place, 777) for place in acked}
    view.synced = {place: LOG.get(place, 777) for place in synced}
    return view


def test_pushes_acks_and_sync_together_make_a_view_equal_to_the_log() -> None:
    verdict = judge(seen(11, 13, acked=(12,), synced=(14,)), LOG)
    assert verdict.clean
    assert verdict.unequal_views == verdict.lost == 0


def test_a_message_nobody_pushed_is_lost() -> None:
    verdict = judge(seen(11, 12, 14), LOG)
    assert (verdict.lost, verdict.unequal_views, verdict.clean) == (1, 1, False)


def test_an_acknowledged_message_that_the_log_lacks_has_vanished() -> None:
    verdict = judge(seen(11, 12, 13, 14, acked=(15,)), LOG)
    assert (verdict.vanished, verdict.clean) == (1, False)


def test_another_message_in_the_place_of_the_log_is_invented() -> None:
    view = seen(11, 12, 13, 14)
    view.keys[2] = 555
    verdict = judge(view, LOG)
    assert (verdict.invented, verdict.clean) == (1, False)


def test_a_lower_number_after_a_higher_one_is_out_of_order() -> None:
    verdict = judge(seen(11, 13, 12, 14), LOG)
    assert (verdict.out_of_order, verdict.repeats, verdict.clean) == (1, 0, False)


def test_the_same_number_twice_on_one_connection_is_a_repeat() -> None:
    verdict = judge(seen(11, 12, 12, 13, 14), LOG)
    assert (verdict.out_of_order, verdict.repeats, verdict.clean) == (0, 1, False)


def test_a_new_connection_may_begin_anywhere() -> None:
    view = seen(11, 12, 13, 12, 14)
    view.connections = [0, 3]
    assert judge(view, LOG).clean


def test_a_view_is_complete_up_to_its_first_gap() -> None:
    assert seen(11, 12, 14).complete_up_to() == 12
    assert seen(12, 13).complete_up_to() == 10
    assert seen(11, acked=(12,), synced=(13,)).complete_up_to() == 13
