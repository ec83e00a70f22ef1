"""One client to MongoDB, real or embedded: write concern, indexes, abilities and errors, the same for every store."""

import asyncio
import functools
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote_plus

import pymongo
from pymongo import AsyncMongoClient, IndexModel
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    DuplicateKeyError,
    InvalidName,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
)

from chatcore.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")
Document = dict[str, Any]

OPERATION_MS = 2_500  # a send must answer `unavailable` within 3 s, all retries included
FIRST_ANSWER_SECONDS = 15.0  # a remote cluster's first name look-up and TLS handshakes
INDEX_BUILD_SECONDS = 600.0
DUPLICATE_KEY = 11000
INTERNAL_ERROR = 1
_INDEX_CONFLICTS = (85, 86)  # IndexOptionsConflict, IndexKeySpecsConflict
# BadValue, FailedToParse, TypeMismatch, ConflictingUpdateOperators, CommandNotFound, DocumentValidationFailure:
# a fault in our own query. Telling a client to try again would hide it.
_OUR_FAULTS = frozenset({2, 9, 14, 40, 59, 121})


@dataclass(frozen=True, slots=True)
class Index:
    """An index that a store needs; `partial` is a filter expression, `name` defaults to MongoDB's own."""

    collection: str
    keys: Sequence[tuple[str, int]]
    unique: bool = False
    expire_after_seconds: int | None = None
    partial: Mapping[str, Any] | None = None
    name: str | None = None

    def model(self) -> IndexModel:
        options: Document = {}
        if self.unique:
            options["unique"] = True
        if self.expire_after_seconds is not None:
            options["expireAfterSeconds"] = self.expire_after_seconds
        if self.partial is not None:
            options["partialFilterExpression"] = dict(self.partial)
        if self.name is not None:
            options["name"] = self.name
        return IndexModel(list(self.keys), **options)


class IndexDiffers(Exception):
    """The database holds an index of this name with other options; a migration must drop it first."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What this server can do, found by asking it and not by its address."""

    transactions: bool
    vector_search: bool


class Mongo:
    """A client bound to the running loop, and the one database that chatcore uses in it."""

    def __init__(self, client: AsyncMongoClient[Document], database: str, abilities: Abilities):
        self.client = client
        self.database: AsyncDatabase[Document] = client[database]
        self.abilities = abilities

    async def ping(self) -> None:
        """Raises Unavailable within 3 s when the server does not answer, or answers but cannot read what it stores."""
        with translating_errors():
            await self.database["meta"].find_one({"_id": "ping"})

    async def is_broken(self) -> bool:
        """Whether the server answers that it failed inside; after a full disk the embedded one goes on like that."""
        try:
            await self.database["meta"].find_one({"_id": "ping"})
        except OperationFailure as error:
            return error.code == INTERNAL_ERROR
        except PyMongoError:
            return False
        return False

    async def close(self) -> None:
        await self.client.close()

    async def ensure_indexes(self, specs: Iterable[Index]) -> None:
        """Make what is missing; a repeat is a no-op. Raises IndexDiffers. Looks at the abilities again at the end,
        as only an existing collection tells whether vector search is there."""
        by_collection: dict[str, list[Index]] = {}
        for spec in specs:
            by_collection.setdefault(spec.collection, []).append(spec)
        with translating_errors(), pymongo.timeout(INDEX_BUILD_SECONDS):
            for collection, wanted in by_collection.items():
                await self._create(collection, wanted)
            self.abilities = await _ask_abilities(self.client, self.database)

    async def _create(self, collection: str, wanted: list[Index]) -> None:
        try:
            await self.database[collection].create_indexes([spec.model() for spec in wanted])
        except OperationFailure as error:
            if error.code not in _INDEX_CONFLICTS:
                raise
            reason = (error.details or {}).get("errmsg", "")
            raise IndexDiffers(f"collection {collection} has this index with other options: {reason}") from None


