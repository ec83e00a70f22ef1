"""`python -m chatcore loadtest`: progress while it runs, a table at the end, JSON and an HTML page on demand."""

import asyncio
import secrets
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.live import Live
from rich.table import Table

from chatcore.cli.sign_in import CannotStart, client_settings, stop
from chatcore.loadtest.plan import LoadRefused, Plan

console = Console(highlight=False)
Report = dict[str, Any]


def run(plan: Plan, *, token_file: Path | None, own: bool, keep: bool, json: Path | None, html: Path | None) -> None:
    """Ends with status 1 where the test could not run or somebody's view differs from the log."""
    try:
        if not plan.url:
            plan = Plan.from_json(plan.to_json() | {"url": client_settings().chatcore_url})
        report = asyncio.run(_perform(plan, _tokens(token_file), own=own, keep=keep))
    except (CannotStart, LoadRefused) as reason:
        raise stop(str(reason)) from None
    except KeyboardInterrupt:
        raise stop("stopped; groups named `load test` may be left over") from None
    console.print(summary(report))
    for warning in report["warnings"]:
        console.print(f"[yellow]![/] {warning}")
    _write(report, json, html)
    if not report["verdict"]["clean"] or report["messages"]["unanswered"]:
        raise stop("The server did not keep its promises under this load.")


