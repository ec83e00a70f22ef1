"""What a send costs the database, counted by the driver's own events."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pymongo
import pytest
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from chatcore.app import Core, open_core
from chatcore.contract.groups import CreateGroup, GroupPath
from chatcore.contract.messages import React, SendMessage
from chatcore.contract.people import User
from chatcore.groups import rooms
from chatcore.groups.follower import Follower
from chatcore.groups.store import MongoGroupStore
from chatcore.ports import Caller
from chatcore.settings import Settings

READS = {"find", "aggregate", "count", "distinct", "getMore"}


class Counted(CommandListener):
    """Commands of one database, by name."""

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

    def reads(self) -> int:
        return sum(count for name, count in self.seen.items() if name in READS)


COUNTED = Counted()
pymongo.monitoring.register(COUNTED)


@pytest.fixture
async def core(tmp_path: Path, database_uri: str, database_name: str) -> AsyncIterator[Core]:
    settings = Settings(
        _env_file=None,
        chatcore_home=tmp_path,
        mongodb_uri=database_uri,
        database_name=database_name,
        encryption_secret_key="0123456789abcdefghijklmnopqrstuvwxyz",
    )
    async with open_core(settings) as core:
        COUNTED.database = database_name
        yield core
        COUNTED.database = ""


def caller(name: str) -> Caller:
    return Caller(name, f"session-{name}", User(user_id=name, name=name))


async def group_of(core: Core, *names: str) -> str:
    owner = caller(names[0])
    group = await core.services.groups.create(owner, CreateGroup(name="counted", join_policy="open"))
    for name in names[1:]:
        await core.services.groups.join(caller(name), GroupPath(group_id=group.id))
    return group.id


async def send(core: Core, group_id: str, name: str, number: int) -> int:
    request = SendMessage(group_id=group_id, content=f"{name} {number}", temp_id=f"{name}-{number}")
    return (await core.services.messages.send(caller(name), request)).seq


async def test_sends_that_meet_share_writes_and_read_nothing(core: Core) -> None:
    names = [f"p{number}" for number in range(20)]
    group_id = await group_of(core, *names)
    await send(core, group_id, "p0", 0)
    COUNTED.seen.clear()
    seqs: list[int] = []
    for number in range(1, 6):
        seqs += await asyncio.gather(*(send(core, group_id, name, number) for name in names))
    assert sorted(seqs) == list(range(min(seqs), min(seqs) + 100))
    assert COUNTED.reads() == 0
    assert COUNTED.seen == {"insert": 5}


async def test_a_single_send_is_one_write(core: Core) -> None:
    group_id = await group_of(core, "ana")
    await send(core, group_id, "ana", 0)
    COUNTED.seen.clear()
    await send(core, group_id, "ana", 1)
    assert COUNTED.seen == {"insert": 1}


async def test_a_repeat_costs_nothing_where_the_first_is_remembered_and_little_where_not(core: Core) -> None:
    group_id = await group_of(core, "ana")
    first = await send(core, group_id, "ana", 1)
    COUNTED.seen.clear()
    assert await send(core, group_id, "ana", 1) == first
    assert COUNTED.seen == {}
    core.services.messages._receipts.clear()
    assert await send(core, group_id, "ana", 1) == first
    assert COUNTED.seen["insert"] == 1
    assert COUNTED.reads() <= 2


async def test_a_tick_of_the_follower_is_one_read_and_one_write_however_many_groups_moved(core: Core) -> None:
    group_ids = [await group_of(core, "ana") for _ in range(5)]
    follower = Follower(MongoGroupStore(core.mongo.database), core.rooms)
    follower.start()
    await follower.tick()
    for group_id in group_ids:
        await send(core, group_id, "ana", 1)
    COUNTED.seen.clear()
    await follower.tick()
    assert COUNTED.seen == {"update": 1, "find": 1}
    COUNTED.seen.clear()
    await follower.tick()
    assert COUNTED.seen == {"find": 1}


async def test_the_recheck_costs_nothing_while_nothing_is_in_doubt(core: Core) -> None:
    await send(core, await group_of(core, "ana"), "ana", 1)
    COUNTED.seen.clear()
    await core.writer.recheck()
    await core.rooms.checkpoint(datetime.now(UTC))
    assert COUNTED.seen == {}


async def test_many_who_arrive_at_once_are_looked_up_together(core: Core) -> None:
    group_id = await group_of(core, *(f"guest-{number}" for number in range(12)))
    COUNTED.seen.clear()
    groups = core.services.groups
    found = await asyncio.gather(*(groups.rooms_of(f"guest-{number}") for number in range(12)))
    assert [[room.id for room in mine] for mine in found] == [[group_id]] * 12
    assert COUNTED.reads() <= 2


async def test_a_group_is_loaded_with_three_reads(core: Core) -> None:
    group_id = await group_of(core, "ana", "ben")
    await send(core, group_id, "ana", 1)
    before = core.rooms.head(group_id)
    core.rooms.drop(group_id)
    COUNTED.seen.clear()
    await core.rooms.load(group_id)
    assert core.rooms.head(group_id) == before
    assert COUNTED.seen == {"find": 3}


async def test_a_log_longer_than_one_window_is_loaded_to_its_end(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "LOAD_ROWS", 3)
    group_id = await group_of(core, "ana", "ben")
    for number in range(5):
        await send(core, group_id, "ana", number)
    before = core.rooms.head(group_id)
    core.rooms.drop(group_id)
    room = await core.rooms.load(group_id)
    assert core.rooms.head(group_id) == before
    assert room.last_message is not None
    assert room.last_message.seq == before.seq


async def test_a_storm_of_arrivals_costs_a_few_reads_a_person_and_group(core: Core) -> None:
    names = [f"user-{number}" for number in range(20)]
    ids = {name: await group_of(core, name, "ana") for name in names}
    await core.rooms.checkpoint(datetime.now(UTC), everything=True)
    for group_id in ids.values():
        core.rooms.drop(group_id)
    COUNTED.seen.clear()
    arriving = (core.services.groups.rooms_of(name) for name in [*names, "ana"])
    *each, all_of_them = await asyncio.gather(*arriving)
    # people: 2; groups: 3, as the first comes alone, and rosters, by ten: 4; the ends of the logs: 20
    assert COUNTED.reads() <= 34
    assert [[room.id for room in found] for found in each] == [[ids[name]] for name in names]
    assert {room.id for room in all_of_them} == set(ids.values())
    assert {frozenset(room.members) for room in all_of_them} == {frozenset({name, "ana"}) for name in names}


async def test_the_newest_message_is_found_behind_many_rows_that_are_none(core: Core) -> None:
    group_id = await group_of(core, "ana")
    request = SendMessage(group_id=group_id, content="hello", temp_id="t1")
    sent = await core.services.messages.send(caller("ana"), request)
    for emoji in "🌱🌿🍀🌳🌲🌴🌵🌾🍁🍂🍃🌻":
        reaction = React(group_id=group_id, message_id=sent.message_id, emoji=emoji)
        await core.services.responses.add_reaction(caller("ana"), reaction)
    await core.rooms.checkpoint(datetime.now(UTC), everything=True)
    before = (await core.rooms.load(group_id)).last_message
    core.rooms.drop(group_id)
    room = await core.rooms.load(group_id)
    assert room.record.checkpoint_seq == core.rooms.head(group_id).seq
    assert before is not None
    assert room.last_message is not None
    assert room.last_message.id == before.id
