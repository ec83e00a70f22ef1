"""Two server processes on one database: one log, one fence, and views that converge in both."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from chatcore.errors import ChatError
from tests.proof.processes import ServerProcess
from tests.proof.talkers import Talk, acknowledged, busy, talking, until_acknowledged

Pair = tuple[ServerProcess, ServerProcess]
KEY = "k" * 10 + "0123456789" + "abcdefghijkl"


@pytest.fixture
async def pair(tmp_path: Path, database_uri: str, database_name: str) -> AsyncIterator[Pair]:
    """Both on the tests' database, each with a home of its own."""
    async with AsyncExitStack() as stack:
        variables = {"MONGODB_URI": database_uri, "DATABASE_NAME": database_name, "ENCRYPTION_SECRET_KEY": KEY}
        servers: list[ServerProcess] = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            servers.append(ServerProcess(tmp_path / name / "home", variables))
            stack.push_async_callback(servers[-1].close)
        await servers[0].start()
        await servers[1].start()
        yield servers[0], servers[1]


def people(pair: Pair) -> list[tuple[str, str]]:
    one, other = (server.url for server in pair)
    return [("ana", one), ("ben", other), ("cleo", one), ("dan", other), ("listener", other)]


async def test_a_group_served_by_two_processes_has_one_log_and_all_views_converge(pair: Pair) -> None:
    async with talking(*people(pair), outsiders=1) as talk:
        async with busy(talk, 4):
            await until_acknowledged(talk, 200)
        history = await talk.conclude()
    assert history.findings() == []
    assert acknowledged(talk) >= 200


async def test_a_silent_process_hears_what_the_other_stores(pair: Pair) -> None:
    """Nobody sends through the second process, so only its follower can tell it."""
    one, other = (server.url for server in pair)
    async with talking(("ana", one), ("listener", other)) as talk:
        for _ in range(3):
            await talk.talkers[0].say(talk.group_id, dice=random.Random(1))
        async with asyncio.timeout(10):
            while talk.talkers[1].following.places[talk.group_id] < talk.history.sends[-1].acks[0].seq:
                await asyncio.sleep(0.02)
        assert (await talk.conclude()).findings() == []
        assert len(talk.history.devices[1].pushed[-1]) == 3


async def test_one_who_is_kicked_through_one_process_while_sending_through_the_other_is_fenced_exactly(
    pair: Pair,
) -> None:
    one, other = (server.url for server in pair)
    async with talking(("ana", one), ("mallory", other), ("ben", other)) as talk:
        ana, mallory, _ = talk.talkers
        flood = asyncio.create_task(mallory.talk(talk.group_id, asyncio.Event(), pause_seconds=0))
        await until_acknowledged(talk, 30)
        await kick(talk, mallory.user_id)
        async with asyncio.timeout(20):
            await flood  # ends with the first refusal
        assert talk.history.sends[-1].refused == "not_found"
        for _ in range(3):
            await ana.say(talk.group_id, dice=random.Random(1))
        history = await talk.conclude()
    assert history.findings() == []
    log = [(entry.event, entry.content.partition(" ")[0]) for entry in history.stored]
    kicked_at = log.index(("member_left", ""))
    assert ("new_message", "mallory") in log[:kicked_at]
    assert ("new_message", "mallory") not in log[kicked_at:]
    assert history.members == {ana.user_id, talk.talkers[2].user_id}


async def kick(talk: Talk, user_id: str) -> None:
    """As a person would: again, where the other process was first too often."""
    for _ in range(5):
        try:
            await talk.talkers[0].following.rest.request("DELETE", f"/api/groups/{talk.group_id}/members/{user_id}")
        except ChatError as refused:
            if not refused.retryable:
                raise
        else:
            return
    raise AssertionError("the kick never got through")


async def test_a_group_deleted_through_one_process_takes_nothing_through_the_other(pair: Pair) -> None:
    one, other = (server.url for server in pair)
    async with talking(("ana", one), ("ben", other)) as talk:
        ana, ben = talk.talkers
        await ben.say(talk.group_id, dice=random.Random(1))
        await ana.following.rest.request("DELETE", f"/api/groups/{talk.group_id}")
        assert (await ben.say(talk.group_id, dice=random.Random(1))).refused == "not_found"


async def test_a_killed_process_leaves_the_other_serving_and_finds_back_into_the_log(pair: Pair) -> None:
    """Without transactions: one that is open at the kill keeps its group locked until the database ends it (60 s)."""
    one, _ = pair
    async with talking(*people(pair)) as talk:
        async with busy(talk, 4, renames=False):
            for _ in range(2):
                await until_acknowledged(talk, 40)
                await one.kill()
                await until_acknowledged(talk, 40)
                await one.start()
        history = await talk.conclude()
    assert history.findings() == []
