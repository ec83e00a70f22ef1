"""`python -m chatcore prompts ...` and the look of `doctor` at the models."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from chatcore.cli import app
from chatcore.cli.doctor import check_models
from chatcore.embedded.database import EmbeddedDatabase
from chatcore.lab.runs.records import RunRecord
from chatcore.lab.runs.store import JsonlRuns
from chatcore.settings import Settings
from tests.ai.fake_provider import KEY, FakeProvider

Run = Callable[..., str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """With its database running, as beside a server."""
    folder = tmp_path_factory.mktemp("commands")
    database, loop = EmbeddedDatabase(folder / "home"), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(database.start(), loop).result(60)
    yield folder
    asyncio.run_coroutine_threadsafe(database.stop(), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(home)
    monkeypatch.setenv("CHATCORE_HOME", str(home / "home"))
    monkeypatch.setenv("CHATCORE_RUNS", str(home / "runs"))
    monkeypatch.delenv("MONGODB_URI", raising=False)

    def invoke(*arguments: str, status: int = 0) -> str:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == status, result.output
        return result.output

    return invoke


def test_a_prompt_goes_up_and_back_by_commands(run: Run, home: Path) -> None:
    def states() -> dict[str, str]:
        return {one["versionId"]: one["state"] for one in json.loads(run("prompts", "list", "SmartReplies", "--json"))}

    (shipped,) = states()
    run("prompts", "add", "SmartReplies", "--set", "context_turns=5")
    (draft,) = [version for version, state in states().items() if state == "draft"]
    assert '"context_turns": 5' in run("prompts", "diff", draft)
    assert "shadow before" in run("prompts", "canary", draft, status=1)
    run("prompts", "shadow", draft)
    run("prompts", "canary", draft, "--share", "0.25")
    assert "no evaluation report" in run("prompts", "promote", draft, "--report", "none", status=1)

    record = RunRecord(
        run_id="smart-reply-1", job="smart-reply", notebook="smart_reply.ipynb", parameters={"prompt": draft},
        status="passed", started_at=datetime.now(UTC),
    )  # fmt: skip
    asyncio.run(JsonlRuns(home / "runs" / "registry.jsonl").save(record))
    run("prompts", "promote", draft, "--report", "smart-reply-1")
    assert states() == {shipped: "retired", draft: "live"}
    assert "promote by the command line smart-reply-1" in run("prompts", "show", draft)
    run("prompts", "rollback", "SmartReplies")
    assert states() == {shipped: "live", draft: "retired"}


def test_what_cannot_be_done_is_said_and_ends_with_one(run: Run) -> None:
    assert "no function Nothing" in run("prompts", "show", "Nothing", status=1)
    assert "does not read name=value" in run("prompts", "add", "SmartReplies", "--set", "oops", status=1)
    assert "neither a time" in run("decisions", "replay", "--since", "yesterday", status=1)


class TestDoctor:
    @staticmethod
    def settings(tmp_path: Path, **fields: object) -> Settings:
        return Settings(_env_file=None, chatcore_home=tmp_path, **fields)  # type: ignore[call-arg, arg-type]

    async def test_it_asks_the_provider_once(self, fake: FakeProvider, tmp_path: Path) -> None:
        settings = self.settings(tmp_path, openai_base_url=fake.url, openai_api_key=SecretStr(KEY))
        provider, embedded = await check_models(settings)
        assert (provider.status, embedded.status) == ("ok", "ok")
        (unknown, _) = await check_models(settings.model_copy(update={"ai_model": "gpt-none"}))
        assert "lists no model gpt-none" in unknown.says
        assert fake.requests == [], "nothing that costs"

    async def test_a_provider_that_is_not_there_is_a_warning(self, tmp_path: Path) -> None:
        (provider, _) = await check_models(self.settings(tmp_path, openai_base_url="http://127.0.0.1:9/v1"))
        assert (provider.status, provider.advice) == ("warn", "Look at OPENAI_BASE_URL")

    async def test_off_is_off(self, tmp_path: Path) -> None:
        (found,) = await check_models(self.settings(tmp_path, ai=False))
        assert (found.status, found.says) == ("ok", "AI is off")
