"""Progress of runs: bars on a terminal, plain lines elsewhere, nothing with --json."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from chatcore.lab.runs import RunRecord
from pipelines.specs import Planned

TONES = {"passed": "green", "failed": "red", "inconclusive": "yellow", "interrupted": "yellow"}
OnCells = Callable[[Planned, int, int], None]


@contextmanager
def watching(console: Console, *, quiet: bool) -> Iterator[OnCells]:
    """Gives what to call after each cell."""
    if quiet:
        yield lambda *_: None
    elif console.is_terminal:
        with _bars(console) as on_cells:
            yield on_cells
    else:
        yield lambda planned, done, total: console.print(
            f"{planned.title}: cell {done} of {total}", highlight=False, markup=False
        )


@contextmanager
def _bars(console: Console) -> Iterator[OnCells]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        tasks = {}

        def on_cells(planned: Planned, done: int, total: int) -> None:
            if planned.title not in tasks:
                tasks[planned.title] = progress.add_task(escape(planned.title), total=total)
            progress.update(tasks[planned.title], completed=done, total=total)

        yield on_cells


def say_result(console: Console, record: RunRecord) -> None:
    tone = TONES.get(record.status, "red")
    took = f" in {record.seconds:.1f} s" if record.seconds is not None else ""
    title = record.job + (f" [{record.matrix_key}]" if record.matrix_key else "")
    console.print(f"{escape(title)}: [{tone} bold]{record.status}[/]{took}", highlight=False)
    if record.status != "passed":
        console.print(f"  {record.reason}", markup=False, highlight=False)
    for one in record.gates.judged:
        console.print(f"  {one.state:>12}  {one.sentence}", markup=False, highlight=False)
    if record.location:
        console.print(f"  report: {record.location}/report.html", markup=False, highlight=False)
