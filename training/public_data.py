"""The public data, read from the folder that CHATCORE_DATA_DIR names; never copied into the project."""

import csv
import gzip
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

CATEGORIES = ("S", "H", "V", "HR", "SH", "H2", "V2")
HELP = """Set CHATCORE_DATA_DIR to a folder with these files (all public):
  openai-moderation-samples.jsonl.gz   openai/moderation-api-release f4ab51b, MIT
  davidson-labeled.csv                 t-davidson/hate-speech-and-offensive-language cb50f7e, MIT
  surge-toxicity-en.csv                surge-ai/toxicity ea80324, MIT
  surge-profanity-en.csv               surge-ai/profanity 77dabf3, MIT
  topical-chat-valid-freq.jsonl.gz     alexa/Topical-Chat 7c93922, one conversation a line, CDLA-Sharing-1.0"""


class NoPublicData(Exception):
    """CHATCORE_DATA_DIR is not set or lacks a file."""


@dataclass(frozen=True, slots=True)
class Sample:
    """`labels` holds only what is known: 0 or 1 by category; a missing key is unknown, not 0."""

    text: str
    labels: dict[str, int]


def data_file(name: str) -> Path:
    folder = os.environ.get("CHATCORE_DATA_DIR")
    path = Path(folder) / name if folder else None
    if path is None or not path.is_file():
        raise NoPublicData(f"{name} is missing.\n{HELP}")
    return path


def file_hash(name: str) -> str:
    return hashlib.sha256(data_file(name).read_bytes()).hexdigest()


def openai_samples() -> list[Sample]:
    """1,595 samples of a moderation API's traffic, labelled by category."""
    with gzip.open(data_file("openai-moderation-samples.jsonl.gz"), "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Sample(row["prompt"], {name: int(row[name]) for name in CATEGORIES if row.get(name) is not None})
        for row in rows
    ]


def davidson_samples(per_class: int) -> list[tuple[str, str]]:
    """(tweet, class) with class hate, offensive or neither; the first `per_class` of each, in the file's order."""
    names = {"0": "hate", "1": "offensive", "2": "neither"}
    taken = dict.fromkeys(names.values(), 0)
    rows: list[tuple[str, str]] = []
    with data_file("davidson-labeled.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name = names[row["class"]]
            if taken[name] < per_class:
                taken[name] += 1
                rows.append((row["tweet"], name))
    return rows


def surge_toxicity() -> list[tuple[str, int]]:
    """(comment, toxic or not); 1,000 rows."""
    with data_file("surge-toxicity-en.csv").open(encoding="utf-8", newline="") as file:
        return [(row["text"], int(row["is_toxic"] == "Toxic")) for row in csv.DictReader(file)]


def surge_profanity() -> list[tuple[str, str, float]]:
    """(word or phrase, category, severity 1 to 3)."""
    with data_file("surge-profanity-en.csv").open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["category_1"], float(row["severity_rating"] or 0)) for row in csv.DictReader(file)]


def conversations() -> list[list[str]]:
    """The turns of 539 Topical-Chat conversations."""
    with gzip.open(data_file("topical-chat-valid-freq.jsonl.gz"), "rt", encoding="utf-8") as lines:
        return [[turn["content"] for turn in json.loads(line)["turns"]] for line in lines]


def explain_and_exit(error: NoPublicData) -> None:
    sys.exit(str(error))
