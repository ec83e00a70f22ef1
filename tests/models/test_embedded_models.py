"""The endpoint as a supervised process: late, private, and back after a fault."""

import asyncio
import os
import signal
import stat
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientSession

from chatcore.embedded.models import EmbeddedModels
from chatcore.embedded.supervisor import Health


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[EmbeddedModels]:
    models = EmbeddedModels(tmp_path)
    await models.start()
    yield models
    await models.stop()


async def moderated(models: EmbeddedModels) -> bool:
    headers = {"Authorization": f"Bearer {models.token}"}
    async with (
        ClientSession(headers=headers) as session,
        session.post(f"{models.url}/moderations", json={"input": "I will kill myself tonight"}) as answer,
    ):
        return bool((await answer.json())["results"][0]["flagged"])


async def test_it_comes_up_behind_the_chat_serves_and_goes(tmp_path: Path) -> None:
    models = EmbeddedModels(tmp_path)
    began = time.monotonic()
    await models.start()
    assert models.url is None  # the chat is up before its models are
    assert await models.wait_ready(60)
    print(f"\nready after {time.monotonic() - began:.2f} s")  # noqa: T201
    assert await moderated(models)
    child = psutil.Process(models.health.pid)
    rss = child.memory_info().rss / 1e6
    print(f"{rss:.0f} MB")  # noqa: T201
    assert rss < 400
    token_file = tmp_path / "models" / "token"
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert models.token not in " ".join(child.cmdline())
    await models.stop()
    await models.stop()
    assert not child.is_running()
    assert not token_file.exists()
    assert models.health == Health("stopped", None, 0, None)


def niceness_of_session(pid: int) -> int | None:
    """None where the kernel does not schedule by sessions."""
    file = Path(f"/proc/{pid}/autogroup")
    words = file.read_text().split() if file.exists() else []
    return int(words[-1]) if words else None


@pytest.mark.skipif(sys.platform != "linux", reason="sessions are scheduled by Linux alone")
async def test_it_gives_way_to_the_chat_with_its_whole_session_and_computes_on_one_thread(
    embedded: EmbeddedModels,
) -> None:
    assert await embedded.wait_ready(60)
    child = psutil.Process(embedded.health.pid)
    assert child.nice() == 5
    assert niceness_of_session(child.pid) in (5, None)
    assert niceness_of_session(os.getpid()) in (0, None)
    assert child.num_threads() <= 3  # the loop, the loading, the models


async def test_after_a_crash_it_serves_again_at_the_same_place_with_the_same_key(embedded: EmbeddedModels) -> None:
    assert await embedded.wait_ready(60)
    url, pid = embedded.url, embedded.health.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    for _ in range(600):
        if embedded.health.restarts == 1 and embedded.url is not None:
            break
        await asyncio.sleep(0.1)
    assert (embedded.url, embedded.health.restarts) == (url, 1)
    assert await moderated(embedded)


async def test_models_that_never_come_keep_nobody_waiting_and_can_be_stopped(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text(f"#!{sys.executable}\nraise SystemExit('no such module')\n")
    broken.chmod(0o700)
    models = EmbeddedModels(tmp_path, python=str(broken))
    await models.start()
    assert not await models.wait_ready(1.0)
    assert models.url is None
    await models.stop()
