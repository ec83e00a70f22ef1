"""Sanctions, reviews and appeals in MongoDB, and their twin in memory."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from chatcore.errors import Conflict, Unavailable
from chatcore.moderation.records import Appeal, AppealState, Review, ReviewState, Sanction
from chatcore.mongo import Index, translate_errors
from chatcore.vault.envelope import Sealed

PASS_SECONDS = 90 * 86_400
INDEXES = (
    Index("sanctions", (("groupId", 1),)),
    Index("sanctions", (("userId", 1),)),
    Index("sanctions", (("dueAt", 1),)),
    Index("reviews", (("messageId", 1),), unique=True),
    Index("reviews", (("state", 1), ("order", 1))),
    Index("reviews", (("groupId", 1),)),
    Index("reviews", (("userId", 1),)),
    Index("appeals", (("decisionId", 1),), unique=True),
    Index("appeals", (("state", 1), ("order", 1))),
    Index("appeals", (("userId", 1), ("order", 1))),
    Index("appeals", (("groupId", 1),)),
    Index("moderation_passes", (("at", 1),), expire_after_seconds=PASS_SECONDS),
)
UPDATE_ATTEMPTS = 8
RESOLVED = "Somebody resolved this in the meantime"
Document = dict[str, Any]
Change = Callable[[Any, Sequence[Any]], Awaitable[None]]
"""As the journal's: a write in a transaction that the journal opens."""


class ModerationStore(Protocol):
    async def add_sanction(self, sanction: Sanction) -> None: ...
    async def find_sanction(self, decision_id: str) -> Sanction | None: ...
    async def erase_due(self, now: datetime) -> None:
        """Remove the text of sanctions whose retention has passed."""
        ...

    async def add_review(self, news: Review) -> Review:
        """The one review of that message, with the news in it; opened again by a report or another flag."""
        ...

    async def find_review(self, review_id: str) -> Review | None: ...
    async def reviews(self, state: ReviewState, limit: int, after: str = "") -> list[Review]:
        """Oldest first, after this `order`."""
        ...

    async def assign(self, review_id: str, assignee: str, *, held_by: str) -> Review | None:
        """None where it is resolved, or not in the hands of `held_by` ("" for nobody) any more."""
        ...

    async def add_appeal(self, appeal: Appeal) -> Appeal:
        """The one appeal against that decision: a repeat gives the first."""
        ...

    async def find_appeal(self, appeal_id: str) -> Appeal | None: ...
    async def appeal_against(self, decision_id: str) -> Appeal | None: ...
    async def appeals(self, state: AppealState, limit: int, after: str = "") -> list[Appeal]:
        """Oldest first."""
        ...

    async def appeals_of(self, user_id: str, limit: int, after: str = "") -> list[Appeal]:
        """Oldest first."""
        ...

    async def has_pass(self, mark: str) -> bool: ...
    async def erase_group(self, group_id: str, message_ids: Sequence[str] = ()) -> None: ...
    async def erase_user(self, user_id: str) -> None: ...
    def sanction_added(self, sanction: Sanction) -> Change: ...
    def sanction_undone(self, decision_id: str) -> Change:
        """Conflict where it does not stand any more."""
        ...

    def review_resolved(self, review: Review) -> Change:
        """Conflict where it is resolved already."""
        ...

    def appeal_resolved(self, appeal: Appeal) -> Change:
        """Conflict where it is resolved already."""
        ...

    def pass_added(self, mark: str, at: datetime) -> Change:
        """This very text of this person may stand in this group."""
        ...


def with_news(kept: Review, news: Review) -> Review:
    """What becomes of a review when something new is told of its message."""
    rank = {"sample": 0, "unchecked": 1, "flag": 2, "report": 3}
    merged = replace(kept, reports=kept.reports + news.reports)
    if rank[news.source] > rank[kept.source]:
        merged = replace(merged, source=news.source)
    if news.decision_id:
        told = {"decision_id": news.decision_id, "category": news.category, "action": news.action, "score": news.score}
        merged = replace(merged, **told)  # type: ignore[arg-type]
    if kept.state == "resolved" and news.source in ("flag", "report"):
        merged = replace(merged, state="open", assignee="", resolution=None, resolved_by="", resolved_at=None, note="")
    return merged


