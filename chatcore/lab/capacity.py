"""How much a server bears: load in steps up to the knee, and a soak that watches its memory.

The load comes from `python -m chatcore loadtest` in processes of its own, open loop: a latency counts from the moment
at which a message should have gone out, so a server that stalls cannot hide it. The server is a process of its own
too, or the loopback server whose address is given.
"""

import atexit
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import matplotlib.pyplot as plt
import numpy as np
import orjson
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from chatcore.embedded.supervisor import SHIM
from chatcore.lab.pages import Table, facts, number
from chatcore.lab.plots import COLOURS, INK, finished
from chatcore.lab.statistics.estimates import LEVEL, Interval
from chatcore.lab.surroundings import HARMLESS
from chatcore.settings import named_variables

# What `server.py` does; an installed chatcore has no such file.
SERVE: Final = (
    "import sys; from chatcore.cli.serve import serve; from chatcore.settings import load_settings; "
    "sys.exit(serve(load_settings()))"
)
ADDRESS: Final = re.compile(r"http://127\.0\.0\.1:\d+")
START_SECONDS: Final = 90.0
STOP_SECONDS: Final = 30.0
AROUND_SECONDS: Final = 240.0  # connecting, comparing and tidying up, besides the run itself
LONGEST_ROUND: Final = 600.0  # of one load test; a longer soak is several
REACHED: Final = 0.95  # of the offered rate; below it a step is over the knee
WRONGS: Final = ("lost", "vanished", "invented", "out_of_order", "repeats")


class LoadFailed(Exception):
    """The load or the server did not run; the message ends with what it said last."""


class OwnServer:
    """The server with an embedded database in a temporary folder, without models and rate limits.

    It ends with `close`, with the kernel, or with `with`; on Linux the operating system sees to it.
    """

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="chatcore-load-", ignore_cleanup_errors=True)
        folder = Path(self._home.name)
        self._log = folder / "server.log"
        environment = named_variables(HARMLESS) | {
            "CHATCORE_HOME": str(folder / "home"), "HOST": "127.0.0.1", "PORT": "0", "RATE_LIMITS": "off", "AI": "off",
            "LOG_FORMAT": "json", "LOG_LEVEL": "warning", "COLUMNS": "200", "PYTHONUNBUFFERED": "1",
        }  # fmt: skip
        bound = [sys.executable, str(SHIM), "signal", str(os.getpid())] if sys.platform == "linux" else []
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own code
                [*bound, sys.executable, "-c", SERVE],
                cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        atexit.register(self.close)
        self.url = self._address()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _address(self) -> str:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            if found := ADDRESS.search(self._log.read_text("utf-8", "replace")):
                return found[0]
            time.sleep(0.05)
        said = self._log.read_text("utf-8", "replace")[-1_500:]
        self.close()
        raise LoadFailed(f"the server did not start\n{said}")

    def close(self) -> None:
        """In order, or by force after a while. A repeat does nothing."""
        atexit.unregister(self.close)
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._home.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _repr_html_(self) -> str:
        state = "listening" if self._process.poll() is None else "closed"
        return facts("Server in a process of its own", {"address": self.url, "state": state, "AI": "off"})


