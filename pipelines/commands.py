"""The command line.

Exit codes: 0 passed, 1 a gate failed, 2 error, 3 bad spec or setting, 124 timeout, 130 interrupted.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from chatcore.lab.admin import LinkLost, promote_prompt, rollback_prompt
from chatcore.lab.pages import number
from chatcore.lab.runs import RunRecord, RunStore, open_runs
from chatcore.lab.surroundings import BadSettings, ChatError, VariableNotSet, settings
from pipelines.alerts import AlertNotSent, alert
from pipelines.examination import examine
from pipelines.forms import FORMS
from pipelines.keeping import collect
from pipelines.parameters import check, parse_settings, read_parameters
from pipelines.progress import say_result, watching
from pipelines.reports.index import index_page
from pipelines.reports.page import tampered
from pipelines.reports.summaries import junit, markdown
from pipelines.runner import Runner
from pipelines.schedule import Service, trigger_of
from pipelines.specs import JOBS, BadSpec, Job, Planned, SpecFile, find_specs, locate, read_spec

T = TypeVar("T")
BAD_SPEC, ERROR, INTERRUPTED = 3, 2, 130
WORST_FIRST = (130, 124, 2, 1, 0)
HISTORY_DAYS = 90

app = typer.Typer(
    help="Evaluation jobs: notebooks with gates, reports and a registry.", no_args_is_help=True, add_completion=False
)
out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

Jobs = Annotated[Path, typer.Option("--jobs", help="folder of the specs")]
Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="fix a parameter")]


def main() -> None:
    """Every refusal becomes a message and its exit code."""
    try:
        app()
    except BadSpec as bad:
        for problem in bad.problems:
            err.print(problem, markup=False, highlight=False)
        sys.exit(BAD_SPEC)
    except (VariableNotSet, BadSettings) as bad:
        err.print(str(bad), markup=False, highlight=False)
        sys.exit(BAD_SPEC)
    except ChatError as refused:
        err.print(refused.message, markup=False, highlight=False)
        sys.exit(ERROR)
    except OSError as error:
        err.print(f"{error.filename or 'the file system'}: {error.strerror}", markup=False, highlight=False)
        sys.exit(ERROR)


@app.command("ls")
def list_jobs(jobs: Jobs = JOBS, as_json: Json = False) -> None:
    """The jobs there are, and what became of each last."""
    specs = [read_spec(path) for path in find_specs(jobs)]

    async def last(store: RunStore) -> dict[str, RunRecord]:
        records = await store.recent(since=_days_ago(HISTORY_DAYS))
        return {record.job: record for record in reversed(records)}

    newest = _with_store(last)
    if as_json:
        _print_json([{"name": s.job.name, "notebook": str(s.job.notebook), "runs": len(s.plan()),
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
def validate(names: Annotated[list[str] | None, typer.Argument()] = None, jobs: Jobs = JOBS) -> None:
    """Check specs, their notebooks and their parameters; without names, all of them."""
    paths = [locate(name, jobs) for name in names] if names else list(find_specs(jobs))
    problems: list[str] = []
    for path in paths:
        try:
            planned = _plan(path, [])
            out.print(f"{path}: {len(planned)} run(s)", highlight=False)
        except BadSpec as bad:
            problems += bad.problems
    if problems:
        raise BadSpec(problems)


@app.command()
def plan(name: str, settings: Settings = None, jobs: Jobs = JOBS, as_json: Json = False) -> None:
    """What `run` would run, with all parameters."""
    planned = _plan(locate(name, jobs), settings or [])
    if as_json:
        _print_json(
            [{"job": one.job.name, "matrix": one.matrix_key, "parameters": dict(one.parameters)} for one in planned]
        )
        return
    known = read_parameters(planned[0].job.notebook)
    for one in planned:
        out.print(one.title, style="bold", highlight=False, markup=False)
        for parameter in known.values():
            value = one.parameters.get(parameter.name, parameter.default)
            mark = "" if parameter.name in one.parameters else " (default)"
            note = f"  # {parameter.comment}" if parameter.comment else ""
            out.print(f"  {parameter.name} = {value!r}{mark}{note}", markup=False, highlight=False)


@app.command()
def run(  # noqa: PLR0917 - options of a command
    names: Annotated[list[str], typer.Argument(help="jobs, by name or path")],
    settings: Settings = None,
    jobs: Jobs = JOBS,
    as_json: Json = False,
    junit_file: Annotated[Path | None, typer.Option("--junit", help="write JUnit XML there")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="write a Markdown summary there")] = None,
) -> None:
    """Run jobs and judge their gates."""
    plans = [_plan(locate(name, jobs), settings or []) for name in names]
    records = _with_store(lambda store: _run_all(plans, store, quiet=as_json))
    if junit_file is not None:
        junit_file.write_text(junit(records), "utf-8")
    if markdown_file is not None:
        markdown_file.write_text(markdown(records), "utf-8")
    if as_json:
        _print_json([_as_json(record) for record in records])
    codes = {record.exit_code for record in records}
    raise typer.Exit(next(code for code in WORST_FIRST if code in codes))


async def _run_all(plans: Sequence[Sequence[Planned]], store: RunStore, *, quiet: bool) -> list[RunRecord]:
    """Jobs one after another, the matrix of one job as concurrently as it says. Signals end the runs first."""
    _cancel_on_signals()
    records: list[RunRecord] = []
    with watching(err if quiet else out, quiet=quiet) as on_cells:
        runner = Runner(settings().chatcore_runs, store, progress=on_cells)
        for planned in plans:
            slots = asyncio.Semaphore(planned[0].job.run.concurrency)

            async def one(item: Planned, slots: asyncio.Semaphore = slots) -> RunRecord:
                async with slots:
                    record = await runner.run(item)
                if not quiet:
                    say_result(out, record)
                await _alert(item.job, record, store)
                return record

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(item)) for item in planned]
            records += [task.result() for task in tasks]
    return records


@app.command()
def show(name: str, as_json: Json = False) -> None:
    """A run by its id, or the last one of a job."""
    record = _find(name)
    if as_json:
        _print_json(_as_json(record))
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
    report = Path(_find(name).location) / "report.html"
    if not report.is_file():
        raise FileNotFoundError(2, "is gone", str(report))
    typer.launch(str(report.resolve()))
    out.print(str(report), highlight=False)


@app.command()
def tail(name: str, lines: int = 40) -> None:
    """The end of what a run's process wrote."""
    text = (Path(_find(name).location) / "log.txt").read_text("utf-8", errors="replace")
    out.print("\n".join(text.splitlines()[-lines:]) or "(nothing was written)", markup=False, highlight=False)


