"""Control charts: is this day like the days of the reference period, or is something else going on?

All limits are meant to be crossed by chance about 27 times in 10,000 points (three sigma), so that alarms of different
charts weigh the same and their expected number can be told.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Kind = Literal["p", "u", "ewma", "psi"]
FALSE_ALARMS: Final = 0.0027  # of a normal variable beyond three sigma, both sides
SIGMAS: Final = 3.0
TAILS: Final = (FALSE_ALARMS / 2, 1 - FALSE_ALARMS / 2)
DRAWS: Final = 4_000
LEAST: Final = 20  # cases in a bucket; below it the bucket is not judged
MOVING_RANGE: Final = 1.128  # d2 of two neighbours (Montgomery, Statistical Quality Control)
WEIGHT: Final = 0.2  # of the newest value in the EWMA
NOTEWORTHY_PSI: Final = 0.1  # the usual reading: below it no change worth a name
BINS: Final = 8


@dataclass(frozen=True)
class Chart:
    """`points`: bucket, value, n, centre, low, high, judged, alarm; a value of too few cases is NaN and not judged.

    `reference` buckets at the start set the limits and cannot alarm.
    """

    name: str
    kind: Kind
    points: pd.DataFrame
    reference: int
    unit: str = ""

    @property
    def judged(self) -> int:
        return int(self.points["judged"].sum())

    @property
    def expected_false(self) -> float:
        """Alarms that chance alone would give."""
        return self.judged * FALSE_ALARMS

    @property
    def alarms(self) -> pd.DataFrame:
        return self.points[self.points["alarm"]]


def most_by_chance(expected: float) -> int:
    """More alarms than this come by chance once in a hundred watches."""
    return int(stats.poisson.ppf(0.99, expected))


class TooLittle(Exception):
    """The reference period holds too few cases to set limits from."""


def p_chart(name: str, events: pd.Series, cases: pd.Series, *, reference: int, least: int = LEAST) -> Chart:
    """A share of cases by bucket: Laney's p', whose limits are as wide as the reference period really varied.

    Plain p limits assume that only chance moves the share; with hundreds of cases a day that gives alarms on every
    Monday (Laney, Quality Engineering 2002). They are never narrower than the plain ones. Raises TooLittle.
    """
    n, share = _counted(events, cases, least)
    centre = _centre(events, n, reference, name)
    # Of what never happened, or always did, only a bound is known.
    seen = float(np.nansum(n[:reference]))
    likely = min(max(centre, 1.5 / seen), 1 - 1.5 / seen)
    widths = _widths(share, centre, np.sqrt(likely * (1 - likely) / n), reference)
    low, high = (stats.binom.ppf(level, n, likely) / n for level in TAILS)
    points = _points(cases.index, share, n, centre=centre, limits=(low, high), widths=widths, within=(0.0, 1.0))
    return _judged(Chart(name, "p", points, reference, "share"))


def u_chart(name: str, events: pd.Series, exposure: pd.Series, *, reference: int, least: int = LEAST) -> Chart:
    """Events for each unit of exposure (person, call, message) by bucket: Laney's u'. Raises TooLittle."""
    n, rate = _counted(events, exposure, least)
    centre = _centre(events, n, reference, name)
    likely = max(centre, 1.5 / float(np.nansum(n[:reference])))
    widths = _widths(rate, centre, np.sqrt(likely / n), reference)
    low, high = (stats.poisson.ppf(level, n * likely) / n for level in TAILS)
    points = _points(exposure.index, rate, n, centre=centre, limits=(low, high), widths=widths)
    return _judged(Chart(name, "u", points, reference, "each"))


def ewma_chart(
    name: str, means: pd.Series, cases: pd.Series, *, reference: int, unit: str = "", least: int = LEAST
) -> Chart:
    """A moving average of bucket means, for small shifts that last (Roberts 1959; weight .2, three sigma).

    The mean and spread come from the reference buckets, so the limits bear their uncertainty too: Student's t and the
    error of the mean. Raises TooLittle.
    """
    n = cases.to_numpy(float)
    values = np.where(n >= least, means.to_numpy(float), math.nan)
    known = values[:reference][np.isfinite(values[:reference])]
    if len(known) < 3:
        raise TooLittle(f"{name}: {len(known)} days of the reference period have {least} cases")
    centre, sd = float(known.mean()), float(known.std(ddof=1))
    width = float(stats.t.ppf(1 - FALSE_ALARMS / 2, len(known) - 1)) * sd
    smooth, reach = np.full(len(values), math.nan), np.full(len(values), math.nan)
    level, steps = centre, 0
    for place, value in enumerate(values):
        if place == reference:
            level, steps = centre, 0
        if math.isfinite(value):
            steps += 1
            level += WEIGHT * (value - level)
            smooth[place] = level
            share = WEIGHT / (2 - WEIGHT) * (1 - (1 - WEIGHT) ** (2 * steps))
            reach[place] = width * math.sqrt(share + 1 / len(known))
    limits = (centre - reach, centre + reach)
    points = _points(means.index, smooth, n, centre=centre, limits=limits, within=(-math.inf, math.inf))
    return _judged(Chart(name, "ewma", points, reference, unit))


def psi_chart(name: str, values: Mapping[object, Sequence[object]], *, reference: int, least: int = LEAST) -> Chart:
    """How far each bucket's distribution lies from that of the reference period, over categories or deciles.

    The population stability index. It is noisy where cases are few, so the limit is the larger of .1 and what draws of
    as many cases from the reference distribution stay below. Raises TooLittle.
    """
    buckets = list(values)
    base = [one for bucket in buckets[:reference] for one in values[bucket]]
    if len(base) < least * 3:
        raise TooLittle(f"{name}: the reference period has {len(base)} cases")
    classes = _Classes(base)
    expected = classes(base)
    n = np.array([len(values[bucket]) for bucket in buckets], float)
    found = np.array([psi(expected, classes(values[bucket])) for bucket in buckets])
    chance = np.array([_noise(expected, math.ceil(max(count, 1) / 5) * 5) for count in n])
    value = np.where(n >= least, found, math.nan)
    limits = (np.zeros(len(n)), np.maximum(chance, NOTEWORTHY_PSI))
    points = _points(pd.Index(buckets), value, n, centre=0.0, limits=limits)
    return _judged(Chart(name, "psi", points, reference, "PSI"))


def psi(expected: Floats, found: Floats) -> float:
    """Of counts over the same classes; half a case is added to each, so that an empty one does not make it infinite.

    >>> round(psi(np.array([50.0, 50.0]), np.array([50.0, 50.0])), 6)
    0.0
    """
    left = (expected + 0.5) / (expected + 0.5).sum()
    right = (found + 0.5) / (found + 0.5).sum()
    return float(((right - left) * np.log(right / left)).sum())


def _noise(expected: Floats, n: int) -> float:
    """The PSI of two samples of one distribution, of the reference's size and of `n`: its highest values by chance."""
    dice = np.random.default_rng(n)
    shares = (expected + 0.5) / (expected + 0.5).sum()
    left = dice.multinomial(int(expected.sum()), shares, DRAWS) + 0.5
    right = dice.multinomial(n, shares, DRAWS) + 0.5
    left, right = left / left.sum(axis=1, keepdims=True), right / right.sum(axis=1, keepdims=True)
    drawn = ((right - left) * np.log(right / left)).sum(axis=1)
    return float(np.quantile(drawn, 1 - FALSE_ALARMS))


