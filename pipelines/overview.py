"""What there is to ask and what was answered last: the start page of JupyterLab.

from pipelines.overview import overview
overview("..")                                    # the project's folder, seen from notebooks/
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path

from chatcore.lab.loops import run_apart
from chatcore.lab.pages import TONES, preview
from chatcore.lab.runs import RunRecord, open_runs
from chatcore.lab.surroundings import Settings, settings
from pipelines.parameters import Parameter, read_parameters
from pipelines.specs import JOBS, find_specs, read_spec

DAYS = 90
CELL = "padding:7px 16px 7px 0;text-align:left;vertical-align:top;border-bottom:1px solid rgba(128,128,128,.25)"
CODE = "font-family:var(--jp-code-font-family,monospace);font-size:.92em"


@dataclass(frozen=True, slots=True)
class Entry:
    """A notebook: what it asks, what can be set, and the newest run of each of its jobs."""

    notebook: Path
    question: str
    parameters: dict[str, Parameter]
    jobs: tuple[str, ...]
    last: tuple[RunRecord, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    entries: tuple[Entry, ...]

    def _repr_html_(self) -> str:
        head = "".join(f'<th style="{CELL};font-weight:500;opacity:.7">{name}</th>' for name in HEAD)
        body = "".join(f"<tr>{_row(entry)}</tr>" for entry in self.entries)
        return f'<table style="border-collapse:collapse;margin:6px 0"><tr>{head}</tr>{body}</table>'


HEAD = ("question", "parameters", "run it", "last run")


def overview(project: str | Path) -> Overview:
    """Of the notebooks in the project's folder that have a job. Raises BadSpec where a spec or a notebook is broken."""
    with contextlib.chdir(project):  # where the paths in specs and settings start
        jobs: dict[Path, list[str]] = {}
        for path in find_specs(JOBS):
            job = read_spec(path).job
            jobs.setdefault(job.notebook, []).append(job.name)
        newest = run_apart(_newest(settings()))
        return Overview(tuple(_entry(notebook, jobs[notebook], newest) for notebook in sorted(jobs)))


def _entry(notebook: Path, jobs: Sequence[str], newest: Mapping[str, RunRecord]) -> Entry:
    last = tuple(newest[name] for name in jobs if name in newest)
    return Entry(notebook, _question(notebook), read_parameters(notebook), tuple(jobs), last)


async def _newest(ours: Settings) -> dict[str, RunRecord]:
    async with open_runs(ours) as store:
        records = await store.recent(since=datetime.now(UTC) - timedelta(days=DAYS))
    return {record.job: record for record in reversed(records)}


def _question(path: Path) -> str:
    """The first heading."""
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        for line in "".join(cell["source"]).splitlines() if cell["cell_type"] == "markdown" else ():
            if line.startswith("# "):
                return line[2:].strip()
    return path.stem


def _row(entry: Entry) -> str:
    link = f'<a href="{escape(entry.notebook.name)}" target="_blank"><b>{escape(entry.question)}</b></a>'
    name = f'<div style="{CODE};opacity:.65">{escape(entry.notebook.name)}</div>'
    commands = "<br>".join(f"python -m pipelines run {escape(job)}" for job in entry.jobs)
    cells = (
        f'<div style="max-width:26em">{link}{name}</div>',
        "<br>".join(_parameter(one) for one in entry.parameters.values()),
        f'<span style="{CODE};white-space:nowrap">{commands}</span>',
        "<br>".join(map(_last, entry.last)) or '<span style="opacity:.6">not yet</span>',
    )
    return "".join(f'<td style="{CELL}">{cell}</td>' for cell in cells)


def _parameter(one: Parameter) -> str:
    said = escape(preview(f"{one.name} = {one.default!r}", 48))
    return f'<span style="{CODE};white-space:nowrap" title="{escape(one.comment)}">{said}</span>'


def _last(record: RunRecord) -> str:
    tone = TONES.get(record.status, "inherit")
    moment = f"{record.started_at:%Y-%m-%d %H:%M}"
    return f'<span style="white-space:nowrap"><b style="color:{tone}">{record.status}</b> {moment}</span>'
