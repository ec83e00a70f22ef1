"""The rows of uploads in MongoDB (`media`), and their twin in memory. Objects are kept elsewhere, see `objects.py`.

Every read is by `_id`, by group or by the time of the next sweep.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol, cast

from bson import Binary, ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from chatcore.errors import Conflict
from chatcore.journal.rows import Change, Row
from chatcore.media.records import MediaRecord, Variant
from chatcore.mongo import Index, translate_errors
from chatcore.vault.envelope import Sealed

INDEXES = (
    Index("media", (("groupId", 1),)),
    Index("media", (("sweepAt", 1),)),
)
Document = dict[str, Any]
TAKEN = "This upload was sent already, or waited too long; upload it again"


class MediaStore(Protocol):
    async def add(self, record: MediaRecord) -> None: ...
    async def finished(self, record: MediaRecord) -> bool:
        """From `uploading` to what the record says; False where it was given up or its group deleted meanwhile."""
        ...

    async def abandon(self, record: MediaRecord, at: datetime) -> None:
        """To `gone` and due then, also where the row was forgotten meanwhile: something may still be written."""
        ...

    async def by_ids(self, media_ids: Iterable[str]) -> dict[str, MediaRecord]: ...
    async def give_up(self, media_id: str, now: datetime) -> bool:
        """To `gone`, due at once; False where it belongs to a message or is gone already."""
        ...

    async def give_up_group(self, group_id: str, now: datetime) -> None:
        """The same for everything of a group, sent or not."""
        ...

    async def take_due(self, now: datetime, limit: int) -> list[MediaRecord]:
        """To `gone` and returned: whoever wants to send one of them now comes too late."""
        ...

    async def forget(self, media_ids: Sequence[str]) -> None: ...
    def attached(self, record: MediaRecord, message_id: str) -> Change:
        """To this message for good; Conflict where it is another's, or gone. A repeat is a no-op."""
        ...

    def due(self, media_id: str, at: datetime) -> Change:
        """The sweep takes it from then on, although it belongs to a message. Nothing where the sweep has it already."""
        ...


class MongoMediaStore:
    def __init__(self, database: AsyncDatabase[Document]):
        self._media = database["media"]

    @translate_errors
    async def add(self, record: MediaRecord) -> None:
        await self._media.insert_one(_document(record))

    @translate_errors
    async def finished(self, record: MediaRecord) -> bool:
        document = _document(record)
        outcome = await self._media.replace_one({"_id": document["_id"], "state": "uploading"}, document)
        return outcome.matched_count == 1

    @translate_errors
    async def abandon(self, record: MediaRecord, at: datetime) -> None:
        document = _document(replace(record, state="gone", sweep_at=at))
        await self._media.replace_one({"_id": document["_id"]}, document, upsert=True)

    @translate_errors
    async def by_ids(self, media_ids: Iterable[str]) -> dict[str, MediaRecord]:
        wanted = [ObjectId(media_id) for media_id in media_ids]
        if not wanted:
            return {}
        rows = [_record(document) for document in await self._media.find({"_id": {"$in": wanted}}).to_list()]
        return {row.id: row for row in rows}

    @translate_errors
    async def give_up(self, media_id: str, now: datetime) -> bool:
        unsent = {"_id": ObjectId(media_id), "messageId": None, "state": {"$ne": "gone"}}
        outcome = await self._media.update_one(unsent, {"$set": {"state": "gone", "sweepAt": now}})
        return outcome.matched_count == 1

    @translate_errors
    async def give_up_group(self, group_id: str, now: datetime) -> None:
        await self._media.update_many({"groupId": ObjectId(group_id)}, {"$set": {"state": "gone", "sweepAt": now}})

    @translate_errors
    async def take_due(self, now: datetime, limit: int) -> list[MediaRecord]:
        found = await self._media.find({"sweepAt": {"$lte": now}}).limit(limit).to_list()
        taken: list[MediaRecord] = []
        for document in found:
            still = {"_id": document["_id"], "sweepAt": {"$lte": now}}
            if (await self._media.update_one(still, {"$set": {"state": "gone"}})).matched_count:
                taken.append(replace(_record(document), state="gone"))
        return taken

    @translate_errors
    async def forget(self, media_ids: Sequence[str]) -> None:
        await self._media.delete_many({"_id": {"$in": [ObjectId(media_id) for media_id in media_ids]}})

    def attached(self, record: MediaRecord, message_id: str) -> Change:
        async def change(session: AsyncClientSession, rows: Sequence[Row]) -> None:
            mine = {
                "_id": ObjectId(record.id),
                "groupId": ObjectId(record.group_id),
                "uploaderId": record.uploader_id,
                "state": "ready",
                "messageId": {"$in": [None, ObjectId(message_id)]},
            }
            update = {"$set": {"messageId": ObjectId(message_id)}, "$unset": {"sweepAt": ""}}
            if (await self._media.update_one(mine, update, session=session)).matched_count == 0:
                raise Conflict(TAKEN, field="mediaId")

        return change

    def due(self, media_id: str, at: datetime) -> Change:
        async def change(session: AsyncClientSession, rows: Sequence[Row]) -> None:
            there = {"_id": ObjectId(media_id), "state": "ready"}
            await self._media.update_one(there, {"$set": {"sweepAt": at}}, session=session)

        return change


