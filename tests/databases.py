"""Fixtures of all tests that need a database: one server for the session, a fresh database for each test.

The server is MONGODB_URI where that is set (with DATABASE_PASSWORD), else an embedded one on a temporary folder.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote_plus
from uuid import uuid4

import pymongo
import pytest
from pymongo import monitoring

from chatcore.embedded.database import EmbeddedDatabase
from chatcore.mongo import Mongo, open_mongo
from tests.queries.guard import QueryGuard

GUARD = QueryGuard()
monitoring.register(GUARD)


class EmbeddedInThread:
    """Its own loop in its own thread: it outlives the loops of single tests, and the child lives as long as it."""

    def __init__(self, home: Path):
        self._database = EmbeddedDatabase(home)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="embedded-database", daemon=True)

    def start(self) -> str:
        self._thread.start()
        return asyncio.run_coroutine_threadsafe(self._database.start(), self._loop).result()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._database.stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="session")
def database_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI with the password in it."""
    if configured := os.environ.get("MONGODB_URI"):
        yield configured.replace("<db_password>", quote_plus(os.environ.get("DATABASE_PASSWORD", "")))
        return
    server = EmbeddedInThread(tmp_path_factory.mktemp("chatcore"))
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def database_is_embedded() -> bool:
    return not os.environ.get("MONGODB_URI")


@pytest.fixture
def database_name() -> str:
    return f"test-{uuid4().hex[:16]}"


@pytest.fixture
async def mongo(database_uri: str, database_name: str, database_is_embedded: bool) -> AsyncIterator[Mongo]:
    """Connected to an empty database."""
    opened = await open_mongo(database_uri, database=database_name, embedded=database_is_embedded)
    try:
        yield opened
        if not database_is_embedded:  # that one goes as a whole, and drops row by row
            with pymongo.timeout(30):
                await opened.client.drop_database(database_name)
    finally:
        await opened.close()


@pytest.fixture(autouse=True)
def query_guard() -> Iterator[QueryGuard]:
    """Fails the test after its end when it made the database scan."""
    GUARD.forgive()
    yield GUARD
    if found := GUARD.forgive():
        pytest.fail("queries that scan:\n  " + "\n  ".join(dict.fromkeys(found)), pytrace=False)
