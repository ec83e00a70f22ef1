"""The report of a run as one HTML file that loads nothing: the verdict, the numbers, the notebook."""

from html import escape
from pathlib import Path

from chatcore.lab.pages import number
from chatcore.lab.runs import Judged, Metric, RunRecord
from pipelines.reports.cells import code_style, render_cells
from pipelines.specs import Planned

REPORT = "report.html"
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
SAID = {
    "passed": "Passed",
    "failed": "Gate failed",
    "inconclusive": "Inconclusive",
    "error": "Error",
    "timeout": "Timed out",
    "interrupted": "Interrupted",
    "running": "Running",
    "missing": "Missing",
}
STYLE = """
:root { color-scheme: light dark; --paper: #f7f7f5; --card: #fff; --ink: #1c1f24; --soft: #626a78; --rule: #e3e5e9;
  --accent: #2463c4; --good: #1e7f5c; --bad: #b3261e; --warn: #9a6700; --invert: none; }
@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --card: #1b1e24; --ink: #e8eaee; --soft: #9aa3b2;
  --rule: #2c313a; --accent: #7fb0ff; --good: #67cfa5; --bad: #ff8a80; --warn: #f2c262;
  --invert: invert(.9) hue-rotate(180deg); } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 980px; margin: 0 auto; padding: 36px 20px 72px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 6px; } h2 { font-size: 1.1rem; margin: 34px 0 10px; }
.sub { color: var(--soft); margin: 0 0 18px; }
.verdict { border-left: 5px solid var(--tone); background: var(--card); border-radius: 0 10px 10px 0;
  padding: 12px 18px; margin: 18px 0; } .verdict b { color: var(--tone); font-size: 1.15rem; }
.verdict p { margin: 2px 0 0; }
.passed { --tone: var(--good); } .failed, .error, .timeout, .missing { --tone: var(--bad); }
.inconclusive, .interrupted, .running { --tone: var(--warn); }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 12px 18px;
  overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .93rem; }
.card > table { width: 100%; } th { color: var(--soft); font-weight: 500; }
th, td { text-align: left; padding: 6px 14px 6px 0; border-bottom: 1px solid var(--rule); vertical-align: middle; }
tr:last-child > td { border-bottom: 0; } td.n, th.n { text-align: right; }
.state { color: var(--tone); font-weight: 600; white-space: nowrap; }
svg { display: block; width: 230px; height: 26px; } .line { stroke: var(--soft); stroke-width: 1.5; }
.span { stroke: var(--tone); stroke-width: 5; stroke-linecap: round; opacity: .45; } .dot { fill: var(--tone); }
.bound { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 3 2; }
.why { color: var(--soft); font-size: .88rem; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 3px 18px; font-size: .93rem; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; overflow-wrap: anywhere; }
.notebook > * { margin: 14px 0; } .prose h1 { font-size: 1.35rem; } .prose h2 { font-size: 1.1rem; margin-top: 26px; }
.prose table, .rich table { background: var(--card); } .rich { overflow-x: auto; } .rich th { text-align: left; }
figure { margin: 14px 0; background: #fff; border: 1px solid var(--rule); border-radius: 10px; padding: 12px; }
figure img { max-width: 100%; height: auto; display: block; margin: 0 auto; }
pre { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 10px 14px; overflow-x: auto;
  font: 13px/1.5 ui-monospace, monospace; white-space: pre-wrap; } pre.trace { border-color: var(--bad); }
details summary { cursor: pointer; color: var(--soft); font-size: .82rem; }
.code pre { filter: var(--invert); background: #fff; }
details { margin: 6px 0; }
"""


def write_report(folder: Path, record: RunRecord, planned: Planned) -> None:
    """Into the folder that holds the notebook's output."""
    (folder / REPORT).write_text(report_page(record, render_cells(folder / "output.ipynb"), planned), "utf-8")


