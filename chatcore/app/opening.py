"""The services on one database: for command-line tools, for tests, and below the server."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from chatcore.ai.analysis import store as analysis_store
from chatcore.ai.ledger import store as ledger_store
from chatcore.ai.prompts import store as prompt_store
from chatcore.ai.provider import store as budget_store
from chatcore.ai.search import store as search_store
from chatcore.ai.suggestions import store as suggestion_store
from chatcore.app.chat import compose
from chatcore.app.core import COMMIT_DEADLINE_SECONDS, Core
from chatcore.app.keys import open_keys
from chatcore.audit import store as audit_store
from chatcore.embedded.database import EmbeddedDatabase
from chatcore.exports import store as export_store
from chatcore.groups import store as group_store
from chatcore.identity import store as identity_store
from chatcore.journal import store as journal_store
from chatcore.media import store as media_store
from chatcore.messages import store as message_store
from chatcore.moderation import store as moderation_store
from chatcore.mongo import Mongo, open_mongo
from chatcore.ports import Fanout, SilentFanout
from chatcore.push import store as push_store
from chatcore.settings import Settings
from chatcore.vault import store as vault_store

INDEXES = (
    *analysis_store.INDEXES,
    *audit_store.INDEXES,
    *budget_store.INDEXES,
    *export_store.INDEXES,
    *identity_store.INDEXES,
    *group_store.INDEXES,
    *journal_store.INDEXES,
    *ledger_store.INDEXES,
    *media_store.INDEXES,
    *message_store.INDEXES,
    *moderation_store.INDEXES,
    *prompt_store.INDEXES,
    *push_store.INDEXES,
    *search_store.INDEXES,
    *suggestion_store.INDEXES,
    *vault_store.INDEXES,
)


@asynccontextmanager
async def open_core(
    settings: Settings, fanout: Fanout | None = None, *, database_uri: str = "", shared_models: bool = False
) -> AsyncIterator[Core]:
    """Database, keys and services. Raises EmbeddedRefused, Unavailable, IndexDiffers or SealBroken with what to do."""
    async with AsyncExitStack() as stack:
        database, mongo = await _open_database(settings, stack, database_uri)
        await mongo.ensure_indexes(INDEXES)
        keys = await open_keys(settings, mongo)
        core = compose(
            settings, mongo, keys, SilentFanout() if fanout is None else fanout, database, shared_models=shared_models
        )
        stack.push_async_callback(core.ai.close)  # after the jobs, whose decisions it still writes
        if core.accounts is not None:
            stack.callback(core.accounts.close)
        stack.push_async_callback(core.background.drain, COMMIT_DEADLINE_SECONDS)
        stack.push_async_callback(core.search.close)
        stack.push_async_callback(core.services.push.close)
        stack.push_async_callback(core.services.attachments.media.objects.close)
        await core.services.identity.start()
        await core.ai.prompts.start()
        yield core
        await core.settle()


async def _open_database(
    settings: Settings, stack: AsyncExitStack, shared_uri: str
) -> tuple[EmbeddedDatabase | None, Mongo]:
    """`shared_uri` names an embedded database that somebody else supervises."""
    database: EmbeddedDatabase | None = None
    uri = shared_uri or settings.mongodb_uri.get_secret_value()
    if not uri:
        database = EmbeddedDatabase(settings.chatcore_home)
        uri = await database.start()
        stack.push_async_callback(database.stop)
    mongo = await open_mongo(
        uri,
        database=settings.database_name,
        password=settings.database_password.get_secret_value(),
        max_pool_size=settings.mongodb_max_pool_size,
        embedded=settings.embedded_database,
    )
    stack.push_async_callback(mongo.close)
    return database, mongo
