"""Real kernels: whatever a notebook does, its run ends with the right status, and no process of it is left."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from chatcore.lab.runs import Gate, RunRecord, metric
from chatcore.lab.runs.store import JsonlRuns
from pipelines.artifacts import tampered
from pipelines.child import NOT_NEEDED
from pipelines.executors import Ended
from pipelines.processes import MARK
from pipelines.runner import Measured, Runner, decide, read_metrics
from pipelines.specs import Planned, read_spec
from tests.pipelines.notebooks import write_notebook

ROOT = Path(__file__).parents[2]
START = "from chatcore import lab\nrun = lab.start(globals())"
RECORD = 'run.record("score", score, better="higher", at_least=0.5)'
GATE = "run.gate()"
LOADS = re.compile(r"""<[^>]*\b(?:src|href)\s*=\s*["']?(?!data:)|@import|url\(|<script""")
CANARY = "mongodb://canary:canary@127.0.0.1/"

# What each notebook does after its parameters.
NOTEBOOKS: Mapping[str, tuple[str, ...]] = {
    "good": (START, RECORD, 'import os; print("leaks", [k for k, v in os.environ.items() if "canary" in v])', GATE),
    "raises": (START, RECORD, 'raise ValueError("no such thing")', GATE),
    "killed": (START, RECORD, "import os; os._exit(9)", GATE),
    "flaky": (
        START,
        "from pathlib import Path\ntried = Path(mode).exists(); Path(mode).touch(); assert tried, 'first try'",
        RECORD,
        GATE,
    ),
    # A kernel that holds on, with a child in a session of its own that would outlive it.
    "hangs": (
        START,
        RECORD,
        """import signal, subprocess, time
for name in (signal.SIGTERM, signal.SIGINT): signal.signal(name, signal.SIG_IGN)
subprocess.Popen(["sleep", "300"], start_new_session=True)
time.sleep(300)""",
        GATE,
    ),
    "slow-cell": (START, RECORD, "import time; time.sleep(300)", GATE),
    "inline": (START, RECORD, 'import os; print("leaks", [k for k, v in os.environ.items() if "canary" in v])', GATE),
    "inline-hangs": (START, RECORD, 'import subprocess; subprocess.run(["sleep", "300"])', GATE),
}
OPTIONS = {
    "hangs": "{timeout: 14s}",
    "slow-cell": "{cell_timeout: 1s, timeout: 60s}",
    "flaky": "{retries: 1, timeout: 60s}",
    "inline": "{executor: inline, timeout: 60s}",
    "inline-hangs": "{executor: inline, timeout: 16s}",
}


def planned(folder: Path, name: str, parameters: str = "{}") -> Planned:
    notebook = write_notebook(folder / f"{name}.ipynb", *NOTEBOOKS[name])
    spec = folder / f"{name}.yaml"
    spec.write_text(
        f"apiVersion: chatcore/v1\nname: {name}\nnotebook: {notebook}\nparameters: {parameters}\n"
        f"run: {OPTIONS.get(name, '{timeout: 60s}')}\n"
    )
    (found,) = read_spec(spec).plan()
    return found


@dataclass(frozen=True)
class Outcome:
    records: dict[str, RunRecord]
    left: list[str]


def carriers(run_ids: set[str]) -> list[str]:
    """Processes that still carry the mark of one of these runs."""
    found = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.environ().get(MARK) in run_ids and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.info["name"])
        except (psutil.Error, OSError):
            continue
    return found


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """All notebooks once, three at a time."""
    folder = tmp_path_factory.mktemp("runs")

    async def run_all() -> dict[str, RunRecord]:
        runner = Runner(folder / "kept", JsonlRuns(folder / "registry.jsonl"))
        slots = asyncio.Semaphore(3)
        plans = {name: planned(folder, name) for name in NOTEBOOKS}
        plans["flaky"] = planned(folder, "flaky", f"{{mode: {folder / 'tried'}}}")
        plans["bad"] = planned(folder, "good", "{score: 0.4}")

        async def one(item: Planned) -> RunRecord:
            async with slots:
                return await runner.run(item)

        return dict(zip(plans, await asyncio.gather(*(one(item) for item in plans.values())), strict=True))

    os.environ["MONGODB_URI_OF_A_CANARY"] = os.environ["ENCRYPTION_SECRET_KEY"] = CANARY
    try:
        records = asyncio.run(run_all())
    finally:
        del os.environ["MONGODB_URI_OF_A_CANARY"], os.environ["ENCRYPTION_SECRET_KEY"]
    return Outcome(records, carriers({record.run_id for record in records.values()}))


@pytest.mark.parametrize(
    ("name", "status", "exit_code", "reason"),
    [
        ("good", "passed", 0, "every gate holds"),
        ("bad", "failed", 1, r"score = 0\.4: >= 0\.5 does not hold"),
        ("raises", "error", 2, "ValueError: no such thing"),
        ("killed", "error", 2, "the kernel died"),
        ("flaky", "passed", 0, "every gate holds"),
        ("hangs", "timeout", 124, "ran longer than 14 s"),
        ("slow-cell", "timeout", 124, "a cell ran longer than 1 s"),
        ("inline", "passed", 0, "every gate holds"),
        ("inline-hangs", "timeout", 124, "ran longer than 16 s"),
    ],
)  # fmt: skip
def test_a_run_ends_with_its_true_status(outcome: Outcome, name: str, status: str, exit_code: int, reason: str) -> None:
    record = outcome.records[name]
    assert (record.status, record.exit_code) == (status, exit_code), record.reason
    assert re.search(reason, record.reason), record.reason


def test_no_process_of_any_run_is_left(outcome: Outcome) -> None:
    assert outcome.left == []


