"""A candidate against the live version on the same samples."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from chatcore.lab.statistics.estimates import LEVEL, Difference, Interval
from chatcore.lab.statistics.intervals import clustered_mean
from chatcore.lab.statistics.power import POWER, minimum_detectable_effect

CLUSTERS = ("conversation", "sender")


def by_sample(scores: pd.DataFrame) -> pd.DataFrame:
    """One row a sample: `score` averaged over its epochs. Repeats of one sample are no further evidence.

    Expects `sample` and `score`; an epoch that failed is NaN and left out, a sample of nothing else stays NaN.
    """
    absent = {"sample", "score"} - set(scores.columns)
    if absent:
        raise ValueError(f"scores need the columns sample and score; {', '.join(sorted(absent))} is not there")
    if scores["sample"].is_unique:
        return scores
    others = [name for name in scores.columns if name not in ("sample", "score", "epoch")]
    wanted = {"score": "mean", **dict.fromkeys(others, "first")}
    return scores.groupby("sample", sort=True).agg(wanted).reset_index()


def paired_difference(
    candidate: pd.DataFrame,
    live: pd.DataFrame,
    *,
    clusters: Sequence[str] = CLUSTERS,
    level: float = LEVEL,
    span: float = 1.0,
) -> Difference:
    """Both frames hold `sample`, `score`, perhaps `epoch` and the columns to cluster by (those absent are left out).

    A sample that only one of them answered is missing data. `span` is the width of the score's scale.
    """
    pairs = by_sample(candidate).merge(
        by_sample(live)[["sample", "score"]], on="sample", how="outer", suffixes=("", "_live")
    )
    gaps = (pairs["score"] - pairs["score_live"]).to_numpy(dtype=float)
    kinds = [_cluster_codes(pairs, name) for name in clusters if name in pairs.columns]
    interval = clustered_mean(gaps, clusters=kinds, level=level, span=span)
    answered = pairs[np.isfinite(gaps)]
    sd = float(np.std(gaps[np.isfinite(gaps)], ddof=1)) if interval.n > 1 else math.nan
    error, p = _error_and_p(interval)
    return Difference(
        interval=interval,
        candidate=float(answered["score"].mean()),
        live=float(answered["score_live"].mean()),
        sd=sd,
        detectable=minimum_detectable_effect(error, interval.clusters - 1, level=level, power=POWER),
        p=p,
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted so that the chance of any false alarm over all slices stays what one test would have (Holm 1979).

    NaN, a slice without evidence, stays NaN and does not count among the tests.
    """
    from statsmodels.stats.multitest import multipletests  # noqa: PLC0415 - seconds, and few notebooks slice

    values = np.asarray(p_values, dtype=float)
    known = np.isfinite(values)
    adjusted = np.full(len(values), math.nan)
    if known.any():
        adjusted[known] = multipletests(values[known], method="holm")[1]
    return [float(value) for value in adjusted]


def difference_by_slice(
    candidate: pd.DataFrame, live: pd.DataFrame, column: str, *, level: float = LEVEL, span: float = 1.0
) -> pd.DataFrame:
    """One row for each value of `column`: n, live, candidate, difference, low, high, p and p_holm."""
    rows = []
    for value, part in candidate.groupby(column, sort=True, dropna=False):
        found = paired_difference(part, live[live["sample"].isin(part["sample"])], level=level, span=span)
        rows.append(
            {
                column: value,
                "n": found.n,
                "live": found.live,
                "candidate": found.candidate,
                "difference": found.estimate,
                "low": found.low,
                "high": found.high,
                "p": found.p,
            }
        )
    table = pd.DataFrame(rows)
    if len(table):
        table["p_holm"] = holm(table["p"].tolist())
    return table


def _cluster_codes(pairs: pd.DataFrame, name: str) -> np.ndarray:
    """A sample without a cluster is a cluster of its own."""
    alone = pd.Series([f"\0{sample}" for sample in pairs["sample"]], index=pairs.index, dtype=object)
    column = pairs[name].astype(object)
    return np.asarray(column.where(column.notna(), alone), dtype=object)


def _error_and_p(interval: Interval) -> tuple[float, float]:
    """Read back from the interval, so that the three never contradict one another."""
    degrees = interval.clusters - 1
    if degrees < 1 or not math.isfinite(interval.half_width):
        return math.inf, math.nan
    error = interval.half_width / float(stats.t.ppf((1 + interval.level) / 2, degrees))
    if interval.method == "rule of three" and interval.estimate == 0.0:
        return error, 1.0
    return error, float(2 * stats.t.sf(abs(interval.estimate) / error, degrees))
