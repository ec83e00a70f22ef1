"""What every store relies on: durable settings, indexes, abilities, and errors in our own words."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidOperation,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from chatcore.errors import Unavailable
from chatcore.mongo import Index, IndexDiffers, Mongo, _transacts, open_mongo, translate_errors, translating_errors

DUPLICATE = {"writeErrors": [{"code": 11000}], "writeConcernErrors": []}
UNCONFIRMED = {"writeErrors": [{"code": 11000}], "writeConcernErrors": [{"code": 64}]}


@pytest.mark.parametrize(
    "failure",
    [
        AutoReconnect("reset"),
        NetworkTimeout("slow"),
        ServerSelectionTimeoutError("nobody"),
        ExecutionTimeout("too long", 50),
        OperationFailure("no space left", 14031),
        BulkWriteError({"writeErrors": [{"code": 50}], "writeConcernErrors": []}),
        BulkWriteError(UNCONFIRMED),
        PyMongoError("else"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_a_failing_database_is_unavailable_with_its_cause(failure: PyMongoError) -> None:
    @translate_errors
    async def store() -> None:
        raise failure

    with pytest.raises(Unavailable) as told:
        await store()
    assert told.value.__cause__ is failure
    assert told.value.retryable


@pytest.mark.parametrize(
    "failure",
    [
        DuplicateKeyError("taken", 11000),
        BulkWriteError(DUPLICATE),
        OperationFailure("unknown operator", 2),
        InvalidOperation("closed"),
    ],
    ids=lambda failure: type(failure).__name__,
)
async def test_a_duplicate_and_a_fault_of_our_own_stay_what_they_are(failure: PyMongoError) -> None:
    with pytest.raises(type(failure)), translating_errors():
        raise failure


async def test_a_cancellation_is_not_a_failure_of_the_database() -> None:
    with pytest.raises(asyncio.CancelledError), translating_errors():
        raise asyncio.CancelledError


@pytest.mark.parametrize("embedded", [True, False])
async def test_writes_are_acknowledged_from_the_journal(embedded: bool, database_uri: str, database_name: str) -> None:
    opened = await open_mongo(database_uri, database=database_name, embedded=embedded)
    concern = opened.database.messages.write_concern.document
    await opened.close()
    assert concern == ({"j": True} if embedded else {"j": True, "w": "majority"})
    assert opened.client.options.retry_writes is not embedded


async def test_dates_and_uuids_come_back_as_they_were_written(mongo: Mongo) -> None:

    written = {"_id": uuid4(), "at": datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)}
    await mongo.database.things.insert_one(dict(written))
    assert await mongo.database.things.find_one({"_id": written["_id"]}) == written


async def test_indexes_are_made_once_with_their_options(mongo: Mongo) -> None:
    specs = [
        Index("messages", (("groupId", 1), ("seq", 1)), unique=True),
        Index("sessions", (("expiresAt", 1),), expire_after_seconds=0),
        Index("invites", (("code", 1),), unique=True, partial={"open": True}, name="open_code"),
    ]
    for _ in range(2):
        await mongo.ensure_indexes(specs)
    assert (await mongo.database.messages.index_information())["groupId_1_seq_1"]["unique"] is True
    assert (await mongo.database.sessions.index_information())["expiresAt_1"]["expireAfterSeconds"] == 0
    assert (await mongo.database.invites.index_information())["open_code"]["partialFilterExpression"] == {"open": True}
    await mongo.database.invites.insert_many(
        [{"code": 1, "open": False}, {"code": 1, "open": False}, {"code": 1, "open": True}]
    )
    with pytest.raises(DuplicateKeyError):
        await mongo.database.invites.insert_one({"code": 1, "open": True})


async def test_an_index_with_other_options_is_told_and_not_ignored(mongo: Mongo) -> None:
    await mongo.ensure_indexes([Index("members", (("groupId", 1),))])
    with pytest.raises(IndexDiffers, match="members"):
        await mongo.ensure_indexes([Index("members", (("groupId", 1),), unique=True)])


async def test_the_server_says_what_it_can_do(mongo: Mongo, database_is_embedded: bool) -> None:
    await mongo.ensure_indexes([Index("messages", (("groupId", 1), ("seq", 1)), unique=True)])
    assert mongo.abilities.transactions
    if database_is_embedded:
        assert not mongo.abilities.vector_search
    async with mongo.client.start_session() as session, await session.start_transaction():
        await mongo.database.messages.insert_one({"_id": 1}, session=session)


async def test_the_password_is_put_into_the_uri(database_uri: str, database_is_embedded: bool) -> None:
    if not database_is_embedded:
        pytest.skip("the configured URI has it already")
    credentials = database_uri.removeprefix("mongodb://").partition("@")[0]
    password = credentials.partition(":")[2]
    opened = await open_mongo(
        database_uri.replace(f":{password}@", ":<db_password>@"), database="x", password=password, embedded=True
    )
    await opened.close()
    with pytest.raises(Unavailable, match="refuses the user name or the password"):
        await open_mongo(
            database_uri.replace(f":{password}@", ":<db_password>@"), database="x", password="p@ss/word", embedded=True
        )


async def test_a_lone_server_that_refuses_transactions_is_known_as_such(mongo: Mongo) -> None:
    class Lone:
        """What a MongoDB without a replica set answers to the first statement of a transaction."""

        def __getitem__(self, name: str) -> "Lone":
            return self

        async def find_one(self, *_: object, session: object) -> None:
            raise OperationFailure("Transaction numbers are only allowed on a replica set member or mongos", 20)

    assert not await _transacts(mongo.client, Lone())  # type: ignore[arg-type]