class _Classes:
    """Deciles of numbers, or the names that the reference period knows with one more for all others."""

    def __init__(self, base: Sequence[object]):
        self._numbers = isinstance(base[0], int | float)
        if self._numbers:
            cuts = np.quantile(np.asarray(base, float), np.linspace(0, 1, BINS + 1)[1:-1])
            self._cuts = np.unique(cuts)
        else:
            self._names = sorted({str(one) for one in base})

    def __call__(self, values: Sequence[object]) -> Floats:
        if self._numbers:
            places = np.searchsorted(self._cuts, np.asarray(values, float), side="right")
            return np.bincount(places, minlength=len(self._cuts) + 1).astype(float)
        counted = pd.Series([str(one) for one in values], dtype=object).value_counts()
        known = [float(counted.get(name, 0)) for name in self._names]
        return np.array([*known, len(values) - sum(known)])


def _counted(events: pd.Series, cases: pd.Series, least: int) -> tuple[Floats, Floats]:
    n = cases.to_numpy(float)
    n = np.where(n >= least, n, math.nan)
    return n, events.to_numpy(float) / n


def _centre(events: pd.Series, n: Floats, reference: int, name: str) -> float:
    kept = np.isfinite(n[:reference])
    if kept.sum() < 3:
        raise TooLittle(f"{name}: {int(kept.sum())} buckets of the reference period have enough cases")
    return float(events.to_numpy(float)[:reference][kept].sum() / n[:reference][kept].sum())


def _widths(values: Floats, centre: float, spread: Floats, reference: int) -> float:
    """How much wider than chance alone the limits must be: Laney's factor from the reference period.

    It is an estimate from few buckets itself, so it comes with Student's t and with the error of the centre.
    """
    z = (values[:reference] - centre) / spread[:reference]
    z = z[np.isfinite(z)]
    steps = np.abs(np.diff(z))
    factor = float(steps.mean()) / MOVING_RANGE if len(steps) else 1.0
    careful = float(stats.t.ppf(TAILS[1], len(z) - 1)) / SIGMAS * math.sqrt(1 + 1 / len(z))
    return max(1.0, factor * careful)


def _points(
    buckets: pd.Index,
    value: Floats,
    n: Floats,
    *,
    centre: float,
    limits: tuple[Floats, Floats],
    widths: float = 1.0,
    within: tuple[float, float] = (0.0, math.inf),
) -> pd.DataFrame:
    low, high = (np.clip(centre + (limit - centre) * widths, *within) for limit in limits)
    return pd.DataFrame(
        {"bucket": buckets, "value": value, "n": n, "centre": centre, "low": low, "high": high}
    ).reset_index(drop=True)


def _judged(chart: Chart) -> Chart:
    points = chart.points
    points["judged"] = points["value"].notna() & (points.index >= chart.reference)
    points["alarm"] = points["judged"] & ((points["value"] < points["low"]) | (points["value"] > points["high"]))
    return chart
