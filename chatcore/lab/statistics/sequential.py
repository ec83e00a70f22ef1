"""Looking at an experiment while it runs: intervals that hold at all times, and whether its arms were dealt right."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from chatcore.lab.statistics.estimates import LEVEL, Interval

BURN_IN = 30


def always_valid(
    values: Sequence[float] | np.ndarray, *, level: float = LEVEL, sharpest_at: int = 500
) -> list[Interval]:
    """An interval after each value; with probability `level` all of them hold together, so one may stop when one likes.

    The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (Annals of Statistics 2024),
    narrowest at `sharpest_at` values. The first 30 are infinite: the spread is not known yet.
    """
    numbers = np.asarray(values, dtype=float)
    if not np.isfinite(numbers).all():
        raise ValueError("leave missing values out before; in a sequence their place would be lost")
    steps = np.arange(1, len(numbers) + 1)
    means = np.cumsum(numbers) / steps
    # Zero until two values differ; as long as they do not, nothing is known of the spread.
    spread = np.sqrt(np.maximum(np.cumsum(numbers**2) / steps - means**2, 0.0))
    reach = spread * _boundary(steps, 1 - level, sharpest_at)
    reach[(steps < BURN_IN) | (spread == 0)] = math.inf
    return [
        Interval(float(mean), float(mean - width), float(mean + width), int(step), level, "always valid", int(step))
        for step, mean, width in zip(steps, means, reach, strict=True)
    ]


def always_valid_difference(
    candidate: Sequence[float] | np.ndarray,
    live: Sequence[float] | np.ndarray,
    *,
    level: float = LEVEL,
    sharpest_at: int = 500,
) -> Interval:
    """Between two arms of different people, now. Each arm takes half of the error, so it holds at all times too."""
    each = (1 + level) / 2
    n = min(len(candidate), len(live))
    if n == 0:
        return Interval(math.nan, -math.inf, math.inf, 0, level, "always valid")
    ours = always_valid(candidate, level=each, sharpest_at=sharpest_at)[-1]
    theirs = always_valid(live, level=each, sharpest_at=sharpest_at)[-1]
    gap, reach = ours.estimate - theirs.estimate, ours.half_width + theirs.half_width
    total = len(candidate) + len(live)
    return Interval(gap, gap - reach, gap + reach, total, level, "always valid", total)


def sample_ratio_p(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """How likely arms this uneven are when people are dealt by `shares`. Below .001 the experiment is broken."""
    if set(counts) != set(shares):
        raise ValueError(f"arms {sorted(counts)} are not the arms of the shares {sorted(shares)}")
    total, whole = sum(counts.values()), sum(shares.values())
    expected = [total * shares[arm] / whole for arm in counts]
    return float(stats.chisquare(list(counts.values()), expected).pvalue) if total else math.nan


def _boundary(steps: np.ndarray, alpha: float, sharpest_at: int) -> np.ndarray:
    """Half-width in standard deviations."""
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / sharpest_at
    scale = steps * rho2 + 1
    return np.asarray(np.sqrt(2 * scale / (steps**2 * rho2) * np.log(np.sqrt(scale) / alpha)))
