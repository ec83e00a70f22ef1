"""Evaluation: a task over a dataset, compared with the live version sample by sample."""

from chatcore.lab.evaluation.answers import AnswerCache
from chatcore.lab.evaluation.running import evaluate
from chatcore.lab.evaluation.scorers import contains, exact, labels
from chatcore.lab.evaluation.tasks import Output, Report, Scorer, Solver, Task

__all__ = ["AnswerCache", "Output", "Report", "Scorer", "Solver", "Task", "contains", "evaluate", "exact", "labels"]
