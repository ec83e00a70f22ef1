"""The command line: checking and running jobs, and what follows from a run.

Exit codes: 0 passed, 1 a gate failed, 2 error, 3 bad spec or setting, 124 timeout, 130 interrupted.
"""

import asyncio
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from chatcore.lab.runs import RunRecord, RunStore
from chatcore.lab.surroundings import BadSettings, ChatError, VariableNotSet, settings
from pipelines import exporting, looking, operating, promotion
from pipelines.console import (
    BAD_SPEC,
    ERROR,
    WORST_FIRST,
    Jobs,
    Json,
    Settings,
    Small,
    app,
    as_json_row,
    cancel_on_signals,
    err,
    find_run,
    out,
    plan_of,
    print_json,
    send_alert,
    with_store,
)
from pipelines.disk import say_os_error
from pipelines.parameters import read_parameters
from pipelines.progress import say_result, watching
from pipelines.reports.summaries import junit, markdown
from pipelines.runner import RegistryLost, Runner
from pipelines.specs import JOBS, BadSpec, Planned, find_specs, locate

__all__ = ["exporting", "looking", "main", "operating", "promotion"]


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
    except RegistryLost as lost:
        err.print(str(lost), markup=False, highlight=False)
        sys.exit(ERROR)
    except ChatError as refused:
        err.print(refused.message, markup=False, highlight=False)
        sys.exit(ERROR)
    except OSError as error:
        err.print(say_os_error(error), markup=False, highlight=False)
        sys.exit(ERROR)
    except Exception:  # noqa: BLE001 - Python's own exit code for it is 1, which says that a gate failed
        traceback.print_exc()
        err.print("this is a fault of pipelines itself, and no verdict", markup=False, highlight=False)
        sys.exit(ERROR)


@app.command()
def validate(names: Annotated[list[str] | None, typer.Argument()] = None, jobs: Jobs = JOBS) -> None:
    """Check specs, their notebooks and their parameters; without names, all of them."""
    paths = [locate(name, jobs) for name in names] if names else list(find_specs(jobs))
    problems: list[str] = []
    for path in paths:
        try:
            planned = plan_of(path, [])
            out.print(f"{path}: {len(planned)} run(s)", highlight=False)
        except BadSpec as bad:
            problems += bad.problems
    if problems:
        raise BadSpec(problems)


@app.command()
def plan(name: str, settings: Settings = None, small: Small = False, jobs: Jobs = JOBS, as_json: Json = False) -> None:
    """What `run` would run, with all parameters."""
    planned = plan_of(locate(name, jobs), settings or [], small=small)
    if as_json:
        print_json(
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
    small: Small = False,
    jobs: Jobs = JOBS,
    as_json: Json = False,
    junit_file: Annotated[Path | None, typer.Option("--junit", help="write JUnit XML there")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="write a Markdown summary there")] = None,
) -> None:
    """Run jobs and judge their gates."""
    plans = [plan_of(locate(name, jobs), settings or [], small=small) for name in names]
    records = with_store(lambda store: _run_all(plans, store, quiet=as_json))
    if junit_file is not None:
        junit_file.write_text(junit(records), "utf-8")
    if markdown_file is not None:
        markdown_file.write_text(markdown(records), "utf-8")
    if as_json:
        print_json([as_json_row(record) for record in records])
    codes = {record.exit_code for record in records}
    raise typer.Exit(next(code for code in WORST_FIRST if code in codes))


async def _run_all(plans: Sequence[Sequence[Planned]], store: RunStore, *, quiet: bool) -> list[RunRecord]:
    """Jobs one after another, the matrix of one job as concurrently as it says. Signals end the runs first."""
    cancel_on_signals()
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
                await send_alert(item.job, record, store)
                return record

            records += await _all_or_the_first_error([asyncio.create_task(one(item)) for item in planned])
    return records


async def _all_or_the_first_error(tasks: list[asyncio.Task[RunRecord]]) -> list[RunRecord]:
    """The refusal itself and not a group of it, after the other runs were ended."""
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@app.command()
def baseline(name: str) -> None:
    """Keep a passed run as the one that `vs: baseline` compares with."""
    record = find_run(name)
    if record.status != "passed":
        raise BadSpec([f"{record.run_id} is {record.status}: only a passed run can be a baseline"])
    with_store(lambda store: store.keep_baseline(record.job, record.matrix_key, record.run_id))
    out.print(f"{record.job}: baseline is {record.run_id}", highlight=False)
