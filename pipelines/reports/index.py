"""All runs over time as one HTML page that loads nothing: the state of each job, and a sparkline of each metric."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

from chatcore.lab.pages import number
from chatcore.lab.runs import Gate, RunRecord
from pipelines.reports.page import POLICY, SAID, STYLE

SHOWN = 60  # runs of a job at most
URGENCY = ("error", "timeout", "failed", "inconclusive", "interrupted", "running", "passed")
WIDTH, HEIGHT, MARGIN = 240, 38, 5
MORE_STYLE = """
.job { margin-top: 16px; } .job h2 { margin: 0; display: flex; gap: 12px; align-items: baseline; flex-wrap: wrap; }
.job h2 .state { font-size: .9rem; } .job h2 .when { margin-left: auto; font-weight: 400; font-size: .85rem;
  color: var(--soft); }
.strip { display: grid; grid-template-columns: repeat(60, minmax(2px, 1fr)); gap: 2px; margin: 10px 0 2px; }
.strip a, .strip i { height: 20px; border-radius: 2px; background: var(--tone); opacity: .85; }
.strip i { background: var(--rule); opacity: .5; } .strip a:hover { opacity: 1; outline: 2px solid var(--ink); }
.job table { table-layout: fixed; } .job td { overflow-wrap: anywhere; }
.job col:nth-child(1) { width: 32%; } .job col:nth-child(2) { width: 17%; } .job col:nth-child(3) { width: 21%; }
.job td.n { padding-right: 18px; } .job th { font-size: .8rem; padding-bottom: 2px; }
.job th.n { padding-right: 18px; }
.spark { width: 100%; max-width: 300px; height: 38px; } .spark path { fill: none; stroke: var(--accent);
  stroke-width: 1.7; stroke-linejoin: round; } .spark circle { fill: var(--accent); }
.spark .bound { stroke: var(--bad); stroke-width: 1.2; stroke-dasharray: 4 3; opacity: .75; }
a { color: var(--accent); }
@media (max-width: 640px) { .job col:nth-child(3), .job td:nth-child(3), .job th:nth-child(3) { display: none; }
  .job col:nth-child(1) { width: 38%; } .job col:nth-child(2) { width: 27%; } }
"""


def index_page(records: Sequence[RunRecord], folder: Path) -> str:
    """`records` newest first; links are relative to `folder`, where the page is kept. What needs a look comes first."""
    jobs: dict[str, list[RunRecord]] = {}
    for record in records:
        title = record.job + (f" [{record.matrix_key}]" if record.matrix_key else "")
        jobs.setdefault(title, []).append(record)
    ordered = sorted(jobs.items(), key=lambda pair: (URGENCY.index(pair[1][0].status), pair[0]))
    parts = "".join(_job(title, found, folder) for title, found in ordered)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Runs</title>'
        f"<style>{STYLE}{MORE_STYLE}</style></head><body><main><h1>Runs</h1>"
        f'<p class="sub">{escape(_outline(records, jobs))}</p>'
        f"{parts or '<p>No runs yet: python -m pipelines run JOB</p>'}</main></body></html>"
    )


def _outline(records: Sequence[RunRecord], jobs: dict[str, list[RunRecord]]) -> str:
    if not records:
        return ""
    passing = sum(found[0].status == "passed" for found in jobs.values())
    return (
        f"{passing} of {len(jobs)} jobs pass; {len(records):,} runs from {records[-1].started_at:%Y-%m-%d} to "
        f"{records[0].started_at:%Y-%m-%d %H:%M} UTC"
    )


def _job(title: str, records: list[RunRecord], folder: Path) -> str:
    newest, ordered = records[0], records[::-1][-SHOWN:]
    strip = "<i></i>" * (SHOWN - len(ordered)) + "".join(
        f'<a class="{one.status}" href="{escape(_link(one, folder))}" title="{one.started_at:%Y-%m-%d %H:%M} '
        f'{SAID[one.status]}"></a>'
        for one in ordered
    )
    measured = next((one for one in records if one.metrics), newest)
    names = dict.fromkeys(metric.name for metric in measured.metrics)
    rows = "".join(_metric_row(name, ordered) for name in names)
    head = "<tr><th>metric</th><th class=n>newest</th><th class=n>before it</th><th>over time</th></tr>"
    table = f"<table><colgroup>{'<col>' * 4}</colgroup><thead>{head}</thead><tbody>{rows}</tbody></table>"
    return (
        f'<section class="job card"><h2>{escape(title)}'
        f'<span class="state {newest.status}">{SAID[newest.status]}</span>'
        f'<span class="when">{escape(_when(newest, records))}</span></h2>'
        f'<div class="why">{escape(newest.reason)}</div><div class="strip">{strip}</div>{table if rows else ""}'
        "</section>"
    )


def _when(newest: RunRecord, records: list[RunRecord]) -> str:
    took = "" if newest.seconds is None else f", took {_duration(newest.seconds)}"
    passed = sum(record.status == "passed" for record in records)
    return f"{newest.started_at:%Y-%m-%d %H:%M}{took}; {passed} of {len(records)} passed"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _metric_row(name: str, records: Sequence[RunRecord]) -> str:
    """Runs that did not measure it leave no point, rather than a zero."""
    found = [one for record in records if (one := record.metric(name)) is not None and one.value is not None]
    if not found:
        return ""
    values = [one.value for one in found if one.value is not None]
    before = number(values[-2]) if len(values) > 1 else ""
    return (
        f"<tr><td>{escape(name)}</td><td class=n>{number(values[-1])} {escape(found[-1].unit)}</td>"
        f"<td class=n>{before}</td><td>{sparkline(values, _bound(name, records))}</td></tr>"
    )


def _bound(name: str, records: Sequence[RunRecord]) -> float | None:
    """Of the newest gate on it, where it is a number and not another run."""
    for record in reversed(records):
        gates: list[Gate] = [one.gate for one in record.gates.judged if one.gate.metric == name]
        if gates:
            return None if gates[0].vs == "baseline" else gates[0].value
    return None


def sparkline(values: Sequence[float], bound: float | None = None) -> str:
    """Oldest at the left; a dot at the newest, a dashed line at the gate's bound. A single value is a dot alone."""
    points_of_scale = [*values, *([] if bound is None else [bound])]
    low, high = min(points_of_scale), max(points_of_scale)
    step = (WIDTH - 2 * MARGIN) / max(1, len(values) - 1)

    def y(value: float) -> float:
        return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * ((value - low) / (high - low) if high > low else 0.5)

    points = [(WIDTH - MARGIN - step * (len(values) - 1 - place), y(value)) for place, value in enumerate(values)]
    path = "M" + " L".join(f"{x:.1f},{height:.1f}" for x, height in points)
    line = "" if bound is None else f'<line class="bound" x1="0" x2="{WIDTH}" y1="{y(bound):.1f}" y2="{y(bound):.1f}"/>'
    told = f"{number(min(values))} to {number(max(values))}" + ("" if bound is None else f", bound {number(bound)}")
    x, height = points[-1]
    return (
        f'<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{told}"><title>{told}</title>'
        f'{line}<path d="{path}"/><circle cx="{x:.1f}" cy="{height:.1f}" r="3"/></svg>'
    )


def _link(record: RunRecord, folder: Path) -> str:
    """Of the copy in the folder of the runs, which is there also where S3 keeps the run."""
    kept = Path(record.location or record.run_id)
    local = folder / record.run_id if record.location.startswith("s3://") else kept
    return os.path.relpath(local / "report.html", folder)
