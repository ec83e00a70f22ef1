"""A verdict on a difference or a bound: passed, failed, or "inconclusive", with the margin and what could be seen."""

import math
from dataclasses import dataclass
from typing import Literal

from chatcore.lab.statistics.estimates import Difference, Interval

State = Literal["passed", "failed", "inconclusive"]
Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`sentence` is for people and is computed from the numbers. Only `passed` opens a gate."""

    state: State
    sentence: str
    margin: float
    detectable: float = math.nan

    def __bool__(self) -> bool:
        return self.state == "passed"

    def __str__(self) -> str:
        return self.sentence


def not_worse(difference: Difference, *, margin: float, better: Better = "higher") -> Verdict:
    """Non-inferiority: passed when the whole interval lies above -margin, failed when all of it lies below."""
    if margin < 0:
        raise ValueError("a margin is 0 or more: how much worse is still acceptable")
    sign = 1 if better == "higher" else -1
    low, high = sorted((sign * difference.low, sign * difference.high))
    state: State = "passed" if low >= -margin else "failed" if high < -margin else "inconclusive"
    words = {
        "passed": f"not worse than the live version by more than {margin:g}",
        "failed": f"worse than the live version by more than {margin:g}",
        "inconclusive": f"too little evidence to rule out that it is worse by more than {margin:g}",
    }
    return Verdict(state, f"{_measured(difference)}: {words[state]}.", margin, difference.detectable)


def better_than_live(difference: Difference, *, better: Better = "higher") -> Verdict:
    """Superiority: passed when the whole interval lies on the better side of zero."""
    sign = 1 if better == "higher" else -1
    low, high = sorted((sign * difference.low, sign * difference.high))
    state: State = "passed" if low > 0 else "failed" if high <= 0 else "inconclusive"
    words = {"passed": "better than the live version", "failed": "not better than the live version"}
    said = words.get(state, "too little evidence of a difference")
    return Verdict(state, f"{_measured(difference)}: {said}.", 0.0, difference.detectable)


def at_least(interval: Interval, floor: float) -> Verdict:
    """Passed when even the lower bound reaches the floor."""
    state: State = "passed" if interval.low >= floor else "failed" if interval.high < floor else "inconclusive"
    return Verdict(state, f"{interval}: {_reach(state, 'at least', floor)}.", floor)


def at_most(interval: Interval, cap: float) -> Verdict:
    """Passed when even the upper bound stays at the cap."""
    state: State = "passed" if interval.high <= cap else "failed" if interval.low > cap else "inconclusive"
    return Verdict(state, f"{interval}: {_reach(state, 'at most', cap)}.", cap)


def _reach(state: State, relation: str, bound: float) -> str:
    if state == "inconclusive":
        return f"too few samples to tell whether it is {relation} {bound:g}"
    return f"{'' if state == 'passed' else 'not '}{relation} {bound:g}"


def _measured(difference: Difference) -> str:
    interval = difference.interval
    where = f"{interval.n:,} samples" + (
        f" in {interval.clusters:,} clusters" if interval.clusters != interval.n else ""
    )
    return (
        f"Candidate - live = {interval.estimate:+.4f} "
        f"({interval.level:.0%} interval {interval.low:+.4f} to {interval.high:+.4f}, {where}; "
        f"a difference of {difference.detectable:.3f} would be seen with 80 % power)"
    )
