"""All runs over time as one HTML page that loads nothing: the state of each job, and a sparkline of each metric."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

from chatcore.lab.pages import number
from chatcore.lab.runs import RunRecord
from pipelines.reports.page import POLICY, SAID, STYLE

MORE_STYLE = """
.job { margin-top: 18px; } .job h2 { margin: 0 0 2px; display: flex; gap: 12px; align-items: baseline; }
.job h2 .state { font-size: .9rem; } .strip { display: flex; gap: 3px; margin: 8px 0 6px; flex-wrap: wrap; }
.strip a { width: 13px; height: 20px; border-radius: 3px; background: var(--tone); opacity: .85; }
.spark { width: 190px; height: 34px; } .spark path { fill: none; stroke: var(--accent); stroke-width: 1.8; }
.spark circle { fill: var(--accent); } a { color: var(--accent); }
"""


def index_page(records: Sequence[RunRecord], folder: Path) -> str:
    """`records` newest first; links are relative to `folder`, where the page is kept."""
    jobs: dict[str, list[RunRecord]] = {}
    for record in records:
        title = record.job + (f" [{record.matrix_key}]" if record.matrix_key else "")
        jobs.setdefault(title, []).append(record)
    parts = "".join(_job(title, found, folder) for title, found in sorted(jobs.items()))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Runs</title>'
        f"<style>{STYLE}{MORE_STYLE}</style></head><body><main><h1>Runs</h1>"
        f'<p class="sub">{len(records):,} runs of {len(jobs):,} jobs; newest at the right</p>'
        f"{parts or '<p>No runs yet.</p>'}</main></body></html>"
    )


def _job(title: str, records: list[RunRecord], folder: Path) -> str:
    newest, ordered = records[0], records[::-1][-60:]
    strip = "".join(
        f'<a class="{one.status}" href="{escape(_link(one, folder))}" title="{one.started_at:%Y-%m-%d %H:%M} '
        f'{SAID[one.status]}"></a>'
        for one in ordered
    )
    names = dict.fromkeys(metric.name for metric in newest.metrics)
    rows = "".join(_metric_row(name, ordered) for name in names)
    return (
        f'<section class="job card"><h2>{escape(title)}'
        f'<span class="state {newest.status}">{SAID[newest.status]}</span></h2>'
        f'<div class="why">{escape(newest.reason)}</div><div class="strip">{strip}</div>'
        f"<table><tbody>{rows}</tbody></table></section>"
    )


def _metric_row(name: str, records: Sequence[RunRecord]) -> str:
    found = [one for record in records if (one := record.metric(name)) is not None and one.value is not None]
    if not found:
        return ""
    last = found[-1]
    values = [one.value for one in found if one.value is not None]
    return (
        f"<tr><td>{escape(name)}</td><td class=n>{number(last.value)} {escape(last.unit)}</td>"
        f"<td>{sparkline(values)}</td></tr>"
    )


def sparkline(values: Sequence[float]) -> str:
    """Oldest at the left; a dot at the newest. A single value is a dot in the middle."""
    low, high = min(values), max(values)
    height = (high - low) or 1.0
    step = 180 / max(1, len(values) - 1)
    points = [
        (5 + place * step, 29 - 24 * ((value - low) / height if high > low else 0.5))
        for place, value in enumerate(values)
    ]
    path = "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return (
        f'<svg class="spark" viewBox="0 0 190 34" role="img" aria-label="{number(low)} to {number(high)}">'
        f'<path d="{path}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="3"/></svg>'
    )


def _link(record: RunRecord, folder: Path) -> str:
    return os.path.relpath(Path(record.location or record.run_id) / "report.html", folder)
