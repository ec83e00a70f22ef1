"""The writer: numbers without holes, one durable write for many, one answer for each, whatever the line does."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import pytest
from bson import ObjectId

from chatcore.errors import Conflict, NotFound, Unavailable
from chatcore.journal import pending as pending_module
from chatcore.journal import writer as writer_module
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Entry, Head, IdTaken, Row
from chatcore.journal.store import JournalStore, MongoJournalStore
from chatcore.journal.writer import PATIENT_TRIES
from tests.journal.log import NOW, Process, UnreliableStore, a_message, numbered, stored_log


async def nothing(_: Any, rows: Sequence[Row]) -> None:
    return None


async def seqs(store: JournalStore, group: str) -> list[int]:
    return [row.seq for row in await stored_log(store, group)]


# --- one process


async def test_rows_are_numbered_from_one_and_delivered_in_order(process: Process, group: str) -> None:
    written = [(await process.write(a_message(group)))[0] for _ in range(3)]
    assert [(row.seq, row.n, row.p) for row in written] == [(1, 1, 1), (2, 2, 2), (3, 3, 3)]
    assert process.pushed[group] == [1, 2, 3]
    assert [row.id for row in await stored_log(process.store, group)] == [row.id for row in written]


async def test_what_waits_while_a_write_is_under_way_goes_in_one_write(
    process: Process, line: UnreliableStore, group: str
) -> None:
    await asyncio.gather(*(process.write(a_message(group)) for _ in range(50)))
    assert line.inserts == [50]
    assert await seqs(line, group) == list(range(1, 51)) == process.pushed[group]


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> int:
    """Of rows in a batch, however quick the database is."""
    monkeypatch.setattr(pending_module, "MAX_BATCH", pending_module.FIRST_BATCH)
    monkeypatch.setattr(pending_module, "SLOW_SECONDS", math.inf)
    return pending_module.FIRST_BATCH


async def test_a_quick_database_gets_more_at_once(
    process: Process, line: UnreliableStore, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_module, "QUICK_SECONDS", math.inf)
    monkeypatch.setattr(pending_module, "SLOW_SECONDS", math.inf)
    await process.write(a_message(group))
    assert process.writer._queue.most == 64  # one row tells nothing of many
    await asyncio.gather(*(process.write(a_message(group)) for _ in range(64 + 128 + 256 + 256 + 1)))
    assert line.inserts == [1, 64, 128, 256, 256, 1]


async def test_a_slow_database_gets_less_at_once(
    process: Process, line: UnreliableStore, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_module, "SLOW_SECONDS", 0.0)
    await asyncio.gather(*(process.write(a_message(group)) for _ in range(64 + 32 + 32 + 1)))
    assert line.inserts == [64, 32, 32, 1]


async def test_so_does_one_that_does_not_answer(
    process: Process, line: UnreliableStore, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending_module, "SLOW_SECONDS", 0.0)
    line.lost_write = True
    with pytest.raises(Unavailable):
        await process.write(a_message(group))
    assert process.writer._queue.most == 32


async def test_a_batch_has_a_limit(process: Process, line: UnreliableStore, group: str, limit: int) -> None:
    await asyncio.gather(*(process.write(a_message(group)) for _ in range(2 * limit + 5)))
    assert line.inserts == [limit, limit, 5]


async def test_the_next_write_is_at_the_database_while_the_former_is_delivered(
    process: Process, line: UnreliableStore, group: str, limit: int
) -> None:
    pushed_when_it_left: list[int] = []
    line.before_insert = lambda: pushed_when_it_left.append(len(process.pushed.get(group, ())))
    await asyncio.gather(*(process.write(a_message(group)) for _ in range(3 * limit)))
    assert pushed_when_it_left == [0, 0, limit]
    assert process.pushed[group] == list(range(1, 3 * limit + 1)) == await seqs(line, group)


async def test_others_have_the_loop_while_a_batch_is_delivered(
    process: Process, group: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "DELIVERED_IN_A_ROW", 16)
    seen: list[int] = []

    async def look() -> None:
        while len(process.pushed.get(group, ())) < limit:
            seen.append(len(process.pushed.get(group, ())))
            await asyncio.sleep(0)

    await asyncio.gather(look(), *(process.write(a_message(group)) for _ in range(limit)))
    assert set(seen) == {0, 16, 32, 48}


@pytest.mark.parametrize("fate", ["lost_answer", "lost_write"])
async def test_a_write_that_fails_while_the_former_is_delivered_fails_alone(
    process: Process, line: UnreliableStore, group: str, fate: str, limit: int
) -> None:

    def before_insert() -> None:
        if len(line.inserts) == 1:
            setattr(line, fate, True)

    line.before_insert = before_insert
    writes = [process.write(a_message(group)) for _ in range(3 * limit)]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    refused = [isinstance(outcome, Unavailable) for outcome in outcomes]
    assert refused[:limit] == [False] * limit == refused[2 * limit :]
    assert refused[limit : 2 * limit] == [fate == "lost_write"] * limit
    assert process.pushed[group] == await seqs(line, group) == list(range(1, len(outcomes) - sum(refused) + 1))


async def test_a_long_stream_of_writes_lets_others_have_their_turn(
    process: Process, line: UnreliableStore, group: str, limit: int
) -> None:
    writes = 3 * writer_module.MAX_STREAMED
    talking = asyncio.gather(*(process.write(a_message(group)) for _ in range(writes * limit)))
    while not line.inserts:
        await asyncio.sleep(0)
    await process.writer.catch_up(group)
    assert len(line.inserts) <= writer_module.MAX_STREAMED + 1
    await talking
    assert len(line.inserts) == writes


async def test_groups_in_one_batch_have_numbers_of_their_own(process: Process, line: UnreliableStore) -> None:
    groups = [new_id(NOW) for _ in range(5)]
    await asyncio.gather(*(process.write(a_message(group)) for _ in range(4) for group in groups))
    assert line.inserts == [20]
    assert [process.pushed[group] for group in groups] == [[1, 2, 3, 4]] * 5


async def test_a_sender_s_messages_keep_their_order(process: Process, group: str) -> None:
    rows = [a_message(group) for _ in range(150)]
    await asyncio.gather(*(process.write(row) for row in rows))
    assert [row.id for row in await stored_log(process.store, group)] == [row.id for row in rows]


async def test_two_with_one_id_at_once_are_stored_and_pushed_once(
    process: Process, line: UnreliableStore, group: str
) -> None:
    rows = [a_message(group) for _ in range(3)]
    twice = await asyncio.gather(*(process.write(row) for row in (*rows, *rows)), return_exceptions=True)
    assert [row.seq for outcome in twice[:3] for row in outcome] == [1, 2, 3]  # type: ignore[union-attr]
    assert [outcome.row.seq for outcome in twice[3:]] == [1, 2, 3]  # type: ignore[union-attr]
    assert await seqs(line, group) == [1, 2, 3] == process.pushed[group]


async def test_a_repeat_long_after_names_the_first_row_and_does_not_disturb_the_others(
    process: Process, group: str
) -> None:
    first = a_message(group)
    await process.write(first)
    await process.write(a_message(group))
    outcomes = await asyncio.gather(
        process.write(a_message(group)), process.write(first), process.write(a_message(group)), return_exceptions=True
    )
    assert isinstance(outcomes[1], IdTaken)
    assert outcomes[1].row.seq == 1
    assert process.pushed[group] == [1, 2, 3, 4] == await seqs(process.store, group)


async def test_a_new_process_knows_old_rows_as_repeats(line: UnreliableStore, process: Process, group: str) -> None:
    row = a_message(group)
    await process.write(row)
    with pytest.raises(IdTaken):
        await Process(line).write(row)


async def test_a_transaction_s_rows_and_changes_appear_together_between_plain_ones(
    process: Process, group: str
) -> None:
    told: list[int] = []

    async def change(_: Any, rows: Sequence[Row]) -> None:
        told.extend(row.seq for row in rows)

    await asyncio.gather(
        process.write(a_message(group)),
        process.write(a_message(group), a_message(group), changes=[change]),
        process.write(a_message(group)),
    )
    assert told == [2, 3]
    assert process.pushed[group] == [1, 2, 3, 4]


async def test_a_transaction_whose_change_clashes_leaves_nothing(process: Process, group: str) -> None:
    async def refuse(_: Any, rows: Sequence[Row]) -> None:
        raise Conflict("somebody was first")

    with pytest.raises(Conflict):
        await process.write(a_message(group), changes=[refuse])
    await process.write(a_message(group))
    assert await seqs(process.store, group) == [1] == process.pushed[group]


async def test_authorize_is_asked_right_before_the_write_and_withdraws_only_its_entry(
    process: Process, line: UnreliableStore, group: str
) -> None:
    """The kick stands before the message in the queue, so the message sees it though it was let in before."""
    outcomes = await asyncio.gather(
        process.kick(group, "mallory"),
        process.write(a_message(group, "mallory")),
        process.write(a_message(group, "ana")),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], NotFound)
    assert [row.sender_id for row in await stored_log(line, group)] == ["owner", "ana"]


async def test_a_caller_that_goes_away_leaves_its_entry_to_be_stored(process: Process, group: str) -> None:
    task = asyncio.create_task(process.write(a_message(group)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await process.writer.idle()
    assert process.pushed[group] == [1] == await seqs(process.store, group)


async def test_a_fault_in_deliver_stops_nobody(process: Process, group: str) -> None:
    shown: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: shown.append(context["exception"]))

    def broken(rows: Sequence[Row]) -> None:
        raise RuntimeError("a fault of ours")

    assert [row.seq for row in await process.writer.append(Entry(group, [a_message(group)], broken))] == [1]
    assert [row.seq for row in await process.write(a_message(group))] == [2]
    assert [str(error) for error in shown] == ["a fault of ours"]


async def test_a_group_that_is_gone_fails_alone(line: UnreliableStore, group: str) -> None:
    gone = new_id(NOW)

    class WithoutOne(Process):
        async def _load_head(self, group_id: str) -> Head:
            if group_id == gone:
                raise NotFound()
            return await super()._load_head(group_id)

    process = WithoutOne(line)
    outcomes = await asyncio.gather(
        process.write(a_message(gone)), process.write(a_message(group)), return_exceptions=True
    )
    assert isinstance(outcomes[0], NotFound)
    assert process.pushed == {group: [1]}


# --- a bad line


async def test_after_a_lost_answer_the_stored_rows_are_acknowledged(
    process: Process, line: UnreliableStore, group: str
) -> None:
    await process.write(a_message(group))
    line.lost_answer = True
    outcomes = await asyncio.gather(*(process.write(a_message(group)) for _ in range(5)))
    assert [row.seq for (row,) in outcomes] == [2, 3, 4, 5, 6]
    assert process.pushed[group] == [1, 2, 3, 4, 5, 6]


async def test_after_a_lost_answer_of_a_transaction_it_is_acknowledged_once(
    process: Process, line: UnreliableStore, group: str
) -> None:
    line.lost_answer = True
    assert [row.seq for row in await process.write(a_message(group), a_message(group), changes=[nothing])] == [1, 2]
    assert process.pushed[group] == [1, 2]


async def test_a_write_that_never_happened_is_refused_and_leaves_no_hole(
    process: Process, line: UnreliableStore, group: str
) -> None:
    line.lost_write = True
    with pytest.raises(Unavailable):
        await process.write(a_message(group))
    await process.write(a_message(group))
    assert await seqs(line, group) == [1] == process.pushed[group]


async def test_a_repeat_of_an_old_row_in_a_batch_with_a_lost_answer_does_not_turn_the_log_back(
    process: Process, line: UnreliableStore, group: str
) -> None:
    """Found by reading: the old row was taken for the new one, and the log's end went back to it."""
    old = a_message(group)
    await process.write(old)
    for _ in range(3):
        await process.write(a_message(group))
    line.lost_answer = True
    outcomes = await asyncio.gather(process.write(old), return_exceptions=True)
    assert isinstance(outcomes[0], IdTaken)
    assert outcomes[0].row.seq == 1
    await process.write(a_message(group))
    assert process.pushed[group] == [1, 2, 3, 4, 5]


