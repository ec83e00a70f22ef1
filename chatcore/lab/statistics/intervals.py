"""Confidence intervals of one quantity: proportions near 0 and 1, and means of clustered samples."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from chatcore.lab.statistics.estimates import LEVEL, Interval


def wilson(successes: int, n: int, *, level: float = LEVEL) -> Interval:
    """A proportion by Wilson's score interval, which keeps its coverage near 0 and 1 (Brown, Cai and DasGupta 2001)."""
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} are not a proportion")
    if n == 0:
        return Interval(math.nan, 0.0, 1.0, 0, level, "wilson")
    found = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    # At 0 and n the formula is exact; rounding leaves 1e-18.
    low, high = (float(found.low) if successes else 0.0), (float(found.high) if successes < n else 1.0)
    return Interval(successes / n, low, high, n, level, "wilson", n)


def rule_of_three(n: int, *, level: float = LEVEL) -> Interval:
    """Zero events in `n` tries: the one-sided exact bound, 1 - (1 - level)^(1/n), about 3/n at 95 %."""
    if n < 0:
        raise ValueError("a number of tries is not negative")
    high = 1.0 if n == 0 else 1 - (1 - level) ** (1 / n)
    return Interval(0.0 if n else math.nan, 0.0, high, n, level, "rule of three", n)


def event_rate(events: int, n: int, *, level: float = LEVEL) -> Interval:
    """A rate of something rare: the rule of three where it never happened, else Wilson."""
    return wilson(events, n, level=level) if events else rule_of_three(n, level=level)


def clustered_mean(
    values: Sequence[float] | np.ndarray,
    *,
    clusters: Sequence[Sequence[Any] | np.ndarray] = (),
    level: float = LEVEL,
    span: float = 1.0,
) -> Interval:
    """A mean whose standard error is robust to dependence within clusters, by Student's t with clusters - 1.

    `clusters` holds up to two sequences (conversation, sender), as long as `values`; two are combined as Cameron,
    Gelbach and Miller do. NaN values are missing data: counted, never zeros. Where all values are equal the spread
    says nothing, and the bound is that of an event that never happened, times `span`, the width of the score's scale.
    """
    numbers = np.asarray(values, dtype=float)
    if len(clusters) > 2:
        raise ValueError("clusters of at most two kinds")
    kept = np.isfinite(numbers)
    missing = int((~kept).sum())
    data = numbers[kept]
    n = len(data)
    if n == 0:
        return Interval(math.nan, -math.inf, math.inf, 0, level, "no data", 0, missing)
    codes = [pd.factorize(np.asarray(kind, dtype=object)[kept])[0] for kind in clusters] or [np.arange(n)]
    count = min(len(np.unique(kind)) for kind in codes)
    mean = float(data.mean())
    if count < 2:
        return Interval(mean, -math.inf, math.inf, n, level, "one cluster", count, missing)
    if np.ptp(data) == 0.0:
        reach = span * rule_of_three(count, level=level).high
        return Interval(mean, mean - reach, mean + reach, n, level, "rule of three", count, missing)
    reach = float(stats.t.ppf((1 + level) / 2, count - 1)) * standard_error(data, codes)
    return Interval(mean, mean - reach, mean + reach, n, level, "clustered t", count, missing)


def standard_error(data: np.ndarray, codes: Sequence[np.ndarray]) -> float:
    """Of the mean. The combination of two kinds of clusters may fall below either, even below zero: then the larger
    of the two, since more dependence cannot mean more knowledge."""
    singles = [_variance(data, kind) for kind in codes]
    if len(codes) == 1:
        return math.sqrt(singles[0])
    crossed = np.unique(np.column_stack(codes), axis=0, return_inverse=True)[1].ravel()
    return math.sqrt(max(*singles, sum(singles) - _variance(data, crossed)))


def _variance(data: np.ndarray, groups: np.ndarray) -> float:
    """The sandwich of a mean, with the usual correction for few clusters (CR1)."""
    sums = np.bincount(groups, weights=data - data.mean())
    count = len(sums)
    return float(count / (count - 1) * (sums**2).sum() / len(data) ** 2)
