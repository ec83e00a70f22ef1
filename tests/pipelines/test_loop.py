"""The loop: a version is evaluated, fails or passes its gate, is promoted on a running server, and is taken back.

Without any key, and without the database in the workbench's hands: runs are kept in a file, evidence goes by REST.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from chatcore.ai.prompts.shipped import shipped
from tests.ai.end_to_end.conftest import ready, serving
from tests.ai.end_to_end.test_promotion import asks, somebody_with
from tests.pipelines.test_commands import ROOT, environment
from tests.servers import ServerInThread, people_of
from tests.talking import People, Person

FUNCTION = "SmartReplies"
BETTER = {"cosine_floor": 0.3, "context_turns": 6, "ranking_weights": {"context": 1.0}}
WORSE = {"cosine_floor": 0.95, "context_turns": 1}  # templates for whatever was said


@pytest.fixture(scope="module")
def own_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerInThread]:
    with serving(tmp_path_factory.mktemp("loop") / "home") as server:
        yield server


@pytest.fixture
async def people(own_models: ServerInThread) -> AsyncIterator[People]:
    await ready(own_models)
    async with people_of(own_models.url) as fresh:
        yield fresh


class Bench:
    """Somebody with a laptop and an operator's token."""

    def __init__(self, folder: Path, operator: Person):
        self._operator = operator
        self._environment = environment(folder) | {"CHATCORE_URL": operator.url, "CHATCORE_TOKEN": operator.token}

    async def pipelines(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipelines", *arguments]
        return await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, capture_output=True, check=False, text=True, timeout=240,
            env=self._environment,
        )  # fmt: skip

    async def evaluates(self, version: str, *more: str) -> tuple[int, dict[str, Any]]:
        """The exit code and the record."""
        done = await self.pipelines("run", "smart-reply", "--set", f"candidate={version}", *more, "--json")
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)[0]

    async def adds(self, parameters: dict[str, Any]) -> str:
        draft = {"function": FUNCTION, "text": shipped()[FUNCTION].text, "parameters": parameters}
        return str((await self._operator.post("/admin/prompts", draft))["versionId"])

    async def raises_to_canary(self, parameters: dict[str, Any]) -> str:
        version = await self.adds(parameters)
        await self._operator.post(f"/admin/prompts/{version}/shadow")
        await self._operator.post(f"/admin/prompts/{version}/canary", {"share": 0.1})
        return version


@pytest.fixture
async def bench(own_models: ServerInThread, people: People, tmp_path: Path) -> Bench:
    return Bench(tmp_path, await somebody_with(own_models, people, "operator"))


@pytest.mark.timeout(400)
async def test_a_better_version_goes_live_by_its_report_and_comes_down_in_one_command(
    own_models: ServerInThread, people: People, bench: Bench
) -> None:
    analyst = await somebody_with(own_models, people, "analyst")
    ana, ben = (await people.connected("ana"))[0], await people.person("ben")
    group = await ana.creates_group(ben)
    await ben.posts(group, "Shall we have lunch tomorrow?")

    async def answers_with() -> str:
        return str((await analyst.get(f"/admin/decisions/{await asks(ana, group)}"))["prompt"])

    shipped_id = shipped()[FUNCTION].version_id
    assert await answers_with() == shipped_id
    better = await bench.raises_to_canary(BETTER)
    code, passed = await bench.evaluates(better)
    assert (code, passed["status"]) == (0, "passed"), passed["reason"]
    done = await bench.pipelines("promote", passed["run_id"])
    assert (done.returncode, f"{better} is live" in done.stdout) == (0, True), done.stderr
    assert await answers_with() == better, "nobody restarted the server"
    kept = (await analyst.get(f"/admin/reports/{passed['run_id']}")).body
    assert (kept["prompt"], kept["against"], kept["status"]) == (better, shipped_id, "passed")
    assert kept["artifacts"]["report.html"] == passed["artifacts"]["report.html"]

    done = await bench.pipelines("rollback", better)
    assert done.returncode == 0, done.stderr
    assert await answers_with() == shipped_id

    again = await bench.pipelines("promote", passed["run_id"])
    assert (again.returncode, "this one is retired" in again.stderr) == (2, True), again.stderr
    metrics = Path(passed["location"]) / "metrics.json"
    metrics.write_text(metrics.read_text().replace(better, shipped_id))
    forged = await bench.pipelines("promote", passed["run_id"])
    assert (forged.returncode, "metrics.json changed since the run ended" in forged.stderr) == (2, True), forged.stderr


@pytest.mark.timeout(400)
async def test_a_worse_version_fails_its_gate_and_its_report_shows_why(bench: Bench) -> None:
    worse, better = await bench.adds(WORSE), await bench.adds(BETTER)
    code, failed = await bench.evaluates(worse, "--set", f"baseline={better}")
    assert (code, failed["status"]) == (1, "failed"), failed["reason"]
    page = (Path(failed["location"]) / "report.html").read_text()
    told = ("Gate failed", "reply_quality.delta", "does not hold", "worse than the live version by more than 0.02")
    assert [words for words in told if words not in page] == []
    refused = await bench.pipelines("promote", failed["run_id"])
    assert (refused.returncode, "is failed" in refused.stderr) == (1, True)
