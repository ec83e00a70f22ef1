"""Estimates with what the data leave open."""

from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with what the data leave open. `n` counts samples, `clusters` what may be taken as independent.

    Bounds are infinite where the data say nothing (a single cluster, for one); an estimate of no data is NaN.
    """

    estimate: float
    low: float
    high: float
    n: int
    level: float = LEVEL
    method: str = ""
    clusters: int = 0
    missing: int = 0

    def __str__(self) -> str:
        return f"{self.estimate:.4g} ({self.level:.0%} interval {self.low:.4g} to {self.high:.4g}, n = {self.n:,})"

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Difference:
    """Candidate minus live, averaged over samples that both answered.

    `sd` is the spread of the differences, `detectable` the smallest true difference that this comparison finds with
    80 % power, `p` of the two-sided test of no difference. `candidate` and `live` are the means over the same samples.
    """

    interval: Interval
    candidate: float
    live: float
    sd: float
    detectable: float
    p: float

    @property
    def estimate(self) -> float:
        return self.interval.estimate

    @property
    def low(self) -> float:
        return self.interval.low

    @property
    def high(self) -> float:
        return self.interval.high

    @property
    def n(self) -> int:
        return self.interval.n
