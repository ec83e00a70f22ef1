"""May a judge be trusted? Its grades beside what people did, and its rates corrected for its own errors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from chatcore.lab import statistics as st
from chatcore.lab.datasets.vocabulary import Dataset, Sample
from chatcore.lab.evaluation.tasks import Output, Solver
from chatcore.lab.judging import Grade, Judge, gathered
from chatcore.lab.loops import run_apart
from chatcore.lab.pages import Table, facts, number
from chatcore.lab.plots import COLOURS, INK, finished
from chatcore.lab.replies import last_turn

REAL, OTHER = "answered so", "answered elsewhere"
AT_ONCE: Final = 8
FOLDS: Final = 2


def answers_of_people(data: Dataset, *, seed: int = 0) -> Dataset:
    """Each sample twice: with what somebody really answered, and with what somebody answered in another conversation.

    What people did is the label: the slice `people` says which it is, the target is the reply that is to be judged.
    The other answer is in the same language, as any judge could tell two languages apart; samples for which there is
    none are left out. Raises ValueError where that leaves nothing.
    """
    generator = np.random.default_rng(seed)
    samples = list(data)
    made: list[Sample] = []
    for sample in samples:
        elsewhere = [one for one in samples if _is_elsewhere(one, sample)]
        if not elsewhere:
            continue
        other = elsewhere[int(generator.integers(len(elsewhere)))]
        made += [_with_reply(sample, sample.target, REAL), _with_reply(sample, other.target, OTHER)]
    if not made:
        raise ValueError("answers from elsewhere need a second conversation in the same language")
    return Dataset(f"{data.name}/answers", tuple(made), data.source, data.licence)


def _is_elsewhere(one: Sample, sample: Sample) -> bool:
    alike = one.slices.get("language") == sample.slices.get("language")
    return alike and one.conversation != sample.conversation and one.target != sample.target


def _with_reply(sample: Sample, reply: object, people: str) -> Sample:
    return Sample(
        f"{sample.id}.{'real' if people == REAL else 'other'}",
        sample.input,
        target=str(reply),
        conversation=sample.conversation,
        sender=sample.sender,
        slices={**sample.slices, "people": people},
    )


@dataclass(frozen=True)
class Calibration:
    """`table`: sample, conversation, people (True: really answered so), score, says (True: it would do), the slices,
    said, reply, error. `says` follows a threshold that the other half of the conversations chose."""

    table: pd.DataFrame = field(repr=False)
    thresholds: tuple[float, ...]
    judged_by: str
    degraded: bool
    seed: int = 0

    @property
    def answered(self) -> pd.DataFrame:
        return self.table.dropna(subset="score")

    @property
    def failures(self) -> pd.DataFrame:
        return self.table[self.table["error"] != ""]

    @property
    def threshold(self) -> float:
        """For texts that are in neither half: the mean of what both chose."""
        return float(np.mean(self.thresholds))

    @property
    def agreement(self) -> "st.JudgeCalibration":
        rows = self.answered
        return st.calibrate_judge(rows["people"].tolist(), rows["says"].astype(bool).tolist())

    @property
    def kappa(self) -> "st.Interval":
        """Of Cohen, clustered by resampling conversations: the replies to one message are not independent."""
        rows = self.answered
        people, says = rows["people"].to_numpy(dtype=bool), rows["says"].to_numpy(dtype=bool)
        found = st.bootstrap(
            lambda places: kappa_of(people[places], says[places]), rows["conversation"], seed=self.seed
        )
        return replace(found, missing=len(self.table) - len(rows))

    def slices(self, *columns: str) -> pd.DataFrame:
        """A row for each value of each slice there is: n, kappa, and how often it recognises either kind."""
        rows = self.answered
        parts = [(f"{name}: {value}", part) for name in columns if name in rows for value, part in rows.groupby(name)]
        return pd.DataFrame([_agreement_row(what, part) for what, part in parts])

    def wrong(self, *, most: int = 4) -> pd.DataFrame:
        """Where it was surest and people did otherwise."""
        rows = self.answered
        far = rows["score"] - self.threshold
        rows = rows.assign(sure=np.where(rows["people"], -far, far)).nlargest(2 * most, "sure")
        columns = {"said": "said", "reply": "reply", "people": "really answered so", "score": "judge's score"}
        return rows[rows["sure"] > 0][list(columns)].rename(columns=columns).reset_index(drop=True)

    def _repr_html_(self) -> str:
        found = self.agreement
        rows = [
            [name, number(one.estimate), number(one.low), number(one.high), f"{one.n:,}"]
            for name, one in (
                ("kappa", self.kappa),
                ("finds what people answered", found.sensitivity),
                ("finds what people did not answer", found.specificity),
            )
        ]
        told = {
            "judge": self.judged_by + (" (degraded)" if self.degraded else ""),
            "judged": f"{len(self.answered):,} of {len(self.table):,}",
            "says yes from": ", ".join(f"{one:.2f}" for one in self.thresholds),
        }
        return (
            facts("Judge and people", told)
            + Table(["", "value", "low", "high", "n"], rows, frozenset({1, 2, 3, 4})).html()
        )


def _agreement_row(what: str, part: pd.DataFrame) -> dict[str, object]:
    found = st.calibrate_judge(part["people"].tolist(), part["says"].astype(bool).tolist())
    return {
        "slice": what,
        "n": found.n,
        "kappa": found.kappa.estimate,
        "low": found.kappa.low,
        "high": found.kappa.high,
        "sensitivity": found.sensitivity.estimate,
        "specificity": found.specificity.estimate,
    }


def calibrate(data: Dataset, judge: Judge, *, at_once: int = AT_ONCE, seed: int = 0) -> Calibration:
    """`data` of `answers_of_people`. The judge must not be shown what was really said: that would be the answer.

    Raises ValueError where it is.
    """
    if judge.shows_reference:
        raise ValueError("this judge is told what was really said, which is what it has to find out")
    grades = run_apart(gathered([judge.grades(sample, str(sample.target)) for sample in data], at_once=at_once))
    rows = [_row(sample, grade) for sample, grade in zip(data, grades, strict=True)]
    table = pd.DataFrame(rows)
    folds = pd.factorize(table["conversation"])[0] % FOLDS
    thresholds = tuple(best_threshold(table[folds != fold]) for fold in range(FOLDS))
    limits = np.array(thresholds)[folds]
    table["says"] = np.where(table["score"].isna(), None, table["score"].to_numpy() >= limits)
    known = [grade.served for grade in grades if isinstance(grade, Grade)]
    judges = ", ".join(dict.fromkeys(f"{one.provider} {one.model}" for one in known)) or "nobody"
    return Calibration(table, thresholds, judges, any(one.degraded for one in known), seed)


def _row(sample: Sample, grade: "Grade | BaseException") -> dict[str, object]:
    failed = isinstance(grade, BaseException)
    return {
        "sample": sample.id, "conversation": sample.conversation or sample.id, **sample.slices,
        "people": sample.slices["people"] == REAL, "score": grade.score if isinstance(grade, Grade) else math.nan,
        "said": last_turn(sample), "reply": str(sample.target),
        "error": f"{type(grade).__name__}: {grade}"[:300] if failed else "",
    }  # fmt: skip


def best_threshold(rows: pd.DataFrame) -> float:
    """The score from which a yes agrees best with people, by kappa; the middle of the best ones' gap."""
    known = rows.dropna(subset="score")
    scores, people = known["score"].to_numpy(dtype=float), known["people"].to_numpy(dtype=bool)
    if not len(scores):
        return 0.5
    levels = np.unique(scores)
    cuts = np.concatenate([(levels[1:] + levels[:-1]) / 2, [0.5]]) if len(levels) > 1 else np.array([0.5])
    return float(cuts[int(np.argmax([kappa_of(people, scores >= cut) for cut in cuts]))])


