"""What goes wrong around a run: the right exit code, a message that says what to do, never "passed", nothing left."""

import contextlib
import json
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from chatcore.lab.datasets import exported
from chatcore.lab.runs import RunRecord
from chatcore.lab.runs.store import INDEXES, JsonlRuns, MongoRuns
from chatcore.mongo import Mongo, open_mongo
from pipelines.commands import main
from pipelines.runner import RegistryLost, Runner, read_metrics
from tests.pipelines.notebooks import write_notebook
from tests.pipelines.test_commands import ROOT, environment
from tests.pipelines.test_runs import GATE, RECORD, START, carriers, planned
from tests.tcp_proxy import tcp_proxy

FILE_BYTES = 300_000
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)

# name -> cells after the parameters, more lines of the spec, exit code, what is said.
JOBS: Mapping[str, tuple[Sequence[str], str, int, str]] = {
    "missing-data": ((START, 'lab.dataset("smart-repli")', GATE), "", 2, 'did you mean "'),
    "absent-data": ((START, 'lab.conversations("public/topical-chat")', GATE), "", 2, "set CHATCORE_DATA_DIR"),
    "expired-export": ((START, 'lab.dataset("export:FOLDER/expired")', GATE), "", 2, "expired on 2026-01-02: delete"),
    "changed-export": ((START, 'lab.dataset("export:FOLDER/changed")', GATE), "", 2, "make the export anew"),
    "no-export": ((START, 'lab.dataset("export:FOLDER/nothing")', GATE), "", 2, "make one with `python -m pipelines"),
    "not-a-number": ((START, 'run.record("score", float("nan"), at_least=0.1)', GATE), "", 1, "score"),
    "unsaid-secret": ((START, RECORD, GATE), "secrets: [NOT_SET_ANYWHERE]\n", 3, "the job needs NOT_SET_ANYWHERE"),
    "unknown-parameter": ((START, RECORD, GATE), "parameters: {scor: 1}\n", 3, 'unknown; did you mean "score"?'),
    "wrong-type": ((START, RECORD, GATE), "parameters: {score: high}\n", 3, "'high' is not float"),
    "typo": ((START, RECORD, GATE), "paramters: {score: 1}\n", 3, 'unknown; did you mean "parameters"?'),
    "no-bucket": ((START, RECORD, GATE), 'artifacts: {store: "s3://$NO_SUCH_BUCKET/x"}\n', 3, "NO_SUCH_BUCKET"),
    "no-cluster": ((START, RECORD, GATE), "run: {executor: dask}\n", 3, "needs PIPELINES_CLUSTER"),
}


def write_job(folder: Path, name: str, cells: Sequence[str], more: str = "") -> Path:
    notebook = write_notebook(folder / f"{name}.ipynb", *cells)
    spec = folder / f"{name}.yaml"
    spec.write_text(f"apiVersion: chatcore/v1\nname: {name}\nnotebook: {notebook}\n{more}")
    return spec


def pipelines(folder: Path, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipelines", *arguments], cwd=ROOT, capture_output=True, check=False, text=True,
        timeout=115, **({"env": environment(folder)} | more),
    )  # fmt: skip


def registered(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads(pipelines(folder, "history", "--json").stdout))


class Command:
    """The command line within this process, which saves a second each time. Returns exit code and what it said."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        for name in ("MONGODB_URI", "CHATCORE_DATA_DIR", "PIPELINES_CLUSTER"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("CHATCORE_RUNS", str(folder / "runs"))

    def __call__(self, *arguments: str) -> tuple[int, str]:
        self._monkeypatch.setattr(sys, "argv", ["pipelines", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._capsys.readouterr()
        assert "Traceback" not in said.err
        return int(str(ended.value.code)), said.out + said.err


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, monkeypatch, capsys)


def write_exports(folder: Path) -> None:
    """One whose time is over, and one whose messages somebody changed."""
    about = {
        "server": "test", "purpose": "study", "created_by": "op", "created_at": "2026-01-01T00:00:00+00:00",
        "groups": 1, "left_out": {}, "redacted": {},
    }  # fmt: skip
    line = dict.fromkeys(exported.COLUMNS) | {"conversation": "c1", "sender": "p1", "text": "hello"}
    for name, until in (("expired", "2026-01-02"), ("changed", "2999-01-02")):
        exported.write(folder / name, about | {"export_id": name, "expires_at": f"{until}T00:00:00+00:00"}, [line])
    (folder / "changed" / "messages.jsonl").write_text("{}")


@pytest.mark.parametrize("name", JOBS)
def test_bad_input_ends_with_its_exit_code_and_says_what_to_do(tmp_path: Path, command: Command, name: str) -> None:
    cells, more, code, told = JOBS[name]
    cells = [cell.replace("FOLDER", str(tmp_path)) for cell in cells]
    write_exports(tmp_path)
    found, said = command("run", str(write_job(tmp_path, name, cells, more)))
    assert (found, told in said) == (code, True), said
    started = {path.name for path in (tmp_path / "runs").glob("*") if path.is_dir()}
    assert len(started) == (0 if code == 3 else 1)
    assert carriers(started) == []


def test_the_doctor_names_a_cluster_that_is_not_safe(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINES_CLUSTER", "tcp://10.0.0.7:8786")
    code, said = command("doctor")
    assert (code, "by tls:// only" in said) == (2, True), said


def test_a_worker_and_a_scheduler_begin_nowhere_without_certificates(command: Command) -> None:
    for name in ("worker", "scheduler"):
        code, said = command(name, "tls://10.0.0.7:8786")
        assert (code, "PIPELINES_TLS_DIR" in said) == (3, True), said
        code, said = command(name, "tcp://127.0.0.1:0")
        assert (code, "PIPELINES_PLAIN_TCP" in said) == (3, True), said
        code, said = command(name)
        assert (code, "which cluster?" in said) == (3, True), said


def test_certificates_are_made_once(tmp_path: Path, command: Command) -> None:
    code, said = command("certificates", str(tmp_path / "tls"), "--host", "scheduler.example")
    assert (code, "PIPELINES_TLS_DIR" in said) == (0, True), said
    code, said = command("certificates", str(tmp_path / "tls"))
    assert (code, "is there already" in said) == (3, True), said


def test_a_fault_of_ours_is_no_verdict(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Python ends with 1 after an exception, and 1 says that a gate failed."""

    def fault() -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("pipelines.commands.app", fault)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "no verdict" in capsys.readouterr().err