@app.command()
def diff(first: str, second: str, as_json: Json = False) -> None:
    """What changed between two runs: parameters, data, code and metrics."""
    before, after = _find(first), _find(second)
    rows = list(_changes(before, after))
    if as_json:
        _print_json([{"what": what, "before": old, "after": new} for what, old, new in rows])
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
    records = _with_store(lambda store: store.recent(since=_days_ago(days), job=job))
    if as_json:
        _print_json([_as_json(record) for record in records])
        return
    table = Table("run", "status", "started", "took", "matrix", "why", box=None, pad_edge=False)
    for one in records:
        took = "" if one.seconds is None else f"{one.seconds:.1f} s"
        why = "" if one.status == "passed" else one.reason
        table.add_row(one.run_id, one.status, f"{one.started_at:%Y-%m-%d %H:%M}", took, one.matrix_key, why)
    out.print(table)


@app.command()
def baseline(name: str) -> None:
    """Keep a passed run as the one that `vs: baseline` compares with."""
    record = _find(name)
    if record.status != "passed":
        raise BadSpec([f"{record.run_id} is {record.status}: only a passed run can be a baseline"])
    _with_store(lambda store: store.keep_baseline(record.job, record.matrix_key, record.run_id))
    out.print(f"{record.job}: baseline is {record.run_id}", highlight=False)


@app.command()
def gc(
    jobs: Jobs = JOBS, dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False
) -> None:
    """Remove runs that are older than their job keeps them, but for baselines and each job's newest."""
    keep = {spec.job.name: spec.job.artifacts.keep for spec in map(read_spec, find_specs(jobs))}
    folder, now = settings().chatcore_runs, datetime.now(UTC)
    old, abandoned = _with_store(lambda store: collect(store, folder, keep, now=now, dry_run=dry_run))
    verb = "would remove" if dry_run else "removed"
    out.print(f"{verb} {len(old)} runs and {len(abandoned)} unfinished folders", highlight=False)


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
        out.print(f"{_find(name).location}/report.html", highlight=False, markup=False)
        return
    folder = settings().chatcore_runs
    records = _with_store(lambda store: store.recent(since=_days_ago(days), job=name))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(index_page(records, folder), "utf-8")
    out.print(str(folder / "index.html"), highlight=False, markup=False)


@app.command()
def promote(name: Annotated[str, typer.Argument(help="a passed run whose parameter `prompt` is a version")]) -> None:
    """Make the canary that a run was about live. Only with a passing report that nobody changed."""
    record = _find(name)
    version = str(record.parameters.get("prompt", ""))
    if record.status != "passed":
        err.print(f"{record.run_id} is {record.status}: {record.reason}", markup=False, highlight=False)
        raise typer.Exit(1)
    if not version:
        raise BadSpec([f"{record.run_id} is about no prompt version: it has no parameter `prompt`"])
    if changed := tampered(record, Path(record.location)):
        err.print(f"not promoted: {', '.join(changed)} changed since the run ended", markup=False, highlight=False)
        raise typer.Exit(ERROR)
    live = _ask_server(promote_prompt(version, record.run_id))
    out.print(f"{live['versionId']} is live, by {record.run_id}", highlight=False, markup=False)


