"""Nearest messages by meaning: what every index of vectors promises. Arrays are imported by implementations only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]
    Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scope:
    """One group as far as its reader may see it: messages with `seq` greater than `after`."""

    group_id: str
    after: int = 0


class Hit(NamedTuple):
    """Made by the hundred at each search, so a plain tuple.

    `score` of a vector is `(1 + cosine) / 2`, Atlas' scale; of keywords their share of the query, by BM25."""

    message_id: str
    group_id: str
    seq: int
    score: float


@dataclass(frozen=True, slots=True)
class Embedded:
    """One message's vector, of length 1."""

    message_id: str
    seq: int
    vector: "Vector"


@dataclass(frozen=True, slots=True)
class Status:
    """`groups`, `messages` and `bytes` that are in this process's memory; an index of the database has none there."""

    kind: str
    groups: int = 0
    messages: int = 0
    bytes: int = 0


class VectorIndex(Protocol):
    """Holds the vectors of one space. The message documents are the truth, and what it answers is checked again.

    `in_memory` says that it finds only what was put into it by this process.
    """

    in_memory: bool

    async def search(self, vector: "Vector", groups: Sequence[Scope], limit: int) -> list[Hit]:
        """The nearest in these groups alone, best first."""
        ...

    async def upsert(self, group_id: str, entries: Sequence[Embedded]) -> None:
        """A message that is there already gets the new vector."""
        ...

    async def delete(self, group_id: str, seqs: Sequence[int] | None = None) -> None:
        """These messages, or the whole group. What is not there is no error."""
        ...

    def bytes_of(self, group_id: str) -> int:
        """What a group takes of this process's memory."""
        ...

    def status(self) -> Status: ...
