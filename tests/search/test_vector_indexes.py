"""One suite for both indexes of vectors: in memory, and the database's own.

No database with `$vectorSearch` is at hand, so its part is played, at the edge of the store, by a list of documents.
The pipeline that the store sends to a real one is compared with Atlas' form in `test_store.py`.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from chatcore.ai.search.atlas import AtlasVectors
from chatcore.ai.search.exact import ExactVectors
from chatcore.ai.search.lane import Lane
from chatcore.ai.search.matrix import Slots
from chatcore.ai.search.records import Space
from chatcore.ai.search.vectors import Embedded, Hit, Scope, VectorIndex

SPACE = Space("m", in_clear=True)
ANA, BEN = "a" * 24, "b" * 24


@dataclass
class Documents:
    """What the database would search: it ranks as Atlas does, within the groups of the filter."""

    vectors: dict[tuple[str, int], Any] = field(default_factory=dict)
    indexes: dict[str, int] = field(default_factory=dict)

    async def nearest(self, vector: Any, groups: Sequence[Scope], limit: int, *, space: Space, index: str) -> list[Hit]:
        assert space == SPACE
        assert index in self.indexes
        hits = [
            Hit(an_id(seq), group_id, seq, float((1 + row @ vector) / 2))
            for (group_id, seq), row in self.vectors.items()
            if any(scope.group_id == group_id and seq > scope.after for scope in groups)
        ]
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    async def ensure_vector_index(self, name: str, dimensions: int) -> None:
        self.indexes[name] = dimensions


@dataclass
class World:
    index: VectorIndex
    documents: Documents

    async def has(self, group_id: str, **rows: Sequence[float]) -> None:
        entries = [Embedded(an_id(int(name[1:])), int(name[1:]), unit(row)) for name, row in rows.items()]
        self.documents.vectors |= {(group_id, entry.seq): entry.vector for entry in entries}
        await self.index.upsert(group_id, entries)

    async def loses(self, group_id: str, *seqs: int) -> None:
        for seq in seqs:
            del self.documents.vectors[group_id, seq]
        await self.index.delete(group_id, seqs)

    async def finds(self, row: Sequence[float], *scopes: Scope, limit: int = 10) -> list[tuple[str, int]]:
        return [(hit.group_id, hit.seq) for hit in await self.index.search(unit(row), scopes, limit)]


def an_id(seq: int) -> str:
    return f"{seq:024x}"


def unit(row: Sequence[float]) -> Any:
    vector = np.array(row, np.float32)
    return vector / np.linalg.norm(vector)


@pytest.fixture(params=["exact", "atlas"])
def world(request: pytest.FixtureRequest) -> Any:
    documents, lane = Documents(), Lane()
    made: VectorIndex = ExactVectors(lane) if request.param == "exact" else AtlasVectors(documents, SPACE, "by_meaning")
    yield World(made, documents)
    lane.close()


async def test_the_nearest_come_first_with_half_of_one_plus_cosine(world: World) -> None:
    await world.has(ANA, m1=[1, 0], m2=[0, 1], m3=[-1, 0], m4=[1, 1])
    hits = await world.index.search(unit([1, 0]), [Scope(ANA)], 10)
    assert [hit.seq for hit in hits] == [1, 4, 2, 3]
    assert [hit.score for hit in hits] == pytest.approx([1.0, (1 + 0.5**0.5) / 2, 0.5, 0.0], abs=1e-6)
    assert hits[0].message_id == an_id(1)


async def test_only_the_groups_asked_for_are_searched(world: World) -> None:
    await world.has(ANA, m1=[1, 0])
    await world.has(BEN, m2=[1, 0])
    assert await world.finds([1, 0], Scope(BEN)) == [(BEN, 2)]
    assert sorted(await world.finds([1, 0], Scope(ANA), Scope(BEN))) == [(ANA, 1), (BEN, 2)]
    assert await world.finds([1, 0]) == []


async def test_what_lies_before_a_readers_time_is_left_out(world: World) -> None:
    await world.has(ANA, **{f"m{seq}": [1, seq / 100] for seq in range(1, 31)})
    assert await world.finds([1, 0], Scope(ANA, after=28), limit=2) == [(ANA, 29), (ANA, 30)]


async def test_at_most_so_many_are_found(world: World) -> None:
    await world.has(ANA, **{f"m{seq}": [1, seq] for seq in range(1, 200)})
    assert await world.finds([1, 0], Scope(ANA), limit=3) == [(ANA, 1), (ANA, 2), (ANA, 3)]


async def test_a_new_vector_takes_the_place_of_the_old_one(world: World) -> None:
    await world.has(ANA, m1=[1, 0], m2=[1, 1])
    await world.has(ANA, m1=[0, 1])
    assert await world.finds([1, 0], Scope(ANA), limit=1) == [(ANA, 2)]
    assert len(await world.finds([1, 0], Scope(ANA))) == 2


async def test_what_was_deleted_is_not_found(world: World) -> None:
    await world.has(ANA, m1=[1, 0], m2=[0, 1])
    await world.loses(ANA, 1)
    assert await world.finds([1, 0], Scope(ANA)) == [(ANA, 2)]
    await world.index.delete(ANA, [77])
    await world.index.delete(BEN)


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
async def test_nearly_all_of_the_ten_nearest_are_found_in_every_precision(precision: Any) -> None:
    lane, chance = Lane(), np.random.default_rng(3)
    index = ExactVectors(lane, precision)
    rows = chance.normal(size=(2_000, 48)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for start in range(0, 2_000, 333):
        some = range(start, min(start + 333, 2_000))
        await index.upsert(ANA, [Embedded(an_id(at + 1), at + 1, rows[at]) for at in some])
    found, all_cosines = 0, rows @ rows[:50].T
    for query in range(50):
        hits = await index.search(rows[query], [Scope(ANA)], 10)
        assert hits[0].seq == query + 1
        assert hits[0].score == pytest.approx(1.0, abs=2e-3)
        found += len({hit.seq - 1 for hit in hits} & set(np.argsort(-all_cosines[:, query])[:10]))
    assert found >= (500 if precision == "float32" else 480)
    lane.close()


async def test_smaller_numbers_take_less_memory() -> None:
    lane, taken = Lane(), {}
    precisions: tuple[Any, ...] = ("float32", "float16", "int8")
    for precision in precisions:
        index = ExactVectors(lane, precision)
        await index.upsert(ANA, [Embedded(an_id(seq), seq, unit([1.0] * 384)) for seq in range(1, 513)])
        taken[precision] = index.status().bytes
    assert taken["int8"] < 0.6 * taken["float16"] < 0.36 * taken["float32"]
    lane.close()


def test_a_slot_is_found_by_log_position_in_whatever_order_messages_came() -> None:
    slots, expected, chance = Slots(), {}, random.Random(5)
    for turn in range(3_000):
        seq = turn if chance.random() < 0.7 else chance.randrange(1, 3_000)
        if chance.random() < 0.15:
            slots.remove([seq])
            expected.pop(seq, None)
        else:
            expected[seq] = slots.count
            slots.put([(seq, an_id(seq))])
    assert {seq: slots.find(seq) for seq in range(3_000)} == {seq: expected.get(seq) for seq in range(3_000)}
    assert len(slots) == len(expected) == slots.alive.sum()


async def test_a_matrix_holds_what_it_says_and_gives_it_back() -> None:
    lane = Lane()
    index = ExactVectors(lane)
    await index.upsert(ANA, [Embedded(an_id(seq), seq, unit([1, seq])) for seq in range(1, 501)])
    status = index.status()
    assert (status.kind, status.groups, status.messages) == ("exact", 1, 500)
    assert status.bytes > 500 * 2 * 4
    await index.delete(ANA)
    assert index.status().bytes == 0
    lane.close()


async def test_a_query_of_another_length_finds_nothing() -> None:
    lane = Lane()
    index = ExactVectors(lane)
    await index.upsert(ANA, [Embedded(an_id(1), 1, unit([1, 0]))])
    assert await index.search(unit([1, 0, 0]), [Scope(ANA)], 5) == []
    lane.close()
