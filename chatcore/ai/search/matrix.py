"""One group's messages in memory: what is in which slot, which slots are alive, and their vectors in one matrix."""

from collections.abc import Sequence
from typing import Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from chatcore.ai.search.vectors import Hit

T = TypeVar("T", bound=np.generic)
Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]
Precision = Literal["float32", "float16", "int8"]
FIRST_SLOTS: Final = 64
LARGEST_BLOCK: Final = 4_096
TILE_ROWS: Final = 2_048  # made single precision at once: 3 MiB, and few calls, as each waits for the interpreter
SPAN: Final = 64  # scores of which only the greatest is looked at first
ID_BYTES: Final = 12
LARGEST_INT8: Final = 127
LEAST_SCALE: Final = 1e-12


class Slots:
    """Messages by slot, in the order they came. A message that comes again takes a new slot, and its old one dies.

    Most come in the order of the log, where bisection finds them; only the others have an entry in a dictionary.
    """

    def __init__(self) -> None:
        self.count = 0
        self._living = 0
        self._last = 0
        self._seqs: NDArray[np.int64] = np.zeros(FIRST_SLOTS, np.int64)
        self._greatest: NDArray[np.int64] = np.zeros(FIRST_SLOTS, np.int64)  # seq in this slot or any before
        self._ids: NDArray[np.uint8] = np.zeros((FIRST_SLOTS, ID_BYTES), np.uint8)
        self._alive: NDArray[np.bool_] = np.zeros(FIRST_SLOTS, bool)
        self._out_of_order: dict[int, int] = {}

    def __len__(self) -> int:
        return self._living

    @property
    def bytes(self) -> int:
        """The dictionary counts with what an entry of two small numbers takes."""
        arrays = (self._seqs, self._greatest, self._ids, self._alive)
        return sum(array.nbytes for array in arrays) + 100 * len(self._out_of_order)

    @property
    def alive(self) -> NDArray[np.bool_]:
        return self._alive[: self.count]

    def find(self, seq: int) -> int | None:
        if seq > self._last:
            return None
        slot = self._out_of_order.get(seq)
        if slot is None:
            slot = int(np.searchsorted(self._greatest[: self.count], seq))
        return slot if self._seqs[slot] == seq and self._alive[slot] else None

    def put(self, messages: Sequence[tuple[int, str]]) -> None:
        """(seq, message id) pairs take the next slots."""
        self._reserve(self.count + len(messages))
        if not messages:
            return
        first, behind = self.count, self.count + len(messages)
        ids = bytes.fromhex("".join(message_id for _, message_id in messages))
        self._ids[first:behind] = np.frombuffer(ids, np.uint8).reshape(-1, ID_BYTES)
        seqs = np.array([seq for seq, _ in messages], np.int64)
        if seqs[0] > self._last and (seqs[1:] > seqs[:-1]).all():
            self._seqs[first:behind] = self._greatest[first:behind] = seqs
            self._alive[first:behind] = True
            self.count, self._last = behind, int(seqs[-1])
        else:
            for seq in seqs.tolist():
                self._put_one(seq)
        self._living += len(messages)

    def _put_one(self, seq: int) -> None:
        self.remove([seq])
        slot, self.count = self.count, self.count + 1
        if seq <= self._last:
            self._out_of_order[seq] = slot
        self._last = max(self._last, seq)
        self._seqs[slot], self._greatest[slot], self._alive[slot] = seq, self._last, True

    def remove(self, seqs: Sequence[int]) -> None:
        for seq in seqs:
            if (slot := self.find(seq)) is not None:
                self._alive[slot] = False
                self._living -= 1
                self._out_of_order.pop(seq, None)

    def readable(self, after: int) -> NDArray[np.bool_]:
        """Which slots are alive and later than this log position."""
        return self.alive & (self._seqs[: self.count] > after) if after > 0 else self.alive

    def hits(self, group_id: str, slots: NDArray[np.intp], scores: Sequence[float]) -> list[Hit]:
        ids, width = self._ids[slots].tobytes().hex(), 2 * ID_BYTES
        return [
            Hit(ids[at * width : (at + 1) * width], group_id, seq, score)
            for at, (seq, score) in enumerate(zip(self._seqs[slots].tolist(), scores, strict=True))
        ]

    def _reserve(self, count: int) -> None:
        if count <= len(self._seqs):
            return
        size = max(count, 2 * len(self._seqs))
        self._seqs, self._greatest = grown(self._seqs, size), grown(self._greatest, size)
        self._ids, self._alive = grown(self._ids, size), grown(self._alive, size)