async def test_a_row_that_turns_up_late_is_delivered_by_the_next_send(
    process: Process, line: UnreliableStore, group: str
) -> None:
    late = a_message(group)
    line.late_write = True
    with pytest.raises(Unavailable):
        await process.write(late)
    await line.land()
    (written,) = await process.write(a_message(group))
    assert written.seq == 2
    assert process.pushed[group] == [1, 2]


async def test_a_row_that_turns_up_late_is_delivered_without_any_send(
    process: Process, line: UnreliableStore, group: str
) -> None:
    line.late_write = True
    with pytest.raises(Unavailable):
        await process.write(a_message(group))
    await process.writer.recheck()
    assert group not in process.pushed
    await line.land()
    await process.writer.recheck()
    assert process.pushed[group] == [1]
    assert len(process.writer._doubts) == 0


async def test_the_retry_of_a_row_that_turned_up_late_is_answered_after_everybody_was_told(
    process: Process, line: UnreliableStore, group: str
) -> None:
    row = a_message(group)
    line.late_write = True
    with pytest.raises(Unavailable):
        await process.write(row)
    await line.land()
    with pytest.raises(IdTaken) as taken:
        await process.write(row)
    assert taken.value.row.seq == 1
    assert process.pushed[group] == [1]


async def test_a_late_row_whose_place_is_taken_never_comes(process: Process, line: UnreliableStore, group: str) -> None:
    line.late_write = True
    with pytest.raises(Unavailable):
        await process.write(a_message(group, "late"))
    await process.write(a_message(group, "ana"))
    await line.land()
    await process.writer.recheck()
    assert len(process.writer._doubts) == 0
    assert [row.sender_id for row in await stored_log(line, group)] == ["ana"]


