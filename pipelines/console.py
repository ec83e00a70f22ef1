"""What the commands share: the application, the consoles, the registry, and how a job is planned."""

import asyncio
import contextlib
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import orjson
import typer
from rich.console import Console

from chatcore.lab.runs import RunRecord, RunStore, open_runs
from chatcore.lab.surroundings import settings
from pipelines.alerts import AlertNotSent, alert
from pipelines.parameters import check, parse_settings, read_parameters
from pipelines.specs import BadSpec, Job, Planned, SpecFile, read_spec

T = TypeVar("T")
BAD_SPEC, ERROR, INTERRUPTED = 3, 2, 130
WORST_FIRST = (130, 124, 2, 1, 0)
HISTORY_DAYS = 90
SMALL = "small"  # matrix key of runs with the notebook's own parameters

app = typer.Typer(
    help="Evaluation jobs: notebooks with gates, reports and a registry.", no_args_is_help=True, add_completion=False
)
WIDTH = shutil.get_terminal_size(fallback=(160, 50)).columns  # tables of a log file are not squeezed into 80
out = Console(soft_wrap=True, width=WIDTH)
err = Console(stderr=True, soft_wrap=True, width=WIDTH)

Jobs = Annotated[Path, typer.Option("--jobs", help="folder of the specs")]
Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]
Small = Annotated[bool, typer.Option("--small", help="the notebook's own parameters, as CI runs them: seconds")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="fix a parameter")]


def plan_of(path: Path, changes: list[str], *, small: bool = False) -> list[Planned]:
    """Checked against the notebook's parameters. Raises BadSpec.

    A small run takes the notebook's own parameters and is judged by the notebook's own gates, as those of the job are
    meant for its amount of data. It is kept apart from the job's runs.
    """
    spec: SpecFile = read_spec(path)
    known = read_parameters(spec.job.notebook)
    fixed = parse_settings(changes, known, str(spec.job.notebook))
    job = spec.job.model_copy(update={"gate": ()})
    planned = [Planned(job, fixed, SMALL, spec.sha256)] if small else spec.plan(fixed)
    for one in planned:
        check(one.parameters, known, str(path))
    return planned


def find_run(name: str) -> RunRecord:
    """Raises BadSpec where there is none."""

    async def search(store: RunStore) -> RunRecord | None:
        found = await store.find(name)
        if found is None:
            of_job = await store.recent(since=days_ago(HISTORY_DAYS), job=name)
            found = of_job[0] if of_job else None
        return found

    found = with_store(search)
    if found is None:
        raise BadSpec([f'there is no run "{name}", and no job of that name ran in the last {HISTORY_DAYS} days'])
    return found


def with_store(work: Callable[[RunStore], Awaitable[T]]) -> T:
    async def within() -> T:
        async with open_runs(settings()) as store:
            return await work(store)

    try:
        return asyncio.run(within())
    except (KeyboardInterrupt, asyncio.CancelledError):
        err.print("interrupted")
        raise SystemExit(INTERRUPTED) from None


def cancel_on_signals() -> None:
    this = asyncio.current_task()
    assert this is not None
    for number_ in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number_, this.cancel)


async def send_alert(job: Job, record: RunRecord, store: RunStore) -> None:
    try:
        await asyncio.to_thread(alert, job, record, await store.recent(since=days_ago(HISTORY_DAYS), job=job.name))
    except AlertNotSent as error:
        err.print(f"alert not sent: {error}", markup=False, highlight=False)


def days_ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def as_json_row(record: RunRecord) -> dict[str, object]:
    content: dict[str, object] = orjson.loads(record.model_dump_json())
    return content | {"exit_code": record.exit_code, "seconds": record.seconds}


def print_json(content: object) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode() + "\n")
