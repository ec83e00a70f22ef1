"""Vectors beside messages and bookmarks by group: the same promises in memory and on the database."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from bson import ObjectId

from chatcore.ai.search import store as search_store
from chatcore.ai.search.records import Claim, PlacedVector, Progress, Space, StoredVector
from chatcore.ai.search.store import MemorySearchStore, MongoSearchStore, SearchStore
from chatcore.ai.search.vectors import Scope
from chatcore.journal import store as journal_store
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Row
from chatcore.journal.store import JournalStore, MemoryJournalStore, MongoJournalStore
from chatcore.mongo import Mongo
from chatcore.vault.envelope import Sealed

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SEALED = Sealed(1, 1, b"n" * 12, b"c" * 40)
SPACE = Space("m")


@dataclass
class Shelves:
    journal: JournalStore
    search: SearchStore

    async def message(self, group_id: str, seq: int, **fields: Any) -> Row:
        row = Row(new_id(NOW), group_id, "message", "ana", NOW, seq=seq, n=seq, p=seq, type="text", sealed=SEALED)
        await self.journal.insert([replace(row, **fields)])
        return row

    async def changes(self, row: Row, change: Any, kind: Any, seq: int) -> None:
        facts = {"messageId": row.id, "messageSeq": row.seq}
        event = Row(new_id(NOW), row.group_id, kind, "ana", NOW, seq=seq, n=1, p=1, data=facts)
        await self.journal.transact([event], [change])


@pytest.fixture
async def on_database(mongo: Mongo) -> Shelves:
    await mongo.ensure_indexes((*journal_store.INDEXES, *search_store.INDEXES))
    return Shelves(MongoJournalStore(mongo.database), MongoSearchStore(mongo.database))


@pytest.fixture(params=["memory", "database"])
def shelves(request: pytest.FixtureRequest) -> Shelves:
    if request.param == "memory":
        journal = MemoryJournalStore()
        return Shelves(journal, MemorySearchStore(journal))
    made: Shelves = request.getfixturevalue("on_database")
    return made


@pytest.fixture
def group() -> str:
    return new_id(NOW)


def a_vector(rev: int = 0, **fields: Any) -> StoredVector:
    return replace(StoredVector(SPACE, 3, rev, sealed=Sealed(1, 1, b"v" * 12, b"x" * 22)), **fields)


def placed(row: Row, vector: StoredVector | None = None) -> PlacedVector:
    return PlacedVector(row.group_id, row.seq, row.id, vector or a_vector())


async def test_a_window_of_the_log_shows_messages_with_their_vectors(shelves: Shelves, group: str) -> None:
    first, second = [await shelves.message(group, seq) for seq in (1, 2)]
    await shelves.search.save([placed(first)])
    lines = await shelves.search.window(group, 0, 10)
    assert [(line.id, line.seq, line.searchable) for line in lines] == [(first.id, 1, True), (second.id, 2, True)]
    assert lines[0].vector == a_vector()
    assert lines[0].has_vector(SPACE)
    assert not lines[0].has_vector(Space("other"))
    assert lines[1].vector is None
    assert [line.seq for line in await shelves.search.window(group, 1, 2)] == [2]
    assert list(await shelves.search.by_ids([second.id, new_id(NOW)])) == [second.id]


async def test_a_vector_in_clear_is_kept_to_the_last_bit(shelves: Shelves, group: str) -> None:
    row = await shelves.message(group, 1)
    numbers = np.array([0.1, -0.25, 1 / 3], "<f4").tobytes()
    stored = a_vector(space=Space("m", in_clear=True), sealed=None, clear=numbers)
    await shelves.search.save([placed(row, stored)])
    assert (await shelves.search.by_ids([row.id]))[row.id].vector == stored


async def test_what_was_edited_or_deleted_meanwhile_gets_no_old_vector(shelves: Shelves, group: str) -> None:
    edited, deleted = [await shelves.message(group, seq) for seq in (1, 2)]
    changed = replace(edited, rev=1, updated_at=NOW)
    await shelves.changes(edited, shelves.journal.content_replaced(changed), "edit", 3)
    await shelves.changes(deleted, shelves.journal.marked_deleted(replace(deleted, is_deleted=True), NOW), "delete", 4)
    await shelves.search.save([placed(edited), placed(deleted)])
    lines = {line.seq: line for line in await shelves.search.window(group, 0, 10)}
    assert lines[1].vector is None
    assert lines[2].vector is None
    assert not lines[2].searchable
    assert (lines[3].target_id, lines[3].target_seq) == (edited.id, 1)
    assert (lines[4].kind, lines[4].target_seq) == ("delete", 2)


async def test_an_edit_and_a_deletion_make_the_vector_worthless_at_once(shelves: Shelves, group: str) -> None:
    edited, deleted = [await shelves.message(group, seq) for seq in (1, 2)]
    await shelves.search.save([placed(edited), placed(deleted)])
    await shelves.changes(edited, shelves.journal.content_replaced(replace(edited, rev=1, updated_at=NOW)), "edit", 3)
    await shelves.changes(deleted, shelves.journal.marked_deleted(replace(deleted, is_deleted=True), NOW), "delete", 4)
    lines = await shelves.search.by_ids([edited.id, deleted.id])
    assert not lines[edited.id].has_vector(SPACE)
    assert not lines[deleted.id].searchable


async def test_the_database_keeps_no_vector_of_an_edited_or_deleted_message(
    on_database: Shelves, mongo: Mongo, group: str
) -> None:
    rows = [await on_database.message(group, seq) for seq in (1, 2)]
    await on_database.search.save([placed(row) for row in rows])
    change = on_database.journal.content_replaced(replace(rows[0], rev=1, updated_at=NOW))
    await on_database.changes(rows[0], change, "edit", 3)
    gone = on_database.journal.marked_deleted(replace(rows[1], is_deleted=True), NOW)
    await on_database.changes(rows[1], gone, "delete", 4)
    assert await vectors_in(mongo, rows) == []


async def test_a_vector_that_comes_after_its_message_was_edited_or_deleted_is_withdrawn(
    on_database: Shelves, mongo: Mongo, group: str
) -> None:
    """The edit took away what was not there yet."""
    rows = [await on_database.message(group, seq) for seq in (1, 2, 3)]
    change = on_database.journal.content_replaced(replace(rows[0], rev=1, updated_at=NOW))
    await on_database.changes(rows[0], change, "edit", 4)
    gone = on_database.journal.marked_deleted(replace(rows[1], is_deleted=True), NOW)
    await on_database.changes(rows[1], gone, "delete", 5)
    await on_database.search.save([placed(row) for row in rows])
    assert await vectors_in(mongo, rows) == [rows[2].id]
    far = replace(rows[0], seq=9_000, id=new_id(NOW))
    await on_database.message(group, 9_000, id=far.id)
    await on_database.search.save([placed(rows[1]), placed(far)])
    assert await vectors_in(mongo, [*rows, far]) == sorted([rows[2].id, far.id])


async def test_a_new_vector_takes_the_place_of_the_old_one(shelves: Shelves, group: str) -> None:
    first, second = [await shelves.message(group, seq) for seq in (1, 2)]
    await shelves.search.save([placed(first)])
    other = a_vector(space=Space("other"))
    await shelves.search.save([placed(first, other), placed(second, other)])
    assert [line.vector for line in await shelves.search.window(group, 0, 10)] == [other, other]


async def test_vectors_are_removed_by_message_and_with_the_group(shelves: Shelves, group: str) -> None:
    elsewhere = new_id(NOW)
    rows = [await shelves.message(group, seq) for seq in (1, 2)]
    kept = await shelves.message(elsewhere, 1)
    await shelves.search.save([placed(row) for row in rows])
    await shelves.search.save([placed(kept)])
    await shelves.search.remove([rows[0].id, new_id(NOW)])
    assert [line.vector is None for line in await shelves.search.window(group, 0, 10)] == [True, False]
    await shelves.search.forget(group)
    assert [line.vector is None for line in await shelves.search.window(group, 0, 10)] == [True, True]
    assert [line.vector is None for line in await shelves.search.window(elsewhere, 0, 10)] == [False]


async def test_a_vector_in_the_message_itself_is_read_and_moved(on_database: Shelves, mongo: Mongo, group: str) -> None:
    """Where earlier versions kept it; their bookmark does not count, so that every group is gone through once."""
    row = await on_database.message(group, 1)
    inside = search_store._vector_document(a_vector())
    await mongo.database["messages"].update_one({"_id": ObjectId(row.id)}, {"$set": {"embedding": inside}})
    old = {"_id": ObjectId(group), "space": {"model": "m", "inClear": False}, "seq": 1, "until": NOW}
    await mongo.database["search_progress"].insert_one(old)
    assert await on_database.search.claim(group, Claim("me", NOW), NOW) == Progress(group)
    (line,) = await on_database.search.window(group, 0, 10)
    assert line.vector == a_vector(in_message=True)
    await on_database.search.save([placed(row, line.vector)])
    (line,) = await on_database.search.window(group, 0, 10)
    assert line.vector == a_vector()
    document = await mongo.database["messages"].find_one({"_id": ObjectId(row.id)})
    assert document is not None
    assert "embedding" not in document


async def vectors_in(mongo: Mongo, rows: list[Row]) -> list[str]:
    which = {"_id": {"$in": [ObjectId(row.id) for row in rows]}}
    return sorted(str(document["_id"]) for document in await mongo.database["message_vectors"].find(which).to_list())


async def test_one_at_a_time_works_on_a_group_and_the_bookmark_stays(shelves: Shelves, group: str) -> None:
    mine, yours = Claim("me", NOW + timedelta(minutes=1)), Claim("you", NOW + timedelta(minutes=1))
    assert await shelves.search.claim(group, mine, NOW) == Progress(group)
    assert await shelves.search.claim(group, yours, NOW) is None
    assert await shelves.search.claim(group, mine, NOW) == Progress(group)
    await shelves.search.advance([Progress(group, SPACE, 7)], "me", NOW)
    assert await shelves.search.claim(group, yours, NOW) == Progress(group, SPACE, 7)
    await shelves.search.advance([Progress(group, SPACE, 99)], "me", NOW)
    assert await shelves.search.claim(group, yours, NOW) == Progress(group, SPACE, 7)


async def test_who_died_at_work_is_followed_by_another(shelves: Shelves, group: str) -> None:
    await shelves.search.claim(group, Claim("dead", NOW + timedelta(minutes=1)), NOW)
    later = NOW + timedelta(minutes=1)
    assert await shelves.search.claim(group, Claim("heir", later + timedelta(minutes=1)), later) == Progress(group)


async def test_a_forgotten_group_begins_anew(shelves: Shelves, group: str) -> None:
    await shelves.search.claim(group, Claim("me", NOW), NOW)
    await shelves.search.advance([Progress(group, SPACE, 7)], "me", NOW)
    await shelves.search.forget(group)
    assert await shelves.search.claim(group, Claim("me", NOW), NOW) == Progress(group)


async def test_all_groups_of_the_database_are_known_at_the_start(on_database: Shelves, mongo: Mongo) -> None:
    await mongo.database["groups"].insert_many([{"_id": ObjectId("a" * 24)}, {"_id": ObjectId("b" * 24)}])
    assert sorted(await on_database.search.group_ids()) == ["a" * 24, "b" * 24]


# --- the form of the commands that only Atlas understands


@dataclass
class Recorder:
    """A collection that writes down what it is asked, and answers as Atlas would."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    pipelines: list[Any] = field(default_factory=list)
    models: list[Any] = field(default_factory=list)

    def with_options(self, **_: Any) -> "Recorder":
        return self

    async def aggregate(self, pipeline: Any) -> "Recorder":
        self.pipelines.append(pipeline)
        return self

    async def to_list(self) -> list[dict[str, Any]]:
        return self.answers

    async def create_search_index(self, model: Any) -> str:
        self.models.append(model.document)
        return "name"


