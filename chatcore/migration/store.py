"""Reads the original's database. Nothing is ever written to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError, InvalidURI

from chatcore.errors import Invalid
from chatcore.migration.records import (
    OriginalGroup,
    OriginalMessage,
    OriginalUser,
    group_of,
    message_of,
    user_of,
)
from chatcore.mongo import translate_errors

BATCH = 500
SCAN = "scan: all of the original's data, once"
SELECTION_MS, OPERATION_MS = 10_000, 60_000
# The original kept vectors of another model in clear; they are of no use here and large.
WITHOUT_VECTOR = {"vectorEmbedding": 0}


class OriginalStore:
    """Raises Unavailable where the database does not answer."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]]):
        self._users = database["users"]
        self._groups = database["groups"]
        self._messages = database["messages"]
        self._meta = database["meta"]

    @translate_errors
    async def is_chatcore(self) -> bool:
        """Whether this is a database of ours, whose collections bear the same names."""
        return await self._meta.find_one({"_id": "salt"}) is not None

    @translate_errors
    async def users(self) -> tuple[list[OriginalUser], int]:
        """Everybody, and how many rows belong to nobody."""
        found = [user_of(document) for document in await self._users.find({}, comment=SCAN).to_list()]
        known = [user for user in found if user is not None]
        return known, len(found) - len(known)

    @translate_errors
    async def groups(self) -> list[OriginalGroup]:
        return [group_of(document) for document in await self._groups.find({}, comment=SCAN).to_list()]

    async def messages(self, group_id: str) -> AsyncIterator[list[OriginalMessage]]:
        """A group's messages in the order of their ids, which begin with the second of their making; 500 at a time."""
        after: ObjectId | None = None
        while page := await self._page(group_id, after):
            yield [message_of(document) for document in page]
            after = page[-1]["_id"]

    @translate_errors
    async def _page(self, group_id: str, after: ObjectId | None) -> list[dict[str, Any]]:
        wanted: dict[str, Any] = {"groupId": ObjectId(group_id)}
        if after is not None:
            wanted["_id"] = {"$gt": after}
        return await self._messages.find(wanted, WITHOUT_VECTOR, comment=SCAN).sort("_id", 1).limit(BATCH).to_list()


@asynccontextmanager
async def open_original(uri: str, database: str) -> AsyncIterator[OriginalStore]:
    """Raises Invalid where `uri` is none."""
    bad = Invalid("ORIGINAL_MONGODB_URI must read mongodb://... or mongodb+srv://...")
    if not uri.startswith(("mongodb://", "mongodb+srv://")):  # the driver takes any word for a host
        raise bad
    try:
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            uri,
            serverSelectionTimeoutMS=SELECTION_MS,
            timeoutMS=OPERATION_MS,
            tz_aware=True,
            readPreference="primaryPreferred",
        )
    except (ConfigurationError, InvalidURI):
        raise bad from None
    try:
        yield OriginalStore(client[database])
    finally:
        await client.close()
