"""kill -9 at any moment: what was acknowledged is there, once, in order, and every view finds its way back."""

import asyncio
import random
import signal

import psutil
import pytest

from tests.proof.processes import ServerProcess
from tests.proof.talkers import acknowledged, busy, talking, until_acknowledged

NAMED_POINTS = [
    "before-commit:9",
    "after-commit:9",
    "amid-batch:6",
    "amid-write:12",
    "after-ack:15",
    "before-transaction:2",
    "after-transaction:2",
]
PEOPLE = ("ana", "ben", "cleo", "dan", "eve", "listener")


async def kill_again_and_again(server: ServerProcess, *, at_random: int, points: list[str], seed: int) -> None:
    dice = random.Random(seed)
    await server.start()
    async with talking(*((name, server.url) for name in PEOPLE), outsiders=1) as talk:
        async with busy(talk):
            for _ in range(at_random):
                await asyncio.sleep(dice.uniform(0.05, 0.6))
                await server.kill()
                await server.start()
            for point in points:
                await until_acknowledged(talk, 5)
                await server.kill()
                await server.start(point, ready=False)
                assert await server.ended() == -signal.SIGKILL
                await server.start()
            await until_acknowledged(talk, 20)
        history = await talk.conclude()
    assert history.findings() == []
    assert acknowledged(talk) > 10 * (at_random + len(points))


@pytest.mark.timeout(400)
async def test_twenty_kills_lose_nothing_and_repeat_nothing(server: ServerProcess) -> None:
    """At seven named points, each reached by a server that dies there by itself, and at random."""
    await kill_again_and_again(server, at_random=13, points=NAMED_POINTS, seed=20)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
async def test_hundreds_of_kills(server: ServerProcess, seed: int) -> None:
    await kill_again_and_again(server, at_random=40, points=NAMED_POINTS * 3, seed=seed)


async def test_a_killed_database_child_comes_back_and_no_ack_was_false(server: ServerProcess) -> None:
    await server.start()
    async with talking(*((name, server.url) for name in PEOPLE)) as talk:
        async with busy(talk):
            for _ in range(2):
                await until_acknowledged(talk, 50)
                child = server.database_child()
                child.kill()
                await until_acknowledged(talk, 50)
                assert server.database_child().pid != child.pid
        history = await talk.conclude()
    assert history.findings() == []


async def test_a_stop_under_load_is_announced_and_loses_nothing(server: ServerProcess) -> None:
    await server.start()
    async with talking(*((name, server.url) for name in PEOPLE)) as talk:
        async with busy(talk):
            await until_acknowledged(talk, 100)
            assert await server.stop() == 0
            before = acknowledged(talk)
            await server.start()
            await until_acknowledged(talk, 50)
        history = await talk.conclude()
    assert history.findings() == []
    assert before >= 100
    assert [talker.drain_notices for talker in talk.talkers] == [1] * len(PEOPLE)


async def test_the_database_goes_with_its_killed_parent_and_the_next_start_waits_for_it(server: ServerProcess) -> None:
    await server.start()
    child = server.database_child()
    await server.kill()
    await server.start()  # at once, while the old child may still hold the folder
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert server.database_child().pid != child.pid
