"""One suite for the rows in the database and for their twin in memory."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chatcore.errors import Conflict
from chatcore.journal import store as journal_store
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Change, Row
from chatcore.journal.store import JournalStore, MemoryJournalStore, MongoJournalStore
from chatcore.media import store as media_store
from chatcore.media.records import MediaRecord
from chatcore.media.store import MediaStore, MemoryMediaStore, MongoMediaStore
from chatcore.mongo import Mongo
from chatcore.vault.envelope import Sealed
from tests.media.library import GROUP, OTHER_GROUP
from tests.memory import START

HOUR = timedelta(hours=1)


class Rows:
    """A store, and the log whose transactions carry its changes."""

    def __init__(self, media: MediaStore, journal: JournalStore):
        self.media, self.journal, self._seq = media, journal, 0

    async def commit(self, change: Change) -> None:
        self._seq += 1
        row = Row(new_id(START), GROUP, "membership", "ana", START, seq=self._seq)
        await self.journal.transact([row], [change])

    async def added(self, **fields: object) -> MediaRecord:
        record = a_record(**fields)
        await self.media.add(record)
        return record

    async def ready(self, **fields: object) -> MediaRecord:
        record = await self.added(**fields)
        finished = replace(record, state="ready", sweep_at=START + 24 * HOUR)
        assert await self.media.finished(finished)
        return finished

    async def one(self, media_id: str) -> MediaRecord | None:
        return (await self.media.by_ids([media_id])).get(media_id)


def a_record(**fields: object) -> MediaRecord:
    known = MediaRecord(
        id=new_id(START), group_id=GROUP, uploader_id="ana", created_at=START, kind="image", content_type="image/png",
        size=10, sealed=Sealed(1, 1, b"n" * 12, b"c" * 20), sealing=True, variants={"original": 10, "320": 5},
        width=4, height=3, sweep_at=START + HOUR,
    )  # fmt: skip
    return replace(known, **fields)  # type: ignore[arg-type]


@pytest.fixture(params=["mongo", "memory"])
async def rows(request: pytest.FixtureRequest, mongo: Mongo) -> Rows:
    if request.param == "memory":
        return Rows(MemoryMediaStore(), MemoryJournalStore())
    await mongo.ensure_indexes((*media_store.INDEXES, *journal_store.INDEXES))
    return Rows(MongoMediaStore(mongo.database), MongoJournalStore(mongo.database))


async def test_a_record_comes_back_as_it_was(rows: Rows) -> None:
    record = await rows.ready()
    assert await rows.one(record.id) == record
    file = await rows.ready(kind="file", width=None, height=None, variants={"original": 3})
    assert await rows.one(file.id) == file


async def test_only_an_upload_that_goes_on_can_be_finished(rows: Rows) -> None:
    record = await rows.added()
    assert await rows.media.give_up(record.id, START)
    assert not await rows.media.finished(replace(record, state="ready"))
    assert not await rows.media.finished(a_record(state="ready"))


async def test_it_is_sent_once_and_a_repeat_for_the_same_message_is_nothing_new(rows: Rows) -> None:
    record, message = await rows.ready(), new_id(START)
    await rows.commit(rows.media.attached(record, message))
    await rows.commit(rows.media.attached(record, message))
    found = await rows.one(record.id)
    assert found is not None
    assert (found.message_id, found.sweep_at) == (message, None)
    with pytest.raises(Conflict):
        await rows.commit(rows.media.attached(record, new_id(START)))


@pytest.mark.parametrize("fields", [{"group_id": OTHER_GROUP}, {"uploader_id": "eve"}], ids=["group", "uploader"])
async def test_it_is_of_one_group_and_one_person(rows: Rows, fields: dict[str, object]) -> None:
    record = await rows.ready()
    with pytest.raises(Conflict):
        await rows.commit(rows.media.attached(replace(record, **fields), new_id(START)))  # type: ignore[arg-type]


async def test_an_upload_under_way_cannot_be_sent(rows: Rows) -> None:
    with pytest.raises(Conflict):
        await rows.commit(rows.media.attached(await rows.added(), new_id(START)))


async def test_the_sweep_takes_what_is_due_and_nobody_can_send_it_then(rows: Rows) -> None:
    due, later = await rows.ready(), await rows.ready()
    await rows.media.abandon(due, START + 2 * HOUR)
    assert await rows.media.take_due(START + HOUR, 10) == []
    taken = await rows.media.take_due(START + 2 * HOUR, 10)
    assert [(each.id, each.state) for each in taken] == [(due.id, "gone")]
    with pytest.raises(Conflict):
        await rows.commit(rows.media.attached(due, new_id(START)))
    await rows.media.forget([due.id])
    assert await rows.one(due.id) is None
    assert await rows.one(later.id) is not None


async def test_what_was_sent_is_swept_only_when_its_message_says_so(rows: Rows) -> None:
    record = await rows.ready()
    await rows.commit(rows.media.attached(record, new_id(START)))
    assert await rows.media.take_due(START + 1000 * HOUR, 10) == []
    assert not await rows.media.give_up(record.id, START)
    await rows.commit(rows.media.due(record.id, START + HOUR))
    assert [each.id for each in await rows.media.take_due(START + HOUR, 10)] == [record.id]


async def test_what_the_sweep_has_taken_cannot_be_kept_any_more(rows: Rows) -> None:
    """As a message that is restored in the moment in which its objects are deleted."""
    record = await rows.ready()
    await rows.commit(rows.media.attached(record, new_id(START)))
    await rows.commit(rows.media.due(record.id, START))
    await rows.media.take_due(START, 10)
    await rows.commit(rows.media.due(record.id, START + 9_999 * HOUR))
    assert [each.id for each in await rows.media.take_due(START, 10)] == [record.id]


async def test_a_group_goes_with_everything_in_it(rows: Rows) -> None:
    sent, unsent, under_way = await rows.ready(), await rows.ready(), await rows.added()
    other = await rows.ready(group_id=OTHER_GROUP)
    await rows.commit(rows.media.attached(sent, new_id(START)))
    await rows.media.give_up_group(GROUP, START)
    assert {each.id for each in await rows.media.take_due(START, 10)} == {sent.id, unsent.id, under_way.id}
    assert (await rows.one(other.id)) == other


async def test_an_abandoned_upload_is_known_even_where_its_row_was_forgotten(rows: Rows) -> None:
    record = await rows.added()
    await rows.media.forget([record.id])
    await rows.media.abandon(record, START + HOUR)
    assert [each.id for each in await rows.media.take_due(START + HOUR, 10)] == [record.id]
