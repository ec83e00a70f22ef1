"""Pictures of comparisons: two versions sample by sample, many in an arena, a judge beside people."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

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
