"""Vectors (`message_vectors`), progress by group (`search_progress`), `$vectorSearch`; and the twin in memory.

A vector has a document of its own, under the message's id, and goes with the transaction that edits or deletes the
message: to put it into the message's document cost the embedded database 4 to 6 ms each, which is 6 to 8 times as much.

Vectors and progress are written without waiting for the disk: they are made again from the messages, and the database
keeps writes in their order, so that progress never survives the vectors it speaks of.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, cast

from bson import Binary, CodecOptions, ObjectId, decode_all
from bson.binary import BinaryVectorDtype
from pymongo import ReplaceOne, ReturnDocument, UpdateOne
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure
from pymongo.operations import SearchIndexModel
from pymongo.write_concern import WriteConcern

from chatcore.ai.search.records import Claim, LogLine, PlacedVector, Progress, Space, Standing, StoredVector
from chatcore.ai.search.vectors import Hit, Scope
from chatcore.journal.store import VECTORS
from chatcore.mongo import DUPLICATE_KEY, Index, translate_errors
from chatcore.vault.envelope import Sealed

if TYPE_CHECKING:
    from chatcore.ai.search.vectors import Vector
    from chatcore.journal.rows import Row
    from chatcore.journal.store import MemoryJournalStore

Document = dict[str, Any]
INDEXES = (Index(VECTORS, (("groupId", 1), ("seq", 1))),)
NOT_DURABLE = WriteConcern(w=1, j=False)
PLACE = 2  # of the vectors; progress that tells of another one begins anew and moves them
SPARSE = 4  # log positions for each message looked at; a window of more is not read for them
INDEX_EXISTS = 68
CANDIDATES_PER_HIT = 15  # of an approximate search; Atlas advises 10 to 20
MOST_CANDIDATES = 10_000
AT_ONCE = 1_001  # documents in one answer of the database, which gives 101 if not told
LARGE_BYTES = 64 * 1024  # of documents: what takes longer to take apart than the server's loop may stand still
OPTIONS: CodecOptions[Document] = CodecOptions(tz_aware=True)


class SearchStore(Protocol):
    async def window(self, group_id: str, after: int, up_to: int) -> list[LogLine]:
        """Rows with `after < seq <= up_to`, in order."""
        ...

    async def by_ids(self, ids: Iterable[str]) -> dict[str, LogLine]: ...

    async def save(self, vectors: Sequence[PlacedVector]) -> None:
        """Of any groups. One whose message was edited since, or deleted, is not kept."""
        ...

    async def remove(self, message_ids: Sequence[str]) -> None: ...

    async def group_ids(self) -> list[str]:
        """Of all groups: read once at the start."""
        ...

    async def standings(self, group_ids: Sequence[str]) -> dict[str, Standing]:
        """Of those groups that somebody has worked on."""
        ...

    async def claim(self, group_id: str, claim: Claim, now: datetime) -> Progress | None:
        """The group's progress, where nobody else works on it now."""
        ...

    async def advance(self, progresses: Sequence[Progress], owner: str, until: datetime) -> set[str]:
        """Bookmark and claim in one write; the groups whose claim is still the owner's, the others stay as they are.
        `until` in the past gives the claim back: the owner may go on as long as nobody else has come."""
        ...

    async def forget(self, group_id: str) -> None:
        """The group is gone: its progress and its vectors go too."""
        ...


