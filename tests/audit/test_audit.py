"""The chain notices whatever is changed, taken out, put in or cut off; both stores keep it alike."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chatcore.audit.chain import FIRST, Deed
from chatcore.audit.service import Audit
from chatcore.audit.store import INDEXES, AuditStore, MemoryAuditStore, MongoAuditStore
from chatcore.errors import Conflict
from chatcore.journal.store import JournalStore, MemoryJournalStore, MongoJournalStore
from chatcore.mongo import Mongo

KEY = b"k" * 32
START = datetime(2026, 6, 1, 12, tzinfo=UTC)


def deed(number: int) -> Deed:
    return Deed("rita", "review.resolve", f"{number:024x}", START, {"resolution": "dismiss", "number": number})


class Kept:
    """An audit on either store, with the journal whose transactions carry it."""

    def __init__(self, journal: JournalStore, store: AuditStore):
        self.journal, self.store, self.audit = journal, store, Audit(store, KEY)

    async def add(self, *numbers: int) -> None:
        for number in numbers:
            await self.journal.transact([], [self.audit.appended(deed(number))])


@pytest.fixture(params=["memory", "mongo"])
async def kept(request: pytest.FixtureRequest, mongo: Mongo) -> Kept:
    if request.param == "memory":
        return Kept(MemoryJournalStore(), MemoryAuditStore())
    await mongo.ensure_indexes(INDEXES)
    return Kept(MongoJournalStore(mongo.database), MongoAuditStore(mongo.database))


async def test_deeds_stand_in_order_and_the_chain_holds(kept: Kept) -> None:
    assert (await kept.audit.verify())[1] == []
    await kept.add(1, 2, 3)
    end, found = await kept.audit.verify()
    assert (end.n, found) == (3, [])
    newest = await kept.audit.newest(2)
    assert [link.deed for link in newest] == [deed(3), deed(2)]
    assert [link.deed for link in await kept.audit.newest(5, before=2)] == [deed(1)]
    (first,) = await kept.store.window(0, 1)
    assert first.previous == FIRST


@pytest.mark.parametrize("microsecond", [0, 499, 500, 600, 999_999])
async def test_parts_of_a_millisecond_break_no_chain(kept: Kept, microsecond: int) -> None:
    """The database keeps whole ones alone."""
    at = START.replace(microsecond=microsecond)
    await kept.audit.record(replace(deed(1), at=at))
    assert (await kept.audit.verify())[1] == []


async def test_a_deed_is_written_only_with_what_it_tells_of(kept: Kept) -> None:
    async def refused(session: Any, rows: Any) -> None:
        raise Conflict

    with pytest.raises(Conflict):
        await kept.journal.transact([], [refused, kept.audit.appended(deed(1))])
    assert (await kept.audit.verify())[0].n == 0


async def test_deeds_at_the_same_moment_all_stand_once_each_or_are_refused(kept: Kept) -> None:
    outcomes = await asyncio.gather(*(kept.add(number) for number in range(6)), return_exceptions=True)
    stored = sum(outcome is None for outcome in outcomes)
    assert all(outcome is None or isinstance(outcome, Conflict) for outcome in outcomes)
    end, found = await kept.audit.verify()
    assert (end.n, found) == (stored, [])
    assert stored >= 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"actor": "somebody else"}, "changed"),
        ({"facts.resolution": "ban"}, "changed"),
        ({"at": datetime(2027, 1, 1, tzinfo=UTC)}, "changed"),
        ({"previous": "f" * 64}, "does not follow the one before"),
        ({"hash": "f" * 64}, "changed"),
    ],
)
async def test_a_changed_link_is_found(mongo: Mongo, fields: dict[str, Any], reason: str) -> None:
    await mongo.ensure_indexes(INDEXES)
    kept = Kept(MongoJournalStore(mongo.database), MongoAuditStore(mongo.database))
    await kept.add(1, 2, 3)
    await mongo.database["audit"].update_one({"n": 2}, {"$set": fields})
    assert (2, reason) in {(fault.n, fault.reason) for fault in (await kept.audit.verify())[1]}


@pytest.mark.parametrize("gone", [1, 2, 3])
async def test_a_link_that_was_taken_out_is_found_also_the_last(mongo: Mongo, gone: int) -> None:
    await mongo.ensure_indexes(INDEXES)
    kept = Kept(MongoJournalStore(mongo.database), MongoAuditStore(mongo.database))
    await kept.add(1, 2, 3)
    await mongo.database["audit"].delete_one({"n": gone})
    assert (gone, "missing") in {(fault.n, fault.reason) for fault in (await kept.audit.verify())[1]}


async def test_a_chain_made_anew_without_the_servers_key_does_not_hold() -> None:
    store = MemoryAuditStore()
    for number in range(3):
        await store.appended(b"guess" * 7, deed(number))(None, [])
    assert {fault.reason for fault in (await Audit(store, KEY).verify())[1]} == {"changed"}


async def test_a_link_put_in_and_an_end_that_was_turned_back_are_found() -> None:
    store = MemoryAuditStore()
    for number in range(4):
        await store.appended(KEY, deed(number))(None, [])
    store.links[1] = replace(store.links[1], n=1)
    assert (await Audit(store, KEY).verify())[1]
