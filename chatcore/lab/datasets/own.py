"""The small corpus of our own that ships with the package, so that everything runs without anybody else's data."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from chatcore.lab.datasets.vocabulary import Dataset, Sample, Turn

SOURCE, LICENCE = "written for chatcore", "MIT"


@cache
def talks() -> dict[str, tuple[str, tuple[Turn, ...]]]:
    """Conversation to its language and its turns."""
    found: dict[str, tuple[str, tuple[Turn, ...]]] = {}
    for block in _read("talks.txt").split("\n\n"):
        head, *lines = block.strip().splitlines()
        name, language = head.removeprefix("# ").split()
        turns = tuple(Turn(sender, text) for sender, _, text in (line.partition(": ") for line in lines))
        found[name] = (language, turns)
    return found


def moderation() -> Dataset:
    """Everyday lines that only sound bad, and bad ones; the target is the set of categories, empty for none."""
    samples = [
        Sample(f"m{number:03}", text, target=[] if category == "none" else [category],
               slices={"category": category, "kind": kind, "language": language})
        for number, (category, kind, language, text) in enumerate(_rows("moderation.tsv"))
    ]  # fmt: skip
    return Dataset("small/moderation", tuple(samples), SOURCE, LICENCE)


def replies() -> Dataset:
    """The turns so far; the target is what somebody else said next."""
    return Dataset("small/replies", tuple(reply_samples({key: turns for key, (_, turns) in talks().items()}, {
        key: {"language": language} for key, (language, _) in talks().items()
    })), SOURCE, LICENCE)  # fmt: skip


def search() -> Dataset:
    """A question; the target names the conversation and the places (from 1) of the messages that answer it."""
    samples = [
        Sample(f"q{number:03}", question, target={"conversation": talk, "seqs": [int(place)]}, conversation=talk,
               slices={"language": talks()[talk][0]})
        for number, (talk, place, question) in enumerate(_rows("questions.tsv"))
    ]  # fmt: skip
    return Dataset("small/search", tuple(samples), SOURCE, LICENCE)


def reply_samples(
    conversations: dict[str, tuple[Turn, ...]], slices: dict[str, dict[str, str]] | None = None
) -> Iterator[Sample]:
    """One sample for each turn that answers another person."""
    for key, turns in conversations.items():
        people = len({turn.sender for turn in turns})
        more = (slices or {}).get(key, {}) | {"group_size": "2" if people <= 2 else "3 and more"}
        for place in range(1, len(turns)):
            if turns[place].sender != turns[place - 1].sender:
                length = "short" if len(turns[place].text) <= 40 else "long"
                yield Sample(
                    f"{key}.{place + 1}", turns[:place], target=turns[place].text, conversation=key,
                    sender=f"{key}/{turns[place].sender}", slices={**more, "length": length},
                )  # fmt: skip


def _rows(name: str) -> list[list[str]]:
    return [line.split("\t") for line in _read(name).splitlines() if line]


def _read(name: str) -> str:
    return files("chatcore.lab.datasets").joinpath("corpus", name).read_text("utf-8")
