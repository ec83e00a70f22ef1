"""From a planned job to a judged, kept run."""

import asyncio
import contextlib
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import chatcore
from chatcore.lab.runs import (
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
from chatcore.lab.surroundings import ChatError, VariableNotSet
from pipelines import artifacts
from pipelines.disk import say_os_error
from pipelines.executors import LOG, OUTPUT, Ended, Execution, Executor
from pipelines.executors.process import InlineExecutor, ProcessExecutor
from pipelines.leaks import guard, withhold
from pipelines.reports.page import write_report
from pipelines.specs import Planned

RECORD = "record.json"
SAVE_PAUSES = (0.0, 1.0, 4.0)  # seconds before each attempt to tell the registry; each waits for the database itself
Progress = Callable[[Planned, int, int], None]


class RegistryLost(Exception):
    """A run ended, and the registry could not be told."""


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


def executor_named(name: str) -> Executor:
    if name == "dask":
        from pipelines.executors.cluster import cluster_executor  # noqa: PLC0415 - an extra, only where a job asks

        return cluster_executor()
    return InlineExecutor() if name == "inline" else ProcessExecutor()


class Runner:
    """Runs planned jobs below `folder`, each by the executor it names, and keeps what became of them in `store`."""

    def __init__(
        self,
        folder: Path,
        store: RunStore,
        *,
        executors: Callable[[str], Executor] = executor_named,
        save_pauses: Sequence[float] = SAVE_PAUSES,
        progress: Progress = lambda *_: None,
    ):
        self._folder = folder
        self._store = store
        self._executors = executors
        self._save_pauses = save_pauses
        self._progress = progress

    async def run(self, planned: Planned, *, scheduled_at: datetime | None = None) -> RunRecord:
        """Raises VariableNotSet and BadSpec before anything starts, RegistryLost at the end. A cancelled run is kept
        as interrupted, and cancels on."""
        executor = self._executors(planned.job.run.executor)
        executor.require(planned.job.secrets)
        address = artifacts.address_of(planned.job)
        record = new_record(planned, scheduled_at)
        await self._store.save(record)
        baseline = await self._baseline(planned)
        for attempt in range(1, planned.job.run.retries + 2):
            record = record.model_copy(update={"attempt": attempt})
            try:
                record = await self._attempt(planned, record, executor, baseline)
            except asyncio.CancelledError:
                await self._interrupted(planned, record)
                raise
            except (OSError, VariableNotSet) as error:
                said = say_os_error(error) if isinstance(error, OSError) else str(error)
                record = _with_verdict(record, Verdict("error", said, GateReport()), Measured())
                await asyncio.to_thread(self._discard, record)
            if record.status not in ("error", "timeout"):
                break
        if address and record.location:
            record = await _stored(record, address)
        await self._tell(record)
        return record

    async def refuse(self, planned: Planned, reason: str, *, scheduled_at: datetime | None = None) -> RunRecord:
        """Keep the record of a run that could not even start."""
        record = _with_verdict(new_record(planned, scheduled_at), Verdict("error", reason, GateReport()), Measured())
        await self._tell(record)
        return record

    async def _attempt(
        self, planned: Planned, record: RunRecord, executor: Executor, baseline: Mapping[str, Metric] | None
    ) -> RunRecord:
        """In a folder of its own, which takes the run's name only when it is complete."""
        working = self._working(record)
        working.mkdir(parents=True)
        options = planned.job.run
        execution = Execution(
            record.run_id, planned.job.notebook, working.resolve(), planned.parameters, planned.job.secrets,
            options.timeout.total_seconds(),
            None if options.cell_timeout is None else max(1, int(options.cell_timeout.total_seconds())),
        )  # fmt: skip
        ended = await executor.execute(execution, lambda done, total: self._progress(planned, done, total))
        leaks = await asyncio.to_thread(withhold, working, guard(planned.job.secrets))
        measured = read_metrics(working / METRICS_FILE)
        verdict = decide(planned, ended, measured, working / OUTPUT, baseline)
        if leaks:
            verdict = Verdict("error", f"not to be shown, and withheld: {'; '.join(leaks)}"[:1_000], verdict.gates)
        finished = _with_verdict(record, verdict, measured)
        if verdict.status in ("error", "timeout"):
            with (working / LOG).open("a", encoding="utf-8") as log:
                log.write(f"{verdict.status}: {verdict.reason}\n")
        await asyncio.to_thread(write_report, working, finished, planned)
        return await asyncio.to_thread(self._publish, working, finished)

    def _working(self, record: RunRecord) -> Path:
        return self._folder / f".{record.run_id}.attempt{record.attempt}"

    async def _baseline(self, planned: Planned) -> Mapping[str, Metric] | None:
        kept = await self._store.baseline(planned.job.name, planned.matrix_key)
        record = await self._store.find(kept) if kept else None
        return None if record is None else {one.name: one for one in record.metrics}

    def _publish(self, working: Path, record: RunRecord) -> RunRecord:
        final = self._folder / record.run_id
        if final.exists():  # an earlier attempt: its log is worth keeping, the rest is superseded
            if (final / LOG).is_file():
                shutil.copy(final / LOG, working / f"log.attempt{record.attempt - 1}.txt")
            shutil.rmtree(final)
        for path in working.iterdir():
            if path.is_file() and not path.stat().st_size:
                path.unlink()  # a log of nothing; S3 has no ranges of it either
        hashes = {path.name: sha256_of(path) for path in sorted(working.iterdir()) if path.is_file()}
        kept = record.model_copy(update={"artifacts": hashes, "location": str(final)})
        (working / RECORD).write_text(kept.model_dump_json(indent=2), "utf-8")
        working.rename(final)
        return kept

    def _discard(self, record: RunRecord) -> None:
        """Half of a run, on a disk that may be full."""
        shutil.rmtree(self._working(record), ignore_errors=True)

    async def _interrupted(self, planned: Planned, record: RunRecord) -> None:
        """What it wrote until then is kept, as clean as of a run that came to its end; else nothing of it."""
        finished = _with_verdict(record, Verdict("interrupted", "stopped before its end", GateReport()), Measured())
        working = self._working(record)
        if working.is_dir():
            try:
                if leaks := withhold(working, guard(planned.job.secrets)):
                    reason = f"{finished.reason}; not to be shown, and withheld: {'; '.join(leaks)}"
                    finished = finished.model_copy(update={"reason": reason[:1_000]})
                finished = self._publish(working, finished)
            except (OSError, VariableNotSet):
                self._discard(record)
        with contextlib.suppress(ChatError, OSError):  # being stopped is what counts now
            await self._store.save(finished)

    async def _tell(self, record: RunRecord) -> None:
        """Hours of work are not thrown away for a database that comes back in a moment."""
        for last, pause in enumerate(self._save_pauses, start=1 - len(self._save_pauses)):
            await asyncio.sleep(pause)
            try:
                await self._store.save(record)
            except (ChatError, OSError) as error:
                if last == 0:
                    why = say_os_error(error) if isinstance(error, OSError) else error.message
                    raise RegistryLost(
                        f"{record.run_id} ended as {record.status}, and the registry could not be told: {why}. What it "
                        f"found is in {record.location or 'no folder'}; look at MONGODB_URI, then run it again"
                    ) from None
            else:
                return


def new_record(planned: Planned, scheduled_at: datetime | None) -> RunRecord:
    now = datetime.now(UTC)
    return RunRecord(
        run_id=new_run_id(planned.job.name, now=now), job=planned.job.name, notebook=str(planned.job.notebook),
        matrix_key=planned.matrix_key, parameters=dict(planned.parameters), started_at=now, scheduled_at=scheduled_at,
        commit=current_commit(), spec_sha256=planned.spec_sha256, notebook_sha256=sha256_of(planned.job.notebook),
        chatcore=chatcore.__version__,
    )  # fmt: skip


async def _stored(record: RunRecord, address: str) -> RunRecord:
    """Into the job's bucket. A verdict whose evidence could not be kept there is none."""
    try:
        location = await artifacts.upload(Path(record.location), f"{address}/{record.run_id}")
    except (ChatError, OSError) as error:
        why = error.message if isinstance(error, ChatError) else say_os_error(error)
        reason = f"not kept in {address}: {why}; it was {record.status} ({record.reason}), and is in {record.location}"
        return record.model_copy(update={"status": "error", "reason": reason[:1_000]})
    return record.model_copy(update={"location": location})


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