class MongoModerationStore:
    def __init__(self, database: AsyncDatabase[Document]):
        self._sanctions = database["sanctions"]
        self._reviews = database["reviews"]
        self._appeals = database["appeals"]
        self._passes = database["moderation_passes"]

    # --- sanctions

    @translate_errors
    async def add_sanction(self, sanction: Sanction) -> None:
        await self._sanctions.insert_one(_sanction_document(sanction))

    @translate_errors
    async def find_sanction(self, decision_id: str) -> Sanction | None:
        found = await self._sanctions.find_one({"_id": ObjectId(decision_id)})
        return _sanction(found) if found else None

    @translate_errors
    async def erase_due(self, now: datetime) -> None:
        await self._sanctions.update_many({"dueAt": {"$lte": now}}, {"$unset": {"sealed": "", "dueAt": ""}})

    def sanction_added(self, sanction: Sanction) -> Change:
        async def change(session: AsyncClientSession, _: Sequence[Any]) -> None:
            await self._sanctions.insert_one(_sanction_document(sanction), session=session)

        return change

    def sanction_undone(self, decision_id: str) -> Change:
        async def change(session: AsyncClientSession, _: Sequence[Any]) -> None:
            there = {"_id": ObjectId(decision_id), "state": "standing"}
            outcome = await self._sanctions.update_one(there, {"$set": {"state": "undone"}}, session=session)
            if outcome.matched_count == 0:
                raise Conflict(RESOLVED)

        return change

    # --- reviews

    @translate_errors
    async def add_review(self, news: Review) -> Review:
        same = {"messageId": ObjectId(news.message_id)}
        for _ in range(UPDATE_ATTEMPTS):
            found = await self._reviews.find_one(same)
            if found is None:
                try:
                    await self._reviews.insert_one(_review_document(news) | {"rev": 0})
                except DuplicateKeyError:
                    continue
                return news
            merged = with_news(_review(found), news)
            fields = {name: value for name, value in _review_document(merged).items() if name != "_id"}
            unchanged = {"_id": found["_id"], "rev": found["rev"]}
            outcome = await self._reviews.update_one(unchanged, {"$set": fields | {"rev": found["rev"] + 1}})
            if outcome.matched_count:
                return merged
        raise Unavailable("Too much happens to this review at once; try again")

    @translate_errors
    async def find_review(self, review_id: str) -> Review | None:
        found = await self._reviews.find_one({"_id": ObjectId(review_id)})
        return _review(found) if found else None

    @translate_errors
    async def reviews(self, state: ReviewState, limit: int, after: str = "") -> list[Review]:
        found = self._reviews.find(_page({"state": state}, after)).sort("order", 1).limit(limit)
        return [_review(document) for document in await found.to_list()]

    @translate_errors
    async def assign(self, review_id: str, assignee: str, *, held_by: str) -> Review | None:
        held = {"_id": ObjectId(review_id), "state": {"$in": ["open", "assigned"]}, "assignee": held_by}
        state = "assigned" if assignee else "open"
        change = {"$set": {"assignee": assignee, "state": state}, "$inc": {"rev": 1}}
        outcome = await self._reviews.update_one(held, change)
        return await self.find_review(review_id) if outcome.matched_count else None

    def review_resolved(self, review: Review) -> Change:
        async def change(session: AsyncClientSession, _: Sequence[Any]) -> None:
            there = {"_id": ObjectId(review.id), "state": {"$in": ["open", "assigned"]}}
            fields = {
                "state": "resolved",
                "resolution": review.resolution,
                "resolvedBy": review.resolved_by,
                "resolvedAt": review.resolved_at,
                "note": review.note,
            }
            outcome = await self._reviews.update_one(there, {"$set": fields, "$inc": {"rev": 1}}, session=session)
            if outcome.matched_count == 0:
                raise Conflict(RESOLVED)

        return change

    # --- appeals

    @translate_errors
    async def add_appeal(self, appeal: Appeal) -> Appeal:
        try:
            await self._appeals.insert_one(_appeal_document(appeal))
        except DuplicateKeyError:
            kept = await self.appeal_against(appeal.decision_id)
            assert kept is not None
            return kept
        return appeal

    @translate_errors
    async def find_appeal(self, appeal_id: str) -> Appeal | None:
        found = await self._appeals.find_one({"_id": ObjectId(appeal_id)})
        return _appeal(found) if found else None

    @translate_errors
    async def appeal_against(self, decision_id: str) -> Appeal | None:
        found = await self._appeals.find_one({"decisionId": ObjectId(decision_id)})
        return _appeal(found) if found else None

    @translate_errors
    async def appeals(self, state: AppealState, limit: int, after: str = "") -> list[Appeal]:
        found = self._appeals.find(_page({"state": state}, after)).sort("order", 1).limit(limit)
        return [_appeal(document) for document in await found.to_list()]

    @translate_errors
    async def appeals_of(self, user_id: str, limit: int, after: str = "") -> list[Appeal]:
        found = self._appeals.find(_page({"userId": user_id}, after)).sort("order", 1).limit(limit)
        return [_appeal(document) for document in await found.to_list()]

    def appeal_resolved(self, appeal: Appeal) -> Change:
        async def change(session: AsyncClientSession, _: Sequence[Any]) -> None:
            fields = {
                "state": appeal.state,
                "resolvedBy": appeal.resolved_by,
                "resolvedAt": appeal.resolved_at,
                "note": appeal.note,
            }
            there = {"_id": ObjectId(appeal.id), "state": "open"}
            outcome = await self._appeals.update_one(there, {"$set": fields}, session=session)
            if outcome.matched_count == 0:
                raise Conflict(RESOLVED)

        return change

    # --- passes, and the end of things

    @translate_errors
    async def has_pass(self, mark: str) -> bool:
        return await self._passes.find_one({"_id": mark}) is not None

    def pass_added(self, mark: str, at: datetime) -> Change:
        async def change(session: AsyncClientSession, _: Sequence[Any]) -> None:
            await self._passes.update_one({"_id": mark}, {"$set": {"at": at}}, upsert=True, session=session)

        return change

    @translate_errors
    async def erase_group(self, group_id: str, message_ids: Sequence[str] = ()) -> None:
        for collection in (self._sanctions, self._reviews, self._appeals):
            await collection.delete_many({"groupId": ObjectId(group_id)})

    @translate_errors
    async def erase_user(self, user_id: str) -> None:
        for collection in (self._sanctions, self._reviews, self._appeals):
            await collection.delete_many({"userId": user_id})