class MongoSearchStore:
    def __init__(self, database: AsyncDatabase[Document]):
        self._messages = database["messages"]
        self._vectors = database.get_collection(VECTORS, write_concern=NOT_DURABLE)
        self._groups = database["groups"]
        self._progress = database.get_collection("search_progress", write_concern=NOT_DURABLE)

    @translate_errors
    async def window(self, group_id: str, after: int, up_to: int) -> list[LogLine]:
        bounds = {"groupId": ObjectId(group_id), "seq": {"$gt": after, "$lte": up_to}}
        lines = await self._lines(bounds)
        return sorted(lines, key=lambda line: line.seq)

    @translate_errors
    async def by_ids(self, ids: Iterable[str]) -> dict[str, LogLine]:
        wanted = [ObjectId(id_) for id_ in ids]
        return {line.id: line for line in await self._lines({"_id": {"$in": wanted}})} if wanted else {}

    async def _lines(self, which: Document) -> list[LogLine]:
        """Messages and vectors answer to the same filters. Whole documents: to leave fields out costs the embedded
        database as much as half of the reading."""
        finding = (part.find_raw_batches(which, batch_size=AT_ONCE) for part in (self._messages, self._vectors))
        messages, vectors = cast(list[list[bytes]], await asyncio.gather(*(cursor.to_list() for cursor in finding)))
        if sum(map(len, messages)) + sum(map(len, vectors)) < LARGE_BYTES:
            return _lines(messages, vectors)
        return await asyncio.to_thread(_lines, messages, vectors)

    @translate_errors
    async def save(self, vectors: Sequence[PlacedVector]) -> None:
        if not vectors:
            return
        documents = {ObjectId(placed.message_id): _placed_document(placed) for placed in vectors}
        try:
            await self._vectors.insert_many(list(documents.values()), ordered=False)
        except BulkWriteError as error:
            failures = error.details["writeErrors"]
            if any(failure["code"] != DUPLICATE_KEY for failure in failures):
                raise
            known = [failure["op"]["_id"] for failure in failures]
            await self._vectors.bulk_write([ReplaceOne({"_id": id_}, documents[id_]) for id_ in known], ordered=False)
        await self._withdraw(vectors)
        if moved := [ObjectId(placed.message_id) for placed in vectors if placed.vector.in_message]:
            await self._messages.update_many({"_id": {"$in": moved}}, {"$unset": {"embedding": ""}})

    async def _withdraw(self, vectors: Sequence[PlacedVector]) -> None:
        """What was edited or deleted between the reading of its text and now: that took away what was not there yet."""
        seqs = [placed.seq for placed in vectors]
        of_one_group = len({placed.group_id for placed in vectors}) == 1
        if of_one_group and max(seqs) - min(seqs) < SPARSE * len(seqs):
            group_id = ObjectId(vectors[0].group_id)
            which: Document = {"groupId": group_id, "seq": {"$gt": min(seqs) - 1, "$lte": max(seqs)}}
        else:
            which = {"_id": {"$in": [ObjectId(placed.message_id) for placed in vectors]}}
        found = await self._messages.find(which, {"rev": 1, "isDeleted": 1}).to_list()
        fit = {(str(row["_id"]), row.get("rev", 0)) for row in found if not row.get("isDeleted", False)}
        await self.remove([one.message_id for one in vectors if (one.message_id, one.vector.rev) not in fit])

    @translate_errors
    async def remove(self, message_ids: Sequence[str]) -> None:
        if message_ids:
            await self._vectors.delete_many({"_id": {"$in": [ObjectId(id_) for id_ in message_ids]}})

    @translate_errors
    async def group_ids(self) -> list[str]:
        found = self._groups.find({}, {"_id": 1}, comment="scan: groups whose messages may lack vectors")
        return [str(document["_id"]) for document in await found.to_list()]

    @translate_errors
    async def claim(self, group_id: str, claim: Claim, now: datetime) -> Progress | None:
        free = {"_id": ObjectId(group_id), "$or": [{"until": {"$lte": now}}, {"owner": claim.owner}]}
        mine = {"$set": {"owner": claim.owner, "until": claim.until}}
        try:
            found: Document | None = await self._progress.find_one_and_update(
                free, mine, upsert=True, return_document=ReturnDocument.AFTER
            )
        except DuplicateKeyError:  # it is there, and somebody else's
            return None
        assert found is not None
        return _progress(found)

    @translate_errors
    async def standings(self, group_ids: Sequence[str]) -> dict[str, Standing]:
        if not group_ids:
            return {}
        found = self._progress.find({"_id": {"$in": [ObjectId(id_) for id_ in group_ids]}})
        return {
            str(row["_id"]): Standing(_progress(row), Claim(row["owner"], row["until"]))
            for row in await found.to_list()
        }

    @translate_errors
    async def advance(self, progresses: Sequence[Progress], owner: str, until: datetime) -> set[str]:
        if not progresses:
            return set()
        writes = []
        for progress in progresses:
            assert progress.space is not None
            fields = {"space": _space_document(progress.space), "seq": progress.seq, "until": until, "place": PLACE}
            writes.append(UpdateOne({"_id": ObjectId(progress.group_id), "owner": owner}, {"$set": fields}))
        told = await self._progress.bulk_write(writes, ordered=False)
        group_ids = [progress.group_id for progress in progresses]
        if told.matched_count == len(writes):
            return set(group_ids)
        return {id_ for id_, standing in (await self.standings(group_ids)).items() if standing.claim.owner == owner}

    @translate_errors
    async def forget(self, group_id: str) -> None:
        await self._progress.delete_one({"_id": ObjectId(group_id)})
        await self._vectors.delete_many({"groupId": ObjectId(group_id)})

    # --- the database's own vector search

    @translate_errors
    async def nearest(
        self, vector: "Vector", groups: Sequence[Scope], limit: int, *, space: Space, index: str
    ) -> list[Hit]:
        """Groups and readers' times are filtered inside the query; `score` is Atlas' own, `(1 + cosine) / 2`."""
        stage = {
            "index": index,
            "path": "vector",
            "queryVector": [float(number) for number in vector],
            "numCandidates": min(MOST_CANDIDATES, limit * CANDIDATES_PER_HIT),
            "limit": limit,
            "filter": {"$and": [{"model": space.model}, _within(groups)]},
        }
        shown = {"groupId": 1, "seq": 1, "score": {"$meta": "vectorSearchScore"}}
        found = await self._vectors.aggregate([{"$vectorSearch": stage}, {"$project": shown}])
        return [Hit(str(row["_id"]), str(row["groupId"]), row["seq"], row["score"]) for row in await found.to_list()]

    @translate_errors
    async def ensure_vector_index(self, name: str, dimensions: int) -> None:
        """Made where it is missing; building it goes on in the database, which finds nothing until then."""
        vector = {"type": "vector", "path": "vector", "numDimensions": dimensions, "similarity": "cosine"}
        filters = [{"type": "filter", "path": path} for path in ("groupId", "seq", "model")]
        model = SearchIndexModel({"fields": [vector, *filters]}, name=name, type="vectorSearch")
        try:
            await self._vectors.create_search_index(model)
        except OperationFailure as error:
            if error.code != INDEX_EXISTS:
                raise