class Block:
    """Rows of numbers in one of three precisions; products are single precision whatever it is.

    `int8` keeps each row as multiples of its greatest number / 127: a quarter of the memory, with an error of a cosine
    of about 0.001, at the same CPU time (`notebooks/07_vector_index_tuning` compares them).
    """

    def __init__(self, rows: int, dimensions: int, precision: Precision):
        self._numbers: NDArray[Any] = np.zeros((rows, dimensions), precision)
        self._scales = np.ones(rows, np.float32) if precision == "int8" else None

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def bytes(self) -> int:
        return self._numbers.nbytes + (self._scales.nbytes if self._scales is not None else 0)

    def put(self, rows: NDArray[np.intp], vectors: Matrix) -> None:
        if self._scales is None:
            self._numbers[rows] = vectors
        else:
            scales = np.maximum(np.abs(vectors).max(axis=1) / LARGEST_INT8, LEAST_SCALE)
            self._numbers[rows], self._scales[rows] = np.rint(vectors / scales[:, None]), scales

    def products(self, vector: Vector, products: Vector, tile: Matrix) -> None:
        """Of the first rows, as many as `products` has room for; `tile` is room for rows in single precision.

        Not `block @ vector`: on a busy machine the threads of the linear algebra library wait for each other.
        """
        if self._numbers.dtype == np.float32:
            np.vecdot(self._numbers[: len(products)], vector, out=products)
            return
        for start in range(0, len(products), len(tile)):
            part = self._numbers[start : min(start + len(tile), len(products))]
            tile[: len(part)] = part
            np.vecdot(tile[: len(part)], vector, out=products[start : start + len(part)])
        if self._scales is not None:
            products *= self._scales[: len(products)]


class GroupMatrix:
    """Vectors of one group, row by slot, in blocks of contiguous rows: the nearest are found by products.

    Blocks double up to LARGEST_BLOCK and are never copied, so that a group takes little more than its vectors.
    """

    def __init__(self, dimensions: int, precision: Precision = "int8"):
        self.dimensions = dimensions
        self.precision = precision
        self._slots = Slots()
        self._blocks: list[Block] = []
        self._starts: list[int] = []

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def bytes(self) -> int:
        return sum(block.bytes for block in self._blocks) + self._slots.bytes

    def put(self, messages: Sequence[tuple[int, str]], vectors: Matrix) -> None:
        """Each message once. One that is there keeps its slot and gets the new vector."""
        self._slots.put([message for message in messages if self._slots.find(message[0]) is None])
        while self._capacity < self._slots.count:
            rows = min(LARGEST_BLOCK, max(FIRST_SLOTS, self._capacity))
            self._starts.append(self._capacity)
            self._blocks.append(Block(rows, self.dimensions, self.precision))
        slots = np.array([self._slots.find(seq) for seq, _ in messages], np.intp)
        blocks = np.searchsorted(self._starts, slots, side="right") - 1
        for number in np.unique(blocks):
            here = blocks == number
            self._blocks[number].put(slots[here] - self._starts[number], vectors[here])

    def remove(self, seqs: Sequence[int]) -> None:
        self._slots.remove(seqs)

    def nearest(self, group_id: str, vector: Vector, after: int, limit: int) -> list[Hit]:
        cosines = np.empty(self._slots.count, np.float32)
        tile = np.empty((min(TILE_ROWS, self._slots.count), len(vector)), np.float32)
        for start, block in zip(self._starts, self._blocks, strict=True):
            block.products(vector, cosines[start : start + len(block)], tile)
        cosines[~self._slots.readable(after)] = -np.inf
        slots = best(cosines, limit)
        slots = slots[cosines[slots] > -np.inf]
        scores = (1 + cosines[slots].astype(np.float64).clip(-1, 1)) / 2
        return self._slots.hits(group_id, slots, scores.tolist())

    @property
    def _capacity(self) -> int:
        return self._starts[-1] + len(self._blocks[-1]) if self._blocks else 0


def best(scores: NDArray[np.float32], limit: int) -> NDArray[np.intp]:
    """Where the greatest are, greatest first.

    `limit` spans have a score at least as great as the least of the `limit` greatest that spans have; so what is
    smaller is not among the greatest, and few are left to be put in order.
    """
    top = np.arange(len(scores))
    spans = len(scores) // SPAN
    if spans > limit:
        greatest = scores[: spans * SPAN].reshape(spans, SPAN).max(axis=1)
        top = np.flatnonzero(scores >= np.partition(greatest, spans - limit)[spans - limit])
    if len(top) > limit:
        top = top[np.argpartition(scores[top], len(top) - limit)[len(top) - limit :]]
    return top[np.argsort(-scores[top], kind="stable")]


def grown(array: NDArray[T], rows: int) -> NDArray[T]:
    larger = np.zeros((rows, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