class RecordingDatabase(dict[str, Recorder]):
    def __missing__(self, name: str) -> Recorder:
        self[name] = Recorder()
        return self[name]

    def get_collection(self, name: str, **_: Any) -> Recorder:
        return self[name]


async def test_atlas_is_asked_with_the_groups_inside_the_query() -> None:
    database = RecordingDatabase()
    row = {"_id": ObjectId("c" * 24), "groupId": ObjectId("a" * 24), "seq": 5, "score": 0.9}
    database["message_vectors"].answers = [row]
    store = MongoSearchStore(database)  # type: ignore[arg-type]
    vector = np.array([0.6, 0.8], np.float32)
    groups = [Scope("a" * 24), Scope("b" * 24, after=9)]
    hits = await store.nearest(vector, groups, 10, space=Space("m", in_clear=True), index="by_meaning")
    assert [(hit.message_id, hit.group_id, hit.seq, hit.score) for hit in hits] == [("c" * 24, "a" * 24, 5, 0.9)]
    (stage, projection) = database["message_vectors"].pipelines[0]
    assert stage["$vectorSearch"] | {"queryVector": 0} == {
        "index": "by_meaning",
        "path": "vector",
        "queryVector": 0,
        "numCandidates": 150,
        "limit": 10,
        "filter": {
            "$and": [
                {"model": "m"},
                {
                    "$or": [
                        {"groupId": {"$in": [ObjectId("a" * 24)]}},
                        {"$and": [{"groupId": ObjectId("b" * 24)}, {"seq": {"$gt": 9}}]},
                    ]
                },
            ]
        },
    }
    assert stage["$vectorSearch"]["queryVector"] == pytest.approx([0.6, 0.8])
    assert projection["$project"]["score"] == {"$meta": "vectorSearchScore"}


async def test_the_index_of_atlas_declares_what_it_is_filtered_by() -> None:
    database = RecordingDatabase()
    await MongoSearchStore(database).ensure_vector_index("by_meaning", 384)  # type: ignore[arg-type]
    (model,) = database["message_vectors"].models
    assert (model["name"], model["type"]) == ("by_meaning", "vectorSearch")
    fields = {field["path"]: field for field in model["definition"]["fields"]}
    assert fields["vector"] == {
        "type": "vector", "path": "vector", "numDimensions": 384, "similarity": "cosine",
    }  # fmt: skip
    assert {"groupId", "seq", "model"} <= fields.keys()
