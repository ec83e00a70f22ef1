"""The database for command-line tools: the configured one, that of a running server, or one started for the moment."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatcore.embedded.database import EmbeddedDatabase
from chatcore.embedded.home import find_running_database
from chatcore.mongo import Mongo, open_mongo
from chatcore.settings import Settings

POOL_SIZE = 2


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Mongo]:
    """Raises Unavailable, EmbeddedRefused or ProcessFailed, each with a message for people."""
    if not settings.embedded_database:
        async with _opened(settings, settings.mongodb_uri.get_secret_value(), embedded=False) as mongo:
            yield mongo
        return
    if running := find_running_database(settings.chatcore_home):
        async with _opened(settings, running, embedded=True) as mongo:
            yield mongo
        return
    database = EmbeddedDatabase(settings.chatcore_home)
    try:
        async with _opened(settings, await database.start(), embedded=True) as mongo:
            yield mongo
    finally:
        await database.stop()


@asynccontextmanager
async def _opened(settings: Settings, uri: str, *, embedded: bool) -> AsyncIterator[Mongo]:
    mongo = await open_mongo(
        uri,
        database=settings.database_name,
        password=settings.database_password.get_secret_value(),
        max_pool_size=POOL_SIZE,
        embedded=embedded,
    )
    try:
        yield mongo
    finally:
        await mongo.close()
