"""Vectors on the message documents, progress by group (`search_progress`), `$vectorSearch`; and the twin in memory.

Vectors and progress are written without waiting for the disk: they are made again from the messages, and the database
keeps writes in their order, so that progress never survives the vectors it speaks of.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from bson import Binary, ObjectId
from bson.binary import BinaryVectorDtype
from pymongo import ReturnDocument, UpdateOne
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, OperationFailure
from pymongo.operations import SearchIndexModel
from pymongo.write_concern import WriteConcern

from chatcore.ai.search.records import Claim, LogLine, Progress, Space, StoredVector
from chatcore.ai.search.vectors import Hit, Scope
from chatcore.mongo import translate_errors
from chatcore.vault.envelope import Sealed

if TYPE_CHECKING:
    from chatcore.ai.search.vectors import Vector
    from chatcore.journal.rows import Row
    from chatcore.journal.store import MemoryJournalStore

Document = dict[str, Any]
NOT_DURABLE = WriteConcern(w=1, j=False)
INDEX_EXISTS = 68
CANDIDATES_PER_HIT = 15  # of an approximate search; Atlas advises 10 to 20
MOST_CANDIDATES = 10_000
FIELDS = dict.fromkeys(
    (
        "groupId", "seq", "kind", "senderId", "type", "rev", "isDeleted", "sealed", "embedding", "data.messageId",
        "data.messageSeq",
    ),
    1,
)  # fmt: skip


class SearchStore(Protocol):
    async def window(self, group_id: str, after: int, up_to: int) -> list[LogLine]:
        """Rows with `after < seq <= up_to`, in order."""
        ...

    async def by_ids(self, ids: Iterable[str]) -> dict[str, LogLine]: ...

    async def save(self, vectors: Mapping[str, StoredVector]) -> None:
        """By message id. One whose message was edited since, or deleted, is left out."""
        ...

    async def group_ids(self) -> list[str]:
        """Of all groups: read once at the start."""
        ...

    async def claim(self, group_id: str, claim: Claim, now: datetime) -> Progress | None:
        """The group's progress, where nobody else works on it now."""
        ...

    async def advance(self, progress: Progress, owner: str, until: datetime) -> None:
        """Only where the claim is still the owner's; `until` in the past gives it back."""
        ...

    async def forget(self, group_id: str) -> None: ...


