"""May a judge be trusted, and what are its rates worth once its own errors are known?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from chatcore.lab.statistics.estimates import LEVEL, Interval
from chatcore.lab.statistics.intervals import wilson

KAPPA_FLOOR = 0.6  # "substantial" in Landis and Koch 1977


@dataclass(frozen=True, slots=True)
class JudgeCalibration:
    """A judge's yes and no against people's, on the same samples. Untrusted, its gates only advise."""

    kappa: Interval
    sensitivity: Interval
    specificity: Interval
    n: int

    @property
    def trusted(self) -> bool:
        return self.kappa.low >= KAPPA_FLOOR


def calibrate_judge(human: Sequence[bool], judge: Sequence[bool], *, level: float = LEVEL) -> JudgeCalibration:
    """Both sequences in the same order. Without both a yes and a no of people there is nothing to calibrate on."""
    truth, said = np.asarray(human, dtype=bool), np.asarray(judge, dtype=bool)
    if truth.shape != said.shape:
        raise ValueError(f"{len(truth)} labels of people, {len(said)} of the judge")
    table = np.array([[int((truth & said).sum()), int((truth & ~said).sum())],
                      [int((~truth & said).sum()), int((~truth & ~said).sum())]])  # fmt: skip
    return JudgeCalibration(
        kappa=_kappa(table, level),
        sensitivity=wilson(int(table[0, 0]), int(table[0].sum()), level=level),
        specificity=wilson(int(table[1, 1]), int(table[1].sum()), level=level),
        n=len(truth),
    )


def _kappa(table: np.ndarray, level: float) -> Interval:
    n = int(table.sum())
    if n == 0 or not table.sum(axis=1).all():
        return Interval(math.nan, -1.0, 1.0, n, level, "no contrast")
    if not table.sum(axis=0).all():
        return Interval(0.0, -1.0, 1.0, n, level, "a judge of one answer", n)
    from statsmodels.stats.inter_rater import cohens_kappa  # noqa: PLC0415 - it takes seconds to load

    found = cohens_kappa(table)
    if not found.std_kappa > 0:
        # Complete agreement has no spread; what is left open is the share of disagreements never seen.
        unseen = wilson(n, n, level=level).low if found.kappa == 1 else 0.0
        return Interval(float(found.kappa), _kappa_at_agreement(table, unseen), 1.0, n, level, "wilson")
    reach = float(stats.norm.ppf((1 + level) / 2)) * float(found.std_kappa)
    kappa = float(found.kappa)
    return Interval(kappa, max(-1.0, kappa - reach), min(1.0, kappa + reach), n, level, "kappa", n)


def _kappa_at_agreement(table: np.ndarray, agreement: float) -> float:
    shares = table.sum(axis=1) / table.sum()
    by_chance = float((shares**2).sum())
    return (agreement - by_chance) / (1 - by_chance)


def corrected_rate(positives: int, n: int, calibration: JudgeCalibration, *, level: float = LEVEL) -> Interval:
    """The true rate behind a judge's rate (Rogan and Gladen 1978), with the calibration's own uncertainty in it.

    Interval of Lang and Reiczigel (Preventive Veterinary Medicine 2014). A judge that does no better than chance
    tells nothing: 0 to 1.
    """
    z = float(stats.norm.ppf((1 + level) / 2))
    tries, rate = n + z * z, (positives + z * z / 2) / (n + z * z)
    sensitivity, of_yes = _shrunk(calibration.sensitivity)
    specificity, of_no = _shrunk(calibration.specificity)
    skill = sensitivity + specificity - 1
    if skill <= 0 or n == 0:
        return Interval(math.nan, 0.0, 1.0, n, level, "judge without skill")
    true = (rate + specificity - 1) / skill
    spread_yes, spread_no = sensitivity * (1 - sensitivity) / of_yes, specificity * (1 - specificity) / of_no
    error = math.sqrt(rate * (1 - rate) / tries + (1 - true) ** 2 * spread_no + true**2 * spread_yes) / skill
    shift = 2 * z * z * (true * spread_yes - (1 - true) * spread_no)
    point = (positives / n + calibration.specificity.estimate - 1) / (
        calibration.sensitivity.estimate + calibration.specificity.estimate - 1
    )
    return Interval(
        min(1.0, max(0.0, point)),
        min(1.0, max(0.0, true + shift - z * error)),
        min(1.0, max(0.0, true + shift + z * error)),
        n,
        level,
        "corrected for the judge",
        n,
    )


def _shrunk(rate: Interval) -> tuple[float, int]:
    """One success and one failure added, so that a judge seen to be perfect is not taken for one."""
    successes = 0.0 if rate.n == 0 else rate.estimate * rate.n
    return (successes + 1) / (rate.n + 2), rate.n + 2