def _document(record: MediaRecord) -> Document:
    sealed = record.sealed
    document: Document = {
        "_id": ObjectId(record.id),
        "groupId": ObjectId(record.group_id),
        "uploaderId": record.uploader_id,
        "createdAt": record.created_at,
        "kind": record.kind,
        "contentType": record.content_type,
        "size": record.size,
        "sealed": {"v": sealed.v, "kv": sealed.kv, "n": Binary(sealed.n), "ct": Binary(sealed.ct)},
        "sealing": record.sealing,
        "variants": dict(record.variants),
        "state": record.state,
        "messageId": ObjectId(record.message_id) if record.message_id else None,
    }
    optional = {"width": record.width, "height": record.height, "sweepAt": record.sweep_at}
    return document | {name: value for name, value in optional.items() if value is not None}


def _record(document: Document) -> MediaRecord:
    sealed = document["sealed"]
    return MediaRecord(
        id=str(document["_id"]),
        group_id=str(document["groupId"]),
        uploader_id=document["uploaderId"],
        created_at=document["createdAt"],
        kind=document["kind"],
        content_type=document["contentType"],
        size=document["size"],
        sealed=Sealed(sealed["v"], sealed["kv"], bytes(sealed["n"]), bytes(sealed["ct"])),
        sealing=document["sealing"],
        variants=cast(dict[Variant, int], document["variants"]),
        width=document.get("width"),
        height=document.get("height"),
        state=document["state"],
        message_id=str(document["messageId"]) if document["messageId"] else None,
        sweep_at=document.get("sweepAt"),
    )


class MemoryMediaStore:
    """The same promises without a database."""

    def __init__(self) -> None:
        self._media: dict[str, MediaRecord] = {}

    async def add(self, record: MediaRecord) -> None:
        self._media[record.id] = record

    async def finished(self, record: MediaRecord) -> bool:
        known = self._media.get(record.id)
        if known is None or known.state != "uploading":
            return False
        self._media[record.id] = record
        return True

    async def abandon(self, record: MediaRecord, at: datetime) -> None:
        self._media[record.id] = replace(record, state="gone", sweep_at=at)

    async def by_ids(self, media_ids: Iterable[str]) -> dict[str, MediaRecord]:
        return {media_id: self._media[media_id] for media_id in media_ids if media_id in self._media}

    async def give_up(self, media_id: str, now: datetime) -> bool:
        known = self._media.get(media_id)
        if known is None or known.message_id is not None or known.state == "gone":
            return False
        self._media[media_id] = replace(known, state="gone", sweep_at=now)
        return True

    async def give_up_group(self, group_id: str, now: datetime) -> None:
        for known in [each for each in self._media.values() if each.group_id == group_id]:
            self._media[known.id] = replace(known, state="gone", sweep_at=now)

    async def take_due(self, now: datetime, limit: int) -> list[MediaRecord]:
        due = [each for each in self._media.values() if each.sweep_at is not None and each.sweep_at <= now][:limit]
        for each in due:
            self._media[each.id] = replace(each, state="gone")
        return [self._media[each.id] for each in due]

    async def forget(self, media_ids: Sequence[str]) -> None:
        for media_id in media_ids:
            self._media.pop(media_id, None)

    def attached(self, record: MediaRecord, message_id: str) -> Change:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            known = self._media.get(record.id)
            if (
                known is None
                or (known.group_id, known.uploader_id, known.state) != (record.group_id, record.uploader_id, "ready")
                or known.message_id not in (None, message_id)
            ):
                raise Conflict(TAKEN, field="mediaId")
            self._media[record.id] = replace(known, message_id=message_id, sweep_at=None)

        return change

    def due(self, media_id: str, at: datetime) -> Change:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            known = self._media.get(media_id)
            if known is not None and known.state == "ready":
                self._media[media_id] = replace(known, sweep_at=at)

        return change