class MongoSearchStore:
    def __init__(self, database: AsyncDatabase[Document]):
        self._messages = database["messages"]
        self._vectors = self._messages.with_options(write_concern=NOT_DURABLE)
        self._groups = database["groups"]
        self._progress = database.get_collection("search_progress", write_concern=NOT_DURABLE)

    @translate_errors
    async def window(self, group_id: str, after: int, up_to: int) -> list[LogLine]:
        bounds = {"groupId": ObjectId(group_id), "seq": {"$gt": after, "$lte": up_to}}
        lines = [_line(document) for document in await self._messages.find(bounds, FIELDS).to_list()]
        return sorted(lines, key=lambda line: line.seq)

    @translate_errors
    async def by_ids(self, ids: Iterable[str]) -> dict[str, LogLine]:
        wanted = [ObjectId(id_) for id_ in ids]
        if not wanted:
            return {}
        found = await self._messages.find({"_id": {"$in": wanted}}, FIELDS).to_list()
        return {str(document["_id"]): _line(document) for document in found}

    @translate_errors
    async def save(self, vectors: Mapping[str, StoredVector]) -> None:
        writes = [
            UpdateOne(
                {"_id": ObjectId(id_), "rev": vector.rev, "isDeleted": False},
                {"$set": {"embedding": _vector_document(vector)}},
            )
            for id_, vector in vectors.items()
        ]
        if writes:
            await self._vectors.bulk_write(writes, ordered=False)

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
        return Progress(group_id, _space(found["space"]) if "space" in found else None, found.get("seq", 0))

    @translate_errors
    async def advance(self, progress: Progress, owner: str, until: datetime) -> None:
        assert progress.space is not None
        mine = {"_id": ObjectId(progress.group_id), "owner": owner}
        fields = {"space": _space_document(progress.space), "seq": progress.seq, "until": until}
        await self._progress.update_one(mine, {"$set": fields})

    @translate_errors
    async def forget(self, group_id: str) -> None:
        await self._progress.delete_one({"_id": ObjectId(group_id)})

    # --- the database's own vector search

    @translate_errors
    async def nearest(
        self, vector: "Vector", groups: Sequence[Scope], limit: int, *, space: Space, index: str
    ) -> list[Hit]:
        """Groups and readers' times are filtered inside the query; `score` is Atlas' own, `(1 + cosine) / 2`."""
        stage = {
            "index": index,
            "path": "embedding.vector",
            "queryVector": [float(number) for number in vector],
            "numCandidates": min(MOST_CANDIDATES, limit * CANDIDATES_PER_HIT),
            "limit": limit,
            "filter": {"$and": [{"isDeleted": False}, {"embedding.model": space.model}, _within(groups)]},
        }
        shown = {"groupId": 1, "seq": 1, "rev": 1, "stale": "$embedding.rev", "score": {"$meta": "vectorSearchScore"}}
        found = await self._messages.aggregate([{"$vectorSearch": stage}, {"$project": shown}])
        return [
            Hit(str(row["_id"]), str(row["groupId"]), row["seq"], row["score"])
            for row in await found.to_list()
            if row["stale"] == row["rev"]
        ]

    @translate_errors
    async def ensure_vector_index(self, name: str, dimensions: int) -> None:
        """Made where it is missing; building it goes on in the database, which finds nothing until then."""
        vector = {"type": "vector", "path": "embedding.vector", "numDimensions": dimensions, "similarity": "cosine"}
        filters = [{"type": "filter", "path": path} for path in ("groupId", "seq", "isDeleted", "embedding.model")]
        model = SearchIndexModel({"fields": [vector, *filters]}, name=name, type="vectorSearch")
        try:
            await self._messages.create_search_index(model)
        except OperationFailure as error:
            if error.code != INDEX_EXISTS:
                raise


def _within(groups: Sequence[Scope]) -> Document:
    whole = [ObjectId(scope.group_id) for scope in groups if scope.after <= 0]
    parts: list[Document] = [{"groupId": {"$in": whole}}] if whole else []
    later = [scope for scope in groups if scope.after > 0]
    parts += [{"$and": [{"groupId": ObjectId(one.group_id)}, {"seq": {"$gt": one.after}}]} for one in later]
    return {"$or": parts}


def _line(document: Document) -> LogLine:
    sealed, vector, data = document.get("sealed"), document.get("embedding"), document.get("data", {})
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
        vector=_vector(vector) if vector else None,
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
        self._vectors: dict[str, StoredVector] = {}
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
            vector=self._vectors.get(row.id),
            target_id=str(row.data.get("messageId", "")),
            target_seq=row.data.get("messageSeq", 0),
        )

    async def save(self, vectors: Mapping[str, StoredVector]) -> None:
        rows = await self._journal.by_ids(vectors)
        for id_, vector in vectors.items():
            if id_ in rows and rows[id_].rev == vector.rev and not rows[id_].is_deleted:
                self._vectors[id_] = vector

    async def group_ids(self) -> list[str]:
        return sorted(self._groups)

    async def claim(self, group_id: str, claim: Claim, now: datetime) -> Progress | None:
        held = self._claims.get(group_id)
        if held is not None and held.until > now and held.owner != claim.owner:
            return None
        self._claims[group_id] = claim
        return self._progress.setdefault(group_id, Progress(group_id))

    async def advance(self, progress: Progress, owner: str, until: datetime) -> None:
        held = self._claims.get(progress.group_id)
        if held is not None and held.owner == owner:
            self._progress[progress.group_id] = progress
            self._claims[progress.group_id] = replace(held, until=until)

    async def forget(self, group_id: str) -> None:
        self._progress.pop(group_id, None)
        self._claims.pop(group_id, None)