def _page(query: Document, after: str) -> Document:
    return query | {"order": {"$gt": after}} if after else query


def _sanction_document(sanction: Sanction) -> Document:
    document: Document = {
        "_id": ObjectId(sanction.decision_id),
        "deed": sanction.deed,
        "kind": sanction.kind,
        "groupId": ObjectId(sanction.group_id),
        "userId": sanction.user_id,
        "category": sanction.category,
        "createdAt": sanction.created_at,
        "dueAt": sanction.due_at,
        "state": sanction.state,
    }
    if sanction.message_id:
        document["messageId"] = ObjectId(sanction.message_id)
    if (sealed := sanction.sealed) is not None:
        document["sealed"] = {"v": sealed.v, "kv": sealed.kv, "n": sealed.n, "ct": sealed.ct}
    return document


def _sanction(row: Document) -> Sanction:
    sealed = row.get("sealed")
    return Sanction(
        decision_id=str(row["_id"]),
        deed=row["deed"],
        kind=row["kind"],
        group_id=str(row["groupId"]),
        user_id=row["userId"],
        message_id=str(row.get("messageId", "")),
        category=row["category"],
        sealed=Sealed(sealed["v"], sealed["kv"], bytes(sealed["n"]), bytes(sealed["ct"])) if sealed else None,
        created_at=row["createdAt"],
        due_at=row["dueAt"] if "dueAt" in row else row["createdAt"],
        state=row["state"],
    )


def _review_document(review: Review) -> Document:
    document = {
        "_id": ObjectId(review.id),
        "messageId": ObjectId(review.message_id),
        "groupId": ObjectId(review.group_id),
        "userId": review.user_id,
        "source": review.source,
        "createdAt": review.created_at,
        "order": review.order,
        "category": review.category,
        "action": review.action,
        "score": review.score,
        "reports": review.reports,
        "state": review.state,
        "assignee": review.assignee,
        "resolution": review.resolution,
        "resolvedBy": review.resolved_by,
        "resolvedAt": review.resolved_at,
        "note": review.note,
    }
    return document | ({"decisionId": ObjectId(review.decision_id)} if review.decision_id else {})


def _review(row: Document) -> Review:
    return Review(
        id=str(row["_id"]),
        message_id=str(row["messageId"]),
        group_id=str(row["groupId"]),
        user_id=row["userId"],
        source=row["source"],
        created_at=row["createdAt"],
        decision_id=str(row.get("decisionId", "")),
        category=row["category"],
        action=row["action"],
        score=row["score"],
        reports=row["reports"],
        state=row["state"],
        assignee=row["assignee"],
        resolution=row["resolution"],
        resolved_by=row["resolvedBy"],
        resolved_at=row["resolvedAt"],
        note=row["note"],
    )


def _appeal_document(appeal: Appeal) -> Document:
    return {
        "_id": ObjectId(appeal.id),
        "decisionId": ObjectId(appeal.decision_id),
        "groupId": ObjectId(appeal.group_id),
        "userId": appeal.user_id,
        "reason": appeal.reason,
        "createdAt": appeal.created_at,
        "order": appeal.order,
        "state": appeal.state,
        "resolvedBy": appeal.resolved_by,
        "resolvedAt": appeal.resolved_at,
        "note": appeal.note,
    }


def _appeal(row: Document) -> Appeal:
    return Appeal(
        id=str(row["_id"]),
        decision_id=str(row["decisionId"]),
        group_id=str(row["groupId"]),
        user_id=row["userId"],
        reason=row["reason"],
        created_at=row["createdAt"],
        state=row["state"],
        resolved_by=row["resolvedBy"],
        resolved_at=row["resolvedAt"],
        note=row["note"],
    )


