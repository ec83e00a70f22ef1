"""What a comparison of this size could have seen, and what size would be needed."""

import math

from scipy import stats

POWER = 0.8


def minimum_detectable_effect(
    standard_error: float, degrees: float, *, level: float = 0.95, power: float = POWER
) -> float:
    """The true difference that a two-sided test at this level finds with this power; infinite below one degree.

    Taken from the standard error that was found, clusters and all, so it needs no assumption about them.
    """
    if degrees < 1 or not math.isfinite(standard_error):
        return math.inf
    quantile = float(stats.t.ppf((1 + level) / 2, degrees)) + float(stats.t.ppf(power, degrees))
    return quantile * standard_error


def samples_needed(effect: float, sd: float, *, level: float = 0.95, power: float = POWER) -> int:
    """Independent pairs for a difference of `effect` where differences spread by `sd`.

    >>> samples_needed(0.05, 0.6)
    1133
    """
    if not effect or not sd > 0:
        raise ValueError("an effect other than 0 and a positive spread are needed")
    from statsmodels.stats.power import TTestPower  # noqa: PLC0415 - it takes seconds to load

    needed = TTestPower().solve_power(effect_size=abs(effect) / sd, alpha=1 - level, power=power)
    return math.ceil(float(needed))