def kappa_of(people: "np.ndarray", says: "np.ndarray") -> float:
    """Cohen's, of two sequences of yes and no; 0 where agreement says nothing."""
    agreed = float((people == says).mean())
    yes, also = float(people.mean()), float(says.mean())
    chance = yes * also + (1 - yes) * (1 - also)
    return (agreed - chance) / (1 - chance) if chance < 1 else 0.0


@dataclass(frozen=True, slots=True)
class JudgedRate:
    """How many first suggestions would do: as the judge says it, and corrected for the judge's own errors."""

    raw: "st.Interval"
    corrected: "st.Interval"


def judged_rate(
    data: Dataset, solve: Solver, judge: Judge, calibration: Calibration, *, at_once: int = AT_ONCE
) -> JudgedRate:
    """Of a version's first suggestions to the samples of `data`; what failed is left out."""
    scores = run_apart(gathered([_grade_first(sample, solve, judge) for sample in data], at_once=at_once))
    known = [score for score in scores if isinstance(score, float)]
    yes = sum(score >= calibration.threshold for score in known)
    return JudgedRate(st.wilson(yes, len(known)), st.corrected_rate(yes, len(known), calibration.agreement))


async def _grade_first(sample: Sample, solve: Solver, judge: Judge) -> float:
    output = solve(sample, 0)
    texts: Sequence[object] = (output if isinstance(output, Output) else await output).value
    return (await judge.grades(sample, str(texts[0]))).score if texts else 0.0


def judge_beside_people(calibration: Calibration) -> Figure:
    """How the scores lie for what people answered and for what they did not, and where the judge draws its line."""
    rows = calibration.answered
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    for colour, name, kind in ((COLOURS[0], REAL, True), (COLOURS[1], OTHER, False)):
        left.hist(rows.loc[rows["people"] == kind, "score"], bins=24, range=(0, 1), alpha=0.6, color=colour, label=name)
    left.axvline(calibration.threshold, color=INK, lw=1.5, ls=":")
    left.set(xlabel="judge's score", ylabel="replies", title="What people did, and what the judge gives")
    left.legend(frameon=False, fontsize=8)
    bins = pd.cut(rows["score"], np.linspace(0, 1, 6), include_lowest=True)
    for place, (_, part) in enumerate(rows.groupby(bins, observed=False)):
        found = st.wilson(int(part["people"].sum()), len(part))
        if len(part):
            x = 0.1 + 0.2 * place
            right.plot([x, x], [found.low, found.high], color=COLOURS[0], lw=4, alpha=0.35, solid_capstyle="round")
            right.plot(x, found.estimate, "o", color=COLOURS[0], ms=5)
    right.plot([0, 1], [0, 1], color=INK, lw=1, ls=":")
    right.set(xlabel="judge's score", ylabel="share really answered so", title="Does the score mean what it says?",
              xlim=(0, 1), ylim=(0, 1))  # fmt: skip
    return finished(figure)
