"""A task over samples: errors are missing data, repeats come from the cache, versions are compared in pairs."""

import asyncio
import math
from pathlib import Path

import pytest

from chatcore import lab
from chatcore.lab.datasets import Dataset, Sample
from chatcore.lab.evaluation import Output, Task
from chatcore.lab.statistics import not_worse

DATA = Dataset(
    "numbers",
    tuple(
        Sample(f"s{n:03}", str(n), n % 2 == 0, f"c{n // 4}", slices={"size": "small" if n < 40 else "large"})
        for n in range(80)
    ),
)


class Solver:
    """Says even or odd; wrong for some, broken for some, and counts what it was asked."""

    def __init__(self, wrong: frozenset[int] = frozenset(), broken: frozenset[int] = frozenset()):
        self.wrong, self.broken, self.asked = wrong, broken, 0

    async def __call__(self, sample: Sample, epoch: int) -> Output:
        self.asked += 1
        await asyncio.sleep(0)
        number = int(sample.text)
        if number in self.broken:
            raise ConnectionError("the model is away")
        return Output((number % 2 == 0) != (number in self.wrong), model="parity", tokens=3, cost_usd=0.001)


def task(solver: Solver, **more: object) -> Task:
    return Task(DATA, solver, lab.exact(), **more)  # type: ignore[arg-type]


def test_scores_are_one_row_for_each_sample_and_epoch() -> None:
    report = lab.evaluate(task(Solver(wrong=frozenset(range(8))), epochs=2))
    assert len(report.table) == 160
    assert report.mean.estimate == pytest.approx(0.9)
    assert (report.mean.n, report.mean.clusters) == (80, 20)
    assert report.totals["tokens"] == 480
    assert report.by("size").set_index("size")["mean"].to_dict() == pytest.approx({"large": 1.0, "small": 0.8})
    assert set(report.worst(8)["sample"]) == {f"s{n:03}" for n in range(8)}


def test_an_error_is_missing_and_shown_with_its_reason() -> None:
    report = lab.evaluate(task(Solver(broken=frozenset({3, 5}))))
    assert report.mean.estimate == 1
    assert (report.mean.n, report.mean.missing) == (78, 2)
    assert report.failures["sample"].tolist() == ["s003", "s005"]
    assert report.failures["error"][0] == "ConnectionError: the model is away"
    assert "the model is away" in report._repr_html_()


def test_a_scorer_that_cannot_judge_is_no_zero() -> None:
    report = lab.evaluate(Task(DATA, Solver(), lambda sample, _: math.nan if sample.id == "s000" else 1.0))
    assert (report.mean.n, report.mean.missing, report.mean.estimate) == (79, 1, 1.0)
    broken = lab.evaluate(Task(DATA, Solver(), lambda *_: 1 / 0))
    assert broken.mean.n == 0
    assert broken.failures["error"][0].startswith("scorer: ZeroDivisionError")


def test_a_broken_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    cache = tmp_path / "answers.jsonl"
    first = Solver(broken=frozenset(range(40, 80)))
    lab.evaluate(task(first), cache=cache)
    with cache.open("ab") as file:
        file.write(b'{"key": "cut of')
    second = Solver()
    report = lab.evaluate(task(second), cache=cache)
    assert second.asked == 40  # only what failed before
    assert report.mean.missing == 0
    assert report.totals["cached"] == 40
    third = Solver()
    again = lab.evaluate(task(third), cache=cache)
    assert third.asked == 0
    assert again.table["score"].tolist() == report.table["score"].tolist()


def test_epochs_and_versions_do_not_answer_each_other(tmp_path: Path) -> None:
    cache = tmp_path / "answers.jsonl"
    solver = Solver()
    lab.evaluate(task(solver, epochs=1), cache=cache)
    lab.evaluate(task(solver, epochs=3), cache=cache)
    assert solver.asked == 240
    lab.evaluate(task(solver, version="2"), cache=cache)
    assert solver.asked == 320


def test_a_worse_version_is_told_from_the_live_one_and_an_equal_one_is_not() -> None:
    live = task(Solver(wrong=frozenset(range(0, 80, 10))), name="live")
    worse = lab.evaluate(task(Solver(wrong=frozenset(range(0, 80, 2))), name="candidate"), against=live)
    assert worse.difference.high < 0
    assert not_worse(worse.difference, margin=0.02).state == "failed"
    assert worse.worst(1)["lost"][0] == 1
    assert (worse.by("size")["difference"] < 0).all()
    better = lab.evaluate(task(Solver()), against=live)
    assert not_worse(better.difference, margin=0.02).state == "passed"
    assert "difference" in better._repr_html_()


def test_other_data_cannot_be_compared() -> None:
    other = Task(DATA.take(10), Solver(), lab.exact())
    with pytest.raises(ValueError, match="only the same data"):
        lab.evaluate(task(Solver()), against=other)
    with pytest.raises(ValueError, match="stands alone"):
        _ = lab.evaluate(other).difference


def test_no_more_than_so_many_questions_are_open_at_once() -> None:
    now = most = 0

    async def solve(sample: Sample, _: int) -> Output:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        return Output(True)

    lab.evaluate(Task(DATA, solve, lab.exact()), at_once=5)
    assert most == 5


def test_labels_agree_on_having_any() -> None:
    score = lab.labels()
    assert score(Sample("1", "x", target={"hate": 1}), Output(["hate"])) == 1
    assert score(Sample("1", "x", target={"hate": 0}), Output(["hate"])) == 0
    assert score(Sample("1", "x", target=[]), Output([])) == 1
    assert lab.contains()(Sample("1", "x", target="Yes"), Output(["no", "oh yes"])) == 1