@dataclass(frozen=True, slots=True)
class Load:
    """`rate` messages a second in all, of `clients` people in `groups` groups."""

    clients: int
    rate: float
    seconds: float
    warmup_seconds: float = 1.0
    groups: int = 0

    @property
    def in_groups(self) -> int:
        """About ten people in each, where nothing else is asked for."""
        return self.groups or max(1, self.clients // 10)


def steps(text: str, *, seconds: float) -> list[Load]:
    """From a notebook's parameter.

    >>> [(one.clients, one.rate) for one in steps("12x40, 24x120", seconds=2)]
    [(12, 40.0), (24, 120.0)]
    """
    found = []
    for part in text.split(","):
        told = re.fullmatch(r"\s*(\d+)x(\d+(?:\.\d+)?)\s*", part)
        if told is None:
            raise ValueError(f'a step reads like "100x250", clients by messages a second, and not {part.strip()!r}')
        found.append(Load(int(told[1]), float(told[2]), seconds))
    return found


def load(url: str, wanted: Load) -> dict[str, Any]:
    """The report of one load test, as `chatcore loadtest --json` writes it. Raises LoadFailed."""
    with tempfile.TemporaryDirectory(prefix="chatcore-load-") as folder:
        told = Path(folder) / "report.json"
        command = [
            sys.executable, "-m", "chatcore", "loadtest", "--url", url, "--clients", str(wanted.clients),
            "--groups", str(wanted.in_groups), "--rate", str(wanted.rate), "--seconds", str(wanted.seconds),
            "--warmup", str(wanted.warmup_seconds), "--json", str(told),
        ]  # fmt: skip
        said = _run(command, folder, wanted.warmup_seconds + wanted.seconds + AROUND_SECONDS)
        # It ends with status 1 where the server broke a promise, and has written what it saw nevertheless.
        if not told.exists():
            raise LoadFailed(f"the load test did not run\n{said[-1_500:]}")
        report: dict[str, Any] = orjson.loads(told.read_bytes())
        return report


def _run(command: Sequence[str], folder: str, seconds: float) -> str:
    """What it printed. An interrupted cell or a timeout takes its processes along."""
    environment = named_variables(HARMLESS) | {"COLUMNS": "200"}
    process = subprocess.Popen(  # noqa: S603 - our own code
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise LoadFailed(f"the load test did not end within {seconds:.0f} s") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return said.decode("utf-8", "replace")


def promises(report: Mapping[str, Any]) -> dict[str, int]:
    """What the server acknowledged and did not keep, by kind; all zero for a good server, at any speed."""
    verdict = report["verdict"]
    return {name: int(verdict[name]) for name in WRONGS} | {"unanswered": int(report["messages"]["unanswered"])}


@dataclass(frozen=True)
class Climb:
    """`table`: clients, offered, reached (messages/s), p50, p95, p99 (ms), deliveries/s, server_cores, broken
    (promises), refused, holds. A step holds when it reaches the offered rate, keeps every promise, refuses nothing and
    its p95 stays within the budget."""

    table: pd.DataFrame
    budget_ms: float
    warnings: tuple[str, ...] = ()

    @property
    def knee(self) -> pd.Series | None:
        """The last step that holds before the first that does not; None where not even the first one does."""
        over = np.flatnonzero(~self.table["holds"].to_numpy(bool))
        last = (int(over[0]) if len(over) else len(self.table)) - 1
        return self.table.iloc[last] if last >= 0 else None

    @property
    def broken(self) -> int:
        return int(self.table["broken"].sum())

    @property
    def sentence(self) -> str:
        kept = "every promise was kept" if not self.broken else f"{self.broken:,} promises were broken"
        top, found = self.table.iloc[-1], self.knee
        if found is None:
            first = self.table.iloc[0]
            least = f"{first['clients']:,} clients at {first['offered']:g} messages/s"
            return f"Already {least} are too much here (p95 {first['p95']:.1f} ms); {kept}."
        reach = "and no knee was reached" if found["offered"] == top["offered"] else "beyond that lies the knee"
        return (
            f"{found['clients']:,} clients at {found['offered']:g} messages/s hold with p95 {found['p95']:.1f} ms "
            f"(budget {self.budget_ms:g} ms), {reach}; {kept}."
        )

    def _repr_html_(self) -> str:
        head = ["clients", "offered/s", "reached/s", "p50 ms", "p95 ms", "p99 ms", "deliveries/s", "server cores",
                "broken", "refused", ""]  # fmt: skip
        rows = [
            [f"{row.clients:,}", f"{row.offered:g}", f"{row.reached:,.0f}", number(row.p50, digits=3),
             number(row.p95, digits=3), number(row.p99, digits=3), f"{row.deliveries:,.0f}",
             number(row.server_cores, digits=2), f"{row.broken:,}", f"{row.refused:,}",
             "holds" if row.holds else "over"]
            for row in self.table.itertuples()
        ]  # fmt: skip
        notes = "".join(facts("", {"note": one}) for one in self.warnings)
        return Table(head, rows, frozenset(range(10))).html() + notes


def climb(url: str, loads: Sequence[Load], *, budget_ms: float = 50.0, over: int = 2) -> Climb:
    """Each step on fresh groups, upwards, until `over` steps in a row do not hold."""
    rows: list[dict[str, Any]] = []
    warnings: list[str] = []
    for wanted in loads:
        report = load(url, wanted)
        rows.append(_step(wanted, report, budget_ms))
        warnings += [one for one in report["warnings"] if one not in warnings]
        if len(rows) >= over and not any(row["holds"] for row in rows[-over:]):
            break
    return Climb(pd.DataFrame(rows), budget_ms, tuple(warnings))


def _step(wanted: Load, report: Mapping[str, Any], budget_ms: float) -> dict[str, Any]:
    acks, usage = report["acks"], report["usage"]
    server = usage.get("server")
    broken, refused = sum(promises(report).values()), sum(report["messages"]["refused"].values())
    reached = float(report["messages"]["per_second"])
    p95 = math.nan if acks["p95"] is None else float(acks["p95"])
    holds = p95 <= budget_ms and not broken and not refused and reached >= REACHED * wanted.rate
    return {"clients": wanted.clients, "offered": wanted.rate, "reached": reached, "p50": acks["p50"], "p95": p95,
            "p99": acks["p99"], "deliveries": float(report["deliveries"]["per_second"]),
            "server_cores": server["cpu_seconds"] / usage["seconds"] if server else math.nan,
            "broken": broken, "refused": refused, "holds": bool(holds), "timed": int(acks["count"])}  # fmt: skip


@dataclass(frozen=True)
class Soak:
    """`points`: second, rss_mib, ack_p50, ack_p99, acked. `slope`: of the server's memory, in MiB an hour."""

    points: pd.DataFrame
    slope: Interval
    broken: int

    @property
    def sentence(self) -> str:
        seconds = len(self.points)
        kept = "every promise was kept" if not self.broken else f"{self.broken:,} promises were broken"
        if seconds < 300:
            return f"{seconds} s of soak are too few to tell anything of memory; {kept}."
        grew = "grows" if self.slope.low > 0 else "shrinks" if self.slope.high < 0 else "neither grows nor shrinks"
        return f"In {seconds:,} s the server's memory {grew} ({self.slope} MiB an hour); {kept}."


def soak(url: str, wanted: Load, *, settle: float = 0.25) -> Soak:
    """Constant load, in rounds of ten minutes at most. The first `settle` of the time fills caches that are bounded,
    and the slope leaves it out.

    Theil and Sen's slope: a garbage collection or a checkpoint does not pull it. Memory that was freed is seldom given
    back, so an hour says more than sixty minutes of measurements would if they were independent.
    """
    points: list[dict[str, Any]] = []
    broken, left = 0, wanted.seconds
    while left > 0:
        seconds = min(left, LONGEST_ROUND)
        report = load(url, Load(wanted.clients, wanted.rate, seconds, wanted.warmup_seconds, wanted.groups))
        broken += sum(promises(report).values())
        for second in report["series"]:
            rss = second["cpu"].get("rss_mib")
            points.append({"second": len(points) + 1, "rss_mib": rss, "ack_p50": second["ack_p50"],
                           "ack_p99": second["ack_p99"], "acked": second["acked"]})  # fmt: skip
        left -= seconds
    frame = pd.DataFrame(points, columns=["second", "rss_mib", "ack_p50", "ack_p99", "acked"])
    return Soak(frame, memory_slope(frame["rss_mib"].iloc[int(len(frame) * settle) :]), broken)


def memory_slope(rss_mib: pd.Series) -> Interval:
    """MiB an hour, of one value each second; unknown below ten of them, or where the server's memory is not seen."""
    known = rss_mib.astype(float)
    known = known[known > 0].dropna()
    if len(known) < 10:
        return Interval(math.nan, -math.inf, math.inf, len(known), LEVEL, "Theil-Sen")
    found = stats.theilslopes(known.to_numpy(), np.arange(len(known)), alpha=LEVEL)
    hour = 3_600.0
    return Interval(found.slope * hour, found.low_slope * hour, found.high_slope * hour, len(known), LEVEL, "Theil-Sen")


def knee_chart(found: Climb) -> Figure:
    """Latency and reached rate against what was offered."""
    table = found.table
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.2))
    for name, colour in zip(("p50", "p95", "p99"), COLOURS, strict=False):
        left.plot(table["offered"], table[name], marker="o", ms=4, color=colour, label=name)
    left.axhline(found.budget_ms, color=INK, lw=1, ls="--", label=f"budget {found.budget_ms:g} ms")
    left.set(xlabel="messages offered a second", ylabel="ms to the acknowledgement", yscale="log", title="Waiting")
    left.legend(frameon=False, fontsize=8)
    right.plot(table["offered"], table["offered"], color=INK, lw=1, ls="--", label="offered")
    right.plot(table["offered"], table["reached"], marker="o", ms=4, color=COLOURS[0], label="acknowledged")
    right.set(xlabel="messages offered a second", ylabel="messages a second", title="Reached", ylim=(0, None))
    cores = right.twinx()
    cores.plot(
        table["offered"], table["server_cores"], marker="s", ms=4, color=COLOURS[1], label="server cores (right)"
    )
    cores.set_ylim(0, max(1.05, float(np.nanmax([1.0, *table["server_cores"].dropna()]))))
    lines = [*right.get_lines(), *cores.get_lines()]
    right.legend(lines, [str(line.get_label()) for line in lines], frameon=False, fontsize=8)
    return finished(figure)


def soak_chart(found: Soak) -> Figure:
    """Memory and latency, second by second."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 2.6))
    left.plot(found.points["second"], found.points["rss_mib"].astype(float), color=COLOURS[0])
    left.set(xlabel="seconds", ylabel="MiB", title="Memory of the server")
    for name, colour in (("ack_p50", COLOURS[0]), ("ack_p99", COLOURS[1])):
        right.plot(
            found.points["second"], found.points[name].astype(float), color=colour, label=name.removeprefix("ack_")
        )
    right.set(xlabel="seconds", ylabel="ms", title="To the acknowledgement", ylim=(0, None))
    right.legend(frameon=False, fontsize=8)
    return finished(figure)
