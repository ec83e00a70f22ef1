"""`python server.py --workers 2`: one port, several processes, as a person starts it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator

import aiohttp
import psutil
import pytest

from tests.servers import ServerProcess, people_of, start_process, stop_process
from tests.talking import People, Person, eventually

MANY = 12


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = start_process(tmp_path_factory.mktemp("crew"), WORKERS="2", RATE_LIMITS="off", LOG_LEVEL="error")
    yield running
    stop_process(running.process)


@pytest.fixture
async def people(crew: ServerProcess) -> AsyncIterator[People]:
    async with people_of(crew.url) as fresh:
        yield fresh


def workers(crew: ServerProcess) -> list[psutil.Process]:
    return [child for child in psutil.Process(crew.process.pid).children() if is_worker(child)]


def is_worker(child: psutil.Process) -> bool:
    try:
        return "chatcore.cli.worker" in child.cmdline()
    except psutil.NoSuchProcess:
        return False


def connections_of(worker: psutil.Process, crew: ServerProcess) -> int:
    port = int(crew.url.rsplit(":", 1)[1])
    return sum(found.laddr.port == port and found.status == "ESTABLISHED" for found in worker.net_connections())


async def spread(crew: ServerProcess, people: People) -> list[Person]:
    """Connected people at every worker: the kernel deals connections out by chance, so more come until it is so."""
    crowd: list[Person] = []
    while len(crowd) < MANY or not all(connections_of(worker, crew) for worker in workers(crew)):
        assert len(crowd) < 10 * MANY
        crowd += await people.connected("somebody")
    return crowd


async def test_people_at_different_workers_hear_each_other(crew: ServerProcess, people: People) -> None:
    assert len(workers(crew)) == 2
    first, *others = await spread(crew, people)
    group = await first.creates_group(*others)
    for other in others:
        await other.receives("member_joined", userId=other.user_id)
    for speaker in (first, others[-1]):
        await speaker.sends(group, f"hello of {speaker.name}")
        for hearer in (person for person in (first, *others) if person is not speaker):
            await hearer.receives("new_message", content=f"hello of {speaker.name}")


async def test_a_polling_session_at_the_wrong_worker_is_told_so_at_once(crew: ServerProcess) -> None:
    connector = aiohttp.TCPConnector(force_close=True)  # each request may reach another worker
    async with aiohttp.ClientSession(connector=connector) as http:
        statuses = set()
        for _ in range(40):
            url = f"{crew.url}/socket.io/?EIO=4&transport=polling"
            async with http.get(url) as opened:
                sid = (await opened.text()).split('"sid":"')[1].split('"')[0]
            async with asyncio.timeout(5), http.post(f"{url}&sid={sid}", data="40") as answer:
                statuses.add(answer.status)
                if answer.status == 400:
                    assert (await answer.json())["message"] == "Session ID unknown"
        assert statuses == {200, 400}


async def test_a_worker_that_is_killed_comes_back_and_the_other_serves_on(crew: ServerProcess, people: People) -> None:
    before = {worker.pid for worker in workers(crew)}
    victim = workers(crew)[0]
    os.kill(victim.pid, signal.SIGKILL)
    await eventually(lambda: len({worker.pid for worker in workers(crew)} - before) == 1)
    (ana, ben) = await people.connected("ana", "ben")
    group = await ana.creates_group(ben)
    await ben.receives("member_joined", userId=ben.user_id)
    await ana.sends(group, "still here")
    await ben.receives("new_message", content="still here")


async def test_all_workers_share_one_process_of_models(crew: ServerProcess) -> None:
    async def states() -> list[dict[str, str]]:
        told = []
        for _ in range(12):  # each on a connection of its own, so that both workers answer
            async with aiohttp.ClientSession() as http, http.get(f"{crew.url}/info") as answer:
                told.append((await answer.json())["models"])
        return told

    async with asyncio.timeout(60):
        while {state.get("embedded") for state in await states()} != {"ready"}:
            await asyncio.sleep(0.2)
    family = psutil.Process(crew.process.pid).children(recursive=True)
    assert sum("chatcore.models.server" in child.cmdline() for child in family) == 1


async def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path_factory: pytest.TempPathFactory) -> None:
    running = start_process(tmp_path_factory.mktemp("orphans"), WORKERS="2", LOG_LEVEL="error")
    family = psutil.Process(running.process.pid).children(recursive=True)
    assert len(family) >= 4  # two workers, the database, the broker
    running.process.kill()
    running.process.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, family, 40)
    assert not alive


async def test_a_stop_ends_all_of_it_in_order(crew: ServerProcess, people: People) -> None:
    """The last one: it ends the crew of the others."""
    family = psutil.Process(crew.process.pid).children(recursive=True)
    (ana,) = await people.connected("ana")
    assert await asyncio.to_thread(stop_process, crew.process) == 0
    await ana.socket.is_closed()
    assert [event for event, _ in ana.socket.heard if event == "server_draining"]
    assert not psutil.wait_procs(family, timeout=5)[1]
