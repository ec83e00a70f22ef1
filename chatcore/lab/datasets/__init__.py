"""What is evaluated on: samples with a version, public files, and a small corpus of our own."""

from chatcore.lab.datasets.catalogue import NoSuchDataset, conversations, dataset
from chatcore.lab.datasets.public import DataAbsent
from chatcore.lab.datasets.vocabulary import Dataset, DatasetChanged, Sample, Turn

__all__ = [
    "DataAbsent",
    "Dataset",
    "DatasetChanged",
    "NoSuchDataset",
    "Sample",
    "Turn",
    "conversations",
    "dataset",
]