def _within(groups: Sequence[Scope]) -> Document:
    whole = [ObjectId(scope.group_id) for scope in groups if scope.after <= 0]
    parts: list[Document] = [{"groupId": {"$in": whole}}] if whole else []
    later = [scope for scope in groups if scope.after > 0]
    parts += [{"$and": [{"groupId": ObjectId(one.group_id)}, {"seq": {"$gt": one.after}}]} for one in later]
    return {"$or": parts}


def _progress(document: Document) -> Progress:
    group_id = str(document["_id"])
    if document.get("place") != PLACE:
        return Progress(group_id)
    return Progress(group_id, _space(document["space"]), document.get("seq", 0))


def _lines(messages: Sequence[bytes], vectors: Sequence[bytes]) -> list[LogLine]:
    """From batches of documents as the database sent them."""
    known = {document["_id"]: document for batch in vectors for document in decode_all(batch, OPTIONS)}
    return [
        _line(document, known.get(document["_id"])) for batch in messages for document in decode_all(batch, OPTIONS)
    ]


def _line(document: Document, placed: Document | None) -> LogLine:
    sealed, data, inside = document.get("sealed"), document.get("data", {}), document.get("embedding")
    vector = _vector(placed) if placed else None
    if vector is None and inside:
        vector = replace(_vector(inside), in_message=True)
    return LogLine(
        id=str(document["_id"]),
        group_id=str(document["groupId"]),
        seq=document["seq"],
        kind=document["kind"],
        sender_id=document["senderId"],
        type=document.get("type", ""),
        rev=document.get("rev", 0),
        is_deleted=document.get("isDeleted", False),
        sealed=_sealed(sealed) if sealed else None,
        vector=vector,
        target_id=str(data.get("messageId", "")),
        target_seq=data.get("messageSeq", 0),
    )


def _sealed(document: Document) -> Sealed:
    return Sealed(document["v"], document["kv"], bytes(document["n"]), bytes(document["ct"]))


def _space(document: Document) -> Space:
    return Space(document["model"], document["inClear"])


def _space_document(space: Space) -> Document:
    return {"model": space.model, "inClear": space.in_clear}