def _tokens(token_file: Path | None) -> list[str]:
    if token_file is None:
        return []
    try:
        return [line.strip() for line in token_file.read_text("utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise CannotStart(f"The token file cannot be read: {error.strerror}") from None


async def _perform(plan: Plan, tokens: list[str], *, own: bool, keep: bool) -> Report:
    try:
        import picows  # noqa: F401, PLC0415 - the workers need it

        from chatcore.loadtest.conductor import load  # noqa: PLC0415 - psutil and picows only where they are used
        from chatcore.loadtest.people import disband, gather_people  # noqa: PLC0415
        from chatcore.loadtest.watch import is_loopback  # noqa: PLC0415
    except ImportError as missing:
        raise CannotStart(f"{missing.name} is missing: install chatcore with its extra `loadtest`") from None
    if problems := plan.problems():
        raise LoadRefused("; ".join(problems))
    if not own and not is_loopback(plan.url):
        raise LoadRefused(f"{plan.url} is another machine. A load test there needs --i-own-this-server.")
    run_id = secrets.token_hex(3)
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        face = _Face(live, plan)
        cast = await gather_people(plan, tokens, run_id, face.preparing)
        try:
            return await load(plan, cast, run_id, face.running)
        finally:
            if not keep and (left := await disband(plan, cast, face.preparing)):
                console.print(f"[yellow]![/] {left} groups named `load test {run_id}` could not be deleted.")


class _Face:
    """The live display."""

    def __init__(self, live: Live, plan: Plan):
        self._live = live
        self._plan = plan
        self._before: dict[str, float] = {}
        self._began: dict[str, float] = {}

    def preparing(self, what: str, done: int, total: int) -> None:
        self._live.update(f"[bold]{what}[/]  {_bar(done / total)}  {done}/{total}")

    def running(self, step: str, counts: dict[str, float]) -> None:
        now = asyncio.get_running_loop().time()
        began = self._began.setdefault(step, now)
        wanted = self._plan.warmup_seconds + self._plan.seconds
        share = min(1.0, (now - began) / wanted) if step == "run" else counts.get("online", 0) / self._plan.clients
        titles = {"connect": "connecting", "run": "sending", "verify": "comparing every view with the log"}
        table = Table.grid(padding=(0, 3))
        table.add_row(f"[bold]{titles.get(step, step)}[/]", _bar(share), f"{counts.get('online', 0):.0f} online")
        if step == "run":
            said = "   ".join(f"{counts.get(name, 0):,.0f} {name}" for name in ("sent", "acked", "delivered"))
            table.add_row(f"{now - began:.0f} of {wanted:.0f} s", said, "")
        self._live.update(table)


def _bar(share: float, width: int = 30) -> str:
    full = round(max(0.0, min(1.0, share)) * width)
    return f"[green]{'━' * full}[/][dim]{'━' * (width - full)}[/]"


def summary(report: Report) -> Table:
    table = Table(title=headline(report["plan"]), show_header=False, title_justify="left", title_style="bold")
    table.add_column(style="dim")
    table.add_column()
    for name, text in facts(report):
        table.add_row(name, text)
    return table


def headline(plan: dict[str, Any]) -> str:
    how = f"open loop at {plan['rate']:g} messages/s" if plan["mode"] == "open" else "closed loop"
    return f"{plan['clients']:,} clients in {plan['groups']:,} groups, {how}, {plan['seconds']:g} s"


def facts(report: Report) -> list[tuple[str, str]]:
    """The result in lines of text, for the terminal and the page."""
    messages, deliveries, connects = report["messages"], report["deliveries"], report["connects"]
    found = [
        ("connects", f"{connects['per_second']:,.0f}/s (each {_milliseconds(connects['latency'])})"),
        ("messages", f"{messages['acked']:,} of {messages['sent']:,} acknowledged; {messages['per_second']:,.0f}/s"),
        ("acknowledged after", _milliseconds(report["acks"])),
        ("deliveries", f"{messages['delivered']:,}; {deliveries['per_second']:,.0f}/s"),
        ("delivered after", _milliseconds(deliveries)),
        ("views", _views(report["verdict"])),
        ("CPU", _costs(report)),
    ]
    if report["storm"]:
        storm = report["storm"]
        back = f"{storm['back']:,} of {storm['cut']:,} back in {storm['seconds']:.1f} s, {storm['synced']:,} synced"
        found.append(("storm", f"{back}; each {_milliseconds(storm['latency'])}"))
    if report["slow_readers"]:
        slow = report["slow_readers"]
        found.append(("slow readers", f"{slow['readers']}, of which the server cut {slow['cut_by_server']}"))
    return found


def _milliseconds(summary: dict[str, Any]) -> str:
    if summary["p50"] is None:
        return "none"
    named = (("p50", "p50"), ("p95", "p95"), ("p99", "p99"), ("p99_9", "p99.9"), ("max", "max"))
    return ", ".join(f"{shown} {summary[name]:.1f}" for name, shown in named) + " ms"


def _views(verdict: dict[str, Any]) -> str:
    equal = verdict["views"] - verdict["unequal_views"]
    return (
        f"{equal:,} of {verdict['views']:,} equal the log; {verdict['lost']} lost, {verdict['vanished']} acknowledged "
        f"and gone, {verdict['out_of_order']} out of order, {verdict['repeats']} repeated"
    )


def _costs(report: Report) -> str:
    usage = report["usage"]
    parts = []
    for name in ("server", "database", "load"):
        if name in usage:
            cores = usage["cores"].get(name)
            where = (
                f" on core {', '.join(map(str, cores))}" if cores and len(cores) < report["machine"]["cores"] else ""
            )
            parts.append(f"{name} {usage[name]['cpu_seconds'] / usage['seconds']:.0%}{where}")
    per_second = report["deliveries"]["per_server_cpu_second"]
    tail = f"; {per_second:,.0f} deliveries per CPU-second of the server" if per_second else ""
    memory = f"; server {usage['server']['rss_mib']:.0f} MiB" if "server" in usage else ""
    return ", ".join(parts) + tail + memory


def _write(report: Report, json: Path | None, html: Path | None) -> None:
    try:
        if json is not None:
            json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
            console.print(f"wrote {json}")
        if html is not None:
            from chatcore.loadtest.page import page  # noqa: PLC0415

            html.write_text(page(report, headline(report["plan"]), facts(report)), "utf-8")
            console.print(f"wrote {html}")
    except OSError as error:
        raise stop(f"The report could not be written: {error.strerror}") from None
