"""The guard over the form of queries catches each bad form, and lets the good ones pass."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from chatcore.mongo import Index, Mongo
from tests.queries.guard import WIDEST_WINDOW, QueryGuard

Database = AsyncDatabase[dict[str, Any]]
Query = Callable[[Database], Awaitable[object]]
G, M = ObjectId(), ObjectId()
INDEXES = [
    Index("messages", (("groupId", 1), ("seq", 1)), unique=True),
    Index("members", (("groupId", 1), ("userId", 1)), unique=True),
    Index("erasures", (("dueAt", 1),)),
]
COUNT = {"$group": {"_id": None, "n": {"$sum": 1}}}


async def _aggregate(database: Database, collection: str, *stages: dict[str, Any]) -> list[dict[str, Any]]:
    return await (await database[collection].aggregate(list(stages))).to_list()


BAD: dict[str, tuple[str, Query]] = {
    "the latest by limit": ("bounded", lambda d: d.messages.find({"groupId": G}).sort("seq", -1).limit(50).to_list()),
    "half a window": ("bounded", lambda d: d.messages.find({"groupId": G, "seq": {"$gt": 5}}).to_list()),
    "a window of everything": (
        "bounded",
        lambda d: d.messages.find({"groupId": G, "seq": {"$gt": 0, "$lte": WIDEST_WINDOW + 1}}).to_list(),
    ),
    "a window over several groups": (
        "bounded",
        lambda d: d.messages.find({"groupId": {"$in": [G, M]}, "seq": {"$gt": 0, "$lte": 9}}).to_list(),
    ),
    "messages of a sender": ("no index", lambda d: d.messages.find({"senderId": "u"}).to_list()),
    "ids in a range": ("_id scans", lambda d: d.messages.find({"_id": {"$gt": M}}).limit(5).to_list()),
    "ids in a range of a small collection": ("_id scans", lambda d: d.members.find({"_id": {"$lt": M}}).to_list()),
    "ids in a range inside $and": (
        "_id scans",
        lambda d: d.members.find({"groupId": G, "$and": [{"_id": {"$gt": M}}]}).to_list(),
    ),
    "no filter with a limit": ("without a filter", lambda d: d.members.find({}).limit(3).to_list()),
    "find_one of anything": ("without a filter", lambda d: d.members.find_one()),
    "skip": ("skip reads", lambda d: d.members.find({"groupId": G}).skip(10).to_list()),
    "count of a collection": ("without a filter", lambda d: d.members.estimated_document_count()),
    "count of all documents": ("without a filter", lambda d: d.members.count_documents({})),
    "count of all messages of a group": ("bounded", lambda d: d.messages.count_documents({"groupId": G})),
    "distinct over everything": ("without a filter", lambda d: d.members.distinct("role")),
    "distinct without an index": ("no index", lambda d: d.members.distinct("groupId", {"role": "owner"})),
    "a pipeline over everything": ("starts with $match", lambda d: _aggregate(d, "members", COUNT)),
    "a pipeline with $skip": (
        "$skip reads",
        lambda d: _aggregate(d, "members", {"$match": {"groupId": G}}, {"$skip": 5}),
    ),
    "$count inside $lookup": (
        "$count fails",
        lambda d: _aggregate(
            d,
            "members",
            {"$match": {"groupId": G}},
            {"$lookup": {"from": "x", "as": "n", "pipeline": [{"$count": "n"}]}},
        ),
    ),
    "a choice with a branch without an index": (
        "no index",
        lambda d: d.members.find({"$or": [{"groupId": G}, {"role": "owner"}]}).to_list(),
    ),
    "only a negation": ("no index", lambda d: d.members.find({"groupId": {"$ne": G}}).to_list()),
    "code": ("$where", lambda d: d.members.find({"groupId": G, "$where": "1"}).to_list()),
    "a pattern": ("$regex", lambda d: d.members.find({"groupId": G, "userId": {"$regex": "a"}}).to_list()),
    "an injected operator": ("injected", lambda d: d.members.find({"groupId": G, "userId": {"$gt": ""}}).to_list()),
    "an update of everything": ("without a filter", lambda d: d.members.update_many({}, {"$set": {"a": 1}})),
    "an update without an index": ("no index", lambda d: d.members.update_one({"role": "x"}, {"$set": {"a": 1}})),
    "a deletion without an index": ("no index", lambda d: d.members.delete_many({"role": "x"})),
    "a find and update without an index": (
        "no index",
        lambda d: d.members.find_one_and_update({"role": "x"}, {"$set": {"a": 1}}),
    ),
}

GOOD: dict[str, Query] = {
    "one by id": lambda d: d.messages.find_one({"_id": M}),
    "several by id": lambda d: d.messages.find({"_id": {"$in": [M, G]}}).to_list(),
    "a window": lambda d: d.messages.find({"groupId": G, "seq": {"$gt": 5, "$lte": 55}}).sort("seq", 1).to_list(),
    "one of a group": lambda d: d.messages.find_one({"groupId": G, "seq": 7}),
    "listed seqs": lambda d: d.messages.find({"groupId": G, "seq": {"$in": [7, 9]}}).to_list(),
    "members of a group": lambda d: d.members.find({"groupId": G, "role": {"$ne": "member"}}).to_list(),
    "a count through an index": lambda d: _aggregate(d, "members", {"$match": {"groupId": G}}, COUNT),
    "what is due": lambda d: d.erasures.find({"dueAt": {"$lte": datetime.now(UTC)}}).limit(100).to_list(),
    "both branches by an index": lambda d: d.members.find({"$or": [{"groupId": G}, {"_id": M}]}).to_list(),
    "a deletion of a group": lambda d: d.messages.delete_many({"groupId": G}),
    "an update by id": lambda d: d.members.update_one({"_id": M}, {"$set": {"a": 1}}),
    "a declared scan": lambda d: d.members.find({}, comment="scan: backup").to_list(),
}


@pytest.mark.parametrize("form", BAD)
async def test_a_query_that_scans_is_found(form: str, mongo: Mongo, query_guard: QueryGuard) -> None:
    await mongo.ensure_indexes(INDEXES)
    reason, query = BAD[form]
    with suppress(PyMongoError):  # some forms the server does not know at all
        await query(mongo.database)
    assert reason in " ".join(query_guard.forgive())


@pytest.mark.parametrize("form", GOOD)
async def test_a_query_by_an_index_passes(form: str, mongo: Mongo, query_guard: QueryGuard) -> None:
    await mongo.ensure_indexes(INDEXES)
    await GOOD[form](mongo.database)
    assert query_guard.findings == []
