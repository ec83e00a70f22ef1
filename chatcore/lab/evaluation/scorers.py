"""Scorers that several tasks share."""

from collections.abc import Callable
from typing import Any

from chatcore.lab.datasets.vocabulary import Sample
from chatcore.lab.evaluation.tasks import Output, Scorer


def exact() -> Scorer:
    """1 where the answer equals the target."""
    return lambda sample, output: float(output.value == sample.target)


def labels(flagged: Callable[[Any], bool] = bool) -> Scorer:
    """1 where flagging (anything of the answer) agrees with the target having any label."""

    def score(sample: Sample, output: Output) -> float:
        target = sample.target
        truth = any(target.values()) if isinstance(target, dict) else bool(target)
        return float(flagged(output.value) == truth)

    return score


def contains() -> Scorer:
    """1 where the target's text appears in one of the answers, whatever its case."""

    def score(sample: Sample, output: Output) -> float:
        answers = output.value if isinstance(output.value, list | tuple) else [output.value]
        return float(any(str(sample.target).casefold() in str(answer).casefold() for answer in answers))

    return score
