"""Readers of public labelled data in the folder CHATCORE_DATA_DIR; nothing of them is in the package."""

import csv
import gzip
import math
from pathlib import Path
from typing import Any

import orjson

from chatcore.lab.datasets.own import reply_samples
from chatcore.lab.datasets.vocabulary import Dataset, Sample, Turn

# The letters of openai/moderation-api-release.
CATEGORIES = {
    "S": "sexual",
    "H": "hate",
    "V": "violence",
    "HR": "harassment",
    "SH": "self-harm",
    "H2": "hate/threatening",
    "V2": "violence/graphic",
}


class DataAbsent(Exception):
    """A public file is not there; the message says what to do."""


def topical_chat(folder: Path | None) -> dict[str, tuple[Turn, ...]]:
    """539 conversations of two people."""
    talks = {}
    for row in _json_lines(folder, "topical-chat-valid-freq.jsonl.gz"):
        talks[row["conversation"]] = tuple(Turn(turn["sender"], turn["content"].strip()) for turn in row["turns"])
    return talks


def topical_replies(folder: Path | None) -> Dataset:
    samples = tuple(reply_samples(topical_chat(folder), None))
    return Dataset("public/topical-chat", samples, "alexa/Topical-Chat 7c93922, valid_freq", "CDLA-Sharing 1.0")


def openai_moderation(folder: Path | None) -> Dataset:
    """The target maps a category to 1 or 0; what the labellers left open is absent, and is missing data."""
    samples = []
    for number, row in enumerate(_json_lines(folder, "openai-moderation-samples.jsonl.gz")):
        labels = {name: int(row[letter]) for letter, name in CATEGORIES.items() if row.get(letter) is not None}
        samples.append(Sample(f"o{number:04}", row["prompt"], target=labels))
    return Dataset("public/openai-moderation", tuple(samples), "openai/moderation-api-release f4ab51b", "MIT")


def surge_toxicity(folder: Path | None) -> Dataset:
    """The target is whether people called it toxic."""
    rows = _table(folder, "surge-toxicity-en.csv")
    samples = tuple(Sample(f"t{n:04}", row["text"], target=row["is_toxic"] == "Toxic") for n, row in enumerate(rows))
    return Dataset("public/surge-toxicity", samples, "surge-ai/toxicity ea80324", "MIT")


def davidson(folder: Path | None) -> Dataset:
    """The target is hate, offensive or neither, as most labellers said; `agreement` is how many of them."""
    kinds = {"0": "hate", "1": "offensive", "2": "neither"}
    samples = []
    for row in _table(folder, "davidson-labeled.csv"):
        votes = max(int(row[name]) for name in ("hate_speech", "offensive_language", "neither"))
        share = votes / int(row["count"])
        agreement = "full" if math.isclose(share, 1) else "split"
        samples.append(Sample(f"d{row['']}", row["tweet"], target=kinds[row["class"]], slices={"agreement": agreement}))
    source = "t-davidson/hate-speech-and-offensive-language cb50f7e"
    return Dataset("public/davidson", tuple(samples), source, "MIT")


def _file(folder: Path | None, name: str) -> Path:
    if folder is None:
        raise DataAbsent(f"{name} is public data: set CHATCORE_DATA_DIR to the folder that holds it, or use small/...")
    path = folder.expanduser() / name
    if not path.is_file():
        raise DataAbsent(f"CHATCORE_DATA_DIR holds no {name}; see the data page of the documentation for its source")
    return path


def _json_lines(folder: Path | None, name: str) -> list[Any]:
    with gzip.open(_file(folder, name), "rb") as file:
        return [orjson.loads(line) for line in file if line.strip()]


def _table(folder: Path | None, name: str) -> list[dict[str, str]]:
    with _file(folder, name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
