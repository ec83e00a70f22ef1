"""One line of the table: what was measured, what it should be, how it was placed on the cores."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Better = Literal["more", "less"]


@dataclass(slots=True)
class Row:
    """`samples` of the interleaved repetitions; the measured value is their median.

    Without a `target` the row only informs. `baseline` makes it a ratio: sample by sample to another server's of the
    same repetition; `each` is then the unit of the samples.
    """

    name: str
    unit: str
    better: Better
    cores: str
    target: float | None = None
    samples: list[float] = field(default_factory=list)
    baseline: list[float] = field(default_factory=list)
    note: str = ""
    each: str = ""

    @property
    def median(self) -> float | None:
        return statistics.median(self.samples) if self.samples else None

    @property
    def ratio(self) -> float | None:
        """The median of the ratios within each repetition, so that a machine that slows down does not count."""
        pairs = list(zip(self.samples, self.baseline, strict=False))
        return statistics.median(ours / other for ours, other in pairs) if pairs else None

    @property
    def judged(self) -> float | None:
        """What is held against the target: the ratio where the target is one."""
        return self.ratio if self.unit.startswith("x ") else self.median

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        if self.judged is None:
            return "not measured"
        met = self.judged >= self.target if self.better == "more" else self.judged <= self.target
        return "met" if met else "missed"

    def target_text(self) -> str:
        if self.target is None:
            return ""
        return f"{'>=' if self.better == 'more' else '<='} {self.target:,g} {self.unit}"

    def measured_text(self) -> str:
        if self.judged is None or self.median is None:
            return "-"
        if self.unit.startswith("x "):
            value = f"{number(self.median)} {self.each or ('a CPU-second' if self.better == 'more' else 'ms')}"
            return f"{self.judged:.2f} {self.unit} ({value})"
        return f"{number(self.median)} {self.unit}"

    def spread_text(self) -> str:
        """Lowest and highest sample; says how far one may trust the median."""
        shown: Sequence[float] = self.samples
        if self.unit.startswith("x "):
            shown = [ours / other for ours, other in zip(self.samples, self.baseline, strict=False)]
        return f"{number(min(shown))} - {number(max(shown))}" if len(shown) > 1 else ""


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
