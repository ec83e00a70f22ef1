"""Exports in MongoDB (`exports`; gone when they expire), and their twin in memory."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bson import Binary, ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from chatcore.audit.store import Change
from chatcore.exports.records import ExportRecord
from chatcore.mongo import Index, translate_errors

INDEXES = (Index("exports", (("expiresAt", 1),), expire_after_seconds=0),)
MAX_LIVING = 1_000
Document = dict[str, Any]


class MongoExportStore:
    def __init__(self, database: AsyncDatabase[Document]):
        self._client, self._rows = database.client, database["exports"]

    @translate_errors
    async def add(self, record: ExportRecord, also: Sequence[Change]) -> None:
        async def together(session: AsyncClientSession) -> None:
            await self._rows.insert_one(_document(record), session=session)
            for change in also:
                await change(session, ())

        async with self._client.start_session() as session:
            await session.with_transaction(together)

    @translate_errors
    async def find(self, export_id: str) -> ExportRecord | None:
        found = await self._rows.find_one({"_id": ObjectId(export_id)})
        return _record(found) if found else None

    @translate_errors
    async def living(self, now: datetime) -> list[ExportRecord]:
        rows = await self._rows.find({"expiresAt": {"$gt": now}}).limit(MAX_LIVING).to_list()
        return sorted((_record(row) for row in rows), key=_age, reverse=True)

    @translate_errors
    async def remove(self, export_id: str, also: Sequence[Change]) -> bool:
        async def together(session: AsyncClientSession) -> bool:
            if not (await self._rows.delete_one({"_id": ObjectId(export_id)}, session=session)).deleted_count:
                return False
            for change in also:
                await change(session, ())
            return True

        async with self._client.start_session() as session:
            return await session.with_transaction(together)


class MemoryExportStore:
    """The same promises without a database."""

    def __init__(self) -> None:
        self._rows: dict[str, ExportRecord] = {}

    async def add(self, record: ExportRecord, also: Sequence[Change]) -> None:
        for change in also:
            await change(None, ())
        self._rows[record.id] = record

    async def find(self, export_id: str) -> ExportRecord | None:
        return self._rows.get(export_id)

    async def living(self, now: datetime) -> list[ExportRecord]:
        return sorted((row for row in self._rows.values() if row.expires_at > now), key=_age, reverse=True)

    async def remove(self, export_id: str, also: Sequence[Change]) -> bool:
        if export_id not in self._rows:
            return False
        for change in also:
            await change(None, ())
        del self._rows[export_id]
        return True


def _age(record: ExportRecord) -> tuple[datetime, str]:
    return record.created_at, record.id


def _document(record: ExportRecord) -> Document:
    return {
        "_id": ObjectId(record.id),
        "purpose": record.purpose,
        "createdBy": record.created_by,
        "createdAt": record.created_at,
        "expiresAt": record.expires_at,
        "groupIds": [ObjectId(group_id) for group_id in record.group_ids],
        "leftOut": record.left_out,
        "nonce": Binary(record.nonce),
        "since": record.since,
        "until": record.until,
    }


def _record(row: Document) -> ExportRecord:
    return ExportRecord(
        id=str(row["_id"]),
        purpose=row["purpose"],
        created_by=row["createdBy"],
        created_at=row["createdAt"].replace(tzinfo=UTC),
        expires_at=row["expiresAt"].replace(tzinfo=UTC),
        group_ids=tuple(str(group_id) for group_id in row["groupIds"]),
        left_out=row["leftOut"],
        nonce=bytes(row["nonce"]),
        since=row["since"] and row["since"].replace(tzinfo=UTC),
        until=row["until"] and row["until"].replace(tzinfo=UTC),
    )