def report_page(record: RunRecord, notebook: str, planned: Planned | None = None) -> str:
    about = planned.job.description if planned else ""
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(record.job)}: {SAID[record.status]}</title><style>{STYLE}{code_style()}</style></head>",
            f"<body><main><h1>{escape(record.job)}</h1>",
            f'<p class="sub">{escape(about)}</p>' if about else "",
            f'<div class="verdict {record.status}"><b>{SAID[record.status]}</b><p>{escape(record.reason)}</p></div>',
            _gates(record),
            _metrics(record),
            _provenance(record),
            f'<h2>Notebook</h2><div class="notebook">{notebook or "<p>The notebook was not saved.</p>"}</div>',
            "</main></body></html>",
        ]
    )


def _gates(record: RunRecord) -> str:
    if not record.gates.judged:
        return ""
    metrics = {one.name: one for one in record.metrics}
    rows = "".join(_gate_row(one, metrics.get(one.gate.metric)) for one in record.gates.judged)
    return f'<h2>Gates</h2><div class="card"><table><tbody>{rows}</tbody></table></div>'


def _gate_row(judged: Judged, metric: Metric | None) -> str:
    state = judged.state.capitalize() + (" (advisory)" if judged.gate.advisory else "")
    picture = interval_picture(metric, judged) if metric else ""
    return (
        f'<tr class="{judged.state}"><td class="state">{state}'
        f"</td><td>{escape(str(judged.gate))}<div class=why>{escape(judged.sentence)}</div></td><td>{picture}</td></tr>"
    )


def interval_picture(metric: Metric, judged: Judged) -> str:
    """The value with its interval against the bound of the gate, on one line."""
    bound = judged.gate.value
    points = [point for point in (metric.value, metric.low, metric.high, bound) if point is not None]
    if metric.value is None or judged.gate.vs == "baseline":
        return ""
    low, high = min(points), max(points)
    room = (high - low) * 0.12 or max(abs(high) * 0.1, 0.5)
    low, high = low - room, high + room

    def x(value: float) -> float:
        return 6 + 218 * (value - low) / (high - low)

    span = ""
    if metric.has_interval:
        start, end = (x(low if metric.low is None else metric.low), x(high if metric.high is None else metric.high))
        span = f'<line class="span" x1="{start:.1f}" x2="{end:.1f}" y1="13" y2="13"/>'
    return (
        f'<svg viewBox="0 0 230 26" role="img" aria-label="{escape(judged.sentence)}">'
        f'<line class="line" x1="4" x2="226" y1="13" y2="13"/>{span}<circle class="dot" cx="{x(metric.value):.1f}" '
        f'cy="13" r="4.5"/><line class="bound" x1="{x(bound):.1f}" x2="{x(bound):.1f}" y1="2" y2="24"/></svg>'
    )


def _metrics(record: RunRecord) -> str:
    if not record.metrics:
        return ""
    rows = "".join(
        f"<tr><td>{escape(one.name)}</td><td class=n>{number(one.value)} {escape(one.unit)}</td>"
        f"<td class=n>{number(one.low) if one.has_interval else ''}</td>"
        f"<td class=n>{number(one.high) if one.has_interval else ''}</td>"
        f"<td class=n>{'' if one.n is None else f'{one.n:,}'}</td><td class=n>{one.missing or ''}</td>"
        f"<td class=n>{'' if one.detectable is None else number(one.detectable)}</td></tr>"
        for one in record.metrics
    )
    head = (
        "<tr><th>metric</th><th class=n>value</th><th class=n>low</th><th class=n>high</th><th class=n>n</th>"
        "<th class=n>missing</th><th class=n>could see</th></tr>"
    )
    return f'<h2>Measured</h2><div class="card"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _provenance(record: RunRecord) -> str:
    facts = {
        "run": record.run_id + (f", attempt {record.attempt}" if record.attempt > 1 else ""),
        "notebook": record.notebook,
        "parameters": ", ".join(f"{name} = {value!r}" for name, value in record.parameters.items()),
        "data": ", ".join(record.datasets),
        "started": f"{record.started_at:%Y-%m-%d %H:%M:%S} UTC",
        "took": "" if record.seconds is None else f"{record.seconds:.1f} s",
        "code": " ".join(part for part in (f"chatcore {record.chatcore}", record.commit) if part),
    }
    pairs = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items() if value)
    return f'<h2>Where it comes from</h2><div class="card"><dl class="facts">{pairs}</dl></div>'