async def open_mongo(
    uri: str, *, database: str, password: str = "", max_pool_size: int = 10, embedded: bool = False
) -> Mongo:
    """Connect on the running loop and ask what the server can do. Raises Unavailable when it does not answer.

    Every acknowledged write is journaled; on a configured server by a majority, since a journaled write of one
    member can roll back at a failover. The embedded server forgets retried writes when it restarts and would apply
    an increment twice, so the driver must not retry there: the outcome is settled by `_id` or a unique key.
    """
    durability: Document = {"retryWrites": False} if embedded else {"w": "majority"}
    client: AsyncMongoClient[Document] = AsyncMongoClient(
        uri.replace("<db_password>", quote_plus(password)),
        journal=True,
        timeoutMS=OPERATION_MS,
        serverSelectionTimeoutMS=OPERATION_MS,
        maxPoolSize=max_pool_size,
        tz_aware=True,
        uuidRepresentation="standard",
        appname="chatcore",
        **durability,
    )
    try:
        async with asyncio.timeout(FIRST_ANSWER_SECONDS):
            await _wait_for_answer(client)
        with translating_errors():
            return Mongo(client, database, await _ask_abilities(client, client[database]))
    except BaseException as error:
        await client.close()
        if isinstance(error, TimeoutError):
            raise Unavailable("The database does not answer; look at MONGODB_URI and the network") from error
        raise


async def _wait_for_answer(client: AsyncMongoClient[Document]) -> None:
    """Silence is waited out, as a cluster may be electing; a refusal is told at once."""
    while True:
        try:
            await client.admin.command("ping")
        except ConfigurationError:
            raise
        except OperationFailure as error:
            if error.code in (13, 18, 8000):  # Unauthorized, AuthenticationFailed, AtlasError
                raise Unavailable("The database refuses the user name or the password of MONGODB_URI") from None
            raise
        except PyMongoError:
            await asyncio.sleep(0.2)
        else:
            return


async def _ask_abilities(client: AsyncMongoClient[Document], database: AsyncDatabase[Document]) -> Abilities:
    return Abilities(transactions=await _transacts(client, database), vector_search=await _searches(database))


async def _transacts(client: AsyncMongoClient[Document], database: AsyncDatabase[Document]) -> bool:
    """A lone MongoDB says so at the first statement; the embedded database takes them alone as well."""
    try:
        async with client.start_session() as session, await session.start_transaction():
            await database["meta"].find_one({"_id": "ping"}, session=session)
    except (OperationFailure, ConfigurationError):
        return False
    return True


async def _searches(database: AsyncDatabase[Document]) -> bool:
    """MongoDB answers an empty list for a collection that does not exist even when it cannot search at all."""
    names = await database.list_collection_names()
    if not names:
        return False
    try:
        await (await database[names[0]].aggregate([{"$listSearchIndexes": {}}])).to_list()
    except OperationFailure:
        return False
    return True


class translating_errors:  # noqa: N801 - read as a verb: `with translating_errors():`
    """The driver's failures become Unavailable; a duplicate key and a fault in our own query stay what they are."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PyMongoError) and not _is_for_the_store(error):
            raise Unavailable("The database does not answer right now; try again in a moment") from error


def translate_errors(call: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """`translating_errors` around a coroutine method of a store. Put it around a whole transaction, never around the
    callback inside: the driver must see its own errors to run the transaction again."""

    @functools.wraps(call)
    async def translated(*args: P.args, **kwargs: P.kwargs) -> T:
        with translating_errors():
            return await call(*args, **kwargs)

    return translated


def _is_for_the_store(error: PyMongoError) -> bool:
    if isinstance(error, BulkWriteError):
        failures = (error.details or {}).get("writeErrors", [])
        unconfirmed = (error.details or {}).get("writeConcernErrors", [])
        return bool(failures) and not unconfirmed and all(item.get("code") == DUPLICATE_KEY for item in failures)
    if isinstance(error, OperationFailure):
        return isinstance(error, DuplicateKeyError) or error.code in _OUR_FAULTS
    return isinstance(error, ConfigurationError | InvalidName | InvalidOperation)
