"""The plots of the moderation notebooks."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chatcore.lab.moderating.judgements import Floats, Judgements
from chatcore.lab.plots import COLOURS, INK, finished

ACROSS = 3


def precision_recall(judged: Judgements, marks: Mapping[str, Mapping[str, float]]) -> Figure:
    """A curve for each category and tier; `marks` are limits by name and category, shown where they cut the curve of
    the models."""
    names = [name for name in judged.categories if (judged.truth(name) == 1).sum() > 1]
    rows = math.ceil(len(names) / ACROSS)
    figure, axes = plt.subplots(rows, ACROSS, figsize=(9, 0.4 + 2.6 * rows), sharex=True, sharey=True, squeeze=False)
    for place, name in zip(axes.flat, names, strict=False):
        _curves(place, judged, name, marks)
    for place in list(axes.flat)[len(names) :]:
        place.set_visible(False)
    for row in axes:
        row[0].set_ylabel("precision")
    for place in list(axes.flat)[: len(names)][-ACROSS:]:
        place.set_xlabel("recall")
        place.tick_params(labelbottom=True)
    axes.flat[0].legend(frameon=False, fontsize=7, loc="lower left")
    return finished(figure)


def _curves(axes: Axes, judged: Judgements, category: str, marks: Mapping[str, Mapping[str, float]]) -> None:
    truth = judged.truth(category)
    axes.axhline(
        float((truth == 1).sum() / max(np.isfinite(truth).sum(), 1)), color=INK, lw=0.8, ls=":", label="chance"
    )
    for first, colour, label in ((True, "#a8adb7", "first tier"), (False, COLOURS[0], "model")):
        scores = judged.scores(category, first=first)
        known = np.isfinite(scores) & np.isfinite(truth)
        if known.any():
            recall, precision = _curve(truth[known] == 1, scores[known])
            axes.step(recall, precision, where="post", color=colour, lw=1.8, label=label)
    for (name, limits), colour, form in zip(marks.items(), COLOURS[1:], "osD", strict=False):
        point = _at(truth, judged.scores(category), limits.get(category, math.nan))
        if point is not None:
            axes.plot(*point, form, color=colour, ms=6, label=name)
    axes.set(xlim=(0, 1.04), ylim=(0, 1.04))
    axes.set_title(f"{category} ({int((truth == 1).sum())} texts)", fontsize=9)


def _curve(yes: "np.typing.NDArray[np.bool_]", scores: Floats) -> tuple[Floats, Floats]:
    """Equal scores are one point: no order among them is anybody's merit."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    hits = np.cumsum(yes[order])[last]
    return np.append(0, hits / yes.sum()), np.append(1, hits / (last + 1))


def _at(truth: Floats, scores: Floats, limit: float) -> tuple[float, float] | None:
    known = np.isfinite(scores) & np.isfinite(truth)
    taken, yes = scores[known] >= limit, truth[known] == 1
    return (float((taken & yes).sum() / yes.sum()), float((taken & yes).sum() / taken.sum())) if taken.any() else None


def cost_bars(table: pd.DataFrame) -> Figure:
    """Cost of 1,000 messages by category, now and with the recommended limits, as `recommend(...).table` gives it."""
    ordered = table.sort_values("cost_now").reset_index(drop=True)
    places = np.arange(len(ordered))
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.42 * len(ordered)))
    axes.barh(places + 0.19, ordered["cost_now"], height=0.36, color="#a8adb7", label="limits in force")
    axes.barh(places - 0.19, ordered["cost"], height=0.36, color=COLOURS[0], label="recommended, cross-fitted")
    axes.set_yticks(places, ordered["category"])
    axes.set(xlabel="expected cost of 1,000 messages, each category alone", title="What mistakes cost")
    axes.legend(frameon=False)
    return finished(figure)


def slice_bars(table: pd.DataFrame, column: str) -> Figure:
    """Shares that are flagged, with intervals; harmful and harmless texts apart."""
    kinds = [("harmful", COLOURS[0], "flagged of the harmful (more is better)"),
             ("harmless", COLOURS[1], "flagged of the harmless (less is better)")]  # fmt: skip
    values = sorted(table[column].unique(), reverse=True)
    figure, axes = plt.subplots(figsize=(8, 1.4 + 0.4 * len(values)))
    for shift, (kind, colour, label) in zip((0.14, -0.14), kinds, strict=True):
        part = table[table["texts"] == kind]
        at = [values.index(value) + shift for value in part[column]]
        _intervals(axes, at, part, colour, label)
    axes.set_yticks(range(len(values)), [str(value) for value in values])
    axes.set(xlim=(-0.02, 1.02), xlabel="share flagged, 95 % interval", title=f"By {column}")
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.32), ncols=2)
    return finished(figure)


def attack_bars(table: pd.DataFrame, cap: float) -> Figure:
    """Success of each attack with its interval, the worst on top; the line is what the gate allows to all together."""
    ordered = table.sort_values(["share", "high"]).reset_index(drop=True)
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.27 * len(ordered)))
    families = list(dict.fromkeys(ordered["family"]))
    palette = dict(zip(families, (*COLOURS, "#6c7480", "#c2185b", "#00838f"), strict=False))
    for family in families:
        part = ordered[ordered["family"] == family]
        _intervals(axes, list(part.index), part, palette.get(family, INK), family)
    axes.axvline(cap, color=INK, lw=1, ls=":")
    axes.set_yticks(range(len(ordered)), ordered["attack"], fontsize=8)
    axes.set(xlim=(-0.02, 1.02), xlabel="share of caught texts that get through in this disguise, 95 % interval")
    axes.set_title("Attacks")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return finished(figure)


def _intervals(axes: Axes, at: Sequence[float], rows: pd.DataFrame, colour: str, label: str) -> None:
    axes.hlines(at, rows["low"], rows["high"], color=colour, lw=4, alpha=0.35)
    axes.plot(rows["share"], at, "o", color=colour, ms=5, label=label)
