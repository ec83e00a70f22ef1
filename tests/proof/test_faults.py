"""A database that is slow, silent, broken or absent: refusals in time, no false ack, and a recovery without help."""

import asyncio
import random
import resource
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from chatcore.client import Client
from chatcore.errors import ChatError, Unavailable
from chatcore.journal.ids import new_id
from chatcore.journal.store import INDEXES, MongoJournalStore
from chatcore.mongo import open_mongo
from tests.journal.log import NOW, Process, a_message, stored_log
from tests.proof.processes import ServerProcess
from tests.proof.proxy import FaultyNetwork, Mode, faulty_network
from tests.proof.talkers import acknowledged, busy, talking, until_acknowledged

PATIENCE_SECONDS = 6.0  # twice what is promised, for a busy machine
PEOPLE = ("ana", "ben", "cleo", "listener")


@pytest.fixture
async def network(database_uri: str) -> AsyncIterator[FaultyNetwork]:
    place = urlsplit(database_uri)
    async with faulty_network(str(place.hostname), place.port or 27017) as network:
        yield network


@pytest.fixture
def uri(database_uri: str, network: FaultyNetwork) -> str:
    """The database through the faulty network."""
    place = urlsplit(database_uri)
    credentials = place.netloc.rpartition("@")[0]
    return place._replace(netloc=f"{credentials}@127.0.0.1:{network.port}").geturl()


@pytest.fixture
async def remote(tmp_path: Path, uri: str, database_name: str) -> AsyncIterator[ServerProcess]:
    """A server whose database is behind the faulty network."""
    process = ServerProcess(tmp_path / "home", {"MONGODB_URI": uri, "DATABASE_NAME": database_name})
    await process.start()
    yield process
    await process.close()


async def until_health(server: ServerProcess, which: str, status: int) -> None:
    async with asyncio.timeout(30):
        while await server.health(which) != status:
            await asyncio.sleep(0.1)


async def send(client: Client, group_id: str, number: int) -> float:
    """Seconds to the refusal. One try: the client library's own repeats are left out."""
    assert client._session is not None
    began = time.monotonic()
    payload: dict[str, Any] = {"groupId": group_id, "content": f"x {number}", "type": "text", "tempId": f"x{number}"}
    with pytest.raises(Unavailable) as refusal:
        await client._session.call("send_message", payload, timeout_seconds=30)
    assert refusal.value.retryable
    return time.monotonic() - began


@pytest.mark.parametrize("mode", ["black hole", "reset", "refuse"])
async def test_while_the_database_is_away_sends_are_refused_in_time_and_everything_recovers(
    remote: ServerProcess, network: FaultyNetwork, mode: Mode
) -> None:
    async with talking(*((name, remote.url) for name in PEOPLE)) as talk:
        async with busy(talk, 3):
            await until_acknowledged(talk, 30)
            network.mode = mode
            await asyncio.sleep(0.1)
            before = acknowledged(talk)
            both = talk.talkers[-1].following, talk.talkers[-1].raw
            waits = await asyncio.gather(*(send(client, talk.group_id, n) for n, client in enumerate(both)))
            assert max(waits) < PATIENCE_SECONDS
            assert await remote.health("live") == 200
            await until_health(remote, "ready", 503)
            assert acknowledged(talk) - before <= 3  # what was under way
            network.mode = "pass"
            network.cut()
            await until_health(remote, "ready", 200)
            await until_acknowledged(talk, 30)
        history = await talk.conclude()
    assert history.findings() == []


async def test_a_slow_database_delays_and_breaks_nothing(remote: ServerProcess, network: FaultyNetwork) -> None:
    network.latency_seconds = 0.05
    async with talking(*((name, remote.url) for name in PEOPLE)) as talk:
        async with busy(talk, 3):
            await until_acknowledged(talk, 40)
        history = await talk.conclude()
    assert history.findings() == []


async def test_answers_that_get_lost_lead_to_no_false_ack_no_repeat_and_no_message_that_nobody_sees(
    remote: ServerProcess, network: FaultyNetwork
) -> None:
    """Each write lands and nobody is told; so everything hangs on the ids, and on looking again."""
    async with talking(*((name, remote.url) for name in PEOPLE)) as talk:
        async with busy(talk, 3):
            for _ in range(3):
                await until_acknowledged(talk, 20)
                network.swallow_answers = True
                await asyncio.sleep(1.0)
                network.swallow_answers = False
                network.cut()
        history = await talk.conclude()
    assert history.findings() == []


async def test_a_message_refused_while_its_write_was_under_way_is_pushed_when_it_turns_up(
    remote: ServerProcess, network: FaultyNetwork
) -> None:
    async with talking(("ana", remote.url), ("ben", remote.url)) as talk:
        await talk.talkers[0].say(talk.group_id, dice=random.Random(1))
        network.swallow_answers = True
        await send(talk.talkers[0].following, talk.group_id, 1)
        network.swallow_answers = False
        network.cut()
        ben = talk.history.devices[1]
        async with asyncio.timeout(20):
            while not any(entry.content == "x 1" for connection in ben.pushed for entry in connection):
                await asyncio.sleep(0.05)
        assert (await talk.conclude()).findings() == []


async def test_a_transaction_that_is_cut_short_does_not_lock_its_group(uri: str, network: FaultyNetwork) -> None:
    """The database would keep it open for a minute."""
    mongo = await open_mongo(uri, database=f"test-{new_id(NOW)}", embedded=True)
    try:
        await mongo.ensure_indexes(INDEXES)
        store, group = MongoJournalStore(mongo.database), new_id(NOW)

        async def go_silent(session: Any, rows: Any) -> None:
            await mongo.database["reactions"].insert_one({"row": rows[0].seq}, session=session)
            network.mode = "black hole"

        process = Process(store)
        await process.write(a_message(group))
        with pytest.raises(ChatError):
            await process.write(a_message(group), a_message(group), changes=[go_silent])
        network.mode = "pass"
        network.cut()
        async with asyncio.timeout(20):
            while True:
                await process.writer.recheck()
                try:
                    await process.write(a_message(group))
                    break
                except Unavailable:
                    await asyncio.sleep(0.1)
        log = await stored_log(store, group)
        assert [row.seq for row in log] == list(range(1, len(log) + 1))
    finally:
        await mongo.close()


@pytest.mark.skipif(not hasattr(psutil.Process, "rlimit"), reason="limits of another process are a matter of Linux")
async def test_a_full_disk_acknowledges_nothing_falsely_and_is_recovered_from(server: ServerProcess) -> None:
    """The limit on the size of files stands for the full disk: the database can write no further in any file."""
    await server.start()
    async with talking(*((name, server.url) for name in PEOPLE)) as talk:
        async with busy(talk, 3):
            await until_acknowledged(talk, 30)
            child = server.database_child()
            child.rlimit(psutil.RLIMIT_FSIZE, (4_096, resource.RLIM_INFINITY))
            async with asyncio.timeout(30):  # who is refused tries once more, and may not notice that it was begun anew
                while child.is_running() and not any(talker.refusals for talker in talk.talkers):
                    await asyncio.sleep(0.05)
            assert await server.health("live") == 200
            with suppress(psutil.NoSuchProcess):
                child.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            await until_acknowledged(talk, 30)
            await until_health(server, "ready", 200)
        history = await talk.conclude()
    assert history.findings() == []
