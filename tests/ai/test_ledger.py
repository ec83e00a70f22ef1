"""The ledger keeps what was decided, finds it by its id, and forgets what must be forgotten; over both stores."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatcore.ai.calls import Served
from chatcore.ai.ledger import service, store
from chatcore.ai.ledger.records import Decision, LedgerStore, Query
from chatcore.ai.ledger.service import MAX_PENDING, Ledger
from chatcore.ai.ledger.store import MemoryLedgerStore, MongoLedgerStore
from chatcore.background import Background
from chatcore.errors import NotFound, Unavailable
from chatcore.mongo import Mongo
from chatcore.vault.master import MasterKeys
from chatcore.vault.service import Vault
from chatcore.vault.store import MemoryKeyStore

GROUP, OTHER = "a" * 24, "b" * 24
START = datetime(2026, 6, 1, 12, tzinfo=UTC)
SERVED = Served("openai", "gpt-4o-mini", False, "req_1", 12.5, 57, 21, 0.00002)


def decided(ledger: Ledger, **fields: Any) -> Decision:
    common = {
        "feature": "smart_reply", "group_id": GROUP, "user_id": "ana", "served": SERVED, "at": START,
        "input": {"messages": [{"text": "canary-question"}]}, "output": {"replies": [{"text": "canary-answer"}]},
        "prompt": "SmartReplies@abc", "scores": {"hate/threatening": 0.1}, "action": "allow", "seq": 7,
    }  # fmt: skip
    return Decision(decision_id=ledger.new_id(), **(common | fields))  # type: ignore[arg-type]


def since(hours: float = 24, **fields: Any) -> Query:
    return Query(**({"since": START - timedelta(hours=hours), "until": START + timedelta(hours=hours)} | fields))


@pytest.fixture
def vault() -> Vault:
    return Vault(MasterKeys({"k1": b"m" * 32}), MemoryKeyStore())


@pytest.fixture(params=["memory", "mongo"])
async def rows(request: pytest.FixtureRequest, mongo: Mongo) -> LedgerStore:
    if request.param == "memory":
        return MemoryLedgerStore()
    await mongo.ensure_indexes(store.INDEXES)
    return MongoLedgerStore(mongo.database)


@pytest.fixture
def ledger(rows: LedgerStore, vault: Vault) -> Ledger:
    return Ledger(rows, vault, secret=b"s" * 32, retention_days=30)


async def test_a_person_gets_their_own_decisions_newest_first_without_content(ledger: Ledger) -> None:
    for number, person in enumerate(("ana", "ben", "ana", "", "ana")):
        await ledger.record(decided(ledger, user_id=person, seq=number, at=START + timedelta(minutes=number)))
    found = await ledger.of_person("ana", 9)
    assert [one.seq for one in found] == [4, 2, 0]
    assert [one.seq for one in await ledger.of_person("ana", 2)] == [4, 2]
    assert not any(one.input or one.output for one in found)
    await ledger.erase_user("ana")
    assert await ledger.of_person("ana", 9) == []


async def test_a_decision_is_found_by_its_id_before_and_after_it_is_written(ledger: Ledger) -> None:
    made = decided(ledger, message_id="c" * 24, arm="canary", parameters={"context_turns": 3})
    await ledger.record(made)
    waiting = await ledger.find(made.decision_id)
    await ledger.flush()
    written = await ledger.find(made.decision_id)
    assert waiting == written == replace(made, user_id=ledger.person("ana"), input_sha256=written.input_sha256)
    assert len(written.input_sha256) == 64


async def test_what_nobody_decided_is_not_found(ledger: Ledger) -> None:
    for unknown in (ledger.new_id(), "not an id"):
        with pytest.raises(NotFound):
            await ledger.find(unknown)
        with pytest.raises(NotFound):
            await ledger.add_outcome(unknown, human={"agrees": True})


async def test_content_and_person_lie_sealed_and_hashed(ledger: Ledger, rows: LedgerStore) -> None:
    made = decided(ledger)
    await ledger.record(made)
    await ledger.flush()
    stored = await rows.find(made.decision_id)
    assert stored is not None
    assert stored.expires_at == START + timedelta(days=30)
    assert stored.input is not None
    kept = repr(stored)
    for canary in ("canary-question", "canary-answer", "'ana'"):
        assert canary not in kept


async def test_a_seal_fits_its_own_row_alone(ledger: Ledger, rows: LedgerStore) -> None:
    first, second = decided(ledger), decided(ledger)
    for made in (first, second):
        await ledger.record(made)
    await ledger.flush()
    moved = replace(await rows.find(first.decision_id), decision=replace(second, user_id=""))  # type: ignore[type-var]
    assert (await ledger._opened(moved)).unreadable  # type: ignore[arg-type]


async def test_outcomes_are_added_without_waiting_for_the_batch(ledger: Ledger) -> None:
    made = decided(ledger)
    await ledger.record(made)
    await ledger.add_outcome(made.decision_id, exposure={"shown": 3})
    await ledger.add_outcome(made.decision_id, human={"agrees": False}, appeal={"granted": True})
    await ledger.add_outcome(made.decision_id, human={"agrees": True})
    found = await ledger.find(made.decision_id)
    assert (found.exposure, found.human, found.appeal) == ({"shown": 3}, {"agrees": True}, {"granted": True})


async def test_the_newest_come_first_and_within_what_was_asked(ledger: Ledger) -> None:
    made = [decided(ledger, at=START + timedelta(minutes=number), mode="live") for number in range(30)]
    made += [
        decided(ledger, at=START, feature="ask", group_id=OTHER, mode="shadow"),
        decided(ledger, at=START - timedelta(hours=5), prompt="SmartReplies@old"),
    ]
    for one in made:
        await ledger.record(one)
    newest = await ledger.newest(since(limit=5))
    assert [one.at.minute for one in newest] == [29, 28, 27, 26, 25]
    assert not any(one.input or one.output for one in newest), "a list shows no content"
    assert len(await ledger.newest(since())) == 32
    assert len(await ledger.newest(since(hours=1))) == 31
    for fields in ({"group_id": OTHER}, {"feature": "ask"}, {"mode": "shadow"}, {"prompt": "SmartReplies@old"}):
        assert len(await ledger.newest(since(**fields))) == 1


async def test_an_erased_group_leaves_nothing(ledger: Ledger) -> None:
    gone, stays, waits = decided(ledger), decided(ledger, group_id=OTHER), decided(ledger)
    for one in (gone, stays):
        await ledger.record(one)
    await ledger.flush()
    await ledger.record(waits)
    await ledger.erase_group(GROUP)
    assert [one.decision_id for one in await ledger.newest(since())] == [stays.decision_id]


async def test_what_a_shredded_group_asked_cannot_be_read(ledger: Ledger, vault: Vault) -> None:
    made = decided(ledger)
    await ledger.record(made)
    await ledger.flush()
    await vault.shred(GROUP)
    found = await ledger.find(made.decision_id)
    assert found.unreadable
    assert (found.input, found.output) == ({}, {})


async def test_an_erased_person_leaves_numbers_without_content(ledger: Ledger) -> None:
    made, others = decided(ledger), decided(ledger, user_id="ben")
    for one in (made, others):
        await ledger.record(one)
    await ledger.erase_user("ana")
    await ledger.erase_user("ana")
    found, untouched = await ledger.find(made.decision_id), await ledger.find(others.decision_id)
    assert (found.user_id, found.input, found.unreadable) == ("", {}, True)
    assert found.served == SERVED
    assert untouched.input


async def test_a_repeat_of_a_write_whose_answer_was_lost_adds_nothing(ledger: Ledger, rows: LedgerStore) -> None:
    made = decided(ledger)
    row = await ledger._sealed(made)
    await rows.add([row])
    await rows.add([row, await ledger._sealed(decided(ledger))])
    assert len(await ledger.newest(since())) == 2


async def test_content_over_the_bound_is_left_out_and_said(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_CONTENT_BYTES", 100)
    made = decided(ledger, input={"text": "x" * 200})
    await ledger.record(made)
    await ledger.flush()
    assert (await ledger.find(made.decision_id)).unreadable


class TestWhileTheDatabaseIsAway:
    class Away(MemoryLedgerStore):
        away = True

        async def add(self, rows: Any) -> None:
            if self.away:
                raise Unavailable
            await super().add(rows)

    async def test_recording_never_waits_and_nothing_is_lost_until_the_bound(self, vault: Vault) -> None:
        rows = self.Away()
        ledger = Ledger(rows, vault, secret=b"s" * 32, retention_days=30)
        made = [decided(ledger) for _ in range(MAX_PENDING + 5)]
        for one in made:
            await ledger.record(one)
        assert ledger.lost == 5, "the oldest gave way"
        rows.away = False
        await ledger.flush()
        assert set(rows.rows) == {one.decision_id for one in made[5:]}

    async def test_the_background_writes_as_soon_as_it_can(self, vault: Vault) -> None:
        rows = self.Away()
        ledger, background = Ledger(rows, vault, secret=b"s" * 32, retention_days=30), Background()
        background.watch("ledger", ledger.run())
        made = decided(ledger)
        await ledger.record(made)
        with pytest.raises(Unavailable):
            await ledger.flush()
        rows.away = False
        for _ in range(200):
            if rows.rows:
                break
            await asyncio.sleep(0.05)
        await background.drain(1)
        assert made.decision_id in rows.rows

    async def test_one_row_that_cannot_be_stored_does_not_hold_up_the_others(self, vault: Vault) -> None:
        class Picky(MemoryLedgerStore):
            async def add(self, rows: Any) -> None:
                if any(row.decision.action == "bad" for row in rows):
                    raise ValueError("cannot be encoded")
                await super().add(rows)

        rows = Picky()
        ledger = Ledger(rows, vault, secret=b"s" * 32, retention_days=30)
        made = [decided(ledger, action=action) for action in ("allow", "bad", "allow")]
        for one in made:
            await ledger.record(one)
        await ledger.flush()
        assert set(rows.rows) == {made[0].decision_id, made[2].decision_id}
        assert ledger.lost == 1
