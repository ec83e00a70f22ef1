"""The ledger in MongoDB (`ai_decisions`), and its twin in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final

from bson import ObjectId
from pymongo import DESCENDING
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError

from chatcore.ai.calls import Served
from chatcore.ai.ledger.records import Change, Decision, Query, StoredDecision
from chatcore.mongo import Index, translate_errors
from chatcore.vault.envelope import Sealed

Document = dict[str, Any]
INDEXES: Final = (
    Index("ai_decisions", (("at", 1),)),
    Index("ai_decisions", (("groupId", 1), ("at", 1))),
    Index("ai_decisions", (("person", 1), ("at", 1)), partial={"person": {"$gt": ""}}),
    Index("ai_decisions", (("expiresAt", 1),), expire_after_seconds=0),
)
OUTCOMES: Final = ("human", "appeal", "exposure")
_SERVED: Final = tuple(field.name for field in fields(Served))
_FIELDS: Final = {
    "feature": "feature",
    "message_id": "messageId",
    "seq": "seq",
    "user_id": "person",
    "prompt": "prompt",
    "parameters": "parameters",
    "scores": "scores",
    "thresholds_version": "thresholds",
    "action": "action",
    "mode": "mode",
    "arm": "arm",
    "at": "at",
    "replay_of": "replayOf",
    "shadow_of": "shadowOf",
    "input_sha256": "inputSha256",
    "human": "human",
    "appeal": "appeal",
    "exposure": "exposure",
}


class MongoLedgerStore:
    def __init__(self, database: AsyncDatabase[Document]):
        self._rows = database["ai_decisions"]

    @translate_errors
    async def add(self, rows: Sequence[StoredDecision]) -> None:
        try:
            await self._rows.insert_many([_document(row) for row in rows], ordered=False)
        except BulkWriteError:  # only duplicates come through: rows of an earlier try whose answer was lost
            return

    @translate_errors
    async def find(self, decision_id: str) -> StoredDecision | None:
        if not ObjectId.is_valid(decision_id):
            return None
        row = await self._rows.find_one({"_id": ObjectId(decision_id)})
        return _stored(row) if row else None

    @translate_errors
    async def window(self, query: Query) -> list[StoredDecision]:
        wanted: Document = {"at": {"$gte": query.since, "$lt": query.until}}
        if query.group_id:
            wanted["groupId"] = ObjectId(query.group_id)
        wanted |= {name: value for name, value in _exact(query).items() if value}
        rows = self._rows.find(wanted, {"input": 0, "output": 0}).sort([("at", DESCENDING)]).limit(query.limit)
        return [_stored(row) async for row in rows]

    @translate_errors
    async def of_person(self, person: str, limit: int) -> list[StoredDecision]:
        rows = self._rows.find({"person": person}, {"input": 0, "output": 0}).sort([("at", DESCENDING)]).limit(limit)
        return [_stored(row) async for row in rows]

    @translate_errors
    async def add_outcomes(self, decision_id: str, outcomes: Mapping[str, Mapping[str, Any]]) -> bool:
        if not ObjectId.is_valid(decision_id):
            return False
        change = {"$set": {name: dict(value) for name, value in outcomes.items()}}
        return bool((await self._rows.update_one({"_id": ObjectId(decision_id)}, change)).matched_count)

    def outcomes_added(self, decision_id: str, outcomes: Mapping[str, Mapping[str, Any]]) -> Change:
        async def change(session: AsyncClientSession, _: Sequence[Any]) -> None:
            fields = {"$set": {name: dict(value) for name, value in outcomes.items()}}
            await self._rows.update_one({"_id": ObjectId(decision_id)}, fields, session=session)

        return change

    @translate_errors
    async def erase_group(self, group_id: str) -> None:
        await self._rows.delete_many({"groupId": ObjectId(group_id)})

    @translate_errors
    async def erase_person(self, person: str) -> None:
        await self._rows.update_many({"person": person}, {"$unset": {"input": "", "output": "", "person": ""}})


class MemoryLedgerStore:
    def __init__(self) -> None:
        self.rows: dict[str, StoredDecision] = {}

    async def add(self, rows: Sequence[StoredDecision]) -> None:
        for row in rows:
            self.rows.setdefault(row.decision.decision_id, row)

    async def find(self, decision_id: str) -> StoredDecision | None:
        return self.rows.get(decision_id)

    async def window(self, query: Query) -> list[StoredDecision]:
        found = [row for row in self.rows.values() if _matches(row.decision, query)]
        found.sort(key=lambda row: row.decision.at, reverse=True)
        return [replace(row, input=None, output=None) for row in found[: query.limit]]

    async def of_person(self, person: str, limit: int) -> list[StoredDecision]:
        found = [replace(row, input=None, output=None) for row in self.rows.values() if row.decision.user_id == person]
        return sorted(found, key=lambda row: row.decision.at, reverse=True)[:limit]

    async def add_outcomes(self, decision_id: str, outcomes: Mapping[str, Mapping[str, Any]]) -> bool:
        row = self.rows.get(decision_id)
        if row is None:
            return False
        changed: dict[str, Any] = {name: dict(value) for name, value in outcomes.items()}
        self.rows[decision_id] = replace(row, decision=replace(row.decision, **changed))
        return True

    def outcomes_added(self, decision_id: str, outcomes: Mapping[str, Mapping[str, Any]]) -> Change:
        async def change(_: Any, rows: Sequence[Any]) -> None:
            await self.add_outcomes(decision_id, outcomes)

        return change

    async def erase_group(self, group_id: str) -> None:
        self.rows = {key: row for key, row in self.rows.items() if row.decision.group_id != group_id}

    async def erase_person(self, person: str) -> None:
        for key, row in self.rows.items():
            if person and row.decision.user_id == person:
                self.rows[key] = replace(row, input=None, output=None, decision=replace(row.decision, user_id=""))


def _exact(query: Query) -> dict[str, str]:
    return {"feature": query.feature, "prompt": query.prompt, "mode": query.mode}


def _matches(decision: Decision, query: Query) -> bool:
    exact = all(not value or getattr(decision, name) == value for name, value in _exact(query).items())
    return exact and query.since <= decision.at < query.until and query.group_id in ("", decision.group_id)


def _document(row: StoredDecision) -> Document:
    """Fields that say nothing are left out."""
    decision = row.decision
    kept = {stored: getattr(decision, name) for name, stored in _FIELDS.items()}
    document: Document = {
        "_id": ObjectId(decision.decision_id),
        **{name: _plain(value) for name, value in kept.items() if value not in ("", None, {})},
        "served": {name: getattr(decision.served, name) for name in _SERVED},
        "expiresAt": row.expires_at,
    }
    if decision.group_id:
        document["groupId"] = ObjectId(decision.group_id)
    for name, sealed in (("input", row.input), ("output", row.output)):
        if sealed is not None:
            document[name] = {"v": sealed.v, "kv": sealed.kv, "n": sealed.n, "ct": sealed.ct}
    return document


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _stored(row: Document) -> StoredDecision:
    fields = {name: row[stored] for name, stored in _FIELDS.items() if stored in row}
    decision = Decision(
        decision_id=str(row["_id"]),
        group_id=str(row["groupId"]) if "groupId" in row else "",
        served=Served(**row["served"]),
        **fields,
    )
    return StoredDecision(decision, _sealed(row.get("input")), _sealed(row.get("output")), row["expiresAt"])


def _sealed(part: Document | None) -> Sealed | None:
    return Sealed(v=part["v"], kv=part["kv"], n=bytes(part["n"]), ct=bytes(part["ct"])) if part else None
