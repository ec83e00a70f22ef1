"""Real services, each a process: `python -m pipelines serve`, on the registry in MongoDB and on a file."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chatcore.lab.runs import RunRecord
from chatcore.lab.runs.store import INDEXES, JsonlRuns, MongoRuns
from chatcore.mongo import Mongo
from tests.pipelines.notebooks import write_notebook
from tests.pipelines.test_commands import ROOT, environment
from tests.pipelines.test_runs import GATE, RECORD, START, carriers

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
# The first run holds on; whoever runs it again comes to its end.
HOLDS_ON_ONCE = """from pathlib import Path
import time
first = not Path(mode).exists()
Path(mode).touch()
if first: time.sleep(300)"""
LEASE = 3


def write_job(folder: Path, name: str, *cells: str, more: str = "") -> None:
    """Due some minutes ago, and not again within the test."""
    minute = (datetime.now(UTC) - timedelta(minutes=5)).minute
    notebook = write_notebook(folder / f"{name}.ipynb", START, *cells, RECORD, GATE)
    (folder / "jobs").mkdir(exist_ok=True)
    (folder / "jobs" / f"{name}.yaml").write_text(
        f"apiVersion: chatcore/v1\nname: {name}\nnotebook: {notebook}\n"
        f'parameters: {{mode: {folder / "tried"}}}\nschedule: {{cron: "{minute} * * * *"}}\n{more}'
    )


class Services:
    """Starts services, and ends those that are left."""

    def __init__(self, folder: Path, variables: dict[str, str]):
        self._folder = folder
        self._variables = environment(folder) | variables
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *options: str) -> subprocess.Popen[str]:
        command = [
            sys.executable,
            "-m",
            "pipelines",
            "serve",
            "--jobs",
            str(self._folder / "jobs"),
            "--lease",
            str(LEASE),
        ]
        with (self._folder / f"service{len(self._started)}.txt").open("w") as said:
            service = subprocess.Popen(
                [*command, "--lease", str(LEASE), *options],
                cwd=ROOT,
                env=self._variables,
                stdout=said,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self._started.append(service)
        return service

    def said(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("service*.txt")))

    def end(self) -> None:
        for service in self._started:
            if service.poll() is None:
                service.kill()
                service.wait(10)


@pytest.fixture
async def runs_in_mongo(mongo: Mongo) -> MongoRuns:
    await mongo.ensure_indexes(INDEXES)
    return MongoRuns(mongo.database)


@pytest.fixture
async def on_mongo(tmp_path: Path, database_uri: str, database_name: str) -> AsyncIterator[Services]:
    started = Services(tmp_path, {"MONGODB_URI": database_uri, "DATABASE_NAME": database_name})
    yield started
    started.end()


@pytest.fixture
async def on_file(tmp_path: Path) -> AsyncIterator[Services]:
    started = Services(tmp_path, {})
    yield started
    started.end()


async def until(true: Callable[[], bool], services: Services, *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, services.said()
        await asyncio.sleep(0.1)


async def ended(store: MongoRuns | JsonlRuns, services: Services, count: int) -> list[RunRecord]:
    """As soon as so many runs have ended."""
    deadline = time.monotonic() + 60
    while True:
        records = await store.recent(since=LONG_AGO)
        if sum(record.status != "running" for record in records) >= count:
            return records
        assert time.monotonic() < deadline, services.said()
        await asyncio.sleep(0.2)


async def test_a_service_killed_in_the_middle_of_a_run_is_followed_by_another_that_finishes_it(
    tmp_path: Path, runs_in_mongo: MongoRuns, on_mongo: Services
) -> None:
    write_job(tmp_path, "holds-on", HOLDS_ON_ONCE)
    first = on_mongo.start()
    await until((tmp_path / "tried").exists, on_mongo)
    (begun,) = await runs_in_mongo.recent(since=LONG_AGO)
    assert (begun.status, len(carriers({begun.run_id})) > 0) == ("running", True)
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    on_mongo.start()
    records = await ended(runs_in_mongo, on_mongo, 2)
    assert [(one.status, one.scheduled_at) for one in records] == [
        ("passed", begun.scheduled_at),
        ("interrupted", begun.scheduled_at),
    ]
    await until(lambda: carriers({begun.run_id}) == [], on_mongo, seconds=20)  # they end by themselves
    place = ("holds-on", begun.scheduled_at or LONG_AGO, "")
    assert not await runs_in_mongo.claim(*place, owner="anybody", lease=timedelta(minutes=1))


async def test_two_services_run_a_due_job_once(tmp_path: Path, runs_in_mongo: MongoRuns, on_mongo: Services) -> None:
    write_job(tmp_path, "once", more="matrix: {score: [0.7, 0.8]}\nrun: {concurrency: 2}\n")
    services = [on_mongo.start("--once"), on_mongo.start("--once")]
    codes = [await asyncio.to_thread(service.wait, 90) for service in services]
    records = await runs_in_mongo.recent(since=LONG_AGO)
    assert sorted((one.matrix_key, one.status) for one in records) == [("score=0.7", "passed"), ("score=0.8", "passed")]
    assert codes == [0, 0], on_mongo.said()


async def test_a_service_told_to_stop_ends_its_runs_and_gives_them_up(tmp_path: Path, on_file: Services) -> None:
    write_job(tmp_path, "holds-on", HOLDS_ON_ONCE)
    store = JsonlRuns(tmp_path / "runs" / "registry.jsonl")
    first = on_file.start()
    await until((tmp_path / "tried").exists, on_file)
    first.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(first.wait, 30) == 130
    (record,) = await store.recent(since=LONG_AGO)
    assert (record.status, carriers({record.run_id})) == ("interrupted", [])
    assert "Unknown child process" not in on_file.said()
    assert await store.abandoned(since=LONG_AGO) == [("holds-on", record.scheduled_at, "")]
    assert await asyncio.to_thread(on_file.start("--once").wait, 60) == 0  # without waiting for a lease
    assert [one.status for one in await store.recent(since=LONG_AGO)] == ["passed", "interrupted"]


async def test_a_job_that_cannot_start_is_kept_as_an_error_beside_one_that_passes(
    tmp_path: Path, on_file: Services
) -> None:
    write_job(tmp_path, "good")
    write_job(tmp_path, "no-secret", more="secrets: [NOT_SET_ANYWHERE]\n")
    write_job(tmp_path, "no-cluster", more="run: {executor: dask}\n")
    assert await asyncio.to_thread(on_file.start("--once").wait, 60) == 2
    records = {one.job: one for one in await JsonlRuns(tmp_path / "runs" / "registry.jsonl").recent(since=LONG_AGO)}
    assert records["good"].status == "passed"
    assert (records["no-secret"].status, "NOT_SET_ANYWHERE" in records["no-secret"].reason) == ("error", True)
    assert (records["no-cluster"].status, "PIPELINES_CLUSTER" in records["no-cluster"].reason) == ("error", True)


def test_a_folder_without_schedules_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines", "serve", "--jobs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment(tmp_path), capture_output=True, check=False, text=True)
    assert (done.returncode, "has a schedule" in done.stderr) == (3, True)
    assert list(tmp_path.iterdir()) == []
