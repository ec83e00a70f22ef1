"""Variants against one another: draws, orders, strengths, and what is missing."""

import math
from collections.abc import Sequence

import pytest

from chatcore.ai.calls import Served
from chatcore.lab.contests import Arena, arena
from chatcore.lab.datasets import Dataset, Sample
from chatcore.lab.evaluation import Output
from chatcore.lab.judging import Grade, Judge, Opinion, Winner

BY_HAND = Served("rules", "by hand", True, "", 0.0, 0, 0, 0.0)
DATA = Dataset("talks", tuple(Sample(f"s{n}", f"line {n}", target="x", conversation=f"c{n // 2}") for n in range(20)))


class Longest(Judge):
    """Prefers the longer text; `to_first` is how much it favours the first place, in letters."""

    def __init__(self, to_first: int = 0, silent: Sequence[str] = ()):
        self.to_first, self.silent = to_first, silent

    async def prefers(self, sample: Sample, first: str, second: str) -> Opinion:
        if sample.id in self.silent:
            raise TimeoutError("no verdict")
        lead = len(first) + self.to_first - len(second)
        winner: Winner = "first" if lead > 0 else "second" if lead < 0 else "tie"
        return Opinion(winner, "", BY_HAND)

    async def grades(self, sample: Sample, reply: str) -> Grade:
        return Grade(float(len(reply)), (), BY_HAND)


def saying(text: str) -> object:
    return lambda sample, epoch: Output([text])


def fought(judge: Judge, **texts: str) -> Arena:
    return arena(DATA, {name: saying(text) for name, text in texts.items()}, judge)  # type: ignore[misc]


def test_the_stronger_variant_leads_and_the_order_is_the_judges() -> None:
    found = fought(Longest(), short="a", middle="aaa", long="aaaaa")
    table = found.standings()
    assert list(table["variant"]) == ["long", "middle", "short"]
    assert table["strength"].sum() == pytest.approx(0, abs=1e-6)
    assert found.win_rate("long").estimate == 1.0
    assert found.win_rate("middle", over="long").estimate == 0.0
    assert found.against_all().loc["long", "short"] == 1.0
    assert found.order_consistency.estimate == 1.0
    assert found.order_consistency.low < 0.8, "ten conversations are not enough to be sure"


def test_a_judge_who_favours_a_place_is_inconsistent_and_its_preference_a_draw() -> None:
    found = fought(Longest(to_first=10), short="a", long="aaa")
    assert found.order_consistency.estimate == 0.0
    assert found.win_rate("long").estimate == 0.5
    low, high = found.standings()[["low", "high"]].iloc[0]
    assert low <= 0 <= high


def test_the_same_text_is_a_draw_that_nobody_is_asked_about() -> None:
    found = fought(Longest(), one="aaa", other="aaa")
    assert len(found.asked) == 0
    assert found.win_rate("one").estimate == 0.5
    assert math.isnan(found.order_consistency.estimate)
    assert found.judged_by == "nobody"


def test_what_fails_is_missing_and_no_draw() -> None:
    found = fought(Longest(silent=["s0", "s1"]), short="a", long="aaa")
    assert len(found.failures) == 2
    assert found.failures["error"].str.contains("no verdict").all()
    assert found.win_rate("long").estimate == 1.0
    assert found.win_rate("long").missing == 2

    async def raising(sample: Sample, epoch: int) -> Output:
        raise ConnectionError("gone")

    broken = arena(DATA, {"broken": raising, "fine": saying("aaa")}, Longest())  # type: ignore[dict-item]
    assert len(broken.failures) == len(DATA)


def test_one_variant_alone_is_no_arena() -> None:
    with pytest.raises(ValueError, match="two variants"):
        fought(Longest(), alone="a")


def test_strengths_are_those_of_elo() -> None:
    """Preferred three times of four, over many matches: 400 * log10(3) points apart."""
    found = fought(Longest(), short="a", long="aaa")
    matches = found.matches.loc[found.matches.index.repeat(200)].reset_index(drop=True)
    matches["score"] = [1.0 if at % 4 == 0 else 0.0 for at in range(len(matches))]  # of the short one
    table = Arena(found.variants, matches, "", False).standings().set_index("variant")["strength"]
    assert table["long"] - table["short"] == pytest.approx(400 * math.log10(3), abs=1)
