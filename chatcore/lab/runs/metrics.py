"""What a run measured, in the form in which it is written down."""

import math
from html import escape
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from chatcore.lab.pages import number
from chatcore.lab.statistics.estimates import Difference, Interval

Better = Literal["higher", "lower", ""]
Measured = float | int | bool | Interval | Difference | None


class Metric(BaseModel):
    """`value` None: it could not be measured, which is not zero. A missing bound is one that the data leave open."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    missing: int = 0
    detectable: float | None = Field(None, description="the smallest true difference seen with 80 % power")
    better: Better = ""
    unit: str = ""
    versus: str = Field("", description="what a difference is against, such as `live`")
    method: str = ""

    @property
    def has_interval(self) -> bool:
        return self.method != ""

    def __str__(self) -> str:
        interval = f", {self.method} interval {number(self.low)} to {number(self.high)}" if self.has_interval else ""
        size = f", n = {self.n:,}" if self.n is not None else ""
        return f"{self.name} = {number(self.value)}{self.unit and ' ' + self.unit}{interval}{size}"

    def _repr_html_(self) -> str:
        return f"<div>{escape(str(self))}</div>"


def metric(name: str, measured: Measured, *, better: Better = "", unit: str = "", versus: str = "") -> Metric:
    """From a number, an interval or a paired difference. NaN becomes None, an infinite bound too."""
    if isinstance(measured, Difference):
        plain = metric(name, measured.interval, better=better, unit=unit, versus=versus or "live")
        return plain.model_copy(update={"detectable": _finite(measured.detectable)})
    if isinstance(measured, Interval):
        return Metric(
            name=name, value=_finite(measured.estimate), low=_finite(measured.low), high=_finite(measured.high),
            n=measured.n, missing=measured.missing, better=better, unit=unit, versus=versus,
            method=f"{measured.level:.0%} {measured.method}".strip(),
        )  # fmt: skip
    value = None if measured is None else _finite(float(measured))
    return Metric(name=name, value=value, better=better, unit=unit, versus=versus)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
