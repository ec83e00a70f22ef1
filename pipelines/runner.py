"""From a planned job to a judged, kept run."""

import asyncio
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import chatcore
from chatcore.lab.runs import (
    FOLDER_VARIABLE,
    METRICS_FILE,
    Gate,
    GateReport,
    Metric,
    RunRecord,
    RunStore,
    Status,
    judge,
    new_run_id,
)
from chatcore.lab.surroundings import notebook_environment
from pipelines.processes import Ended, run_child
from pipelines.reports.page import write_report
from pipelines.specs import Planned

OUTPUT, LOG, REQUEST = "output.ipynb", "log.txt", "request.json"
Progress = Callable[[Planned, int, int], None]


@dataclass(frozen=True)
class Measured:
    """What the notebook wrote down itself."""

    finished: bool = False
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    datasets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    status: Status
    reason: str
    gates: GateReport


class Runner:
    """Runs planned jobs below `folder`, each in a process of its own, and keeps what became of them in `store`."""

    def __init__(self, folder: Path, store: RunStore, *, progress: Progress = lambda *_: None):
        self._folder = folder
        self._store = store
        self._progress = progress

    async def run(self, planned: Planned, *, scheduled_at: datetime | None = None) -> RunRecord:
        """Raises VariableNotSet before anything starts. A cancelled run is kept as interrupted, and cancels on."""
        environment = notebook_environment(planned.job.secrets)
        now = datetime.now(UTC)
        record = RunRecord(
            run_id=new_run_id(planned.job.name, now=now), job=planned.job.name, notebook=str(planned.job.notebook),
            matrix_key=planned.matrix_key, parameters=dict(planned.parameters), started_at=now,
            scheduled_at=scheduled_at, commit=current_commit(), spec_sha256=planned.spec_sha256,
            notebook_sha256=sha256_of(planned.job.notebook), chatcore=chatcore.__version__,
        )  # fmt: skip
        await self._store.save(record)
        for attempt in range(1, planned.job.run.retries + 2):
            record = record.model_copy(update={"attempt": attempt})
            try:
                record = await self._attempt(planned, record, environment)
            except asyncio.CancelledError:
                await self._keep(record, Verdict("interrupted", "stopped before its end", GateReport()), Measured())
                raise
            if record.status not in ("error", "timeout"):
                break
        await self._store.save(record)
        return record

    async def _attempt(self, planned: Planned, record: RunRecord, environment: Mapping[str, str]) -> RunRecord:
        """In a folder of its own, which takes the run's name only when it is complete."""
        working = self._folder / f".{record.run_id}.attempt{record.attempt}"
        working.mkdir(parents=True)
        with tempfile.TemporaryDirectory(prefix="cc-") as short:
            ended = await self._execute(planned, record, environment, working.resolve(), Path(short))
        measured = read_metrics(working / METRICS_FILE)
        baseline = await self._baseline(planned)
        verdict = decide(planned, ended, measured, working / OUTPUT, baseline)
        finished = _with_verdict(record, verdict, measured)
        await asyncio.to_thread(write_report, working, finished, planned)
        return await asyncio.to_thread(self._publish, working, finished)

    async def _execute(
        self, planned: Planned, record: RunRecord, environment: Mapping[str, str], working: Path, short: Path
    ) -> Ended:
        options = planned.job.run
        request = {
            "notebook": str(planned.job.notebook.resolve()),
            "output": str(working / OUTPUT),
            "folder": str(working),
            "parameters": dict(planned.parameters),
            "cell_timeout": None if options.cell_timeout is None else max(1, int(options.cell_timeout.total_seconds())),
        }
        (working / REQUEST).write_text(json.dumps(request, indent=2), "utf-8")
        child = {**environment, FOLDER_VARIABLE: str(working), "JUPYTER_RUNTIME_DIR": str(short)}
        root = str(Path(__file__).parents[1])
        child["PYTHONPATH"] = f"{root}:{child['PYTHONPATH']}" if child.get("PYTHONPATH") else root
        return await run_child(
            ["-m", "pipelines.child", str(working / REQUEST), str(short)],
            run_id=record.run_id,
            environment=child | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"},
            log=working / LOG,
            timeout_seconds=options.timeout.total_seconds(),
            on_progress=lambda done, total: self._progress(planned, done, total),
        )

    async def _baseline(self, planned: Planned) -> Mapping[str, Metric] | None:
        kept = await self._store.baseline(planned.job.name, planned.matrix_key)
        record = await self._store.find(kept) if kept else None
        return None if record is None else {one.name: one for one in record.metrics}

    def _publish(self, working: Path, record: RunRecord) -> RunRecord:
        final = self._folder / record.run_id
        if final.exists():  # an earlier attempt: its log is worth keeping, the rest is superseded
            shutil.copy(final / LOG, working / f"log.attempt{record.attempt - 1}.txt")
            shutil.rmtree(final)
        hashes = {path.name: sha256_of(path) for path in sorted(working.iterdir()) if path.is_file()}
        working.rename(final)
        return record.model_copy(update={"artifacts": hashes, "location": str(final)})

    async def _keep(self, record: RunRecord, verdict: Verdict, measured: Measured) -> None:
        working = self._folder / f".{record.run_id}.attempt{record.attempt}"
        finished = _with_verdict(record, verdict, measured)
        if working.is_dir():
            finished = self._publish(working, finished)
        await self._store.save(finished)


