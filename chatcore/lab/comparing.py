"""Pictures of comparisons: two versions sample by sample, many in an arena, a judge beside people."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from chatcore.lab.contests import Arena
from chatcore.lab.plots import COLOURS, INK, finished


def versus(both: pd.DataFrame, *, what: str, chance: float | None = None) -> Figure:
    """Columns `live` and `candidate`, one row a sample: how the scores lie, and what changed sample by sample."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    for colour, name in ((COLOURS[1], "live"), (COLOURS[0], "candidate")):
        ordered = both[name].dropna().sort_values().reset_index(drop=True)
        left.step(ordered, (ordered.index + 1) / len(ordered), where="post", label=name, color=colour, lw=2)
    if chance is not None:
        left.axvline(chance, color=INK, lw=1, ls=":")
        left.annotate("chance", (chance, 0.02), xytext=(4, 0), textcoords="offset points", fontsize=8)
    left.set(xlabel=what, ylabel="share of samples", title="Scores", ylim=(0, 1.02))
    left.legend(frameon=False)
    gaps = (both["candidate"] - both["live"]).dropna()
    up, down = gaps[gaps > 0], gaps[gaps < 0]
    right.hist([up, down], bins=24, stacked=True, color=[COLOURS[0], COLOURS[1]])
    right.axvline(0, color=INK, lw=1)
    title = f"{len(up)} better, {len(down)} worse, {len(gaps) - len(up) - len(down)} the same"
    right.set(xlabel="candidate minus live", ylabel="samples that changed", title=title)
    return finished(figure)


def ladder(arena: Arena) -> Figure:
    """The standings of an arena, strongest on top, with their intervals."""
    table = arena.standings().iloc[::-1].reset_index(drop=True)
    figure, axes = plt.subplots(figsize=(8, 1.2 + 0.36 * len(table)))
    for place, row in table.iterrows():
        axes.plot([row["low"], row["high"]], [place, place], color=COLOURS[0], lw=5, alpha=0.35, solid_capstyle="round")
        axes.plot(row["strength"], place, "o", color=COLOURS[0], ms=6)
    axes.axvline(0, color=INK, lw=1)
    axes.set_yticks(range(len(table)), table["variant"], fontsize=8)
    axes.set(xlabel="points, 0 on average", title="Strength, with 95 % intervals", ylim=(-0.6, len(table) - 0.4))
    return finished(figure)
