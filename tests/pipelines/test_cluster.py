"""A real cluster on this machine: a scheduler and two workers, each `python -m pipelines` in a process of its own."""

import asyncio
import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import distributed
import psutil
import pytest

from chatcore.lab.runs import RunRecord
from chatcore.lab.runs.store import JsonlRuns
from pipelines.certificates import KEY, make_certificates
from pipelines.executors.cluster import ClusterExecutor, security_of
from pipelines.processes import MARK
from pipelines.runner import Runner
from pipelines.specs import BadSpec, Planned, read_spec
from tests.pipelines.notebooks import write_notebook
from tests.pipelines.test_commands import ROOT, environment
from tests.pipelines.test_leaks import holding
from tests.pipelines.test_runs import GATE, RECORD, START, carriers

HOLDS_ON_ONCE = """from pathlib import Path
import time
first = not Path(mode).exists()
Path(mode).touch()
if first: time.sleep(300)"""


def certificates(folder: Path) -> Path:
    """An authority of our own and one certificate that all three sides show."""
    make_certificates(folder, ["127.0.0.1"])
    return folder


class Cluster:
    """Its processes; `address` is the scheduler's."""

    def __init__(self, folder: Path, tls: Path):
        self.folder = folder
        self.tls = tls
        self._variables = environment(folder) | {"PIPELINES_TLS_DIR": str(tls), "ONLY_ON_WORKERS": "s3cret-of-workers"}
        self._started: list[subprocess.Popen[str]] = []
        self.address = self._listening(self.start("scheduler", "tls://127.0.0.1:0"))
        self.workers = [self.start("worker", self.address, "--name", name) for name in ("one", "two")]
        for worker in self.workers:
            self._listening(worker)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines", *arguments], cwd=ROOT, env=self._variables, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._started.append(process)
        return process

    @staticmethod
    def _listening(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening at tls://"), line
        return line.split()[-1]

    def end(self) -> list[int]:
        for process in self._started[::-1]:
            process.send_signal(signal.SIGTERM)
        return [process.wait(30) for process in self._started]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    started = Cluster(folder, certificates(folder / "tls"))
    yield started
    assert set(started.end()) <= {0, -signal.SIGKILL}


def job(folder: Path, name: str, *cells: str, more: str = "") -> Planned:
    notebook = write_notebook(folder / f"{name}.ipynb", START, *cells, RECORD, GATE)
    spec = folder / f"{name}.yaml"
    spec.write_text(
        f"apiVersion: chatcore/v1\nname: {name}\nnotebook: {notebook}\nparameters: {{mode: {folder / 'tried'}}}\n"
        f"run: {{executor: dask, timeout: 90s}}\n{more}"
    )
    return read_spec(spec).plan()[0]


def runner(cluster: Cluster, folder: Path) -> Runner:
    executor = ClusterExecutor(cluster.address, security_of(cluster.address, cluster.tls))
    return Runner(folder / "runs", JsonlRuns(folder / "r.jsonl"), executors=lambda _: executor)


def worker_of(run_id: str, cluster: Cluster) -> subprocess.Popen[str] | None:
    for worker in cluster.workers:
        for child in psutil.Process(worker.pid).children(recursive=True):
            try:
                if child.environ().get(MARK) == run_id:
                    return worker
            except psutil.Error:
                continue
    return None


async def test_jobs_run_on_the_workers_with_their_secrets_and_come_back_whole(tmp_path: Path, cluster: Cluster) -> None:
    says = 'import os; print("parent", os.getppid(), len(os.environ.get("ONLY_ON_WORKERS", "")))'
    assert "ONLY_ON_WORKERS" not in os.environ
    seen: list[int] = []
    running = runner(cluster, tmp_path)
    running._progress = lambda _, done, __: seen.append(done)
    two = [job(tmp_path, name, says, more="secrets: [ONLY_ON_WORKERS]\n") for name in ("a", "b")]
    records = await asyncio.gather(*(running.run(one) for one in two))
    assert [record.status for record in records] == ["passed", "passed"], [record.reason for record in records]
    for record in records:
        assert {"metrics.json", "output.ipynb", "report.html", "request.json"} <= set(record.artifacts)
        output = (Path(record.location) / "output.ipynb").read_text()
        assert " 17\\n" in output
        assert "s3cret" not in output
    assert len(seen) >= 8
    assert carriers({record.run_id for record in records}) == []


async def test_a_worker_withholds_its_secrets_which_nobody_else_knows(tmp_path: Path, cluster: Cluster) -> None:
    shows = 'import os; print(os.environ["ONLY_ON_WORKERS"])'
    record = await runner(cluster, tmp_path).run(job(tmp_path, "a", shows, more="secrets: [ONLY_ON_WORKERS]\n"))
    assert (record.status, "shows the value of ONLY_ON_WORKERS" in record.reason) == ("error", True), record.reason
    assert holding(b"s3cret-of-workers", record) == []


async def test_a_secret_that_the_worker_lacks_is_named(tmp_path: Path, cluster: Cluster) -> None:
    record = await runner(cluster, tmp_path).run(job(tmp_path, "a", more="secrets: [NOT_SET_ANYWHERE]\n"))
    assert (record.status, "NOT_SET_ANYWHERE" in record.reason, "worker" in record.reason) == ("error", True, True)


async def test_somebody_with_certificates_of_another_authority_gets_nothing_run(
    tmp_path: Path, cluster: Cluster
) -> None:
    other = certificates(tmp_path / "other")
    (other / "ca.crt").write_bytes((cluster.tls / "ca.crt").read_bytes())  # it trusts the cluster; the cluster not it
    executor = ClusterExecutor(cluster.address, security_of(cluster.address, other), connect_seconds=2)
    running = Runner(tmp_path / "runs", JsonlRuns(tmp_path / "r.jsonl"), executors=lambda _: executor)
    record = await running.run(job(tmp_path, "a"))
    assert (record.status, "is lost" in record.reason) == ("error", True), record.reason
    assert not (Path(record.location) / "metrics.json").exists()


async def test_a_cancelled_run_ends_on_its_worker(tmp_path: Path, cluster: Cluster) -> None:
    store = JsonlRuns(tmp_path / "r.jsonl")
    task = asyncio.create_task(runner(cluster, tmp_path).run(job(tmp_path, "held", HOLDS_ON_ONCE)))
    await until_tried(tmp_path)
    (record,) = await store.recent(since=dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
    assert carriers({record.run_id}) != []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert carriers({record.run_id}) == []


async def test_the_job_of_a_killed_worker_finishes_on_the_other(tmp_path: Path, cluster: Cluster) -> None:
    """The last of this cluster's tests: one worker is left."""
    store = JsonlRuns(tmp_path / "r.jsonl")
    task: asyncio.Task[RunRecord] = asyncio.create_task(
        runner(cluster, tmp_path).run(job(tmp_path, "moved", HOLDS_ON_ONCE))
    )
    await until_tried(tmp_path)
    (begun,) = await store.recent(since=dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
    victim = worker_of(begun.run_id, cluster)
    assert victim is not None
    victim.kill()
    record = await asyncio.wait_for(task, 90)
    assert (record.run_id, record.status) == (begun.run_id, "passed"), record.reason
    await asyncio.sleep(2)  # the dead worker's child looks for its parent each second
    assert carriers({record.run_id}) == []


async def until_tried(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not (folder / "tried").exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


# --- addresses


async def test_a_cluster_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    executor = ClusterExecutor("tcp://127.0.0.1:1", None, connect_seconds=1)
    running = Runner(tmp_path / "runs", JsonlRuns(tmp_path / "r.jsonl"), executors=lambda _: executor)
    record = await running.run(job(tmp_path, "a"))
    assert (record.status, "tcp://127.0.0.1:1 is lost" in record.reason) == ("error", True), record.reason


async def test_a_cluster_without_workers_is_an_error_that_says_how_to_start_one(tmp_path: Path) -> None:
    async with distributed.Scheduler(host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0") as empty:
        executor = ClusterExecutor(empty.address, None, patience_seconds=1)
        running = Runner(tmp_path / "runs", JsonlRuns(tmp_path / "r.jsonl"), executors=lambda _: executor)
        record = await running.run(job(tmp_path, "a"))
    assert (record.status, f"pipelines worker {empty.address}" in record.reason) == ("error", True), record.reason


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("tcp://10.0.0.7:8786", "tls:// only"),
        ("tcp://example.org:8786", "tls:// only"),
        ("10.0.0.7:8786", "a cluster's address is"),
        ("tls://10.0.0.7:8786", "PIPELINES_TLS_DIR"),
    ],
)
def test_a_cluster_beyond_this_machine_is_reached_with_certificates_only(address: str, told: str) -> None:
    with pytest.raises(BadSpec, match=told):
        security_of(address, None)


def test_a_key_is_its_owners_alone_and_is_not_written_over(tmp_path: Path) -> None:
    made = certificates(tmp_path / "tls")
    assert (made / KEY).stat().st_mode & 0o077 == 0
    before = (made / KEY).read_bytes()
    with pytest.raises(FileExistsError):
        make_certificates(made, ["127.0.0.1"])
    assert (made / KEY).read_bytes() == before


def test_a_folder_that_lacks_a_key_is_refused(tmp_path: Path) -> None:
    tls = certificates(tmp_path / "tls")
    (tls / "tls.key").unlink()
    with pytest.raises(BadSpec, match=r"tls\.key"):
        security_of("tls://10.0.0.7:8786", tls)


def test_plain_tcp_has_to_be_asked_for_and_is_for_this_machine(tmp_path: Path) -> None:
    with pytest.raises(
        BadSpec, match=r"every account of this machine.*pipelines certificates.*PIPELINES_PLAIN_TCP=true"
    ):
        security_of("tcp://127.0.0.1:8786", None)
    assert security_of("tcp://127.0.0.1:8786", None, plain_tcp=True) is None
    with pytest.raises(BadSpec, match="tls:// only"):
        security_of("tcp://10.0.0.7:8786", None, plain_tcp=True)
