"""The workbench: all that a notebook or a pipeline may import of chatcore."""

from chatcore.lab.datasets import Dataset, Sample, Turn, conversations, dataset
from chatcore.lab.runs import Run, start

__all__ = ["Dataset", "Run", "Sample", "Turn", "conversations", "dataset", "start"]
