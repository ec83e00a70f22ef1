"""What is left to do when a server is told to stop."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chatcore.app import Core, open_core
from chatcore.app import core as app_core
from chatcore.cli import serve
from chatcore.settings import Settings
from tests.servers import ServerInThread
from tests.talking import People, eventually


@pytest.fixture
async def core(database_uri: str, database_name: str, tmp_path: Path) -> AsyncIterator[Core]:
    settings = Settings(_env_file=None, chatcore_home=tmp_path, database_name=database_name, ai=False)
    async with open_core(settings, database_uri=database_uri) as opened:
        yield opened


async def test_an_idle_server_has_no_job_that_a_stop_would_wait_for(server: ServerInThread, people: People) -> None:
    await people.connected("ana")
    await eventually(lambda: not server.chat.core.background._jobs)


async def test_a_list_of_devices_that_cannot_be_saved_does_not_spoil_the_stop(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(app_core, "SESSIONS_DEADLINE_SECONDS", 0.01)
    monkeypatch.setattr(core.services.identity._sessions, "stop", for_ever)
    await core.settle()


async def test_commits_that_do_not_end_are_told(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(app_core, "COMMIT_DEADLINE_SECONDS", 0.01)
    with monkeypatch.context() as patched:
        patched.setattr(core.writer, "idle", for_ever)
        with pytest.raises(TimeoutError):
            await core.settle()


@pytest.mark.parametrize(
    ("told_to_stop", "words"), [(False, "did not start: TimeoutError"), (True, "did not stop in order")]
)
def test_a_failed_stop_is_not_called_a_failed_start(
    told_to_stop: bool, words: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_: Settings, stop: asyncio.Event) -> None:
        if told_to_stop:
            stop.set()
        raise TimeoutError

    monkeypatch.setattr(serve, "_serve", fails)
    assert serve.serve(Settings(_env_file=None)) == 1
    assert words in capfd.readouterr().err