# --- the disk


def a_full_disk() -> None:
    """As the disk would, the system takes no more than so many bytes of a file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))


def test_a_full_disk_ends_with_2_and_says_what_to_do(tmp_path: Path) -> None:
    cells = [START, RECORD, f"print('x' * {FILE_BYTES})", GATE]
    done = pipelines(tmp_path, "run", str(write_job(tmp_path, "full", cells)), preexec_fn=a_full_disk)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "no room" in done.stdout
    assert "let CHATCORE_RUNS name a folder" in done.stdout
    (record,) = registered(tmp_path)
    assert (record["status"], record["location"] in done.stdout, carriers({record["run_id"]})) == ("error", True, [])


def test_a_registry_on_a_full_disk_loses_no_line_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    registry = tmp_path / "runs" / "registry.jsonl"
    registry.write_text("\n" * (FILE_BYTES - 100))
    done = pipelines(tmp_path, "run", str(write_job(tmp_path, "good", [START, RECORD, GATE])), preexec_fn=a_full_disk)
    assert done.returncode == 2
    assert "registry.jsonl" in done.stderr
    assert "no room" in done.stderr
    assert registered(tmp_path) == []


def test_a_folder_that_is_a_file_ends_with_2(tmp_path: Path, command: Command) -> None:
    (tmp_path / "runs").write_text("not a folder")
    code, said = command("run", str(write_job(tmp_path, "good", [START, RECORD, GATE])))
    assert (code, str(tmp_path / "runs") in said) == (2, True), said


# --- the database


def test_without_its_database_nothing_starts(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://127.0.0.1:1/")
    code, said = command("run", str(write_job(tmp_path, "good", [START, RECORD, GATE])))
    assert (code, "look at MONGODB_URI" in said) == (2, True), said
    assert not list((tmp_path / "runs").glob("*"))


@pytest.mark.parametrize("comes_back", [True, False])
async def test_a_run_outlives_a_cut_connection_and_is_never_passed_unregistered(  # noqa: PLR0917 - fixtures
    tmp_path: Path, database_uri: str, mongo: Mongo, database_name: str, database_is_embedded: bool, comes_back: bool
) -> None:
    await mongo.ensure_indexes(INDEXES)
    async with tcp_proxy(database_uri) as proxy:
        where = urlsplit(database_uri)
        credentials, at, _ = where.netloc.rpartition("@")
        through = where._replace(netloc=f"{credentials}{at}127.0.0.1:{urlsplit(proxy.url).port}").geturl()
        cut_off = await open_mongo(through, database=database_name, embedded=database_is_embedded)

        def cut(*_: object) -> None:
            proxy.down = not comes_back
            proxy.cut()

        runner = Runner(tmp_path / "kept", MongoRuns(cut_off.database), progress=cut, save_pauses=(0.0,))
        expected = contextlib.nullcontext() if comes_back else pytest.raises(RegistryLost, match="MONGODB_URI")
        with expected:
            await runner.run(planned(tmp_path, "good"))
        await cut_off.close()
    (record,) = await MongoRuns(mongo.database).recent(since=LONG_AGO)
    assert record.status == ("passed" if comes_back else "running")
    assert record.exit_code == (0 if comes_back else 2)
    assert carriers({record.run_id}) == []
    kept = RunRecord.model_validate_json((tmp_path / "kept" / record.run_id / "record.json").read_text())
    assert kept.status == "passed"  # what was found is not lost


# --- what the notebook leaves


async def test_metrics_written_behind_the_gate_count_for_nothing(tmp_path: Path) -> None:
    """A notebook that writes its own verdict over the gate's."""
    forged = 'import json; (run.folder / "metrics.json").write_text(json.dumps({"finished": True, "metrics": []}))'
    notebook = write_notebook(tmp_path / "good.ipynb", START, forged)
    item = planned(tmp_path, "good")
    write_notebook(notebook, START, forged)
    record = await Runner(tmp_path / "kept", JsonlRuns(tmp_path / "r.jsonl")).run(item)
    assert record.status == "error"
    assert not read_metrics(Path(record.location) / "metrics.json").finished
