"""What giving vectors costs the database, and what a crash costs those who do it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo
import pytest
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from chatcore.ai.search import store as search_store
from chatcore.ai.search.embedding import Consent, Embedder
from chatcore.ai.search.fresh import FreshLines
from chatcore.ai.search.records import LogLine, Space
from chatcore.ai.search.store import MemorySearchStore, MongoSearchStore, SearchStore
from chatcore.journal import store as journal_store
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Row
from chatcore.journal.store import MongoJournalStore
from chatcore.mongo import Mongo
from chatcore.vault.envelope import Sealed
from chatcore.vault.master import MasterKeys
from chatcore.vault.service import Vault
from chatcore.vault.store import MemoryKeyStore
from tests.search.house import MODEL, FewWords, SearchHouse

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Counted(CommandListener):
    def __init__(self) -> None:
        self.database = ""
        self.seen: Counter[str] = Counter()

    def started(self, event: CommandStartedEvent) -> None:
        if event.database_name == self.database:
            self.seen[event.command_name] += 1

    def succeeded(self, event: CommandSucceededEvent) -> None:
        return None

    def failed(self, event: CommandFailedEvent) -> None:
        return None


COUNTED = Counted()
pymongo.monitoring.register(COUNTED)


@pytest.fixture
def counted(database_name: str) -> Iterator[Counted]:
    COUNTED.database = database_name
    yield COUNTED
    COUNTED.database = ""


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Crew:
    """Processes on one store that agree on the time."""

    store: SearchStore
    vault: Vault
    models: FewWords = field(default_factory=FewWords)
    clock: Clock = field(default_factory=Clock)

    def worker(self, name: str) -> Embedder:
        async def every_group(_: str) -> bool:
            return True

        async def everybody(ids: Any) -> Any:
            return dict.fromkeys(ids, True)

        async def nothing(*_: Any) -> None:
            return None

        return Embedder(
            self.store, self.vault, self.models, Space(MODEL), consent=Consent(every_group, everybody), learn=nothing,
            owner=name, pause=nothing, clock=self.clock,
        )  # fmt: skip


def crew_of(house: SearchHouse) -> Crew:
    return Crew(house.search_store, house.vault)


def written(store: SearchStore, group: str) -> int:
    assert isinstance(store, MemorySearchStore)
    return store._progress[group].seq


async def test_messages_that_trickle_into_many_groups_cost_few_commands(mongo: Mongo, counted: Counted) -> None:
    """200 messages, one at a time in each of 20 groups: a claim each, then inserts of 16 that are looked after once."""
    await mongo.ensure_indexes((*journal_store.INDEXES, *search_store.INDEXES))
    journal, groups = MongoJournalStore(mongo.database), [new_id(NOW) for _ in range(20)]
    crew = Crew(MongoSearchStore(mongo.database), Vault(MasterKeys({"k1": b"m" * 32}), MemoryKeyStore()))
    worker = crew.worker("one")
    spent: Counter[str] = Counter()
    for seq in range(1, 11):
        rows = [await a_message(crew.vault, group, seq) for group in groups]
        await journal.insert(rows)
        before = counted.seen.copy()
        for row in rows:
            worker.stored(line_of(row))
        await worker.drain()
        spent += counted.seen - before
    for group in groups:
        lines = await crew.store.window(group, 0, 100)
        assert [line.has_vector(Space(MODEL)) for line in lines] == [True] * 10
    assert len(crew.models.asked) == 200
    assert len(crew.models.purposes) == 10
    assert spent["findAndModify"] == 20
    assert spent["insert"] == 20
    assert spent["update"] == 0
    assert spent.total() <= 20 + 2 * 20 + 1


async def a_message(vault: Vault, group: str, seq: int) -> Row:
    row = Row(new_id(NOW), group, "message", "ana", NOW, seq=seq, n=seq, p=seq, type="text")
    return replace(row, sealed=(await vault.key_of(group)).seal(row.place, f"{group} {seq}".encode()))


def line_of(row: Row) -> LogLine:
    return LogLine(row.id, row.group_id, row.seq, row.kind, row.sender_id, row.type, row.rev, sealed=row.sealed)


async def test_a_group_in_use_has_its_bookmark_written_once_in_half_a_minute(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group, crew = await house.group(ana), crew_of(house)
    worker, writes = crew.worker("one"), set()
    for _ in range(60):
        await house.sends(ana, group, "rain")
        worker.wake(group)
        await worker.drain()
        writes.add(written(crew.store, group))
        crew.clock.passes(1)
    assert len(writes) == 2
    await worker.leave()
    assert written(crew.store, group) == max(await house.vectors(group))


async def test_who_died_is_followed_after_the_claim_and_nothing_is_lost_or_made_twice(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group, crew = await house.group(ana), crew_of(house)
    for number in range(5):
        await house.sends(ana, group, f"cat {number}")
    dead, heir = crew.worker("dead"), crew.worker("heir")
    dead.wake(group)
    await dead.drain()
    assert written(crew.store, group) == 0
    await house.sends(ana, group, "rain")
    heir.wake(group)
    await heir.drain()
    assert "rain" not in crew.models.asked
    crew.clock.passes(61)
    heir.wake(group)
    await heir.drain()
    assert sorted(crew.models.asked) == [*(f"cat {number}" for number in range(5)), "rain"]
    assert len(await house.vectors(group)) == 6


async def test_who_was_overtaken_while_it_stood_still_goes_back_to_what_is_written(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group, crew = await house.group(ana), crew_of(house)
    slow, other = crew.worker("slow"), crew.worker("other")
    for number, worker in enumerate((slow, other, slow)):
        await house.sends(ana, group, f"cat {number}")
        worker.wake(group)
        await worker.drain()
        crew.clock.passes(61)
    assert crew.models.asked == ["cat 0", "cat 1", "cat 2"]
    await other.leave()
    assert written(crew.store, group) == 0
    await slow.leave()
    assert written(crew.store, group) == max(await house.vectors(group))


async def test_who_holds_a_group_hears_of_what_others_wrote_to_it(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    (mine, others), crew = [await house.group(ana, name=name) for name in ("mine", "others")], crew_of(house)
    worker = crew.worker("one")
    await house.sends(ana, mine, "rain")
    worker.wake(mine)
    await worker.drain()
    await house.sends(ana, mine, "salary")
    worker.heard(others)
    assert len(worker) == 0
    worker.heard(mine)
    await worker.drain()
    assert crew.models.asked == ["rain", "salary"]


async def test_an_orderly_stop_gives_every_group_back_at_once(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    group, crew = await house.group(ana), crew_of(house)
    first, second = crew.worker("first"), crew.worker("second")
    for worker, text in ((first, "rain"), (second, "salary")):
        await house.sends(ana, group, text)
        worker.wake(group)
        await worker.drain()
        await worker.leave()
    assert crew.models.asked == ["rain", "salary"]


async def test_a_quiet_group_is_written_down_where_much_would_be_looked_at_again(house: SearchHouse) -> None:
    (ana,) = house.people("ana")
    crew = crew_of(house)
    worker, groups = crew.worker("one"), [await house.group(ana, name=name) for name in ("much", "little")]
    for group, count in zip(groups, (40, 2), strict=True):
        for number in range(count):
            await house.sends(ana, group, f"cat {number}")
        worker.wake(group)
    await worker.drain()
    await worker.tidy()
    assert written(crew.store, groups[0]) == 0
    crew.clock.passes(61)
    await worker.tidy()
    assert written(crew.store, groups[0]) == max(await house.vectors(groups[0]))
    assert written(crew.store, groups[1]) == 0


def a_line(group: str, seq: int, size: int = 100) -> LogLine:
    return LogLine(f"{group}{seq}", group, seq, "message", "ana", "text", sealed=Sealed(1, 1, b"n", b"c" * size))


def test_fresh_lines_answer_only_where_they_continue_the_bookmark() -> None:
    fresh = FreshLines()
    for seq in (4, 5, 6):
        fresh.put(a_line("g", seq))
    assert [line.seq for line in fresh.after("g", 3, 2)] == [4, 5]
    assert [line.seq for line in fresh.after("g", 5, 9)] == [6]
    assert list(fresh.after("g", 2, 9)) == []
    fresh.put(a_line("g", 8))
    assert list(fresh.after("g", 6, 9)) == []
    assert [line.seq for line in fresh.after("g", 7, 9)] == [8]
    fresh.done("g", 8)
    assert fresh.bytes == 0


def test_fresh_lines_take_no_more_memory_than_they_may() -> None:
    fresh = FreshLines(most_bytes=10_000)
    for number in range(1_000):
        fresh.put(a_line(f"g{number % 7}", number // 7, size=number))
    assert 0 < fresh.bytes <= 10_000
