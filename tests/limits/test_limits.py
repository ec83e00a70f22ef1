"""Token buckets and slow mode, with time that moves when told."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatcore.errors import RateLimited, SlowMode
from chatcore.limits import RATES, Bucket, Rate, RateLimits, SlowModeGate, address_key


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def let_through(limits: RateLimits, bucket: Bucket, key: str, tries: int) -> int:
    return sum(1 for _ in range(tries) if limits.take(bucket, key) == 0)


def test_every_bucket_has_a_rate() -> None:
    assert set(RATES) == set(get_args(Bucket))


@pytest.mark.parametrize(
    ("bucket", "per_second", "burst"),
    [
        ("send", 10, 20),
        ("typing", 2, 4),
        ("rest", 20, 40),
        ("connect", 5, 50),
        ("login", 5 / 60, 5),
        ("ai", 10 / 60, 10),
    ],
)
def test_a_burst_passes_and_then_the_rate(clock: Clock, bucket: Bucket, per_second: float, burst: int) -> None:
    limits = RateLimits(clock=clock)
    assert let_through(limits, bucket, "ada", burst * 2) == burst
    passed = 0
    for _ in range(1200):
        clock.seconds += 0.1
        passed += let_through(limits, bucket, "ada", 5)
    assert passed == pytest.approx(per_second * 120, abs=1)


def test_a_refusal_says_when_and_then_it_passes(clock: Clock) -> None:
    limits = RateLimits(clock=clock)
    let_through(limits, "send", "ada", 20)
    with pytest.raises(RateLimited) as refusal:
        limits.require("send", "ada")
    assert refusal.value.retryable
    assert refusal.value.retry_after_ms in (100, 101)
    clock.seconds += refusal.value.retry_after_ms / 1000
    limits.require("send", "ada")


def test_a_refused_call_costs_nothing(clock: Clock) -> None:
    limits = RateLimits(clock=clock)
    let_through(limits, "send", "ada", 10_000)
    clock.seconds += 0.1
    assert limits.take("send", "ada") == 0


def test_keys_and_buckets_are_apart(clock: Clock) -> None:
    limits = RateLimits(clock=clock)
    let_through(limits, "send", "ada", 100)
    limits.require("send", "bob")
    limits.require("edit", "ada")


def test_an_idle_bucket_holds_no_more_than_its_burst(clock: Clock) -> None:
    limits = RateLimits(clock=clock)
    clock.seconds += 100_000
    assert let_through(limits, "send", "ada", 100) == 20


def test_limits_that_are_off_refuse_nothing_and_keep_nothing(clock: Clock) -> None:
    limits = RateLimits(enabled=False, clock=clock)
    assert let_through(limits, "login", "ada", 1000) == 1000
    assert len(limits) == 0


def test_idle_buckets_are_dropped(clock: Clock) -> None:
    limits = RateLimits(clock=clock)
    for number in range(5000):
        limits.require("send", f"u{number}")
    let_through(limits, "login", "thief", 10)
    clock.seconds += 31
    limits.require("send", "ada")
    assert len(limits) == 2, "the one of now, and the one that is not full yet"
    assert let_through(limits, "login", "thief", 10) == 2


def test_memory_is_bounded_under_many_keys(clock: Clock) -> None:
    limits = RateLimits(clock=clock, max_buckets=1000)
    for number in range(20_000):
        limits.require("login", f"address-{number}")
        assert len(limits) <= 1000


@given(st.lists(st.floats(min_value=0, max_value=3), min_size=1, max_size=200))
def test_no_window_lets_more_through_than_the_burst_and_the_rate(pauses: list[float]) -> None:
    clock = Clock()
    limits = RateLimits(clock=clock, rates={"send": Rate(2, 5)})
    passed: list[float] = []
    for pause in pauses:
        clock.seconds += pause
        if limits.take("send", "ada") == 0:
            passed.append(clock.seconds)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            assert last - first + 1 <= 5 + 2 * (passed[last] - passed[first]) + 1e-6


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::2", "2001:db8:1:2::/64"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_one_host_is_one_key(address: str, key: str) -> None:
    assert address_key(address) == key


def test_slow_mode_asks_for_a_pause_between_two_messages(clock: Clock) -> None:
    gate = SlowModeGate(clock)
    gate.require("g", "ada", 30)
    clock.seconds += 20.5
    with pytest.raises(SlowMode) as refusal:
        gate.require("g", "ada", 30)
    assert refusal.value.retry_after_ms == 9500
    gate.require("g", "bob", 30)
    gate.require("h", "ada", 30)
    clock.seconds += 9.5
    gate.require("g", "ada", 30)


def test_a_pause_that_is_shortened_counts_at_once(clock: Clock) -> None:
    gate = SlowModeGate(clock)
    gate.require("g", "ada", 3600)
    clock.seconds += 20
    gate.require("g", "ada", 10)


def test_without_slow_mode_nothing_is_kept(clock: Clock) -> None:
    gate = SlowModeGate(clock)
    for _ in range(10):
        gate.require("g", "ada", 0)
    assert len(gate) == 0


def test_a_message_that_was_not_sent_does_not_begin_a_pause(clock: Clock) -> None:
    gate = SlowModeGate(clock)
    gate.require("g", "ada", 30)
    gate.release("g", "ada")
    gate.require("g", "ada", 30)


def test_pauses_that_are_over_are_dropped(clock: Clock) -> None:
    gate = SlowModeGate(clock)
    for number in range(1000):
        gate.require("g", f"u{number}", 10)
    clock.seconds += 31
    gate.require("g", "ada", 10)
    assert len(gate) == 1
