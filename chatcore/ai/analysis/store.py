"""Analyses in MongoDB, and their twin in memory."""

from collections.abc import Sequence
from typing import Any, Final

from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from chatcore.ai.analysis.records import StoredAnalysis
from chatcore.mongo import Index, translate_errors
from chatcore.vault.envelope import Sealed

KEPT_DAYS: Final = 30
INDEXES = (
    Index("ai_analyses", (("groupId", 1), ("toSeq", 1))),
    Index("ai_analyses", (("at", 1),), expire_after_seconds=KEPT_DAYS * 86_400),
)
Document = dict[str, Any]


class MongoAnalysisStore:
    def __init__(self, database: AsyncDatabase[Document]):
        self._rows = database["ai_analyses"]

    @translate_errors
    async def find(self, key: str) -> StoredAnalysis | None:
        row = await self._rows.find_one({"_id": key})
        return _record(row) if row is not None else None

    @translate_errors
    async def keep(self, analysis: StoredAnalysis) -> None:
        await self._rows.update_one({"_id": analysis.key}, {"$setOnInsert": _document(analysis)}, upsert=True)

    @translate_errors
    async def forget(self, group_id: str, seqs: Sequence[int]) -> None:
        for seq in seqs:
            await self._rows.delete_many(
                {"groupId": ObjectId(group_id), "toSeq": {"$gte": seq}, "fromSeq": {"$lte": seq}}
            )

    @translate_errors
    async def erase_group(self, group_id: str) -> None:
        await self._rows.delete_many({"groupId": ObjectId(group_id)})


def _document(analysis: StoredAnalysis) -> Document:
    sealed = analysis.sealed
    return {
        "groupId": ObjectId(analysis.group_id),
        "look": analysis.look,
        "fromSeq": analysis.from_seq,
        "toSeq": analysis.to_seq,
        "sealed": {"v": sealed.v, "kv": sealed.kv, "n": sealed.n, "ct": sealed.ct},
        "at": analysis.at,
    }


def _record(row: Document) -> StoredAnalysis:
    return StoredAnalysis(
        key=row["_id"],
        group_id=str(row["groupId"]),
        look=row["look"],
        from_seq=row["fromSeq"],
        to_seq=row["toSeq"],
        sealed=Sealed(**row["sealed"]),
        at=row["at"],
    )


class MemoryAnalysisStore:
    """The same promises without a database."""

    def __init__(self) -> None:
        self._rows: dict[str, StoredAnalysis] = {}

    def __len__(self) -> int:
        return len(self._rows)

    async def find(self, key: str) -> StoredAnalysis | None:
        return self._rows.get(key)

    async def keep(self, analysis: StoredAnalysis) -> None:
        self._rows.setdefault(analysis.key, analysis)

    async def forget(self, group_id: str, seqs: Sequence[int]) -> None:
        self._rows = {
            key: row
            for key, row in self._rows.items()
            if row.group_id != group_id or not any(row.from_seq <= seq <= row.to_seq for seq in seqs)
        }

    async def erase_group(self, group_id: str) -> None:
        self._rows = {key: row for key, row in self._rows.items() if row.group_id != group_id}
