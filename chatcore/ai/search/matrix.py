"""One group's messages in memory: what is in which slot, which slots are alive, and their vectors in one matrix."""

from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from chatcore.ai.search.vectors import Hit

T = TypeVar("T", bound=np.generic)
Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]
FIRST_SLOTS: Final = 64
ID_BYTES: Final = 12


class Slots:
    """Messages by slot, in the order they came. A message that comes again takes a new slot, and its old one dies."""

    def __init__(self) -> None:
        self.count = 0
        self._seqs: NDArray[np.int64] = np.zeros(FIRST_SLOTS, np.int64)
        self._ids: NDArray[np.uint8] = np.zeros((FIRST_SLOTS, ID_BYTES), np.uint8)
        self._alive: NDArray[np.bool_] = np.zeros(FIRST_SLOTS, bool)
        self._slot_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._slot_of)

    @property
    def bytes(self) -> int:
        """The dictionary counts with what an entry of two small numbers takes."""
        return self._seqs.nbytes + self._ids.nbytes + self._alive.nbytes + 100 * len(self._slot_of)

    @property
    def alive(self) -> NDArray[np.bool_]:
        return self._alive[: self.count]

    def find(self, seq: int) -> int | None:
        return self._slot_of.get(seq)

    def put(self, messages: Sequence[tuple[int, str]]) -> None:
        """(seq, message id) pairs take the next slots."""
        self._reserve(self.count + len(messages))
        for seq, message_id in messages:
            if (old := self._slot_of.get(seq)) is not None:
                self._alive[old] = False
            slot, self.count = self.count, self.count + 1
            self._slot_of[seq] = slot
            self._seqs[slot], self._alive[slot] = seq, True
            self._ids[slot] = np.frombuffer(bytes.fromhex(message_id), np.uint8)

    def remove(self, seqs: Sequence[int]) -> None:
        for seq in seqs:
            if (slot := self._slot_of.pop(seq, None)) is not None:
                self._alive[slot] = False

    def readable(self, after: int) -> NDArray[np.bool_]:
        """Which slots are alive and later than this log position."""
        return self.alive & (self._seqs[: self.count] > after) if after > 0 else self.alive

    def hit(self, group_id: str, slot: int, score: float) -> Hit:
        return Hit(self._ids[slot].tobytes().hex(), group_id, int(self._seqs[slot]), score)

    def _reserve(self, count: int) -> None:
        if count <= len(self._seqs):
            return
        size = max(count, 2 * len(self._seqs))
        self._seqs, self._ids, self._alive = grown(self._seqs, size), grown(self._ids, size), grown(self._alive, size)


class GroupMatrix:
    """Vectors of one group, row by slot, contiguous: the nearest are found by one product, exactly."""

    def __init__(self, dimensions: int):
        self._slots = Slots()
        self._rows: Matrix = np.zeros((FIRST_SLOTS, dimensions), np.float32)

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def dimensions(self) -> int:
        return int(self._rows.shape[1])

    @property
    def bytes(self) -> int:
        return self._rows.nbytes + self._slots.bytes

    def put(self, messages: Sequence[tuple[int, str]], vectors: Matrix) -> None:
        """A message that is there keeps its slot and gets the new vector."""
        fresh = [at for at, (seq, _) in enumerate(messages) if self._slots.find(seq) is None]
        for at, (seq, _) in enumerate(messages):
            if (slot := self._slots.find(seq)) is not None:
                self._rows[slot] = vectors[at]
        first = self._slots.count
        self._slots.put([messages[at] for at in fresh])
        if self._slots.count > len(self._rows):
            self._rows = grown(self._rows, max(self._slots.count, len(self._rows) * 3 // 2))
        self._rows[first : self._slots.count] = vectors[fresh]

    def remove(self, seqs: Sequence[int]) -> None:
        self._slots.remove(seqs)

    def nearest(self, group_id: str, vector: Vector, after: int, limit: int) -> list[Hit]:
        cosines = self._rows[: self._slots.count] @ vector
        cosines[~self._slots.readable(after)] = -np.inf
        scored = [(slot, float(cosines[slot])) for slot in best(cosines, limit) if cosines[slot] > -np.inf]
        return [self._slots.hit(group_id, slot, (1 + max(-1.0, min(1.0, cosine))) / 2) for slot, cosine in scored]


def best(scores: NDArray[np.float32], limit: int) -> list[int]:
    """Where the greatest are, greatest first."""
    if len(scores) > limit:
        top = np.argpartition(scores, len(scores) - limit)[len(scores) - limit :]
    else:
        top = np.arange(len(scores))
    return [int(at) for at in top[np.argsort(-scores[top], kind="stable")]]


def grown(array: NDArray[T], rows: int) -> NDArray[T]:
    larger = np.zeros((rows, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