@app.command()
def rollback(version: Annotated[str, typer.Argument(help="the version to take out of use, or its function")]) -> None:
    """Undo a promotion at once."""
    live = _ask_server(rollback_prompt(version))
    out.print(f"{live['versionId']} is live", highlight=False, markup=False)


def _ask_server(question: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    try:
        return asyncio.run(question)
    except LinkLost as lost:
        err.print(f"{lost}; set CHATCORE_URL and an operator's CHATCORE_TOKEN", markup=False, highlight=False)
        raise typer.Exit(ERROR) from None


@app.command()
def serve(jobs: Jobs = JOBS, once: Annotated[bool, typer.Option("--once", help="look once, then end")] = False) -> None:
    """Run jobs when they are due; several services share the work by claims."""
    plans = {}
    for path in find_specs(jobs):
        spec = read_spec(path)
        if spec.job.schedule is not None:
            trigger_of(spec)
            plans[spec.job.name] = (spec, _plan(path, []))
    if not plans:
        raise BadSpec([f"no job in {jobs} has a schedule"])

    async def work(store: RunStore) -> list[RunRecord]:
        _cancel_on_signals()
        specs = {name: spec.job for name, (spec, _) in plans.items()}

        async def tell(record: RunRecord) -> None:
            say_result(out, record)
            await _alert(specs[record.job], record, store)

        service = Service(store, Runner(settings().chatcore_runs, store), plans, tell=tell)
        out.print(f"watching {len(plans)} jobs as {service.owner}", highlight=False)
        if once:
            return await service.look(datetime.now(UTC))
        await service.serve()
        return []

    records = _with_store(work)
    codes = {record.exit_code for record in records} | {0}
    raise typer.Exit(next(code for code in WORST_FIRST if code in codes))


@app.command()
def cron(
    jobs: Jobs = JOBS,
    form: Annotated[Literal["crontab", "systemd", "kubernetes"], typer.Option("--form")] = "crontab",
) -> None:
    """The schedules for a scheduler that is there already."""
    for path in find_specs(jobs):
        spec = read_spec(path)
        if spec.job.schedule is not None:
            out.print(FORMS[form](spec), markup=False, highlight=False)


@app.command()
def doctor(jobs: Jobs = JOBS) -> None:
    """Is everything there that runs need?"""
    findings = list(examine(jobs, settings().chatcore_runs))
    findings.append(_examine_registry())
    for good, what in findings:
        out.print(f"[{'green' if good else 'red'}]{'ok' if good else 'no'}[/]  {escape(what)}", highlight=False)
    if not all(good for good, _ in findings):
        raise typer.Exit(ERROR)


def _examine_registry() -> tuple[bool, str]:
    where = "MongoDB" if settings().mongodb_uri.get_secret_value() else "a file"
    try:
        found = _with_store(lambda store: store.recent(since=_days_ago(1)))
    except ChatError as refused:
        return False, f"registry in {where}: {refused.message}"
    return True, f"registry in {where}, {len(found)} runs in the last day"


async def _alert(job: Job, record: RunRecord, store: RunStore) -> None:
    try:
        await asyncio.to_thread(alert, job, record, await store.recent(since=_days_ago(HISTORY_DAYS), job=job.name))
    except AlertNotSent as error:
        err.print(f"alert not sent: {error}", markup=False, highlight=False)


def _cancel_on_signals() -> None:
    this = asyncio.current_task()
    assert this is not None
    for number_ in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number_, this.cancel)


def _plan(path: Path, changes: list[str]) -> list[Planned]:
    """Checked against the notebook's parameters. Raises BadSpec."""
    spec: SpecFile = read_spec(path)
    known = read_parameters(spec.job.notebook)
    planned = spec.plan(parse_settings(changes, known, str(spec.job.notebook)))
    for one in planned:
        check(one.parameters, known, str(path))
    return planned


def _find(name: str) -> RunRecord:
    """Raises BadSpec where there is none."""

    async def search(store: RunStore) -> RunRecord | None:
        found = await store.find(name)
        if found is None:
            of_job = await store.recent(since=_days_ago(HISTORY_DAYS), job=name)
            found = of_job[0] if of_job else None
        return found

    found = _with_store(search)
    if found is None:
        raise BadSpec([f'there is no run "{name}", and no job of that name ran in the last {HISTORY_DAYS} days'])
    return found


def _with_store(work: Callable[[RunStore], Awaitable[T]]) -> T:
    async def within() -> T:
        async with open_runs(settings()) as store:
            return await work(store)

    try:
        return asyncio.run(within())
    except (KeyboardInterrupt, asyncio.CancelledError):
        err.print("interrupted")
        raise SystemExit(INTERRUPTED) from None


def _days_ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def _as_json(record: RunRecord) -> dict[str, object]:
    content: dict[str, object] = orjson.loads(record.model_dump_json())
    return content | {"exit_code": record.exit_code, "seconds": record.seconds}


def _print_json(content: object) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode() + "\n")
