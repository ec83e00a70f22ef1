"""Prompt versions go up on the strength of a run, and down at once: both on the running server."""

import asyncio
import math
from collections.abc import Coroutine
from typing import Annotated, Any

import orjson
import typer

from chatcore.lab.admin import GateOfReport, LinkLost, ReportOfRun, hand_in, promote_prompt, rollback_prompt, sealed
from chatcore.lab.runs import METRICS_FILE, Judged, RunRecord
from pipelines.artifacts import read, tampered
from pipelines.console import ERROR, app, err, find_run, out
from pipelines.specs import BadSpec

GATE_FAILED = 1
UNSEALED = "0" * 64


@app.command()
def promote(name: Annotated[str, typer.Argument(help="a passed run that is about a prompt version")]) -> None:
    """Make the canary that a run was about live. Only with a passing report that nobody changed."""
    record = find_run(name)
    if record.status != "passed":
        err.print(f"{record.run_id} is {record.status}: {record.reason}", markup=False, highlight=False)
        raise typer.Exit(GATE_FAILED)
    if changed := asyncio.run(tampered(record)):
        err.print(f"not promoted: {', '.join(changed)} changed since the run ended", markup=False, highlight=False)
        raise typer.Exit(ERROR)
    live = _ask_server(_promote(evidence(record, asyncio.run(read(record, METRICS_FILE)))))
    out.print(f"{live['versionId']} is live, by {record.run_id}", highlight=False, markup=False)


@app.command()
def rollback(version: Annotated[str, typer.Argument(help="the version to take out of use, or its function")]) -> None:
    """Undo a promotion at once."""
    live = _ask_server(rollback_prompt(version))
    out.print(f"{live['versionId']} is live", highlight=False, markup=False)


def evidence(record: RunRecord, metrics: bytes) -> ReportOfRun:
    """What the server keeps of a run. `metrics` is the file that the notebook wrote. Raises BadSpec where it is about
    no version."""
    told = orjson.loads(metrics)
    version = str(told.get("prompt") or record.parameters.get("prompt", ""))
    if not version:
        raise BadSpec(
            [f"{record.run_id} is about no prompt version: it has no parameter `prompt`, nor calls run.about()"]
        )
    return sealed(
        ReportOfRun(
            report_id=record.run_id,
            prompt=version,
            against=told.get("against") or None,
            job=record.job,
            status="passed" if record.status == "passed" else "failed",
            reason=record.reason,
            started_at=record.started_at,
            finished_at=record.finished_at or record.started_at,
            gates=[_gate(one) for one in record.gates.judged],
            datasets=list(record.datasets),
            artifacts=record.artifacts,
            sha256=UNSEALED,
        )
    )


def _gate(judged: Judged) -> GateOfReport:
    found = judged.found if judged.found is not None and math.isfinite(judged.found) else None
    return GateOfReport(
        metric=judged.gate.metric,
        bound=judged.gate.bound,
        op=judged.gate.op,
        value=judged.gate.value,
        found=found,
        state=judged.state,
        advisory=judged.gate.advisory,
        sentence=judged.sentence,
    )


async def _promote(report: ReportOfRun) -> dict[str, Any]:
    await hand_in(report)
    return await promote_prompt(report.prompt, report.report_id)


def _ask_server(question: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    try:
        return asyncio.run(question)
    except LinkLost as lost:
        err.print(f"{lost}; set CHATCORE_URL and an operator's CHATCORE_TOKEN", markup=False, highlight=False)
        raise typer.Exit(ERROR) from None
