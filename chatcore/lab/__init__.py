"""The workbench: all that a notebook or a pipeline may import of chatcore."""

from chatcore.lab.datasets import Dataset, Sample, Turn, conversations, dataset

__all__ = ["Dataset", "Sample", "Turn", "conversations", "dataset"]