class MemoryModerationStore:
    """The same promises without a database."""

    def __init__(self) -> None:
        self._sanctions: dict[str, Sanction] = {}
        self._reviews: dict[str, Review] = {}
        self._appeals: dict[str, Appeal] = {}
        self._passes: set[str] = set()

    async def add_sanction(self, sanction: Sanction) -> None:
        self._sanctions[sanction.decision_id] = sanction

    async def find_sanction(self, decision_id: str) -> Sanction | None:
        return self._sanctions.get(decision_id)

    async def erase_due(self, now: datetime) -> None:
        for sanction in [each for each in self._sanctions.values() if each.due_at <= now]:
            self._sanctions[sanction.decision_id] = replace(sanction, sealed=None)

    async def add_review(self, news: Review) -> Review:
        kept = next((each for each in self._reviews.values() if each.message_id == news.message_id), None)
        merged = with_news(kept, news) if kept else news
        self._reviews[merged.id] = merged
        return merged

    async def find_review(self, review_id: str) -> Review | None:
        return self._reviews.get(review_id)

    async def reviews(self, state: ReviewState, limit: int, after: str = "") -> list[Review]:
        found = [review for review in self._reviews.values() if review.state == state and review.order > after]
        return sorted(found, key=lambda review: review.order)[:limit]

    async def assign(self, review_id: str, assignee: str, *, held_by: str) -> Review | None:
        review = self._reviews.get(review_id)
        if review is None or review.state == "resolved" or review.assignee != held_by:
            return None
        self._reviews[review_id] = replace(review, assignee=assignee, state="assigned" if assignee else "open")
        return self._reviews[review_id]

    async def add_appeal(self, appeal: Appeal) -> Appeal:
        kept = await self.appeal_against(appeal.decision_id)
        return kept or self._appeals.setdefault(appeal.id, appeal)

    async def find_appeal(self, appeal_id: str) -> Appeal | None:
        return self._appeals.get(appeal_id)

    async def appeal_against(self, decision_id: str) -> Appeal | None:
        return next((appeal for appeal in self._appeals.values() if appeal.decision_id == decision_id), None)

    async def appeals(self, state: AppealState, limit: int, after: str = "") -> list[Appeal]:
        found = [appeal for appeal in self._appeals.values() if appeal.state == state and appeal.order > after]
        return sorted(found, key=lambda appeal: appeal.order)[:limit]

    async def appeals_of(self, user_id: str, limit: int, after: str = "") -> list[Appeal]:
        found = [appeal for appeal in self._appeals.values() if appeal.user_id == user_id and appeal.order > after]
        return sorted(found, key=lambda appeal: appeal.order)[:limit]

    async def has_pass(self, mark: str) -> bool:
        return mark in self._passes

    async def erase_group(self, group_id: str, message_ids: Sequence[str] = ()) -> None:
        self._keep(lambda each: each.group_id != group_id)

    async def erase_user(self, user_id: str) -> None:
        self._keep(lambda each: each.user_id != user_id)

    def _keep(self, wanted: Callable[[Any], bool]) -> None:
        self._sanctions = {id_: each for id_, each in self._sanctions.items() if wanted(each)}
        self._reviews = {id_: each for id_, each in self._reviews.items() if wanted(each)}
        self._appeals = {id_: each for id_, each in self._appeals.items() if wanted(each)}

    def sanction_added(self, sanction: Sanction) -> Change:
        async def change(_: Any, rows: Sequence[Any]) -> None:
            self._sanctions[sanction.decision_id] = sanction

        return change

    def sanction_undone(self, decision_id: str) -> Change:
        async def change(_: Any, rows: Sequence[Any]) -> None:
            if self._sanctions[decision_id].state != "standing":
                raise Conflict(RESOLVED)
            self._sanctions[decision_id] = replace(self._sanctions[decision_id], state="undone")

        return change

    def review_resolved(self, review: Review) -> Change:
        async def change(_: Any, rows: Sequence[Any]) -> None:
            if self._reviews[review.id].state == "resolved":
                raise Conflict(RESOLVED)
            self._reviews[review.id] = review

        return change

    def appeal_resolved(self, appeal: Appeal) -> Change:
        async def change(_: Any, rows: Sequence[Any]) -> None:
            if self._appeals[appeal.id].state != "open":
                raise Conflict(RESOLVED)
            self._appeals[appeal.id] = appeal

        return change

    def pass_added(self, mark: str, at: datetime) -> Change:
        async def change(_: Any, rows: Sequence[Any]) -> None:
            self._passes.add(mark)

        return change
