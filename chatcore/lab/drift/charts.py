"""Control charts side by side."""

import math

import matplotlib.pyplot as plt
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chatcore.lab.drift.limits import Chart
from chatcore.lab.drift.watching import Watch
from chatcore.lab.plots import COLOURS, INK, finished

ALARM = "#b3261e"
BAND = "#8fa3c8"


def control_charts(watched: Watch, *, across: int = 2) -> Figure:
    """The reference period is shaded; points beyond the limits are red; days with too few cases are left open."""
    rows = max(1, math.ceil(len(watched.charts) / across))
    figure, axes = plt.subplots(rows, across, figsize=(11, 0.4 + 1.9 * rows), sharex=True, squeeze=False)
    for place, chart in zip(axes.flat, watched.charts.values(), strict=False):
        _draw(place, chart)
    for place in list(axes.flat)[len(watched.charts) :]:
        place.set_visible(False)
    bottom = list(axes.flat)[max(0, len(watched.charts) - across) : len(watched.charts)]
    for place in bottom:
        place.tick_params(labelbottom=True)
        locator = dates.AutoDateLocator(maxticks=7)
        place.xaxis.set_major_locator(locator)
        place.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    return finished(figure)


def _draw(axes: Axes, chart: Chart) -> None:
    points = chart.points
    when = points["bucket"]
    axes.fill_between(when, points["low"], points["high"], color=BAND, alpha=0.28, step="mid", lw=0)
    axes.plot(when, points["centre"], color=INK, lw=0.8, alpha=0.6)
    axes.plot(when, points["value"], color=COLOURS[0], lw=1.2, marker="o", ms=2.4)
    told = chart.alarms
    axes.plot(told["bucket"], told["value"], "o", color=ALARM, ms=5)
    axes.axvspan(when.iloc[0], when.iloc[min(chart.reference, len(when)) - 1], color=INK, alpha=0.05, lw=0)
    crossed = f", {len(told)} beyond" if len(told) else ""
    axes.set_title(f"{chart.name} ({chart.kind}{crossed})", fontsize=9, color=ALARM if len(told) else INK, loc="left")
    axes.set_ylabel(chart.unit, fontsize=8)
    axes.tick_params(labelsize=8)