async def test_a_retry_with_other_content_is_never_taken_for_the_first(
    process: Process, line: UnreliableStore, group: str
) -> None:
    """The first landed unseen; the second has the same id and other content, and its answer is lost as well."""
    first = a_message(group, content=b"first")
    line.late_write = True
    with pytest.raises(Unavailable):
        await process.write(first)
    await line.land()
    line.lost_answer = True
    with pytest.raises(IdTaken) as taken:
        await process.write(a_message(group, id=first.id, content=b"second"))
    assert taken.value.row.fingerprint == b"first"


async def test_every_send_is_answered_in_time_while_the_database_is_silent(
    store: JournalStore, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is under way, the others wait: all hear `unavailable`; those that were not tried are never stored."""
    monkeypatch.setattr(writer_module, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(writer_module, "LOOK_SECONDS", 0.01)
    silent = asyncio.Event()

    class Silent(UnreliableStore):
        async def insert(self, rows: Sequence[Row]) -> Any:
            await silent.wait()
            return await super().insert(rows)

    process = Process(Silent(store))
    under_way = asyncio.create_task(process.write(a_message(group, "under way")))
    await asyncio.sleep(0.01)
    waiting = [asyncio.create_task(process.write(a_message(group, "waiting"))) for _ in range(3)]
    outcomes = await asyncio.gather(under_way, *waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 4
    silent.set()
    await process.writer.idle()
    assert [row.sender_id for row in await stored_log(store, group)] == ["under way"]
    assert process.pushed[group] == [1]
    assert process.missed == [1]  # its sender knows it as little as the others do
    assert [row.seq for row in await process.write(a_message(group))] == [2]


async def test_what_was_refused_for_time_is_not_tried_again(
    store: JournalStore, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller has given up, and nothing of it is stored: so it stays."""
    monkeypatch.setattr(writer_module, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(writer_module, "LOOK_SECONDS", 0.01)
    held = asyncio.Event()

    class Held(UnreliableStore):
        async def insert(self, rows: Sequence[Row]) -> Any:
            await held.wait()
            return await super().insert(rows)

    process = Process(Held(store))
    with pytest.raises(Unavailable):
        await process.write(a_message(group, "late"))
    await Process(store).write(a_message(group, "first"))
    held.set()
    await process.writer.idle()
    assert [row.sender_id for row in await stored_log(store, group)] == ["first"]


async def test_nobody_is_left_waiting_when_the_store_has_a_fault(
    process: Process, line: UnreliableStore, group: str
) -> None:
    shown: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: shown.append(context["exception"]))

    def fault() -> None:
        raise ZeroDivisionError

    line.before_insert = fault
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable):
            await process.write(a_message(group))
        line.before_insert = lambda: None
        await process.write(a_message(group))
    assert len(shown) == 1