def decide(
    planned: Planned, ended: Ended, measured: Measured, output: Path, baseline: Mapping[str, Metric] | None
) -> Verdict:
    """Passed only if the process ended well, every cell ran, the notebook came to its gate, all that was required was
    measured, and every gate holds. Each of these alone can look good when a run went wrong."""
    gates = judge([*measured.gates, *planned.job.gate], measured.metrics, baseline)
    if ended.timed_out or ended.kind == "cell_timeout":
        limit = ended.error or f"ran longer than {planned.job.run.timeout.total_seconds():g} s"
        return Verdict("timeout", limit, gates)
    if broken := _not_whole(planned, ended, measured, output, gates):
        return Verdict("error", broken, gates)
    if gates.passed:
        return Verdict("passed", "every gate holds", gates)
    first = next((one for one in gates.judged if one.state == gates.state and not one.gate.advisory), None)
    said = first.sentence if first else "all gates are advisory, so nothing was proved"
    return Verdict("inconclusive" if gates.state == "inconclusive" else "failed", said, gates)


def _not_whole(planned: Planned, ended: Ended, measured: Measured, output: Path, gates: GateReport) -> str:
    """Why these numbers must not be judged; empty where they may."""
    if ended.exit_status != 0:
        return ended.error or f"the process ended with status {ended.exit_status}; see {LOG}"
    if unrun := unrun_cells(output):
        return unrun
    if not measured.finished:
        return f"the notebook never came to run.gate(), or wrote no {METRICS_FILE}"
    absent = [name for name in planned.job.requires if (one := measured.metrics.get(name)) is None or one.value is None]
    if absent:
        return f"not measured: {', '.join(absent)}"
    return "" if gates.judged else "neither the notebook nor the job has a gate, so nothing was proved"


def read_metrics(path: Path) -> Measured:
    """A file that is absent or not ours measures nothing."""
    try:
        content = json.loads(path.read_text("utf-8"))
        metrics = [Metric.model_validate(one) for one in content["metrics"]]
        gates = tuple(Gate.model_validate(one["gate"]) for one in content["gates"])
        return Measured(
            content["finished"] is True, {one.name: one for one in metrics}, gates, tuple(content["datasets"])
        )
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return Measured()


def unrun_cells(output: Path) -> str:
    """Why the saved notebook does not show a whole run; empty where it does."""
    try:
        notebook = json.loads(output.read_text("utf-8"))
    except (OSError, ValueError):
        return "the notebook was not saved"
    if notebook["metadata"].get("papermill", {}).get("exception"):
        return "a cell raised an error"
    skipped = [
        number
        for number, cell in enumerate(notebook["cells"], start=1)
        if cell["cell_type"] == "code" and "".join(cell["source"]).strip() and cell["execution_count"] is None
    ]
    return f"cells {skipped} never ran" if skipped else ""


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def current_commit() -> str:
    """Short hash, with a + where the tree has changes; empty outside of a repository."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False, text=True, timeout=10)  # noqa: S603, S607
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        found = git("rev-parse", "--short=12", "HEAD")
        return found + ("+" if found and git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _with_verdict(record: RunRecord, verdict: Verdict, measured: Measured) -> RunRecord:
    changes: dict[str, Any] = {
        "status": verdict.status,
        "reason": verdict.reason[:1_000],
        "gates": verdict.gates,
        "metrics": tuple(measured.metrics.values()),
        "datasets": measured.datasets,
        "finished_at": datetime.now(UTC),
    }
    return record.model_copy(update=changes)
