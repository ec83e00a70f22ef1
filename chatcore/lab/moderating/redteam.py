"""Texts that moderation catches, sent again in disguise: how many of them get through?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from chatcore.lab import statistics as st
from chatcore.lab.datasets.vocabulary import Dataset, Sample
from chatcore.lab.evaluation import Report, Task, evaluate, labels
from chatcore.lab.moderating.attacks import ATTACKS, Attack, attacked
from chatcore.lab.moderating.judgements import judgements, truth_of
from chatcore.lab.moderating.solver import Moderator
from chatcore.lab.pages import Table, facts, number, preview

AT_ONCE = 32


@dataclass(frozen=True)
class Siege:
    """`trials` has a row for each text and attack: original, attack, family, text, harmful, flagged (1, 0, or NaN where
    it could not be judged). Harmful texts are those that were caught undisguised, harmless ones those that passed."""

    dataset: str
    trials: pd.DataFrame = field(repr=False)
    originals: int
    uncaught: int
    missing: int

    @property
    def success(self) -> "st.Interval":
        """The share of all attacks that got through, over texts as clusters: one text's disguises fail together."""
        harmful = self._of("harmful")
        return _share(1 - harmful["flagged"], harmful["original"])

    def of_family(self, family: str) -> "st.Interval":
        harmful = self._of("harmful")
        part = harmful[harmful["family"] == family]
        return _share(1 - part["flagged"], part["original"])

    @property
    def false_alarms(self) -> "st.Interval":
        """The share of harmless texts in the same disguises that are flagged: what the defence costs."""
        harmless = self._of("harmless")
        return _share(harmless["flagged"], harmless["original"])

    @property
    def families(self) -> list[str]:
        return list(dict.fromkeys(self.trials["family"]))

    def by_attack(self, texts: str = "harmful") -> pd.DataFrame:
        """family, attack, n, share (that got through, or of harmless texts that was flagged), low, high."""
        rows = []
        for (family, attack), part in self._of(texts).groupby(["family", "attack"], sort=False):
            known = part["flagged"].dropna()
            events = int((1 - known).sum() if texts == "harmful" else known.sum())
            found = st.event_rate(events, len(known))
            rows.append({"family": family, "attack": attack, "n": found.n, "share": found.estimate, "low": found.low,
                         "high": found.high})  # fmt: skip
        return pd.DataFrame(rows, columns=["family", "attack", "n", "share", "low", "high"])

    def worst(self, count: int = 12) -> pd.DataFrame:
        """Of the attacks that succeed most, one text each that got through."""
        order = self.by_attack().sort_values("share", ascending=False).set_index("attack")["share"]
        through = self._of("harmful").query("flagged == 0").drop_duplicates("attack").set_index("attack")
        rows = [{"attack": name, "success": order[name], "text": preview(str(through.loc[name, "text"]), 110)}
                for name in order.index if name in through.index]  # fmt: skip
        return pd.DataFrame(rows[:count], columns=["attack", "success", "text"])

    @property
    def sentence(self) -> str:
        """What a reader shall remember, computed from the numbers."""
        table = self.by_attack()
        good = [name for name in self.families if (table[table["family"] == name]["share"] == 0).all()]
        worst = table.sort_values(["share", "n"], ascending=False).head(3)
        weakest = ", ".join(f"{row.attack} ({row.share:.0%})" for row in worst.itertuples() if row.share > 0)
        through = self.success
        return (
            f"{through.estimate:.0%} of {through.n:,} disguised texts got through (95 % interval "
            f"{through.low:.0%} to {through.high:.0%}), and {self.false_alarms.estimate:.0%} of "
            f"the harmless ones in the same disguises were flagged. "
            + (f"Weakest against: {weakest}. " if weakest else "")
            + (f"Nothing got through by {', '.join(good)}." if good else "")
        ).strip()

    def _of(self, texts: str) -> pd.DataFrame:
        return self.trials[self.trials["harmful"] == (texts == "harmful")]

    def _repr_html_(self) -> str:
        told = {"data": self.dataset, "texts": f"{self.originals:,}", "attacks": f"{len(self.trials):,}",
                "harmful texts not caught even undisguised (left out)": f"{self.uncaught:,}",
                "missing": f"{self.missing:,}"}  # fmt: skip
        shares = [("all", self.success), *((name, self.of_family(name)) for name in self.families)]
        rows = [[name, *(number(x, digits=3) for x in (found.estimate, found.low, found.high))]
                for name, found in shares]  # fmt: skip
        return (
            facts("Red team", told) + Table(["got through", "share", "low", "high"], rows, frozenset({1, 2, 3})).html()
        )


