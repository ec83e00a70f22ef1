"""Variants against one another: each pair on each sample, in both orders, and what that says of each."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from chatcore.lab import statistics as st
from chatcore.lab.datasets.vocabulary import Dataset, Sample
from chatcore.lab.evaluation.tasks import Output, Solver
from chatcore.lab.judging import Judge, Opinion, gathered
from chatcore.lab.loops import run_apart
from chatcore.lab.pages import Table, facts, number, preview
from chatcore.lab.replies import last_turn

AT_ONCE = 8
RESAMPLES = 400
ROUNDS, CLOSE_ENOUGH = 500, 1e-9
PRIOR = 0.5
"""Half a win and half a loss of each pair, so that a variant that never won still has a place."""


@dataclass(frozen=True)
class Arena:
    """`matches`: sample, conversation, a, b, text_a, text_b, score (of a: 1, 0.5 or 0; the mean of both orders),
    consistent (both orders named the same; None where the texts were the same and nobody was asked), error."""

    variants: tuple[str, ...]
    matches: pd.DataFrame = field(repr=False)
    judged_by: str
    degraded: bool
    seed: int = 0

    @property
    def asked(self) -> pd.DataFrame:
        """Where the texts differed and the judge answered in both orders."""
        return self.matches[self.matches["consistent"].notna()]

    @property
    def order_consistency(self) -> "st.Interval":
        """The share of asked pairs for which changing the places changed nothing, clustered by conversation."""
        rows = self.asked
        return _share(st.clustered_mean(rows["consistent"].astype(float).to_numpy(), clusters=[rows["conversation"]]))

    @property
    def failures(self) -> pd.DataFrame:
        """Matches without a verdict: missing data, and no draw."""
        return self.matches[self.matches["error"] != ""]

    def examples(self, data: Dataset, *, most: int = 8) -> pd.DataFrame:
        """Matches that one side won in both orders, spread over the samples."""
        won = self.asked[self.asked["score"].isin([0.0, 1.0])].drop_duplicates("sample").head(most)
        samples = {sample.id: sample for sample in data}
        rows = [
            {
                "said": preview(last_turn(samples[row.sample]), 90),
                "really answered": preview(str(samples[row.sample].target), 90),
                "preferred": row.text_a if row.score == 1 else row.text_b,
                "to": row.text_b if row.score == 1 else row.text_a,
            }
            for row in won.itertuples()
        ]
        return pd.DataFrame(rows)

    def standings(self) -> pd.DataFrame:
        """Best first: variant, strength (Bradley and Terry, as points of Elo around 0), low, high, win_rate and its
        interval. Intervals are clustered by conversation; those of the strengths by resampling conversations."""
        strengths = self._strengths(self._counts(self.matches))
        spread = self._resampled()
        rows = []
        for place, name in enumerate(self.variants):
            rate = self.win_rate(name)
            low, high = np.quantile(spread[:, place], [0.025, 0.975])
            rows.append({"variant": name, "strength": strengths[place], "low": low, "high": high,
                         "win_rate": rate.estimate, "win_low": rate.low, "win_high": rate.high})  # fmt: skip
        return pd.DataFrame(rows).sort_values("strength", ascending=False).reset_index(drop=True)

    def win_rate(self, variant: str, *, over: str = "") -> "st.Interval":
        """Draws count half; over all others, or over one. The same texts are a draw."""
        ours = self.matches[(self.matches["a"] == variant) | (self.matches["b"] == variant)]
        if over:
            ours = ours[(ours["a"] == over) | (ours["b"] == over)]
        score = ours["score"].where(ours["a"] == variant, 1 - ours["score"])
        return _share(st.clustered_mean(score.to_numpy(), clusters=[ours["conversation"]]))

    def against_all(self) -> pd.DataFrame:
        """A square: how often the row's variant is preferred to the column's."""
        names = list(self.variants)
        rows = [[math.nan if a == b else self.win_rate(a, over=b).estimate for b in names] for a in names]
        return pd.DataFrame(rows, index=names, columns=names)

    def _counts(self, matches: pd.DataFrame) -> np.ndarray:
        """wins[i, j]: of i over j, draws as a half."""
        place = {name: at for at, name in enumerate(self.variants)}
        wins = np.full((len(place), len(place)), PRIOR)
        np.fill_diagonal(wins, 0.0)
        known = matches.dropna(subset="score")
        a, b = known["a"].map(place).to_numpy(), known["b"].map(place).to_numpy()
        np.add.at(wins, (a, b), known["score"].to_numpy(dtype=float))
        np.add.at(wins, (b, a), 1 - known["score"].to_numpy(dtype=float))
        return wins

    @staticmethod
    def _strengths(wins: np.ndarray) -> np.ndarray:
        """Maximum likelihood by Hunter's iteration (Annals of Statistics 2004), as points of Elo, 0 on average."""
        games, won = wins + wins.T, wins.sum(axis=1)
        strength = np.ones(len(wins))
        for _ in range(ROUNDS):
            shared = games / (strength[:, None] + strength[None, :])
            renewed = won / shared.sum(axis=1)
            renewed /= np.exp(np.log(renewed).mean())
            if np.abs(renewed - strength).max() < CLOSE_ENOUGH:
                break
            strength = renewed
        points: np.ndarray = 400 * np.log10(strength)
        return points

    def _resampled(self) -> np.ndarray:
        generator = np.random.default_rng(self.seed)
        parts = [self._counts(part) for _, part in self.matches.groupby("conversation", sort=True)]
        bare = np.stack(parts) - (PRIOR * (1 - np.eye(len(self.variants))))
        found = []
        for _ in range(RESAMPLES):
            drawn = bare[generator.integers(0, len(bare), len(bare))].sum(axis=0)
            found.append(self._strengths(drawn + PRIOR * (1 - np.eye(len(self.variants)))))
        return np.stack(found)

    def _repr_html_(self) -> str:
        rows = [
            [row.variant, f"{row.strength:+.0f}", f"{row.low:+.0f}", f"{row.high:+.0f}", number(row.win_rate),
             number(row.win_low), number(row.win_high)]
            for row in self.standings().itertuples()
        ]  # fmt: skip
        told = {
            "matches": f"{len(self.matches):,}",
            "judged in both orders": f"{len(self.asked):,}",
            "failed": f"{len(self.failures):,}",
            "judge": self.judged_by + (" (degraded)" if self.degraded else ""),
        }
        head = ["variant", "points", "low", "high", "preferred", "low", "high"]
        return facts("Arena", told) + Table(head, rows, frozenset(range(1, 7))).html()