async def test_a_full_queue_refuses(process: Process, group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_QUEUED", 5)
    outcomes = await asyncio.gather(*(process.write(a_message(group)) for _ in range(8)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes[5:]] == [Unavailable] * 3
    assert process.pushed[group] == [1, 2, 3, 4, 5]


# --- several processes


async def test_two_processes_share_a_log_without_holes_and_both_deliver_all_of_it(
    store: JournalStore, group: str
) -> None:
    both = [Process(store), Process(store)]
    for process in both:
        process.writer.set_head(group, Head())

    async def talk(process: Process, sender: str) -> None:
        for _ in range(40):
            await process.write(a_message(group, sender))

    await asyncio.gather(talk(both[0], "ana"), talk(both[1], "ben"), talk(both[0], "cleo"), talk(both[1], "dan"))
    for process in both:
        await process.writer.catch_up(group)
        assert process.pushed[group] == list(range(1, 161))
    assert await seqs(store, group) == list(range(1, 161))


async def test_a_sender_kicked_through_another_process_is_fenced_exactly(store: JournalStore, group: str) -> None:
    one, other = Process(store), Process(store)

    async def talk() -> None:
        while True:
            await other.write(a_message(group, "mallory"))

    await other.write(a_message(group))
    talking = asyncio.create_task(talk())
    await asyncio.sleep(0.05)
    await one.kick(group, "mallory")
    with pytest.raises(NotFound):
        await talking
    log = await stored_log(store, group)
    senders = [row.sender_id for row in log]
    kicked_at = senders.index("owner")
    assert "mallory" in senders[:kicked_at]
    assert "mallory" not in senders[kicked_at:]
    assert [row.seq for row in log] == list(range(1, len(log) + 1))


async def test_after_a_clash_little_is_sent_that_may_clash_again(store: JournalStore) -> None:
    line, groups = UnreliableStore(store), [new_id(NOW) for _ in range(40)]
    one, other = Process(line), Process(store)
    for group in groups:
        await one.write(a_message(group))
    line.inserts.clear()
    for group in groups:
        await other.write(a_message(group))
    await asyncio.gather(*(one.write(a_message(group)) for group in groups))
    assert sum(line.inserts) <= 360  # all of them again after each clash would be 820
    for group in groups:
        assert await seqs(store, group) == [1, 2, 3]


async def test_a_transaction_that_was_overtaken_often_takes_its_place_first(
    monkeypatch: pytest.MonkeyPatch, store: JournalStore, group: str
) -> None:
    """Whoever writes to the log without a pause from another process must not keep a moderator out."""
    line = UnreliableStore(store)
    one, other = Process(line), Process(store)
    await other.write(a_message(group))
    claims: list[bool] = []

    async def overtaken(rows: Any, changes: Any, *, claim: bool) -> None:
        claims.append(claim)
        if not claim:
            await other.write(a_message(group, "mallory"))
        await store.transact(rows, changes, claim=claim)

    monkeypatch.setattr(line, "transact", overtaken)
    await one.kick(group, "mallory")
    assert claims == [False] * PATIENT_TRIES + [True]


@pytest.mark.parametrize("claim", [False, True])
async def test_a_transaction_is_all_or_nothing_in_either_order(store: JournalStore, group: str, claim: bool) -> None:
    there: list[bool] = []

    async def refuse(session: Any, rows: Sequence[Row]) -> None:
        if isinstance(store, MongoJournalStore):
            there.append(await store._messages.find_one({"_id": ObjectId(rows[0].id)}, session=session) is not None)
        raise Conflict("no")

    with pytest.raises(Conflict):
        await store.transact(numbered([a_message(group)]), [refuse], claim=claim)
    assert there in ([], [claim])
    assert await seqs(store, group) == []


async def test_transactions_of_two_processes_do_not_break_the_log(store: JournalStore, group: str) -> None:
    both = [Process(store), Process(store)]
    await asyncio.gather(
        *(process.write(a_message(group), a_message(group), changes=[nothing]) for process in both for _ in range(8))
    )
    assert await seqs(store, group) == list(range(1, 33))


async def test_rows_of_others_come_before_our_own(store: JournalStore, group: str) -> None:
    one, other = Process(store), Process(store)
    await one.write(a_message(group))
    await other.write(a_message(group))
    await other.write(a_message(group))
    await one.write(a_message(group))
    assert one.pushed[group] == [1, 2, 3, 4]


async def test_catching_up_stops_before_a_hole(store: JournalStore, group: str) -> None:
    """No store shows one; a deliverer that trusted that would skip a row for good."""
    process = Process(store)
    await process.write(a_message(group))
    await store.insert(numbered([a_message(group)], first=2))
    await store.insert(numbered([a_message(group)], first=4))
    await process.writer.catch_up(group)
    assert process.pushed[group] == [1, 2]


async def test_catching_up_with_an_unknown_group_reads_nothing(process: Process, line: UnreliableStore) -> None:
    line.away = True
    await process.writer.catch_up(new_id(NOW))


async def test_a_fault_in_applying_the_rows_of_others_fails_only_that_group(store: JournalStore, group: str) -> None:
    broken = new_id(NOW)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)

    class Broken(Process):
        async def _missed(self, group_id: str, rows: Sequence[Row]) -> None:
            if group_id == broken:
                raise RuntimeError
            await super()._missed(group_id, rows)

    process, other = Broken(store), Process(store)
    for group_id in (broken, group):
        await process.write(a_message(group_id))
        await other.write(a_message(group_id))
    outcomes = await asyncio.gather(
        process.write(a_message(broken)), process.write(a_message(group)), return_exceptions=True
    )
    assert isinstance(outcomes[0], Unavailable)
    assert process.pushed[group] == [1, 2, 3]
