"""The few plots that notebooks share, in the colours of the reports."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from chatcore.lab.statistics.estimates import Interval

COLOURS = ("#2463c4", "#b3541e", "#1e7f5c", "#7b52ab")
INK = "#1c1f24"


def spread(values: Sequence[float] | pd.Series, *, what: str, unit: str) -> Figure:
    """A histogram with its median."""
    numbers = pd.Series(values, dtype=float).dropna()
    figure, axes = plt.subplots(figsize=(8, 2.6))
    axes.hist(numbers, bins=24, color=COLOURS[0])
    axes.axvline(numbers.median(), color=COLOURS[1], lw=2)
    axes.set(xlabel=unit, ylabel="how many", title=f"{what}: half within {numbers.median():.3g} {unit}")
    return finished(figure)


def waiting(times: Mapping[str, pd.Series], *, unit: str = "ms", title: str = "How long a message waits") -> Figure:
    """Empirical distributions on a logarithmic scale, one line for each name."""
    figure, axes = plt.subplots(figsize=(8, 3.2))
    for colour, (name, values) in zip(COLOURS, times.items(), strict=False):
        ordered = values.dropna().sort_values().reset_index(drop=True)
        axes.plot(ordered, (ordered.index + 1) / len(ordered), label=name, color=colour, lw=2)
    axes.set(xlabel=unit, ylabel="share", xscale="log", ylim=(0, 1.02), title=title)
    axes.legend(frameon=False)
    return finished(figure)


def by_slice(table: pd.DataFrame, column: str, *, unit: str = "", better: str = "higher") -> Figure:
    """Differences with their intervals, one line for each value of `column`, as `difference_by_slice` gives them."""
    ordered = table.sort_values("difference").reset_index(drop=True)
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.26 * len(ordered)))
    sign = 1 if better == "higher" else -1
    for place, row in ordered.iterrows():
        colour = COLOURS[0] if sign * row["difference"] >= 0 else COLOURS[1]
        known = pd.notna(row["low"]) and abs(row["low"]) != float("inf")
        if known:
            axes.plot([row["low"], row["high"]], [place, place], color=colour, lw=4, alpha=0.35, solid_capstyle="round")
        axes.plot(row["difference"], place, "o", color=colour, ms=5)
    axes.axvline(0, color=INK, lw=1)
    axes.set_yticks(range(len(ordered)), [str(value) for value in ordered[column]], fontsize=8)
    axes.set(xlabel=f"candidate minus live{', ' + unit if unit else ''}", title=f"By {column}")
    return finished(figure)


def intervals(found: Mapping[str, Interval], *, unit: str, least: float | None = None) -> Figure:
    """Estimates with their intervals, one line for each name, and the bound that is asked for."""
    figure, axes = plt.subplots(figsize=(8, 1.1 + 0.4 * len(found)))
    for place, one in enumerate(reversed(list(found.values()))):
        colour = COLOURS[(len(found) - 1 - place) % len(COLOURS)]
        axes.plot([one.low, one.high], [place, place], color=colour, lw=5, alpha=0.3, solid_capstyle="round")
        axes.plot(one.estimate, place, "o", color=colour, ms=7)
        axes.annotate(f"{one.estimate:.2f}", (one.estimate, place), xytext=(0, 8), textcoords="offset points",
                      ha="center", fontsize=8, color=INK)  # fmt: skip
    if least is not None:
        axes.axvline(least, color=INK, lw=1, ls=":")
    axes.set_yticks(range(len(found)), list(reversed(list(found))))
    axes.set(xlabel=unit, ylim=(-0.6, len(found) - 0.3))
    return finished(figure)


def finished(figure: Figure) -> Figure:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    # Closed, so that a cell shows it once, as its value, and not again as an open figure.
    plt.close(figure)
    return figure
