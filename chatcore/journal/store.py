"""The log in MongoDB (`messages`), and its twin in memory. Signatures take only sealed content, never plaintext.

Every read is by `_id` or by a bounded window of `seq` of one group: the embedded database scans for anything else.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

import pymongo
from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, ConnectionFailure, DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from chatcore.errors import Conflict
from chatcore.journal.rows import Change, IdTaken, Inserted, Mark, Row, SeqTaken
from chatcore.mongo import DUPLICATE_KEY, OPERATION_MS, Index, translate_errors
from chatcore.vault.envelope import Sealed

INDEXES = (
    Index("messages", (("groupId", 1), ("seq", 1)), unique=True),
    Index("erasures", (("dueAt", 1),)),
)
Document = dict[str, Any]
NOTHING: Document = {}
VECTORS = "message_vectors"  # of search, by message id; what is said no more leaves no vector behind
# Where earlier versions kept the vector; it is larger than the rest of the row.
WITHOUT_VECTOR = {"$unset": {"embedding": ""}}
OVERTAKEN = "Somebody changed this message at the same moment; look again"
GONE = "That message is not deleted, or its content was erased already"


class JournalStore(Protocol):
    async def insert(self, rows: Sequence[Row]) -> Inserted:
        """One durable write, in order; stops at the first row that clashes."""
        ...

    async def transact(self, rows: Sequence[Row], changes: Sequence[Change], *, claim: bool = False) -> None:
        """Rows and changes as one, or nothing: raises SeqTaken, IdTaken, or Conflict where a change met its twin.

        With `claim` the rows come first: the log is closed to others a little longer, but hardly anybody can be faster.
        """
        ...

    async def release(self) -> None:
        """End transactions that an error cut short. The database itself does so only after a minute or more, and until
        then nobody can write to their groups."""
        ...

    async def window(self, group_id: str, after: int, up_to: int) -> list[Row]:
        """Rows with `after < seq <= up_to`, in order."""
        ...

    async def by_ids(self, ids: Iterable[str]) -> dict[str, Row]:
        """Only rows that survive the loss of any one server: an answer may rest on them."""
        ...

    async def erase_group(self, group_id: str, after: int, up_to: int) -> None: ...
    def content_replaced(self, row: Row) -> Change:
        """Conflict where the message was edited or deleted since it was read."""
        ...

    def marked_deleted(self, row: Row, erase_at: datetime) -> Change:
        """Conflict where it is deleted already."""
        ...

    def restored(self, row: Row) -> Change:
        """Undo a deletion. Conflict where it is not deleted, or its content was erased already."""
        ...

    def reaction_counted(self, message_id: str, emoji: str, before: int, step: int) -> Change:
        """Conflict where the count is not `before` any more."""
        ...

    async def erase_due(self, now: datetime, limit: int = 100) -> int:
        """Remove the sealed content of messages deleted long enough ago; how many there were."""
        ...


class MongoJournalStore:
    def __init__(self, database: AsyncDatabase[Document]):
        self._client = database.client
        # Times without a zone, which `_row` gives them: the driver's own is written in Python and slow to render.
        self._messages = database["messages"].with_options(
            codec_options=database.codec_options.with_options(tz_aware=False)
        )
        self._confirmed = self._messages.with_options(read_concern=ReadConcern("majority"))
        self._erasures = database["erasures"]
        self._vectors = database[VECTORS]
        self._abandoned: list[Any] = []

    @translate_errors
    async def insert(self, rows: Sequence[Row]) -> Inserted:
        try:
            await self._messages.insert_many([_document(row) for row in rows], ordered=True)
        except BulkWriteError as error:
            failures = error.details.get("writeErrors", [])
            if error.details.get("writeConcernErrors") or not failures or failures[0].get("code") != DUPLICATE_KEY:
                raise  # what precedes the failure is there, but not confirmed to be durable
            index = int(failures[0]["index"])
            return Inserted(index, await self._clash(rows[index]))
        return Inserted(len(rows))

    async def _clash(self, row: Row) -> Any:
        """A row may break both unique indexes and the server names only one: its own id decides."""
        return "id" if await self._messages.find_one({"_id": ObjectId(row.id)}, {"_id": 1}) else "seq"

    @translate_errors
    async def transact(self, rows: Sequence[Row], changes: Sequence[Change], *, claim: bool = False) -> None:
        """The rows come last: an open transaction holds their places, and nobody else can write to the log then."""

        async def add_rows(session: AsyncClientSession) -> None:
            for row in rows:
                await self._messages.insert_one(_document(row), session=session)

        async def work(session: AsyncClientSession) -> None:
            if claim:
                await add_rows(session)
            for change in changes:
                await change(session, rows)
            if not claim:
                await add_rows(session)

        await self.release()
        try:
            # The driver would run a transaction that meets a dead server again and again for 120 s.
            with pymongo.timeout(OPERATION_MS / 1000):
                async with self._client.start_session() as session:
                    await self._run(session, work)
        except DuplicateKeyError as error:
            ids = [ObjectId(row.id) for row in rows]
            if stored := await self._messages.find_one({"_id": {"$in": ids}}):
                raise IdTaken(_row(stored)) from None
            if set((error.details or {}).get("keyPattern", {})) == {"groupId", "seq"}:
                raise SeqTaken from None
            raise Conflict("Somebody did this at the same moment; look again") from None

    async def _run(
        self, session: AsyncClientSession, work: Callable[[AsyncClientSession], Coroutine[Any, Any, None]]
    ) -> None:
        """The driver gives a session up after a lost connection, also where the server did not hear of the abort."""
        try:
            await session.with_transaction(work)
        except PyMongoError as error:
            if isinstance(error, ConnectionFailure) or error.timeout:
                self._abandoned.append(session.session_id)
            raise

    @translate_errors
    async def release(self) -> None:
        for session_id in list(self._abandoned):
            with suppress(OperationFailure):  # a server that knows no such command, or session, ends it in its own time
                await self._client.admin.command("killSessions", [session_id])
            self._abandoned.remove(session_id)

    @translate_errors
    async def window(self, group_id: str, after: int, up_to: int) -> list[Row]:
        found = self._messages.find({"groupId": ObjectId(group_id), "seq": {"$gt": after, "$lte": up_to}})
        rows = [_row(document) for document in await found.to_list()]
        rows.sort(key=lambda row: row.seq)
        return rows

    @translate_errors
    async def by_ids(self, ids: Iterable[str]) -> dict[str, Row]:
        wanted = [ObjectId(id_) for id_ in ids]
        if not wanted:
            return {}
        rows = [_row(document) for document in await self._confirmed.find({"_id": {"$in": wanted}}).to_list()]
        return {row.id: row for row in rows}

    @translate_errors
    async def erase_group(self, group_id: str, after: int, up_to: int) -> None:
        await self._messages.delete_many({"groupId": ObjectId(group_id), "seq": {"$gt": after, "$lte": up_to}})

    def content_replaced(self, row: Row) -> Change:
        assert row.sealed is not None
        fields = {
            "sealed": _sealed_document(row.sealed),
            "rev": row.rev,
            "mentions": list(row.mentions),
            "editedAt": row.updated_at,
            "mark": _mark_document(row.mark),
        }

        of_message = {"_id": ObjectId(row.id)}

        async def change(session: AsyncClientSession, _: Sequence[Row]) -> None:
            same = of_message | {"rev": row.rev - 1, "isDeleted": False}
            outcome = await self._messages.update_one(same, {"$set": fields} | WITHOUT_VECTOR, session=session)
            if outcome.matched_count == 0:
                raise Conflict(OVERTAKEN)
            await self._vectors.delete_one(of_message, session=session)

        return change

    def marked_deleted(self, row: Row, erase_at: datetime) -> Change:
        async def change(session: AsyncClientSession, _: Sequence[Row]) -> None:
            fields = {"isDeleted": True, "editedAt": row.updated_at, "mark": _mark_document(row.mark)}
            there = {"_id": ObjectId(row.id), "isDeleted": False}
            outcome = await self._messages.update_one(there, {"$set": fields} | WITHOUT_VECTOR, session=session)
            if outcome.matched_count == 0:
                raise Conflict(OVERTAKEN)
            await self._erasures.insert_one({"_id": ObjectId(row.id), "dueAt": erase_at}, session=session)
            await self._vectors.delete_one({"_id": ObjectId(row.id)}, session=session)

        return change

    def restored(self, row: Row) -> Change:
        async def change(session: AsyncClientSession, _: Sequence[Row]) -> None:
            if (await self._erasures.delete_one({"_id": ObjectId(row.id)}, session=session)).deleted_count == 0:
                raise Conflict(GONE)
            fields = {"isDeleted": False, "editedAt": row.updated_at, "mark": _mark_document(row.mark)}
            there = {"_id": ObjectId(row.id), "isDeleted": True}
            outcome = await self._messages.update_one(there, {"$set": fields}, session=session)
            if outcome.matched_count == 0:
                raise Conflict(GONE)

        return change

    def reaction_counted(self, message_id: str, emoji: str, before: int, step: int) -> Change:
        async def change(session: AsyncClientSession, _: Sequence[Row]) -> None:
            counter = f"reactions.{emoji}"
            same = {"_id": ObjectId(message_id), counter: before or {"$in": [0, None]}}
            outcome = await self._messages.update_one(same, {"$inc": {counter: step}}, session=session)
            if outcome.matched_count == 0:
                raise Conflict(OVERTAKEN)

        return change

    @translate_errors
    async def erase_due(self, now: datetime, limit: int = 100) -> int:
        due = await self._erasures.find({"dueAt": {"$lte": now}}).limit(limit).to_list()
        ids = [document["_id"] for document in due]
        if ids:
            await self._messages.update_many({"_id": {"$in": ids}}, {"$unset": {"sealed": "", "mentions": ""}})
            await self._erasures.delete_many({"_id": {"$in": ids}})
        return len(ids)


def _document(row: Row) -> Document:
    document: Document = {
        "_id": ObjectId(row.id),
        "groupId": ObjectId(row.group_id),
        "seq": row.seq,
        "n": row.n,
        "p": row.p,
        "kind": row.kind,
        "senderId": row.sender_id,
        "createdAt": row.created_at,
    }
    if row.kind == "message":
        document |= {"type": row.type, "rev": row.rev, "isDeleted": row.is_deleted}
    if row.sealed is not None:
        document["sealed"] = _sealed_document(row.sealed)
    optional: Document = {
        "fp": row.fingerprint,
        "replyTo": row.reply_to and ObjectId(row.reply_to),
        "mediaId": row.media_id and ObjectId(row.media_id),
        "mentions": list(row.mentions),
        "mark": _mark_document(row.mark),
        "data": row.data,
    }
    return document | {name: value for name, value in optional.items() if value}


def _sealed_document(sealed: Sealed) -> Document:
    return {"v": sealed.v, "kv": sealed.kv, "n": sealed.n, "ct": sealed.ct}


def _mark_document(mark: Mark | None) -> Document | None:
    return {"a": mark.action, "c": mark.category, "d": ObjectId(mark.decision_id)} if mark is not None else None


def _row(document: Document) -> Row:
    """From a document with times without a zone."""
    get = document.get
    sealed, reply_to, media_id, edited_at = get("sealed"), get("replyTo"), get("mediaId"), get("editedAt")
    mark = get("mark")
    return Row(
        id=str(document["_id"]),
        group_id=str(document["groupId"]),
        kind=document["kind"],
        sender_id=document["senderId"],
        created_at=document["createdAt"].replace(tzinfo=UTC),
        seq=document["seq"],
        n=document["n"],
        p=document["p"],
        type=get("type", ""),
        sealed=Sealed(sealed["v"], sealed["kv"], sealed["n"], sealed["ct"]) if sealed else None,
        rev=get("rev", 0),
        fingerprint=get("fp", b""),
        reply_to=str(reply_to) if reply_to else None,
        media_id=str(media_id) if media_id else None,
        mentions=tuple(get("mentions", ())),
        reactions={emoji: count for emoji, count in get("reactions", NOTHING).items() if count > 0},
        is_deleted=get("isDeleted", False),
        updated_at=edited_at.replace(tzinfo=UTC) if edited_at else None,
        mark=Mark(mark["a"], mark["c"], str(mark["d"])) if mark else None,
        data=get("data") or {},
    )


class MemoryJournalStore:
    """The same promises without a database: for tests in milliseconds. Keeps nothing."""

    def __init__(self) -> None:
        self._logs: dict[str, dict[int, Row]] = {}
        self._by_id: dict[str, Row] = {}
        self._due: dict[str, datetime] = {}
        self._one_writer = asyncio.Lock()

    def _clash(self, row: Row) -> Any:
        if row.id in self._by_id:
            return "id"
        return "seq" if row.seq in self._logs.get(row.group_id, {}) else None

    def _put(self, row: Row) -> None:
        self._logs.setdefault(row.group_id, {})[row.seq] = row
        self._by_id[row.id] = row

    async def insert(self, rows: Sequence[Row]) -> Inserted:
        async with self._one_writer:
            await asyncio.sleep(0)
            for index, row in enumerate(rows):
                if clash := self._clash(row):
                    return Inserted(index, clash)
                self._put(row)
            return Inserted(len(rows))

    async def transact(self, rows: Sequence[Row], changes: Sequence[Change], *, claim: bool = False) -> None:
        async with self._one_writer:
            for row in rows:
                if clash := self._clash(row):
                    raise IdTaken(self._by_id[row.id]) if clash == "id" else SeqTaken
            for change in changes:
                await change(None, rows)
            for row in rows:
                self._put(row)

    async def release(self) -> None:
        return None

    async def window(self, group_id: str, after: int, up_to: int) -> list[Row]:
        log = self._logs.get(group_id, {})
        return [log[seq] for seq in range(after + 1, min(up_to, len(log) + after + 1) + 1) if seq in log]

    async def by_ids(self, ids: Iterable[str]) -> dict[str, Row]:
        return {id_: self._by_id[id_] for id_ in ids if id_ in self._by_id}

    async def erase_group(self, group_id: str, after: int, up_to: int) -> None:
        log = self._logs.get(group_id, {})
        for seq in [seq for seq in log if after < seq <= up_to]:
            del self._by_id[log.pop(seq).id]

    def _changed(self, message_id: str, **fields: Any) -> None:
        self._put(replace(self._by_id[message_id], **fields))

    def content_replaced(self, row: Row) -> Change:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            kept = self._by_id[row.id]
            if kept.rev != row.rev - 1 or kept.is_deleted:
                raise Conflict(OVERTAKEN)
            fields = {"sealed": row.sealed, "rev": row.rev, "mentions": row.mentions, "updated_at": row.updated_at}
            self._changed(row.id, **fields, mark=row.mark)

        return change

    def marked_deleted(self, row: Row, erase_at: datetime) -> Change:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            if self._by_id[row.id].is_deleted:
                raise Conflict(OVERTAKEN)
            self._changed(row.id, is_deleted=True, updated_at=row.updated_at, mark=row.mark)
            self._due[row.id] = erase_at

        return change

    def restored(self, row: Row) -> Change:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            if self._due.pop(row.id, None) is None or not self._by_id[row.id].is_deleted:
                raise Conflict(GONE)
            self._changed(row.id, is_deleted=False, updated_at=row.updated_at, mark=row.mark)

        return change

    def reaction_counted(self, message_id: str, emoji: str, before: int, step: int) -> Change:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            counts = dict(self._by_id[message_id].reactions)
            if counts.get(emoji, 0) != before:
                raise Conflict(OVERTAKEN)
            counts[emoji] = counts.get(emoji, 0) + step
            self._changed(message_id, reactions={name: count for name, count in counts.items() if count > 0})

        return change

    async def erase_due(self, now: datetime, limit: int = 100) -> int:
        due = [id_ for id_, moment in self._due.items() if moment <= now][:limit]
        for id_ in due:
            del self._due[id_]
            if id_ in self._by_id:
                self._changed(id_, sealed=None, mentions=())
        return len(due)
