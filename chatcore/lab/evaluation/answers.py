"""Answers that were given already: a broken run goes on where it stopped, and a repeat costs nothing."""

import hashlib
from pathlib import Path
from typing import Any

import orjson

from chatcore.lab.datasets.vocabulary import Sample
from chatcore.lab.evaluation.tasks import Output


class AnswerCache:
    """One JSON line for each answer, appended as it comes. Errors are never kept, so that a resumed run asks again.

    The key holds the epoch: epochs are repeats of a question, and must not be answered by one another.
    """

    def __init__(self, path: Path):
        self._path = path
        self._known: dict[str, dict[str, Any]] = {}
        self._cut_off = False
        if path.exists():
            content = path.read_bytes()
            self._cut_off = bool(content) and not content.endswith(b"\n")
            for line in content.splitlines():
                try:
                    row = orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue  # cut off when the earlier run broke
                self._known[row["key"]] = row

    @staticmethod
    def key(name: str, version: str, sample: Sample, epoch: int) -> str:
        content = orjson.dumps([name, version, epoch, sample.content()], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(content).hexdigest()

    def find(self, key: str) -> tuple[Output, float] | None:
        """The answer and how long it took when it was given."""
        row = self._known.get(key)
        return None if row is None else (Output(**row["output"]), row["latency_ms"])

    def keep(self, key: str, output: Output, latency_ms: float) -> None:
        fields = {name: getattr(output, name) for name in Output.__slots__}
        row = {"key": key, "output": fields, "latency_ms": latency_ms}
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        # As a second run would read it: a tuple that becomes a list must not differ between the two.
        self._known[key] = orjson.loads(line)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(b"\n" + line if self._cut_off else line)
        self._cut_off = False
