"""Suggestions in MongoDB, and their twin in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from chatcore.ai.suggestions.records import SuggestionRecord
from chatcore.mongo import Index, translate_errors
from chatcore.vault.envelope import Sealed

KEPT_DAYS: Final = 90
INDEXES = (
    Index("ai_suggestions", (("decisionId", 1), ("place", 1)), unique=True),
    Index("ai_suggestions", (("groupId", 1),)),
    Index("ai_suggestions", (("userId", 1),)),
    Index("ai_suggestions", (("at", 1),), expire_after_seconds=KEPT_DAYS * 86_400),
)
Document = dict[str, Any]


class MongoSuggestionStore:
    def __init__(self, database: AsyncDatabase[Document]):
        self._rows = database["ai_suggestions"]

    @translate_errors
    async def add(self, suggestions: Sequence[SuggestionRecord]) -> None:
        if suggestions:
            await self._rows.insert_many([_document(each) for each in suggestions], ordered=False)

    @translate_errors
    async def find(self, suggestion_id: str) -> SuggestionRecord | None:
        row = await self._rows.find_one({"_id": ObjectId(suggestion_id)})
        return _record(row) if row is not None else None

    @translate_errors
    async def of_decision(self, decision_id: str) -> list[SuggestionRecord]:
        rows = await self._rows.find({"decisionId": ObjectId(decision_id)}).to_list()
        return sorted(map(_record, rows), key=lambda each: each.place)

    @translate_errors
    async def rate(self, suggestion_id: str, rating: str, at: datetime, feedback: Sealed | None) -> None:
        one = {"_id": ObjectId(suggestion_id)}
        await self._rows.update_one(one, {"$min": {f"ratings.{rating}": at}})
        if feedback is not None:
            await self._rows.update_one(one, {"$set": {"feedback": _sealed(feedback)}})

    @translate_errors
    async def of_user(self, user_id: str) -> list[SuggestionRecord]:
        return [_record(row) for row in await self._rows.find({"userId": user_id}).to_list()]

    @translate_errors
    async def erase_group(self, group_id: str) -> None:
        await self._rows.delete_many({"groupId": ObjectId(group_id)})

    @translate_errors
    async def erase_user(self, user_id: str) -> None:
        await self._rows.delete_many({"userId": user_id})


def _document(suggestion: SuggestionRecord) -> Document:
    return {
        "_id": ObjectId(suggestion.suggestion_id),
        "decisionId": ObjectId(suggestion.decision_id),
        "kind": suggestion.kind,
        "place": suggestion.place,
        "userId": suggestion.user_id,
        "groupId": ObjectId(suggestion.group_id),
        "prompt": suggestion.prompt,
        "arm": suggestion.arm,
        "at": suggestion.at,
        "ratings": dict(suggestion.ratings),
    }


def _record(row: Document) -> SuggestionRecord:
    feedback = row.get("feedback")
    return SuggestionRecord(
        suggestion_id=str(row["_id"]),
        decision_id=str(row["decisionId"]),
        kind=row["kind"],
        place=row["place"],
        user_id=row["userId"],
        group_id=str(row["groupId"]),
        prompt=row["prompt"],
        arm=row["arm"],
        at=row["at"],
        ratings=row["ratings"],
        feedback=Sealed(**feedback) if feedback is not None else None,
    )


def _sealed(sealed: Sealed) -> Document:
    return {"v": sealed.v, "kv": sealed.kv, "n": sealed.n, "ct": sealed.ct}


class MemorySuggestionStore:
    """The same promises without a database."""

    def __init__(self) -> None:
        self._rows: dict[str, SuggestionRecord] = {}

    async def add(self, suggestions: Sequence[SuggestionRecord]) -> None:
        self._rows |= {each.suggestion_id: each for each in suggestions}

    async def find(self, suggestion_id: str) -> SuggestionRecord | None:
        return self._rows.get(suggestion_id)

    async def of_decision(self, decision_id: str) -> list[SuggestionRecord]:
        found = [each for each in self._rows.values() if each.decision_id == decision_id]
        return sorted(found, key=lambda each: each.place)

    async def rate(self, suggestion_id: str, rating: str, at: datetime, feedback: Sealed | None) -> None:
        row = self._rows.get(suggestion_id)
        if row is not None:
            first = min(at, row.ratings.get(rating, at))
            ratings, kept = {**row.ratings, rating: first}, feedback if feedback is not None else row.feedback
            self._rows[suggestion_id] = replace(row, ratings=ratings, feedback=kept)

    async def of_user(self, user_id: str) -> list[SuggestionRecord]:
        return [each for each in self._rows.values() if each.user_id == user_id]

    async def erase_group(self, group_id: str) -> None:
        self._rows = {key: each for key, each in self._rows.items() if each.group_id != group_id}

    async def erase_user(self, user_id: str) -> None:
        self._rows = {key: each for key, each in self._rows.items() if each.user_id != user_id}
