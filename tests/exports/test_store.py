"""Exports: the same promises in memory and on the database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatcore.errors import Conflict
from chatcore.exports import store as export_store
from chatcore.exports.records import ExportRecord, ExportStore
from chatcore.exports.store import MemoryExportStore, MongoExportStore
from chatcore.journal.ids import new_id
from chatcore.mongo import Mongo

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
async def on_database(mongo: Mongo) -> MongoExportStore:
    await mongo.ensure_indexes(export_store.INDEXES)
    return MongoExportStore(mongo.database)


@pytest.fixture(params=["memory", "database"])
def store(request: pytest.FixtureRequest) -> ExportStore:
    if request.param == "memory":
        return MemoryExportStore()
    found: ExportStore = request.getfixturevalue("on_database")
    return found


def an_export(minutes: int = 0) -> ExportRecord:
    now = NOW + timedelta(minutes=minutes)
    days = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)  # the database forgets what has expired
    return ExportRecord(new_id(now), "a test", "ana", now, days, (new_id(now), new_id(now)), 1, b"n" * 32, since=NOW)


async def test_what_was_added_is_found_and_the_newest_come_first(store: ExportStore) -> None:
    old, new = an_export(), an_export(1)
    for record in (new, old):
        await store.add(record, [])
    assert await store.find(old.id) == old
    assert await store.living(NOW) == [new, old]
    assert await store.living(new.expires_at) == []
    assert await store.find(new_id(NOW)) is None


async def test_an_export_is_kept_with_its_line_in_the_audit_or_not_at_all(store: ExportStore) -> None:
    async def refused(session: Any, rows: Any) -> None:
        raise Conflict("somebody was first")

    record = an_export()
    with pytest.raises(Conflict):
        await store.add(record, [refused])
    assert await store.find(record.id) is None
    await store.add(record, [])
    with pytest.raises(Conflict):
        await store.remove(record.id, [refused])
    assert await store.find(record.id) == record


async def test_one_is_removed_once(store: ExportStore) -> None:
    record = an_export()
    await store.add(record, [])
    assert await store.remove(record.id, [])
    assert not await store.remove(record.id, [])
    assert await store.living(NOW) == []
