"""The table for the terminal and for RESULTS.md."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from benchmarks.rows import Row
from chatcore import __version__
from chatcore.loadtest.conductor import machine

LIBRARIES = (
    "python-socketio",
    "python-engineio",
    "aiohttp",
    "pymongo",
    "secantusdb",
    "uvloop",
    "picows",
    "cryptography",
)
HEAD = "| what | target | measured | range | verdict | cores |\n|---|---|---|---|---|---|"
EXPLAINED = (
    "Each value is the median of interleaved repetitions; the range is that of the repetitions. A ratio is the "
    "median of the ratios within each repetition. CPU time is the server process's own."
)
# Load average over the last minute before the run, above which results carry a warning.
BUSY = 0.5
COLOURS = {"met": "green", "missed": "red", "not measured": "yellow"}


def table(sections: Sequence[tuple[str, Sequence[Row]]]) -> Table:
    made = Table(title="Targets", title_justify="left", title_style="bold")
    for name in ("what", "target", "measured", "range", "verdict"):
        made.add_column(name, justify="right" if name in ("target", "measured", "range") else "left")
    for title, rows in sections:
        made.add_section()
        made.add_row(f"[bold]{title}[/]")
        for row in rows:
            colour = COLOURS.get(row.verdict, "dim")
            made.add_row(
                row.name, row.target_text(), row.measured_text(), row.spread_text(), f"[{colour}]{row.verdict}[/]"
            )
    return made


def write(
    path: Path,
    sections: Sequence[tuple[str, Sequence[Row]]],
    *,
    how: str,
    took_seconds: float,
    rival: str,
    busy: float,
    failed: Sequence[str] = (),
) -> None:
    told = machine()
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    lines = [
        "# Results",
        f"Made by `{how}` on {datetime.now(UTC):%d %B %Y} in {took_seconds / 60:.0f} minutes; not edited by hand.",
        f"Machine: {told['cores']} cores ({told['processor']}), {told['memory_gib']:g} GiB, {told['system']}.",
        f"Versions: Python {told['python']}, chatcore {__version__}, {libraries}. Compared with: {rival}.",
        EXPLAINED,
    ]
    if busy > BUSY:
        lines.append(
            f"**The machine was busy with other work** (load average {busy:.1f} when the run began). Rates and "
            "latencies suffer from that, and CPU times too, by caches and core sharing; only ratios compare like "
            "with like."
        )
    lines += [f"**Failed**: {problem}" for problem in failed]
    for title, rows in sections:
        lines += [f"## {title}", "\n".join([HEAD, *map(_line, rows)])]
        lines += [f"{row.name}: {row.note}" for row in rows if row.note]
    path.write_text("\n\n".join(lines) + "\n", "utf-8")


def _line(row: Row) -> str:
    cells = (row.name, row.target_text(), row.measured_text(), row.spread_text(), row.verdict, row.cores)
    return f"| {' | '.join(cells)} |"
