"""One group's messages in memory: what is in which slot, which slots are alive, and their vectors in one matrix."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from chatcore.ai.search.vectors import Hit

T = TypeVar("T", bound=np.generic)
Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]
FIRST_SLOTS: Final = 64
LARGEST_BLOCK: Final = 4_096
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
    """Vectors of one group, row by slot, in blocks of contiguous rows: the nearest are found by products, exactly.

    Blocks double up to LARGEST_BLOCK and are never copied, so that a group takes little more than its vectors.
    """

    def __init__(self, dimensions: int):
        self.dimensions = dimensions
        self._slots = Slots()
        self._blocks: list[Matrix] = []
        self._starts: list[int] = []

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def bytes(self) -> int:
        return sum(block.nbytes for block in self._blocks) + self._slots.bytes

    def put(self, messages: Sequence[tuple[int, str]], vectors: Matrix) -> None:
        """Each message once. One that is there keeps its slot and gets the new vector."""
        fresh = [message for message in messages if self._slots.find(message[0]) is None]
        self._slots.put(fresh)
        while self._capacity < self._slots.count:
            rows = min(LARGEST_BLOCK, max(FIRST_SLOTS, self._capacity))
            self._starts.append(self._capacity)
            self._blocks.append(np.zeros((rows, self.dimensions), np.float32))
        for (seq, _), vector in zip(messages, vectors, strict=True):
            slot = self._slots.find(seq)
            assert slot is not None
            block = bisect_right(self._starts, slot) - 1
            self._blocks[block][slot - self._starts[block]] = vector

    def remove(self, seqs: Sequence[int]) -> None:
        self._slots.remove(seqs)

    def nearest(self, group_id: str, vector: Vector, after: int, limit: int) -> list[Hit]:
        if not self._blocks:
            return []
        # Not `block @ vector`: the linear algebra library takes twice the time for this shape, and on a busy machine
        # its threads wait for each other.
        products = [np.einsum("ij,j->i", block, vector) for block in self._blocks]
        cosines = np.concatenate(products)[: self._slots.count]
        cosines[~self._slots.readable(after)] = -np.inf
        scored = [(slot, float(cosines[slot])) for slot in best(cosines, limit) if cosines[slot] > -np.inf]
        return [self._slots.hit(group_id, slot, (1 + max(-1.0, min(1.0, cosine))) / 2) for slot, cosine in scored]

    @property
    def _capacity(self) -> int:
        return self._starts[-1] + len(self._blocks[-1]) if self._blocks else 0


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
