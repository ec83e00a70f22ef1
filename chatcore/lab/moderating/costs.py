"""Limits from what mistakes cost the operator: a harm that stays up, a person called for nothing."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from chatcore.lab import statistics as st
from chatcore.lab.moderating.judgements import ANY, Floats, Judgements
from chatcore.lab.pages import Table, number
from chatcore.lab.statistics.estimates import Interval
from chatcore.moderation.decide import Policy

FOLDS: Final = 5
LEAST_POSITIVES: Final = 5
"""With fewer examples a limit would be chosen for these few texts."""
LEAST_LIMIT: Final = 0.05


@dataclass(frozen=True, slots=True)
class Costs:
    """In any one currency, by category. `share`: how many of the operator's own messages are harmful, which no labelled
    collection tells, as harmful texts were looked for when it was made."""

    miss: Mapping[str, float]
    alarm: float = 1.0
    share: float = 0.02
    otherwise: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"the share of harmful messages is {self.share}, and must lie between 0 and 1")
        if self.alarm <= 0 or self.otherwise < 0 or any(cost < 0 for cost in self.miss.values()):
            raise ValueError("a false alarm costs something, and nothing costs less than 0")

    def of_miss(self, category: str) -> float:
        return self.miss.get(category, self.otherwise)

    def per_message(self, truth: Floats, flagged: Floats, miss: Floats) -> Floats:
        """What each sample stands for: their mean is the expected cost of one message of the operator's, with harmful
        ones as frequent as `share` says. NaN where the truth or the answer is missing."""
        known = np.isfinite(truth) & np.isfinite(flagged)
        harmful = truth == 1
        here = harmful[known].mean() if known.any() else math.nan
        missed = self.share / here * miss * (1 - flagged) if here > 0 else np.zeros(len(truth))
        called = (1 - self.share) / (1 - here) * self.alarm * flagged if here < 1 else np.zeros(len(truth))
        return np.where(known, np.where(harmful, missed, called), math.nan)


@dataclass(frozen=True)
class Recommendation:
    """`table`: category, now, recommended, positives, recall_now, recall, alarms_now, alarms (shares, of the category's
    own labels, cross-fitted), cost_now, cost (of 1,000 messages, for this category alone).

    `now` and `then` are the costs of 1,000 messages under all limits together, and `saved` the first less the second,
    paired by sample. `then` is cross-fitted: limits chosen on other texts than those that it is counted on.
    """

    limits: Mapping[str, float]
    table: pd.DataFrame = field(repr=False)
    now: Interval
    then: Interval
    saved: "st.Difference"
    recall: Interval
    false_alarms: Interval

    @property
    def as_parameters(self) -> str:
        """For `candidate` of the notebooks, or a prompt version on the server."""
        return json.dumps({"thresholds": {name: round(limit, 4) for name, limit in self.limits.items()}})

    @property
    def sentence(self) -> str:
        each = f"1,000 messages cost {number(self.now.estimate)} now and {number(self.then.estimate)} with these limits"
        bounds = f"(saving {number(self.saved.estimate)}, {number(self.saved.low)} to {number(self.saved.high)})"
        if self.saved.low > 0:
            return f"{each} {bounds}: try them as a candidate."
        if self.saved.high < 0:
            return f"{each} {bounds}: keep the limits that are in force."
        return f"{each} {bounds}: these data cannot tell the two apart; keep the limits that are in force."

    def _repr_html_(self) -> str:
        head = ["category", "texts", "limit now", "recommended", "recall now", "then", "false alarms now", "then",
                "cost now", "then"]  # fmt: skip
        rows = [
            [str(row.category), str(row.positives), *(number(value, digits=3) for value in (
                row.now, row.recommended, row.recall_now, row.recall, row.alarms_now, row.alarms, row.cost_now,
                row.cost))]
            for row in self.table.itertuples()
        ]  # fmt: skip
        return Table(head, rows, frozenset(range(1, len(head)))).html()


def recommend(judged: Judgements, costs: Costs, *, seed: int = 0) -> Recommendation:
    """The flag limit of each category that would have cost least. Categories with too few examples keep theirs."""
    folds = _folds(judged, seed)
    chosen = _choose(judged, costs, np.ones(len(judged.samples), dtype=bool))
    fitted = [_choose(judged, costs, folds != fold) for fold in range(FOLDS)]
    flagged = _crossed(judged, fitted, folds)
    truth, miss = judged.truth(), _miss_costs(judged, costs)
    before, after = (1_000 * costs.per_message(truth, each, miss) for each in (judged.flagged(), flagged))
    clusters = [one.conversation or one.id for one in judged.samples]
    most = _span(costs)
    return Recommendation(
        limits=chosen,
        table=_table(judged, costs, chosen, fitted, folds),
        now=st.clustered_mean(before, clusters=[clusters], span=most),
        then=st.clustered_mean(after, clusters=[clusters], span=most),
        saved=st.paired_difference(_frame(judged, before), _frame(judged, after), span=most),
        recall=_share(flagged, truth == 1),
        false_alarms=_share(flagged, truth == 0),
    )


def cost_difference(candidate: Judgements, baseline: Judgements, costs: Costs) -> "st.Difference":
    """Of 1,000 messages, candidate less baseline, each under its own limits; paired by sample."""
    frames = []
    for judged in (candidate, baseline):
        price = costs.per_message(judged.truth(), judged.flagged(), _miss_costs(judged, costs))
        frames.append(_frame(judged, 1_000 * price))
    return st.paired_difference(*frames, span=_span(costs))


def best_limit(scores: Floats, truth: Floats, costs: Costs, category: str) -> float:
    """Of all limits between two scores the one that costs least; among equals the middle, farthest from both sides."""
    known = np.isfinite(scores) & np.isfinite(truth)
    given, yes = scores[known], truth[known] == 1
    edges = np.unique(np.append(given, [0.0, 1.0]))
    options = np.unique(np.clip((edges[1:] + edges[:-1]) / 2, LEAST_LIMIT, 1.0))
    hits = given[None, :] >= options[:, None]
    missed = (~hits & yes).sum(axis=1) / max(int(yes.sum()), 1)
    called = (hits & ~yes).sum(axis=1) / max(int((~yes).sum()), 1)
    price = costs.share * costs.of_miss(category) * missed + (1 - costs.share) * costs.alarm * called
    equal = options[np.isclose(price, price.min())]
    return float(equal[len(equal) // 2])


def _span(costs: Costs) -> float:
    return 1_000 * max(costs.alarm, *costs.miss.values(), costs.otherwise)


def _choose(judged: Judgements, costs: Costs, here: "np.typing.NDArray[np.bool_]") -> dict[str, float]:
    chosen = {}
    for category in judged.categories:
        truth, scores = judged.truth(category), judged.scores(category)
        if (truth[here] == 1).sum() >= LEAST_POSITIVES and (truth[here] == 0).any():
            chosen[category] = best_limit(scores[here], truth[here], costs, category)
    return chosen


def _folds(judged: Judgements, seed: int) -> "np.typing.NDArray[np.int64]":
    """Whole conversations, with the harmful spread evenly."""
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415 - it takes a second to load

    groups = pd.factorize(np.array([one.conversation or one.id for one in judged.samples], dtype=object))[0]
    kinds = pd.factorize(np.array([_first_label(judged, place) for place in range(len(groups))], dtype=object))[0]
    kinds[np.bincount(kinds)[kinds] < FOLDS] = np.bincount(kinds).argmax()  # too rare to be spread
    dealer = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    folds = np.zeros(len(groups), dtype=np.int64)
    for fold, (_, judge) in enumerate(dealer.split(groups, kinds, groups)):
        folds[judge] = fold
    return folds


def _first_label(judged: Judgements, place: int) -> str:
    return next((name for name in judged.categories if judged.truth(name)[place] == 1), "")


def _crossed(judged: Judgements, fitted: list[dict[str, float]], folds: "np.typing.NDArray[np.int64]") -> Floats:
    """Flags of each text by limits that were chosen without its fold."""
    flagged = np.full(len(folds), math.nan)
    for fold, limits in enumerate(fitted):
        flagged[folds == fold] = judged.flagged(with_limits(judged.policy, limits))[folds == fold]
    return flagged


def with_limits(policy: Policy, limits: Mapping[str, float]) -> Policy:
    """As a prompt version that brings these flag limits would decide."""
    return Policy(policy.thresholds, policy.overrides, {**policy.flags, **limits})


def _miss_costs(judged: Judgements, costs: Costs) -> Floats:
    """Of each sample, the dearest of its categories."""
    known = [judged.truth(category) == 1 for category in judged.categories]
    prices = [costs.of_miss(category) for category in judged.categories]
    dearest = np.zeros(len(judged.samples))
    for labelled, price in zip(known, prices, strict=True):
        dearest = np.maximum(dearest, labelled * price)
    return np.where((dearest == 0) & (judged.truth() == 1), costs.otherwise, dearest)


def _table(
    judged: Judgements,
    costs: Costs,
    chosen: Mapping[str, float],
    fitted: list[dict[str, float]],
    folds: "np.typing.NDArray[np.int64]",
) -> pd.DataFrame:
    rows = []
    for category in judged.categories:
        truth, scores = judged.truth(category), judged.scores(category)
        now = _limit_now(judged, category)
        limits = np.array([fitted[fold].get(category, now) for fold in folds])
        counted = [_counted(truth, np.where(np.isfinite(scores), scores >= each, math.nan)) for each in (now, limits)]
        miss, alarm = costs.share * costs.of_miss(category), (1 - costs.share) * costs.alarm
        price = [1_000 * (miss * (1 - recall) + alarm * alarms) for recall, alarms in counted]
        rows.append({
            "category": category, "positives": int((truth == 1).sum()), "now": now,
            "recommended": chosen.get(category, math.nan),
            "recall_now": counted[0][0], "recall": counted[1][0],
            "alarms_now": counted[0][1], "alarms": counted[1][1], "cost_now": price[0], "cost": price[1],
        })  # fmt: skip
    return pd.DataFrame(rows)


def _limit_now(judged: Judgements, category: str) -> float:
    """Of the model that spoke; every text has the same one."""
    tiers = {each.tier for seen in judged.evidence if seen for each in seen if each.tier != "first"}
    policy = judged.policy
    limits = [policy.thresholds.limits(tier, category, policy.overrides, policy.flags) for tier in tiers]
    return min((each.flag for each in limits), default=math.nan)


def _counted(truth: Floats, flagged: Floats) -> tuple[float, float]:
    """Recall and the share of false alarms."""
    known = np.isfinite(flagged)
    yes, no = flagged[known & (truth == 1)], flagged[known & (truth == 0)]
    return (float(yes.mean()) if len(yes) else math.nan, float(no.mean()) if len(no) else math.nan)


def _share(flagged: Floats, wanted: "np.typing.NDArray[np.bool_]") -> Interval:
    known = flagged[wanted & np.isfinite(flagged)]
    return st.event_rate(int(known.sum()), len(known))


def _frame(judged: Judgements, scores: Floats) -> pd.DataFrame:
    conversations = [one.conversation or one.id for one in judged.samples]
    return pd.DataFrame({"sample": [one.id for one in judged.samples], "score": scores, "conversation": conversations})


__all__ = ["ANY", "Costs", "Recommendation", "best_limit", "cost_difference", "recommend", "with_limits"]
