"""Metrics of scores and rankings that are no plain mean of samples, with bootstrap intervals over clusters."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from chatcore.lab.statistics.estimates import LEVEL, Interval

ROUNDS = 1_000


def auprc(
    labels: Sequence[float] | np.ndarray,
    scores: Sequence[float] | np.ndarray,
    *,
    clusters: Sequence[Any] | None = None,
    level: float = LEVEL,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Interval:
    """Area under precision and recall as average precision. A NaN label or score is missing and left out."""
    from sklearn.metrics import average_precision_score  # noqa: PLC0415 - it takes seconds to load

    truth, given = np.asarray(labels, dtype=float), np.asarray(scores, dtype=float)
    kept = np.isfinite(truth) & np.isfinite(given)
    groups = np.arange(len(truth)) if clusters is None else np.asarray(clusters, dtype=object)

    def metric(rows: np.ndarray) -> float:
        yes = truth[kept][rows] > 0
        return float(average_precision_score(yes, given[kept][rows])) if yes.any() else math.nan

    found = bootstrap(metric, groups[kept], level=level, rounds=rounds, seed=seed)
    return Interval(
        found.estimate, found.low, found.high, found.n, level, found.method, found.clusters, int((~kept).sum())
    )


def ndcg(gains: Sequence[float], k: int = 10, *, all_gains: Sequence[float] | None = None) -> float:
    """Of one query: `gains` in ranked order, `all_gains` what the collection holds (the retrieved, if not given).

    NaN where nothing relevant exists: such a query says nothing about a ranking.
    """
    ideal = sorted(gains if all_gains is None else all_gains, reverse=True)[:k]
    best = _discounted(ideal)
    return _discounted(list(gains)[:k]) / best if best > 0 else math.nan


def _discounted(gains: Sequence[float]) -> float:
    if not gains:
        return 0.0
    from sklearn.metrics import ndcg_score  # noqa: PLC0415 - it takes seconds to load

    order = np.arange(len(gains), 0, -1, dtype=float)
    if len(gains) == 1:  # the library wants at least two documents
        return float(gains[0])
    ideal = sorted(gains, reverse=True)
    top = float((np.asarray(ideal) / np.log2(np.arange(2, len(gains) + 2))).sum())
    return float(ndcg_score([list(gains)], [order])) * top if top > 0 else 0.0


def recall_at(ranked: Sequence[Any], relevant: set[Any], k: int = 10) -> float:
    """Share of the relevant among the first k, of as many as k can hold; NaN where nothing is relevant."""
    return len(set(ranked[:k]) & relevant) / min(k, len(relevant)) if relevant else math.nan


def bootstrap(
    metric: Callable[[np.ndarray], float],
    clusters: Sequence[Any] | np.ndarray,
    *,
    level: float = LEVEL,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Interval:
    """Percentile interval of `metric(row numbers)` over whole clusters drawn with replacement; the same for a seed."""
    codes, kinds = pd.factorize(np.asarray(clusters, dtype=object))
    n, count = len(codes), len(kinds)
    if count == 0:
        return Interval(math.nan, -math.inf, math.inf, 0, level, "no data")
    estimate = metric(np.arange(n))
    if count < 2:
        return Interval(estimate, -math.inf, math.inf, n, level, "one cluster", count)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    dice = np.random.default_rng(seed)
    drawn = [
        metric(np.concatenate([members[which] for which in dice.integers(0, count, count)])) for _ in range(rounds)
    ]
    known = np.asarray(drawn)[np.isfinite(drawn)]
    if len(known) == 0:
        return Interval(estimate, -math.inf, math.inf, n, level, "no data", count)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), n, level, "cluster bootstrap", count)
