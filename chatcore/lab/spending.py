"""What the AI costs and how long it takes, from the decision ledger."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from chatcore.ai.provider.costs import PRICES, PRICES_SEEN, cost_usd
from chatcore.lab.pages import Table, facts, number
from chatcore.lab.plots import COLOURS, INK, finished
from chatcore.lab.statistics.estimates import LEVEL, Interval
from chatcore.lab.statistics.intervals import event_rate
from chatcore.lab.statistics.ranking import bootstrap

A_THOUSAND: Final = 1_000
BY: Final = ("feature", "provider", "model")
WITHOUT_LANGUAGE: Final = frozenset({"moderation", "embedding", "search"})
"""Asked of a moderation or embedding model, so a language model's price says nothing about them."""


@dataclass(frozen=True)
class Spending:
    """`table`: one row for each feature, provider and model. `messages` is how many chat messages the window saw.

    `per_thousand` is the estimated cost of AI for 1,000 chat messages, over whole groups drawn with replacement;
    `priced_as` is what the same tokens would cost at that model. Rows without a known price are missing, never free.
    """

    table: pd.DataFrame
    messages: int
    groups: int
    per_thousand: Interval
    projected: Interval
    priced_as: str
    fallback: Interval
    repeated: Interval
    shadow_share: float

    @property
    def unpriced(self) -> int:
        return int(self.table["unpriced"].sum())

    @property
    def sentence(self) -> str:
        """Computed from the numbers alone."""
        asked = int(self.table["calls"].sum())
        cost = "unknown" if math.isnan(self.per_thousand.estimate) else f"${self.per_thousand.estimate:.4f}"
        missing = f", without {self.unpriced:,} calls whose price nobody knows" if self.unpriced else ""
        return (
            f"{asked:,} calls on {self.messages:,} messages: {cost} for 1,000 messages{missing}; as {self.priced_as} "
            f"the same tokens would cost ${self.projected.estimate:.3f} "
            f"({self.projected.level:.0%} interval {self.projected.low:.3f} to {self.projected.high:.3f}). "
            f"{self.fallback.estimate:.1%} fell back, {self.repeated.estimate:.1%} asked what had been asked before."
        )

    def _repr_html_(self) -> str:
        told = {"messages": f"{self.messages:,}", "groups": f"{self.groups:,}", "prices": f"OpenAI's of {PRICES_SEEN}"}
        head = ["feature", "provider", "model", "calls", "prompt tokens", "answer tokens", "cost $", "no price",
                "fell back", "p50 ms", "p95 ms"]  # fmt: skip
        rows = [
            [row.feature, row.provider, row.model, f"{row.calls:,}", f"{row.prompt_tokens:,}",
             f"{row.completion_tokens:,}", number(row.cost_usd), f"{row.unpriced:,}", f"{row.fell_back:.1%}",
             f"{row.p50_ms:,.0f}", f"{row.p95_ms:,.0f}"]
            for row in self.table.itertuples()
        ]  # fmt: skip
        return facts("What the AI cost", told) + Table(head, rows, frozenset(range(3, len(head)))).html()


def spending(rows: pd.DataFrame, *, priced_as: str = "gpt-4o-mini", seed: int = 0) -> Spending:
    """From a frame of `lab.ledger`; replays are left out, shadows are paid for like everything else.

    Raises ValueError where nothing was decided, or for a model without a known price.
    """
    if priced_as not in PRICES:
        raise ValueError(f"no price of {priced_as} is known; there are {', '.join(sorted(PRICES))}")
    kept = rows[rows["mode"] != "replay"].reset_index(drop=True)
    if kept.empty:
        raise ValueError("nothing was decided in this window, so nothing was spent")
    kept["projected"] = [
        0.0 if one.feature in WITHOUT_LANGUAGE else cost_usd(priced_as, one.prompt_tokens, one.completion_tokens)
        for one in kept.itertuples()
    ]
    live = kept[kept["mode"] == "live"]
    asked = live[~live["feature"].isin(WITHOUT_LANGUAGE)]
    again = asked.duplicated(["feature", "prompt", "input_sha256"])
    return Spending(
        table=_table(kept),
        messages=int(kept.loc[kept["message"] != "", "message"].nunique()),
        groups=int(kept.loc[kept["group"] != "", "group"].nunique()),
        per_thousand=_per_thousand(kept, "cost_usd", seed),
        projected=_per_thousand(kept, "projected", seed),
        priced_as=priced_as,
        fallback=event_rate(int((live["fallback"] != "").sum()), len(live)),
        repeated=event_rate(int(again.sum()), len(asked)),
        shadow_share=float((kept["mode"] == "shadow").mean()),
    )