def besiege(
    dataset: Dataset,
    solve: Moderator,
    *,
    attacks: Sequence[Attack] = ATTACKS,
    texts: int = 24,
    harmless: int = 12,
    seed: int = 0,
) -> Siege:
    """Up to `texts` harmful ones that are caught and `harmless` ones that pass, each in every disguise."""
    dataset = _tried(dataset, texts, harmless, seed)
    judged = judgements(_judge(dataset, solve), dataset)
    truth, flagged = judged.truth(), judged.flagged()
    bad = [one for one, known, flag in zip(dataset, truth, flagged, strict=True) if known == 1 and flag == 1]
    good = [one for one, known, flag in zip(dataset, truth, flagged, strict=True) if known == 0 and flag == 0]
    originals = [*Dataset("caught", tuple(bad)).take(texts, seed=seed),
                 *Dataset("harmless", tuple(good)).take(harmless, seed=seed)]  # fmt: skip
    messages = [(one, attack, attacked(one, attack, seed)) for one in originals for attack in attacks]
    sent = Dataset(f"{dataset.name} in disguise", tuple(part for _, _, parts in messages for part in parts))
    table = _judge(sent, solve).table.set_index("sample")
    caught = {one.id for one in bad}
    rows = [_trial(one, attack, parts, table, one.id in caught) for one, attack, parts in messages]
    trials = pd.DataFrame(rows)
    return Siege(
        dataset.pinned,
        trials,
        originals=len(originals),
        uncaught=int(((truth == 1) & (flagged == 0)).sum()),
        missing=int(trials["flagged"].isna().sum()),
    )


def _share(events: pd.Series, texts: pd.Series) -> "st.Interval":
    """A mean of zeros and ones by clusters; beyond 0 and 1 there is nothing."""
    found = st.clustered_mean(events, clusters=[texts])
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def _tried(dataset: Dataset, texts: int, harmless: int, seed: int) -> Dataset:
    """A draw of twice or thrice as many as are wanted, since not each of them is caught, or passes."""
    bad = dataset.where(lambda one: truth_of(one.target) == 1).take(3 * texts, seed=seed)
    good = dataset.where(lambda one: truth_of(one.target) == 0).take(2 * harmless, seed=seed)
    drawn = {one.id for one in (*bad, *good)}
    return dataset.where(lambda one: one.id in drawn)


def _judge(dataset: Dataset, solve: Moderator) -> Report:
    task = Task(dataset, solve, labels(), name="moderation", version=solve.name)
    return evaluate(task, at_once=AT_ONCE)


def _trial(
    original: Sample, attack: Attack, parts: Sequence[Sample], table: pd.DataFrame, harmful: bool
) -> dict[str, object]:
    """Split texts are caught when one of their messages is; a part that could not be judged leaves it open."""
    answers = [table.loc[part.id] for part in parts]
    flags = [math.nan if one["error"] else float(one["evidence"]["action"] != "allow") for one in answers]
    flagged = 1.0 if 1.0 in flags else math.nan if np.isnan(flags).any() else 0.0
    text = " / ".join(part.text for part in parts)
    return {"original": original.id, "attack": attack.name, "family": attack.family, "text": text, "harmful": harmful,
            "flagged": flagged}  # fmt: skip
