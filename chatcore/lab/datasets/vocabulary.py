"""Sample and Dataset, as Inspect names them: frozen, and known by the hash of what they hold."""

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson

from chatcore.lab.pages import Table, facts, preview

if TYPE_CHECKING:
    import pandas as pd

HASH = "sha256"


class DatasetChanged(Exception):
    """The data are not those that the name was pinned to."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a recorded conversation."""

    sender: str
    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """`target` is the truth, where somebody knows it; `slices` are what results may be broken down by.

    `conversation` and `sender` say which samples depend on each other; empty: on none.
    """

    id: str
    input: str | tuple[Turn, ...]
    target: Any = None
    conversation: str = ""
    sender: str = ""
    slices: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "slices", MappingProxyType(dict(self.slices)))

    @property
    def text(self) -> str:
        """What a model reads: the text itself, or the turns one a line."""
        return self.input if isinstance(self.input, str) else "\n".join(f"{t.sender}: {t.text}" for t in self.input)

    def content(self) -> dict[str, Any]:
        """All that makes this sample what it is, as JSON can hold it."""
        turns = self.input if isinstance(self.input, str) else [[turn.sender, turn.text] for turn in self.input]
        return {
            "id": self.id,
            "input": turns,
            "target": self.target,
            "conversation": self.conversation,
            "sender": self.sender,
            "slices": dict(self.slices),
        }


@dataclass(frozen=True)
class Dataset(Sequence[Sample]):
    """Samples in a fixed order. `version` is the hash of all of them: equal data have equal versions, wherever read."""

    name: str
    samples: tuple[Sample, ...]
    source: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        ids = {sample.id for sample in self.samples}
        if len(ids) != len(self.samples):
            raise ValueError(f"{self.name}: {len(self.samples) - len(ids)} samples have an id that another has")

    @cached_property
    def version(self) -> str:
        digest = hashlib.sha256()
        for sample in self.samples:
            digest.update(orjson.dumps(sample.content(), option=orjson.OPT_SORT_KEYS))
            digest.update(b"\n")
        return f"{HASH}:{digest.hexdigest()}"

    @property
    def pinned(self) -> str:
        """The name with the version in it, short: what a spec or a report quotes."""
        return f"{self.name}@{self.version[:19]}"

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, place: Any) -> Any:
        return self.samples[place]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def where(self, keep: Callable[[Sample], bool]) -> "Dataset":
        return replace(self, samples=tuple(sample for sample in self.samples if keep(sample)))

    def take(self, count: int, *, seed: int = 0) -> "Dataset":
        """A random part of at most `count` samples, in their order; the same for a seed. Whole conversations are not
        kept together: take them by `where` if they must be."""
        if count >= len(self.samples):
            return self
        chosen = sorted(random.Random(seed).sample(range(len(self.samples)), count))  # noqa: S311 - a reproducible draw
        return replace(self, samples=tuple(self.samples[place] for place in chosen))

    def table(self) -> "pd.DataFrame":
        import pandas as pd  # noqa: PLC0415 - it takes a second to load

        rows = [
            {"sample": one.id, "text": one.text, "target": one.target, "conversation": one.conversation or one.id,
             "sender": one.sender or one.id, **one.slices}
            for one in self.samples
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        return f"Dataset({self.pinned}, {len(self)} samples)"

    def _repr_html_(self) -> str:
        about = facts(
            f"{self.name}",
            {"samples": f"{len(self):,}", "version": self.version[:19], "source": self.source, "licence": self.licence},
        )
        rows = [[one.id, preview(one.text, 160), preview(str(one.target), 80)] for one in self.samples[:5]]
        return about + Table(["sample", "text", "target"], rows).html()
