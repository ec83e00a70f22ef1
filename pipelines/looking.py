"""Commands that look at jobs and at what became of runs."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from chatcore.lab.pages import number
from chatcore.lab.runs import RunRecord, RunStore
from chatcore.lab.surroundings import settings
from pipelines import artifacts
from pipelines.console import (
    HISTORY_DAYS,
    Jobs,
    Json,
    app,
    as_json_row,
    days_ago,
    find_run,
    out,
    print_json,
    with_store,
)
from pipelines.executors import LOG
from pipelines.progress import say_result
from pipelines.reports.index import index_page
from pipelines.specs import JOBS, BadSpec, find_specs, read_spec


@app.command("ls")
def list_jobs(jobs: Jobs = JOBS, as_json: Json = False) -> None:
    """The jobs there are, and what became of each last."""
    specs = [read_spec(path) for path in find_specs(jobs)]

    async def last(store: RunStore) -> dict[str, RunRecord]:
        records = await store.recent(since=days_ago(HISTORY_DAYS))
        return {record.job: record for record in reversed(records)}

    newest = with_store(last)
    if as_json:
        print_json([{"name": s.job.name, "notebook": str(s.job.notebook), "runs": len(s.plan()),
                      "last": newest[s.job.name].status if s.job.name in newest else None} for s in specs])  # fmt: skip
        return
    table = Table("job", "runs", "schedule", "last", "what it answers", box=None, pad_edge=False)
    for spec in specs:
        cron = spec.job.schedule.cron if spec.job.schedule else ""
        record = newest.get(spec.job.name)
        told = f"{record.status} {record.started_at:%Y-%m-%d %H:%M}" if record else ""
        table.add_row(spec.job.name, str(len(spec.plan())), cron, told, spec.job.description)
    out.print(table)


@app.command()
def show(name: str, as_json: Json = False) -> None:
    """A run by its id, or the last one of a job."""
    record = find_run(name)
    if as_json:
        print_json(as_json_row(record))
        return
    say_result(out, record)
    table = Table("metric", "value", "low", "high", "n", box=None, pad_edge=False)
    for one in record.metrics:
        table.add_row(
            one.name, number(one.value), number(one.low), number(one.high), "" if one.n is None else str(one.n)
        )
    out.print(table)


@app.command("open")
def open_report(name: str) -> None:
    """Show the report of a run in the browser."""
    record = find_run(name)
    report = settings().chatcore_runs / record.run_id / "report.html"
    if not report.is_file():  # made by another machine, or kept elsewhere: a copy for the browser
        page = asyncio.run(artifacts.read(record, "report.html"))
        report = Path(tempfile.mkdtemp(prefix="chatcore-report-")) / f"{record.run_id}.html"
        report.write_bytes(page)
    typer.launch(str(report.resolve()))
    out.print(str(report), highlight=False)


@app.command()
def tail(name: str, lines: int = 40) -> None:
    """The end of what a run's process wrote, also while it runs."""
    record = find_run(name)
    if record.status == "running":
        found = sorted(settings().chatcore_runs.glob(f".{record.run_id}.attempt*/{LOG}"))
        content = found[-1].read_bytes() if found else b""
    else:
        content = asyncio.run(artifacts.read(record, LOG)) if LOG in record.artifacts else b""
    text = content.decode("utf-8", errors="replace")
    out.print("\n".join(text.splitlines()[-lines:]) or "(nothing was written)", markup=False, highlight=False)


@app.command()
def diff(first: str, second: str, as_json: Json = False) -> None:
    """What changed between two runs: parameters, data, code and metrics."""
    before, after = find_run(first), find_run(second)
    rows = list(_changes(before, after))
    if as_json:
        print_json([{"what": what, "before": old, "after": new} for what, old, new in rows])
        return
    table = Table("", before.run_id, after.run_id, box=None, pad_edge=False)
    for what, old, new in rows:
        table.add_row(what, old, new)
    out.print(table if rows else "nothing differs")


def _changes(before: RunRecord, after: RunRecord) -> list[tuple[str, str, str]]:
    rows = [("status", before.status, after.status), ("code", before.commit, after.commit),
            ("notebook", before.notebook_sha256[:12], after.notebook_sha256[:12]),
            ("data", ", ".join(before.datasets), ", ".join(after.datasets))]  # fmt: skip
    names = sorted({*before.parameters, *after.parameters})
    rows += [(name, repr(before.parameters.get(name)), repr(after.parameters.get(name))) for name in names]
    for name in sorted({one.name for one in (*before.metrics, *after.metrics)}):
        old, new = before.metric(name), after.metric(name)
        rows += [(name, number(old.value if old else None), number(new.value if new else None))]
    return [row for row in rows if row[1] != row[2]]


@app.command()
def history(job: Annotated[str, typer.Argument()] = "", days: int = 30, as_json: Json = False) -> None:
    """Runs of the last days, newest first."""
    records = with_store(lambda store: store.recent(since=days_ago(days), job=job))
    if as_json:
        print_json([as_json_row(record) for record in records])
        return
    table = Table(
        Column("run", no_wrap=True),
        Column("status", no_wrap=True),
        "started",
        "took",
        "matrix",
        "why",
        box=None,
        pad_edge=False,
    )
    for one in records:
        took = "" if one.seconds is None else f"{one.seconds:.1f} s"
        why = "" if one.status == "passed" else one.reason
        table.add_row(one.run_id, one.status, f"{one.started_at:%Y-%m-%d %H:%M}", took, one.matrix_key, why)
    out.print(table)


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="a run or a job")] = "",
    index: Annotated[bool, typer.Option("--index", help="a page of all runs over time")] = False,
    days: int = HISTORY_DAYS,
) -> None:
    """Where the report of a run is, or the index of all."""
    if not index:
        if not name:
            raise BadSpec(["name a run or a job, or ask for --index"])
        out.print(f"{find_run(name).location}/report.html", highlight=False, markup=False)
        return
    folder = settings().chatcore_runs
    records = with_store(lambda store: store.recent(since=days_ago(days), job=name))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(index_page(records, folder), "utf-8")
    out.print(str(folder / "index.html"), highlight=False, markup=False)