def _share(found: "st.Interval") -> "st.Interval":
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def arena(
    data: Dataset, variants: Mapping[str, Solver], judge: Judge, *, at_once: int = AT_ONCE, seed: int = 0
) -> Arena:
    """The first suggestion of each variant on each sample, every pair of them judged in both orders.

    What fails is missing data. Raises ValueError with fewer than two variants.
    """
    if len(variants) < 2:
        raise ValueError("an arena needs two variants at least")
    return run_apart(_fought(data, dict(variants), judge, at_once, seed))


async def _fought(data: Dataset, variants: dict[str, Solver], judge: Judge, at_once: int, seed: int) -> Arena:
    answers = await _answers(data, variants, at_once)
    pairs = [(sample, a, b) for sample in data for a, b in itertools.combinations(variants, 2)]
    work = [_match(judge, sample, answers[a, sample.id], answers[b, sample.id]) for sample, a, b in pairs]
    told = await gathered(work, at_once=at_once)
    rows, judges = [], dict[str, bool]()
    for (sample, a, b), found in zip(pairs, told, strict=True):
        row, opinions = (_failed(found), ()) if isinstance(found, BaseException) else found
        judges.update({f"{one.served.provider} {one.served.model}": one.served.degraded for one in opinions})
        rows.append({"sample": sample.id, "conversation": sample.conversation or sample.id, "a": a, "b": b,
                     "text_a": str(answers[a, sample.id]), "text_b": str(answers[b, sample.id]), **row})  # fmt: skip
    return Arena(tuple(variants), pd.DataFrame(rows), ", ".join(judges) or "nobody", any(judges.values()), seed)


async def _answers(
    data: Dataset, variants: Mapping[str, Solver], at_once: int
) -> dict[tuple[str, str], "str | BaseException"]:
    """The first suggestion, "" where there was none, or what was raised."""
    asked = [(name, sample) for name in variants for sample in data]
    found = await gathered([_solved(variants[name], sample) for name, sample in asked], at_once=at_once)
    return {(name, sample.id): _first(output) for (name, sample), output in zip(asked, found, strict=True)}


async def _solved(solve: Solver, sample: Sample) -> Output:
    output = solve(sample, 0)
    return output if isinstance(output, Output) else await output


def _first(output: "Output | BaseException") -> "str | BaseException":
    if isinstance(output, BaseException):
        return output
    texts: Sequence[object] = output.value
    return str(texts[0]) if texts else ""


def _failed(error: BaseException) -> dict[str, object]:
    return {"score": math.nan, "consistent": None, "error": f"{type(error).__name__}: {error}"[:300]}


async def _match(
    judge: Judge, sample: Sample, text_a: "str | BaseException", text_b: "str | BaseException"
) -> tuple[dict[str, object], tuple[Opinion, ...]]:
    """The score of `a`. Raises what the judge raises, and what kept a variant from answering."""
    for text in (text_a, text_b):
        if isinstance(text, BaseException):
            raise text
    assert isinstance(text_a, str)
    assert isinstance(text_b, str)
    if text_a == text_b:
        return {"score": 0.5, "consistent": None, "error": ""}, ()
    ahead, back = await judge.prefers(sample, text_a, text_b), await judge.prefers(sample, text_b, text_a)
    for_a = {"first": 1.0, "tie": 0.5, "second": 0.0}[ahead.winner]
    again = {"first": 0.0, "tie": 0.5, "second": 1.0}[back.winner]
    return {"score": (for_a + again) / 2, "consistent": for_a == again, "error": ""}, (ahead, back)
