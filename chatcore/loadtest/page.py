"""The report as one HTML file that loads nothing from anywhere."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from chatcore.loadtest.charts import Line, line_chart

Report = dict[str, Any]
NOTHING = "\N{EN DASH}"
PERCENTILE_TICKS = [(-math.log10(1 - p / 100), f"{p:g} %") for p in (0, 50, 90, 99, 99.9, 99.99)]

STYLE = """
:root { color-scheme: light dark; --paper: #fdfdfc; --card: #fff; --ink: #1c1f24; --soft: #5b6270; --rule: #e3e5e9;
  --t0: #2463c4; --t1: #b3541e; --t2: #1e7f5c; --t3: #7b52ab; --good: #1e7f5c; --bad: #b3261e; --note: #fdf3dc; }
@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --card: #1b1e24; --ink: #e8eaee; --soft: #9aa3b2;
  --rule: #2c313a; --t0: #7fb0ff; --t1: #f0a36b; --t2: #67cfa5; --t3: #c3a3ee; --good: #67cfa5; --bad: #ff8a80;
  --note: #33291a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 4px; } h2 { font-size: 1.05rem; margin: 0 0 8px; }
p.sub { color: var(--soft); margin: 0 0 20px; }
.verdict { display: inline-block; padding: 2px 12px; border: 1.5px solid; border-radius: 99px; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 12px; margin: 20px 0; }
.tile, figure, .card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 14px 16px; }
.tile b { display: block; font-size: 1.55rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: .85rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 16px; }
figure { margin: 0; } figcaption { color: var(--soft); font-size: .85rem; margin-top: 4px; }
svg { width: 100%; height: auto; display: block; } svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
.grid { stroke: var(--rule); } .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .name { font-weight: 600; }
.line.tone0 { stroke: var(--t0); } .line.tone1 { stroke: var(--t1); } .line.tone2 { stroke: var(--t2); }
.line.tone3 { stroke: var(--t3); } svg .name.tone0 { fill: var(--t0); } svg .name.tone1 { fill: var(--t1); }
svg .name.tone2 { fill: var(--t2); } svg .name.tone3 { fill: var(--t3); }
ul.notes { background: var(--note); border-radius: 10px; padding: 12px 16px 12px 34px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { text-align: left; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
td.n, th.n { text-align: right; } th { color: var(--soft); font-weight: 500; }
.card { margin-top: 16px; overflow-x: auto; } summary { cursor: pointer; font-weight: 600; }
"""


def page(report: Report, headline: str, facts: Sequence[tuple[str, str]]) -> str:
    """The whole document; `facts` as the terminal shows them."""
    clean = report["verdict"]["clean"]
    verdict = "every view equals the log" if clean else "not every view equals the log"
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>chatcore load test: {escape(headline)}</title><style>{STYLE}</style></head><body><main>",
            f'<h1>{escape(headline)}</h1><p class="sub">{escape(_setting(report))}</p>',
            f'<span class="verdict {"good" if clean else "bad"}">{verdict}</span>',
            _tiles(report),
            _notes(report["warnings"]),
            f'<div class="charts">{"".join(_figures(report))}</div>',
            _facts(facts),
            _seconds(report["series"]),
            "</main></body></html>",
        ]
    )


def _setting(report: Report) -> str:
    machine, server = report["machine"], report["server"]
    return (
        f"chatcore {server['version'] or '?'} at {server['url']}, load from {machine['cores']} cores "
        f"({machine['processor']}), {machine['memory_gib']:g} GiB, {machine['system']}, Python {machine['python']}"
    )


def _tiles(report: Report) -> str:
    deliveries, usage = report["deliveries"], report["usage"]
    found = [
        (f"{report['messages']['per_second']:,.0f}", "messages acknowledged a second"),
        (f"{deliveries['per_second']:,.0f}", "deliveries a second"),
        (_ms(report["acks"]["p95"]), "acknowledged after, p95"),
        (_ms(deliveries["p95"]), "delivered after, p95"),
    ]
    if "server" in usage:
        found.append((f"{usage['server']['cpu_seconds'] / usage['seconds']:.0%}", "of a core, server"))
    if deliveries["per_server_cpu_second"]:
        found.append((f"{deliveries['per_server_cpu_second']:,.0f}", "deliveries per CPU-second of the server"))
    tiles = "".join(
        f'<div class="tile"><b>{escape(number)}</b><span>{escape(name)}</span></div>' for number, name in found
    )
    return f'<div class="tiles">{tiles}</div>'


def _ms(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1f} ms" if value < 100 else f"{value:,.0f} ms"


def _notes(warnings: Sequence[str]) -> str:
    return f'<ul class="notes">{"".join(f"<li>{escape(text)}</li>" for text in warnings)}</ul>' if warnings else ""


def _figures(report: Report) -> list[str]:
    series = report["series"]
    latency = [
        Line("acks p50", 0, _over_time(series, "ack_p50")),
        Line("acks p99", 1, _over_time(series, "ack_p99")),
        Line("pushes p50", 2, _over_time(series, "delivery_p50")),
        Line("pushes p99", 3, _over_time(series, "delivery_p99")),
    ]
    rates = [Line("sent", 1, _over_time(series, "sent")), Line("acked", 0, _over_time(series, "acked"))]
    spread = [
        Line("acks", 0, _by_percentile(report["acks"]["curve"])),
        Line("pushes", 2, _by_percentile(report["deliveries"]["curve"])),
    ]
    costs = [
        Line(name, tone, [(i + 1.0, s["cpu"][name] * 100) for i, s in enumerate(series) if name in s["cpu"]])
        for tone, name in enumerate(("server", "database", "load", "models"))
    ]
    charts = [
        ("Latency", "By the second in which the answer or push arrived.", latency, "seconds", "ms", None),
        ("Latency by percentile", "Over all timed messages.", spread, "share of messages", "ms", PERCENTILE_TICKS),
        ("Messages", "Each second.", rates, "seconds", "messages/s", None),
        ("Cost", "CPU time of the processes; 100 % is one core.", costs, "seconds", "% of a core", None),
    ]
    found = []
    for title, caption, lines, x_title, y_title, ticks in charts:
        drawn = line_chart(lines, says=f"{title}: {caption}", x_title=x_title, y_title=y_title, x_ticks=ticks)
        if drawn:
            found.append(f"<figure><h2>{title}</h2>{drawn}<figcaption>{caption}</figcaption></figure>")
    return found


def _over_time(series: Sequence[Report], name: str) -> list[tuple[float, float]]:
    return [(i + 1.0, float(second[name])) for i, second in enumerate(series) if second[name] is not None]


def _by_percentile(curve: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """From (milliseconds, share) to an axis on which each further nine takes the same room."""
    return [(-math.log10(1 - share), milliseconds) for milliseconds, share in curve if share < 1]


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in facts)
    return f'<div class="card"><h2>In numbers</h2><table>{rows}</table></div>'


def _seconds(series: Sequence[Report]) -> str:
    names = ("sent", "acked", "delivered", "ack_p50", "ack_p99", "delivery_p50", "delivery_p99")
    head = "".join(f'<th class="n">{name.replace("_", " ")}</th>' for name in ("second", *names))
    rows = "".join(_row([i + 1, *(second[name] for name in names)]) for i, second in enumerate(series))
    return f'<details class="card"><summary>Second by second</summary><table><tr>{head}</tr>{rows}</table></details>'


def _row(numbers: Sequence[float | None]) -> str:
    cells = "".join(f'<td class="n">{_number(number)}</td>' for number in numbers)
    return f"<tr>{cells}</tr>"


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.1f}"
