"""A judge beside people: agreement beyond chance, measured where its line was not drawn."""

import pytest

from chatcore import lab
from chatcore.ai.calls import Served
from chatcore.lab.calibration import OTHER, REAL, Calibration, answers_of_people, calibrate, judged_rate
from chatcore.lab.datasets import Dataset, Sample
from chatcore.lab.evaluation import Output
from chatcore.lab.judging import Grade, Judge, Opinion

BY_HAND = Served("rules", "by hand", True, "", 0.0, 0, 0, 0.0)
TALKS = Dataset(
    "talks", tuple(Sample(f"s{n}", f"line {n}", target=f"answer {n}", conversation=f"c{n // 4}") for n in range(80))
)


class Knowing(Judge):
    """Knows which answer belongs to which line, but for one in `errs`, and grades them from `low` on."""

    def __init__(self, errs: int = 0, low: float = 0.2, silent: int = 0):
        self.shows_reference, self.errs, self.low, self.silent, self._asked = False, errs, low, silent, 0

    async def grades(self, sample: Sample, reply: str) -> Grade:
        self._asked += 1
        if self.silent and self._asked % self.silent == 0:
            raise TimeoutError("no grade")
        fits = reply.rsplit(maxsplit=1)[-1] == sample.text.split()[-1]
        if self.errs and self._asked % self.errs == 0:
            fits = not fits
        return Grade(self.low + (0.2 if fits else 0.0), (), BY_HAND)

    async def prefers(self, sample: Sample, first: str, second: str) -> Opinion:
        return Opinion("tie", "", BY_HAND)


class Blind(Knowing):
    async def grades(self, sample: Sample, reply: str) -> Grade:
        self._asked += 1
        return Grade((self._asked * 7 % 10) / 10, (), BY_HAND)


def calibrated(judge: Judge) -> Calibration:
    return calibrate(answers_of_people(TALKS), judge)


def test_each_message_is_seen_with_its_answer_and_with_one_of_another_conversation() -> None:
    made = answers_of_people(lab.dataset("replies"))
    assert {sample.slices["people"] for sample in made} == {REAL, OTHER}
    originals = {sample.id: sample for sample in lab.dataset("replies")}
    by_target = {(sample.target, sample.slices["language"]): sample.conversation for sample in originals.values()}
    for sample in made:
        original = originals[sample.id.rpartition(".")[0]]
        if sample.slices["people"] == REAL:
            assert sample.target == original.target
        else:
            assert by_target[sample.target, sample.slices["language"]] != original.conversation
    assert {sample.slices["language"] for sample in made} == {"de", "en"}, "one conversation alone has no elsewhere"


def test_a_judge_who_knows_is_trusted_wherever_it_draws_its_line() -> None:
    for low in (0.05, 0.7):
        found = calibrated(Knowing(low=low))
        assert found.kappa.estimate == 1.0
        assert found.threshold == pytest.approx(low + 0.1)
        assert found.agreement.trusted


def test_a_judge_who_guesses_is_not() -> None:
    found = calibrated(Blind())
    assert abs(found.kappa.estimate) < 0.3
    assert found.kappa.low < 0.6


def test_errors_are_missing_and_no_grades() -> None:
    found = calibrated(Knowing(silent=4))
    assert len(found.failures) == 40
    assert found.kappa.missing == 40
    assert found.kappa.estimate == 1.0


def test_the_judge_must_not_see_what_it_is_to_find_out() -> None:
    judge = Knowing()
    judge.shows_reference = True
    with pytest.raises(ValueError, match="really said"):
        calibrated(judge)


def test_a_rate_is_corrected_for_the_errors_of_its_judge() -> None:
    """Every fifth verdict is wrong, so of suggestions that all fit the judge takes four in five."""
    found = calibrated(Knowing(errs=5))
    rate = judged_rate(TALKS, lambda sample, _: Output([f"answer {sample.text.split()[-1]}"]), Knowing(errs=5), found)
    assert rate.raw.estimate == pytest.approx(0.8, abs=0.03)
    assert rate.corrected.estimate == pytest.approx(1.0, abs=0.05)
    assert rate.corrected.half_width > rate.raw.half_width


def test_one_conversation_alone_cannot_be_asked_about() -> None:
    with pytest.raises(ValueError, match="second conversation"):
        answers_of_people(TALKS.where(lambda sample: sample.conversation == "c0"))
