"""Reactions, pins and reports in MongoDB, and their twin in memory. Messages themselves are in the journal."""

from collections.abc import Sequence
from typing import Any, Protocol

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from chatcore.errors import Conflict
from chatcore.journal.rows import Change, Row
from chatcore.messages.records import PinRecord, ReactionRecord, ReportRecord
from chatcore.mongo import Index, translate_errors

INDEXES = (
    Index("reactions", (("messageId", 1), ("userId", 1), ("emoji", 1)), unique=True),
    Index("pins", (("groupId", 1), ("messageId", 1)), unique=True),
    Index("reports", (("state", 1), ("createdAt", 1))),
    Index("reports", (("messageId", 1), ("reportedBy", 1)), unique=True),
)
Document = dict[str, Any]


class MessageStore(Protocol):
    async def has_reaction(self, reaction: ReactionRecord) -> bool: ...
    async def pins_of(self, group_id: str) -> list[PinRecord]:
        """Oldest first."""
        ...

    async def add_report(self, report: ReportRecord) -> str:
        """The report's id; a repeat by the same person gives the first one's."""
        ...

    async def erase(self, group_id: str, message_ids: Sequence[str]) -> None:
        """Reactions, pins and reports of these messages."""
        ...

    def reaction_added(self, reaction: ReactionRecord) -> Change: ...
    def reaction_removed(self, reaction: ReactionRecord) -> Change: ...
    def pinned(self, pin: PinRecord) -> Change: ...
    def unpinned(self, group_id: str, message_id: str) -> Change: ...


class MongoMessageStore:
    def __init__(self, database: AsyncDatabase[Document]):
        self._reactions = database["reactions"]
        self._pins = database["pins"]
        self._reports = database["reports"]

    @translate_errors
    async def has_reaction(self, reaction: ReactionRecord) -> bool:
        return await self._reactions.find_one(_reaction_key(reaction)) is not None

    @translate_errors
    async def pins_of(self, group_id: str) -> list[PinRecord]:
        rows = await self._pins.find({"groupId": ObjectId(group_id)}).to_list()
        pins = [PinRecord(group_id, str(row["messageId"]), row["pinnedBy"], row["createdAt"]) for row in rows]
        return sorted(pins, key=lambda pin: pin.created_at)

    @translate_errors
    async def add_report(self, report: ReportRecord) -> str:
        same = {"messageId": ObjectId(report.message_id), "reportedBy": report.reported_by}
        fresh = {
            "_id": ObjectId(report.id),
            "groupId": ObjectId(report.group_id),
            "reason": report.reason,
            "state": report.state,
            "createdAt": report.created_at,
        }
        await self._reports.update_one(same, {"$setOnInsert": fresh}, upsert=True)
        kept = await self._reports.find_one(same, {"_id": 1})
        assert kept is not None
        return str(kept["_id"])

    @translate_errors
    async def erase(self, group_id: str, message_ids: Sequence[str]) -> None:
        of_these = {"messageId": {"$in": [ObjectId(message_id) for message_id in message_ids]}}
        await self._reactions.delete_many(of_these)
        await self._reports.delete_many(of_these)
        await self._pins.delete_many({"groupId": ObjectId(group_id)} | of_these)

    def reaction_added(self, reaction: ReactionRecord) -> Change:
        async def change(session: AsyncClientSession, rows: Sequence[Row]) -> None:
            facts = {"groupId": ObjectId(reaction.group_id), "createdAt": reaction.created_at}
            await self._reactions.insert_one(_reaction_key(reaction) | facts, session=session)

        return change

    def reaction_removed(self, reaction: ReactionRecord) -> Change:
        async def change(session: AsyncClientSession, rows: Sequence[Row]) -> None:
            outcome = await self._reactions.delete_one(_reaction_key(reaction), session=session)
            if outcome.deleted_count == 0:
                raise Conflict("That reaction is gone already")

        return change

    def pinned(self, pin: PinRecord) -> Change:
        async def change(session: AsyncClientSession, rows: Sequence[Row]) -> None:
            document = {
                "groupId": ObjectId(pin.group_id),
                "messageId": ObjectId(pin.message_id),
                "pinnedBy": pin.pinned_by,
                "createdAt": pin.created_at,
            }
            await self._pins.insert_one(document, session=session)

        return change

    def unpinned(self, group_id: str, message_id: str) -> Change:
        async def change(session: AsyncClientSession, rows: Sequence[Row]) -> None:
            key = {"groupId": ObjectId(group_id), "messageId": ObjectId(message_id)}
            outcome = await self._pins.delete_one(key, session=session)
            if outcome.deleted_count == 0:
                raise Conflict("That message is not pinned any more")

        return change


def _reaction_key(reaction: ReactionRecord) -> Document:
    return {"messageId": ObjectId(reaction.message_id), "userId": reaction.user_id, "emoji": reaction.emoji}


class MemoryMessageStore:
    """The same promises without a database."""

    def __init__(self) -> None:
        self._reactions: dict[tuple[str, str, str], ReactionRecord] = {}
        self._pins: dict[tuple[str, str], PinRecord] = {}
        self._reports: dict[tuple[str, str], ReportRecord] = {}

    @staticmethod
    def _key(reaction: ReactionRecord) -> tuple[str, str, str]:
        return reaction.message_id, reaction.user_id, reaction.emoji

    async def has_reaction(self, reaction: ReactionRecord) -> bool:
        return self._key(reaction) in self._reactions

    async def pins_of(self, group_id: str) -> list[PinRecord]:
        return sorted((pin for pin in self._pins.values() if pin.group_id == group_id), key=lambda pin: pin.created_at)

    async def add_report(self, report: ReportRecord) -> str:
        return self._reports.setdefault((report.message_id, report.reported_by), report).id

    async def erase(self, group_id: str, message_ids: Sequence[str]) -> None:
        gone = set(message_ids)
        self._reactions = {key: each for key, each in self._reactions.items() if each.message_id not in gone}
        self._pins = {key: each for key, each in self._pins.items() if each.message_id not in gone}
        self._reports = {key: each for key, each in self._reports.items() if each.message_id not in gone}

    def reaction_added(self, reaction: ReactionRecord) -> Change:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            if self._key(reaction) in self._reactions:
                raise Conflict("That reaction is there already")
            self._reactions[self._key(reaction)] = reaction

        return change

    def reaction_removed(self, reaction: ReactionRecord) -> Change:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            if self._reactions.pop(self._key(reaction), None) is None:
                raise Conflict("That reaction is gone already")

        return change

    def pinned(self, pin: PinRecord) -> Change:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            self._pins[pin.group_id, pin.message_id] = pin

        return change

    def unpinned(self, group_id: str, message_id: str) -> Change:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            if self._pins.pop((group_id, message_id), None) is None:
                raise Conflict("That message is not pinned any more")

        return change
