"""Subscriptions in MongoDB (`push_subscriptions`), and their twin in memory."""

from collections.abc import Iterable
from typing import Any

from bson import Binary, ObjectId
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from chatcore.mongo import Index, translate_errors
from chatcore.push.records import PushStore, Subscription

INDEXES = (Index("push_subscriptions", (("userId", 1),)),)
Document = dict[str, Any]


class MongoPushStore:
    def __init__(self, database: AsyncDatabase[Document]):
        self._rows = database["push_subscriptions"]

    @translate_errors
    async def save(self, subscription: Subscription) -> bool:
        document = _document(subscription)
        mine = {"userId": document["userId"]}
        same_keys = {"point": document["point"], "secret": document["secret"]}
        try:
            await self._rows.replace_one({"_id": document["_id"], "$or": [mine, same_keys]}, document, upsert=True)
        except DuplicateKeyError:
            return False
        return True

    @translate_errors
    async def find(self, subscription_id: str) -> Subscription | None:
        row = await self._rows.find_one({"_id": ObjectId(subscription_id)})
        return None if row is None else _subscription(row)

    @translate_errors
    async def of_people(self, user_ids: Iterable[str]) -> list[Subscription]:
        found = await self._rows.find({"userId": {"$in": list(user_ids)}}).to_list()
        return sorted((_subscription(row) for row in found), key=_age)

    @translate_errors
    async def remove(self, user_id: str, subscription_ids: Iterable[str]) -> int:
        chosen = [ObjectId(subscription_id) for subscription_id in subscription_ids]
        return (await self._rows.delete_many({"_id": {"$in": chosen}, "userId": user_id})).deleted_count

    @translate_errors
    async def remove_session(self, user_id: str, session_id: str | None) -> None:
        only = {} if session_id is None else {"sessionId": session_id}
        await self._rows.delete_many({"userId": user_id, **only})


class MemoryPushStore:
    """The same promises without a database."""

    def __init__(self) -> None:
        self._rows: dict[str, Subscription] = {}

    async def save(self, subscription: Subscription) -> bool:
        there = self._rows.get(subscription.id)
        if there is not None and _is_anothers(there, subscription):
            return False
        self._rows[subscription.id] = subscription
        return True

    async def find(self, subscription_id: str) -> Subscription | None:
        return self._rows.get(subscription_id)

    async def of_people(self, user_ids: Iterable[str]) -> list[Subscription]:
        wanted = set(user_ids)
        return sorted((row for row in self._rows.values() if row.user_id in wanted), key=_age)

    async def remove(self, user_id: str, subscription_ids: Iterable[str]) -> int:
        mine = [each for each in set(subscription_ids) if each in self._rows and self._rows[each].user_id == user_id]
        for each in mine:
            del self._rows[each]
        return len(mine)

    async def remove_session(self, user_id: str, session_id: str | None) -> None:
        for row in list(self._rows.values()):
            if row.user_id == user_id and session_id in (None, row.session_id):
                del self._rows[row.id]


def _is_anothers(there: Subscription, new: Subscription) -> bool:
    return there.user_id != new.user_id and (there.point, there.secret) != (new.point, new.secret)


def _age(subscription: Subscription) -> tuple[float, str]:
    return subscription.created_at.timestamp(), subscription.id


def _document(subscription: Subscription) -> Document:
    return {
        "_id": ObjectId(subscription.id),
        "userId": subscription.user_id,
        "sessionId": subscription.session_id,
        "endpoint": subscription.endpoint,
        "point": Binary(subscription.point),
        "secret": Binary(subscription.secret),
        "scope": subscription.scope,
        "createdAt": subscription.created_at,
    }


def _subscription(row: Document) -> Subscription:
    return Subscription(
        id=str(row["_id"]),
        user_id=row["userId"],
        session_id=row["sessionId"],
        endpoint=row["endpoint"],
        point=bytes(row["point"]),
        secret=bytes(row["secret"]),
        scope=row["scope"],
        created_at=row["createdAt"],
    )


__all__ = ["INDEXES", "MemoryPushStore", "MongoPushStore", "PushStore"]
