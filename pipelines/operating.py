"""Commands of whoever keeps the pipelines going: the service, other schedulers' forms, tidying up, and a check."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from chatcore.lab.runs import RunRecord, RunStore
from chatcore.lab.surroundings import ChatError, settings
from pipelines.console import (
    ERROR,
    WORST_FIRST,
    Jobs,
    app,
    cancel_on_signals,
    days_ago,
    err,
    out,
    send_alert,
    with_store,
)
from pipelines.examination import examine, examine_cluster
from pipelines.forms import FORMS
from pipelines.keeping import collect
from pipelines.live_specs import LiveSpecs
from pipelines.progress import say_result
from pipelines.runner import Runner
from pipelines.schedule import AT_ONCE, LEASE, Service
from pipelines.specs import JOBS, BadSpec, find_specs, read_spec


@app.command()
def serve(
    jobs: Jobs = JOBS,
    once: Annotated[bool, typer.Option("--once", help="look once, then end")] = False,
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=64, help="runs under way at most")] = AT_ONCE,
    lease_seconds: Annotated[
        float, typer.Option("--lease", min=1, help="seconds after which the runs of a dead service are taken over")
    ] = LEASE.total_seconds(),
) -> None:
    """Run jobs when they are due; several services share the work by claims. Specs that change are read anew."""
    live = LiveSpecs(jobs, say_trouble)

    async def work(store: RunStore) -> list[RunRecord]:
        cancel_on_signals()

        async def tell(record: RunRecord) -> None:
            say_result(out, record)
            await send_alert(live.job(record.job), record, store)

        runner = Runner(settings().chatcore_runs, store)
        lease = timedelta(seconds=lease_seconds)
        service = Service(
            store, runner, live.plans, lease=lease, at_once=at_once, tell=tell, trouble=say_trouble, renew=live.renew
        )
        out.print(f"watching {len(live.plans)} jobs as {service.owner}", highlight=False)
        if once:
            return await service.look(datetime.now(UTC))
        await service.serve()
        return []

    records = with_store(work)
    codes = {record.exit_code for record in records} | {0}
    raise typer.Exit(next(code for code in WORST_FIRST if code in codes))


def say_trouble(what: str) -> None:
    err.print(what, markup=False, highlight=False)


@app.command()
def worker(
    address: Annotated[str, typer.Argument(help="of the scheduler; PIPELINES_CLUSTER where not given")] = "",
    slots: Annotated[int, typer.Option("--slots", min=1, max=64, help="runs under way at most")] = 1,
    name: Annotated[str, typer.Option("--name", help="of this worker in logs")] = "",
) -> None:
    """Execute jobs of a cluster on this machine, until told to stop."""
    from pipelines.executors.cluster import work_for  # noqa: PLC0415 - an extra

    _keep(work_for(_cluster(address), _security(address), slots=slots, name=name, ready=_say_ready))


@app.command()
def scheduler(
    address: Annotated[str, typer.Argument(help="to listen at; PIPELINES_CLUSTER where not given")] = "",
) -> None:
    """The scheduler of a cluster: workers and services meet here."""
    from pipelines.executors.cluster import schedule_at  # noqa: PLC0415 - an extra

    _keep(schedule_at(_cluster(address), _security(address), ready=_say_ready))


@app.command()
def certificates(
    folder: Annotated[Path, typer.Argument(help="for PIPELINES_TLS_DIR, on each machine of the cluster")],
    host: Annotated[list[str] | None, typer.Option("--host", help="name or address of a machine; repeat it")] = None,
) -> None:
    """Make what the sides of a cluster show each other. Whoever has the folder may run code in the cluster."""
    from pipelines.certificates import make_certificates  # noqa: PLC0415 - one command's alone

    try:
        make_certificates(folder, [*(host or []), "127.0.0.1", "localhost"])
    except FileExistsError as there:
        raise BadSpec([f"{there.filename} is there already; name another folder, or remove it first"]) from None
    out.print(
        f"made; set PIPELINES_TLS_DIR={folder} for scheduler, workers and services", markup=False, highlight=False
    )


def _cluster(address: str) -> str:
    found = address or settings().pipelines_cluster
    if not found:
        raise BadSpec(["which cluster? name its address, such as tls://host:8786, or set PIPELINES_CLUSTER"])
    return found


def _security(address: str) -> Any:
    from pipelines.executors.cluster import security_of  # noqa: PLC0415 - an extra

    ours = settings()
    return security_of(_cluster(address), ours.pipelines_tls_dir, plain_tcp=ours.pipelines_plain_tcp)


def _say_ready(address: str) -> None:
    out.print(f"listening at {address}", highlight=False, markup=False)


def _keep(server: Coroutine[Any, Any, None]) -> None:
    async def until_told() -> None:
        cancel_on_signals()
        await server

    try:
        asyncio.run(until_told())
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise SystemExit(0) from None


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
def gc(
    jobs: Jobs = JOBS, dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False
) -> None:
    """Remove runs that are older than their job keeps them, but for baselines and each job's newest."""
    keep = {spec.job.name: spec.job.artifacts.keep for spec in map(read_spec, find_specs(jobs))}
    folder, now = settings().chatcore_runs, datetime.now(UTC)
    old, abandoned = with_store(lambda store: collect(store, folder, keep, now=now, dry_run=dry_run))
    verb = "would remove" if dry_run else "removed"
    out.print(f"{verb} {len(old)} runs and {len(abandoned)} unfinished folders", highlight=False)


@app.command()
def doctor(jobs: Jobs = JOBS) -> None:
    """Is everything there that runs need?"""
    findings = list(examine(jobs, settings().chatcore_runs))
    findings.append(_examine_registry())
    if address := settings().pipelines_cluster:
        ours = settings()
        findings.append(examine_cluster(address, ours.pipelines_tls_dir, plain_tcp=ours.pipelines_plain_tcp))
    for good, what in findings:
        out.print(f"[{'green' if good else 'red'}]{'ok' if good else 'no'}[/]  {escape(what)}", highlight=False)
    if not all(good for good, _ in findings):
        raise typer.Exit(ERROR)


def _examine_registry() -> tuple[bool, str]:
    where = "MongoDB" if settings().mongodb_uri.get_secret_value() else "a file"
    try:
        found = with_store(lambda store: store.recent(since=days_ago(1)))
    except ChatError as refused:
        return False, f"registry in {where}: {refused.message}"
    return True, f"registry in {where}, {len(found)} runs in the last day"