def fallbacks(rows: pd.DataFrame) -> pd.DataFrame:
    """Why the first choice did not answer: feature, fallback, provider, calls, share of the feature's calls."""
    live = rows[rows["mode"] == "live"]
    asked = live.groupby("feature").size()
    found = live[live["fallback"] != ""].groupby(["feature", "fallback", "provider"]).size().rename("calls")
    table = found.reset_index()
    table["share"] = [row.calls / asked[row.feature] for row in table.itertuples()]
    return table.sort_values("calls", ascending=False, ignore_index=True)


def _table(kept: pd.DataFrame) -> pd.DataFrame:
    found = []
    for names, part in kept.groupby(list(BY), sort=True):
        priced = part["cost_usd"].dropna()
        found.append(
            dict(zip(BY, names, strict=True))
            | {
                "calls": len(part),
                "prompt_tokens": int(part["prompt_tokens"].sum()),
                "completion_tokens": int(part["completion_tokens"].sum()),
                "cost_usd": float(priced.sum()) if len(priced) else math.nan,
                "unpriced": int(part["cost_usd"].isna().sum()),
                "fell_back": float((part["fallback"] != "").mean()),
                "p50_ms": float(part["latency_ms"].median()),
                "p95_ms": float(part["latency_ms"].quantile(0.95)),
                "projected": float(part["projected"].sum()),
            }
        )
    return pd.DataFrame(found)


def _per_thousand(kept: pd.DataFrame, column: str, seed: int) -> Interval:
    """A ratio of sums over groups: a group that asks much counts by what it asks, and is drawn as a whole."""
    groups = np.where(kept["group"] == "", kept["decision_id"], kept["group"]).astype(object)
    told = pd.DataFrame({"group": groups, "cost": kept[column].astype(float), "message": kept["message"]})
    costs = told.groupby("group", sort=False)["cost"].sum(min_count=1)
    messages = told[told["message"] != ""].groupby("group")["message"].nunique().reindex(costs.index, fill_value=0)
    paid, sent = costs.to_numpy(float), messages.to_numpy(float)
    missing = int(told["cost"].isna().sum())

    def ratio(drawn: Any) -> float:
        total = sent[drawn].sum()
        known = paid[drawn][np.isfinite(paid[drawn])]
        return float(known.sum() / total * A_THOUSAND) if total and len(known) else math.nan

    found = bootstrap(ratio, np.arange(len(paid)), seed=seed)
    return Interval(found.estimate, found.low, found.high, len(told), LEVEL, found.method, found.clusters, missing)


def bars(spent: Spending) -> Figure:
    """Calls, tokens and what they would cost, by feature."""
    table = spent.table.groupby("feature").sum(numeric_only=True).sort_values("calls")
    figure, axes = plt.subplots(1, 3, figsize=(11, 1.2 + 0.34 * len(table)), sharey=True)
    axes[0].barh(table.index, table["calls"], color=COLOURS[0])
    axes[0].set(title="calls")
    axes[1].barh(table.index, table["prompt_tokens"], color=COLOURS[0], label="prompt")
    axes[1].barh(table.index, table["completion_tokens"], left=table["prompt_tokens"], color=COLOURS[1], label="answer")
    axes[1].set(title="tokens")
    axes[1].legend(frameon=False, fontsize=8)
    axes[2].barh(table.index, table["projected"] / max(spent.messages, 1) * A_THOUSAND, color=COLOURS[2])
    axes[2].set(title=f"$ for 1,000 messages, as {spent.priced_as}")
    return finished(figure)


def latencies(rows: pd.DataFrame, names: Sequence[str] = ()) -> Figure:
    """How long each feature's model took: the middle half as a bar, the median, and p95."""
    live = rows[(rows["mode"] == "live") & (rows["latency_ms"] > 0)]
    told: Mapping[str, pd.Series] = {
        str(name): part["latency_ms"] for name, part in live.groupby("feature") if not names or name in names
    }
    figure, axes = plt.subplots(figsize=(8, 1.1 + 0.36 * max(len(told), 1)))
    for place, values in enumerate(told.values()):
        low, middle, high, late = (float(values.quantile(q)) for q in (0.25, 0.5, 0.75, 0.95))
        axes.plot([low, high], [place, place], color=COLOURS[0], lw=7, alpha=0.35, solid_capstyle="butt")
        axes.plot(middle, place, "|", color=COLOURS[0], ms=14, mew=2.5)
        axes.plot(late, place, "o", color=COLOURS[1], ms=5)
        axes.annotate(f"{late:,.0f}", (late, place), (6, -3), textcoords="offset points", fontsize=8, color=INK)
    axes.set_yticks(range(len(told)), [f"{name} ({len(values)})" for name, values in told.items()])
    axes.set(xscale="log", xlabel="ms: middle half, median, p95", ylim=(-0.6, max(len(told), 1) - 0.4))
    return finished(figure)