def _vector(document: Document) -> StoredVector:
    clear = document.get("vector")
    return StoredVector(
        space=Space(document["model"], clear is not None),
        dimensions=document["dims"],
        rev=document["rev"],
        sealed=_sealed(document["sealed"]) if clear is None else None,
        clear=None if clear is None else bytes(clear)[VECTOR_HEADER:],
    )


def _placed_document(placed: PlacedVector) -> Document:
    place = {"_id": ObjectId(placed.message_id), "groupId": ObjectId(placed.group_id), "seq": placed.seq}
    return place | _vector_document(placed.vector)


def _vector_document(vector: StoredVector) -> Document:
    told: Document = {"model": vector.space.model, "dims": vector.dimensions, "rev": vector.rev}
    if vector.clear is not None:
        return told | {"vector": _binary(vector.clear)}
    assert vector.sealed is not None
    sealed = vector.sealed
    return told | {"sealed": {"v": sealed.v, "kv": sealed.kv, "n": sealed.n, "ct": sealed.ct}}


VECTOR_SUBTYPE = 9
VECTOR_HEADER = 2


def _binary(single_precision: bytes) -> Binary:
    """BSON's own form of a vector: type of the numbers, padding, the numbers."""
    return Binary(BinaryVectorDtype.FLOAT32.value + b"\x00" + single_precision, VECTOR_SUBTYPE)


class MemorySearchStore:
    """The same promises on a journal in memory."""

    def __init__(self, journal: "MemoryJournalStore"):
        self._journal = journal
        self._vectors: dict[str, tuple[str, StoredVector]] = {}  # with the group they belong to
        self._progress: dict[str, Progress] = {}
        self._claims: dict[str, Claim] = {}
        self._groups: set[str] = set()

    def has_group(self, group_id: str) -> None:
        self._groups.add(group_id)

    async def window(self, group_id: str, after: int, up_to: int) -> list[LogLine]:
        return [self._line(row) for row in await self._journal.window(group_id, after, up_to)]

    async def by_ids(self, ids: Iterable[str]) -> dict[str, LogLine]:
        return {id_: self._line(row) for id_, row in (await self._journal.by_ids(ids)).items()}

    def _line(self, row: "Row") -> LogLine:
        return LogLine(
            id=row.id,
            group_id=row.group_id,
            seq=row.seq,
            kind=row.kind,
            sender_id=row.sender_id,
            type=row.type,
            rev=row.rev,
            is_deleted=row.is_deleted,
            sealed=row.sealed,
            vector=self._vectors[row.id][1] if row.id in self._vectors else None,
            target_id=str(row.data.get("messageId", "")),
            target_seq=row.data.get("messageSeq", 0),
        )

    async def save(self, vectors: Sequence[PlacedVector]) -> None:
        rows = await self._journal.by_ids([placed.message_id for placed in vectors])
        for placed in vectors:
            row = rows.get(placed.message_id)
            if row is not None and row.rev == placed.vector.rev and not row.is_deleted:
                self._vectors[row.id] = row.group_id, replace(placed.vector, in_message=False)
            else:
                self._vectors.pop(placed.message_id, None)

    async def remove(self, message_ids: Sequence[str]) -> None:
        for id_ in message_ids:
            self._vectors.pop(id_, None)

    async def group_ids(self) -> list[str]:
        return sorted(self._groups)

    async def claim(self, group_id: str, claim: Claim, now: datetime) -> Progress | None:
        held = self._claims.get(group_id)
        if held is not None and held.until > now and held.owner != claim.owner:
            return None
        self._claims[group_id] = claim
        return self._progress.setdefault(group_id, Progress(group_id))

    async def standings(self, group_ids: Sequence[str]) -> dict[str, Standing]:
        known = [id_ for id_ in group_ids if id_ in self._progress]
        return {id_: Standing(self._progress[id_], self._claims[id_]) for id_ in known}

    async def advance(self, progresses: Sequence[Progress], owner: str, until: datetime) -> set[str]:
        ours = set()
        for progress in progresses:
            held = self._claims.get(progress.group_id)
            if held is not None and held.owner == owner:
                self._progress[progress.group_id] = progress
                self._claims[progress.group_id] = replace(held, until=until)
                ours.add(progress.group_id)
        return ours

    async def forget(self, group_id: str) -> None:
        self._progress.pop(group_id, None)
        self._claims.pop(group_id, None)
        self._vectors = {id_: (whose, kept) for id_, (whose, kept) in self._vectors.items() if whose != group_id}