def test_a_failed_attempt_is_tried_again_and_its_log_kept(outcome: Outcome) -> None:
    record = outcome.records["flaky"]
    assert record.attempt == 2
    assert "first try" in (Path(record.location) / "log.attempt1.txt").read_text()
    assert outcome.records["raises"].attempt == 1


@pytest.mark.parametrize("name", ["good", "inline"])
def test_a_notebook_sees_no_credentials(outcome: Outcome, name: str) -> None:
    output = (Path(outcome.records[name].location) / "output.ipynb").read_text()
    assert "leaks []" in output
    assert "canary" not in output.replace('if \\"canary\\" in v', "")


def test_every_run_leaves_a_report_that_loads_nothing(outcome: Outcome) -> None:
    for name, record in outcome.records.items():
        page = (Path(record.location) / "report.html").read_text()
        assert "default-src 'none'" in page
        assert not LOADS.search(page), name
    assert "no such thing" in (Path(outcome.records["raises"].location) / "report.html").read_text()


async def test_a_changed_file_is_noticed(outcome: Outcome) -> None:
    record = outcome.records["good"]
    folder = Path(record.location)
    assert await tampered(record) == []
    metrics = folder / "metrics.json"
    content = json.loads(metrics.read_text())
    content["metrics"][0]["value"] = 1.0
    metrics.write_text(json.dumps(content))
    assert await tampered(record) == ["metrics.json"]


async def test_a_cancelled_run_is_kept_as_interrupted_and_leaves_nothing(tmp_path: Path) -> None:
    store = JsonlRuns(tmp_path / "registry.jsonl")
    started = asyncio.Event()
    runner = Runner(tmp_path / "kept", store, progress=lambda *_: started.set())
    task = asyncio.create_task(runner.run(planned(tmp_path, "slow-cell")))
    await asyncio.wait_for(started.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (record,) = await store.recent(since=datetime(2000, 1, 1, tzinfo=UTC))
    assert (record.status, record.exit_code) == ("interrupted", 130)
    assert carriers({record.run_id}) == []


# --- the verdict alone

FINE = Ended(exit_status=0, timed_out=False, error="", kind="", left_behind=0)
SCORE = {"score": metric("score", 0.9)}
HELD = (Gate(metric="score", value=0.5),)


def verdict(folder: Path, ended: Ended, measured: Measured, *, ran: bool = True) -> tuple[str, str]:
    output = write_notebook(folder / "output.ipynb", "1")
    content = json.loads(output.read_text())
    for cell in content["cells"]:
        cell["execution_count"] = 1 if ran else None
    output.write_text(json.dumps(content))
    found = decide(planned(folder, "good"), ended, measured, output, None)
    return found.status, found.reason


def test_only_a_whole_run_can_pass(tmp_path: Path) -> None:
    whole = Measured(True, SCORE, HELD)
    assert verdict(tmp_path, FINE, whole) == ("passed", "every gate holds")
    assert verdict(tmp_path, replace(FINE, exit_status=1), whole)[0] == "error"
    assert verdict(tmp_path, replace(FINE, exit_status=None, timed_out=True), whole)[0] == "timeout"
    assert verdict(tmp_path, FINE, whole, ran=False) == ("error", "cells [1, 2] never ran")
    assert "never came to run.gate()" in verdict(tmp_path, FINE, replace(whole, finished=False))[1]
    assert "nothing was proved" in verdict(tmp_path, FINE, Measured(True, SCORE))[1]
    advice = (Gate(metric="score", value=0.5, advisory=True),)
    assert verdict(tmp_path, FINE, Measured(True, SCORE, advice))[0] == "failed"


def test_what_a_job_requires_must_have_been_measured(tmp_path: Path) -> None:
    item = planned(tmp_path, "good")
    strict = replace(item, job=item.job.model_copy(update={"requires": ("recall",)}))
    output = write_notebook(tmp_path / "output.ipynb", parameters="")
    for found in (SCORE, SCORE | {"recall": metric("recall", None)}):
        assert decide(strict, FINE, Measured(True, found, HELD), output, None).reason == "not measured: recall"


def test_a_file_of_metrics_that_is_broken_measures_nothing(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    for content in ("", "{", "[]", '{"metrics": [{"name": 1}]}', '{"finished": true}'):
        path.write_text(content)
        assert read_metrics(path) == Measured()
    assert read_metrics(tmp_path / "absent.json") == Measured()


def test_the_process_of_a_notebook_loads_nothing_it_does_not_need(tmp_path: Path) -> None:
    """The grammar and the clouds among it took two seconds of every run."""
    notebook = write_notebook(tmp_path / "n.ipynb", "1")
    request = {"notebook": str(notebook), "output": str(tmp_path / "o.ipynb"), "folder": str(tmp_path)}
    (tmp_path / "request.json").write_text(json.dumps(request | {"parameters": {}, "cell_timeout": None}))
    (tmp_path / "k").mkdir()
    code = (
        "import sys; from pipelines import child; assert child.main() == 0; "
        "print(*(name for name, module in sys.modules.items() if module is not None))"
    )
    paths = [str(tmp_path / "request.json"), str(tmp_path / "k")]
    done = subprocess.run(
        [sys.executable, "-c", code, *paths], cwd=ROOT, capture_output=True, check=False, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.splitlines()[-1].split()
    assert "papermill.execute" in loaded
    assert {name for name in loaded if name.split(".")[0] in NOT_NEEDED} == set()


def test_the_command_line_loads_no_library_of_notebooks_and_no_server() -> None:
    """Each of them takes a second of every command."""
    code = "import pipelines.commands, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True, timeout=100
    )
    unwanted = ("pandas", "scipy", "matplotlib", "papermill", "distributed", "boto3", "openai", "chatcore.app")
    assert [name for name in done.stdout.split() if name in unwanted] == []
