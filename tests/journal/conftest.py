import pytest

from chatcore.journal import store as journal_store
from chatcore.journal.ids import new_id
from chatcore.journal.recent import RecentRows
from chatcore.journal.store import JournalStore, MemoryJournalStore, MongoJournalStore
from chatcore.mongo import Mongo
from tests.journal.log import NOW, Process, UnreliableStore


@pytest.fixture
async def database_store(mongo: Mongo) -> MongoJournalStore:
    await mongo.ensure_indexes(journal_store.INDEXES)
    return MongoJournalStore(mongo.database)


@pytest.fixture(params=["memory", "recent", "database"])
def store(request: pytest.FixtureRequest) -> JournalStore:
    """The suite runs on the store in memory, alone and behind recent rows, and on the database."""
    if request.param == "memory":
        return MemoryJournalStore()
    if request.param == "recent":
        return RecentRows(MemoryJournalStore())
    store: JournalStore = request.getfixturevalue("database_store")
    return store


@pytest.fixture
def line(store: JournalStore) -> UnreliableStore:
    return UnreliableStore(store)


@pytest.fixture
def process(line: UnreliableStore) -> Process:
    return Process(line)


@pytest.fixture
def group() -> str:
    return new_id(NOW)
