"""`python -m benchmarks`: every target in one table.

python -m benchmarks                 all, about 22 minutes; writes benchmarks/RESULTS.md
python -m benchmarks --quick         about five minutes, fewer repetitions; writes nothing
python -m benchmarks --only fanout   a part: fanout, endtoend, processes, readers, history, search, ai,
                                     media or page
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import uvloop
from rich.console import Console

from benchmarks import fanout, node, results
from benchmarks.ai import AiBesideChat
from benchmarks.endtoend import EndToEnd, Pace
from benchmarks.history import HistoryPages
from benchmarks.live import OTHER_CORE, SERVER_CORE
from benchmarks.media import Uploads
from benchmarks.page import PageInChromium
from benchmarks.processes import TwoProcesses
from benchmarks.readers import Readers
from benchmarks.rows import Row
from benchmarks.search import SearchInLongGroup

PARTS = ("fanout", "endtoend", "endtoend-ai", "processes", "readers", "history", "search", "ai", "media", "page")
SEARCHED = 50_000
FAN_OUT_TARGETS = {(1, 1_000): 2.5, (100, 10): 1.9, (10, 100): 1.9}
ACK_TARGET, ROUND_TRIPS = 1.3, 2
CORES = f"server on core {SERVER_CORE}; load on core {OTHER_CORE}; 1,000 connections"
console = Console(highlight=False)
Section = tuple[str, Sequence[Row]]
Measure = Callable[[], None]


def fan_out_rows(repetitions: int, seconds: float, names: Sequence[str], loads: Sequence[fanout.Load]) -> list[Section]:
    """The three servers one after the other in each repetition; ours and the stock one as ratios to Node's.

    The targets were set on frames that leave together, so rows with one broadcast in flight, which nothing joins, have
    none. Round trips scatter most, and so are measured twice in each repetition.
    """
    measured: dict[tuple[str, str], list[float]] = {}
    titles = [load.name for load in loads] + ["ack round trips"]
    for repetition in range(repetitions):
        for title, load in zip(titles, (*loads, None), strict=True):
            console.print(f"[dim]fan-out {repetition + 1} of {repetitions}: {title}[/]")
            for name in names * (1 if load else ROUND_TRIPS):
                measured.setdefault((title, name), []).append(_per_cpu_second(name, load, seconds))
    ours, others = [], []
    for title, load in zip(titles, (*loads, None), strict=True):
        joined = load is not None and load.window > 1
        target = ACK_TARGET if load is None else FAN_OUT_TARGETS[load.rooms, load.members] if joined else None
        base = measured.get((title, "node"), [])
        note = "" if target else "no target: with one broadcast in flight no frames can leave together"
        ours.append(Row(title, "x Node", "more", CORES, target, measured[title, "ours"], base, note))
        others += [
            Row(
                f"{title}: {name}",
                "x Node" if base else "a CPU-second",
                "more",
                CORES,
                None,
                measured[title, name],
                base,
            )
            for name in names
            if name != "ours"
        ]
    return [
        ("Fan-out without a database, deliveries per CPU-second (rooms x members)", ours),
        ("The same with other servers", others),
    ]


def _per_cpu_second(name: str, load: fanout.Load | None, seconds: float) -> float:
    if load is None:
        return uvloop.run(fanout.round_trips(name, seconds))
    return uvloop.run(fanout.fan_out(name, load, seconds))[0]


def fan_out(quick: bool) -> list[Section]:
    names = ["ours", "stock"]
    if node.installed(fanout.CACHE):
        names.append("node")
    else:
        console.print("[yellow]Node's socket.io is not here and cannot be installed: no ratios.[/]")
    loads = [load for load in fanout.LOADS if load.window > 1 or not quick]
    return fan_out_rows(1 if quick else 3, 1.0 if quick else 3.0, names, loads)


def measured_parts(folder: Path, *, quick: bool, messages: int) -> dict[str, tuple[str, Sequence[Row], Measure]]:
    """By name: title, rows, and what fills them."""
    plain, whole, two, people, pages = (
        EndToEnd(ai=False),
        EndToEnd(ai=True),
        TwoProcesses(),
        Readers(),
        HistoryPages(messages),
    )
    search, beside, uploads, seen = (
        SearchInLongGroup(min(messages, SEARCHED)),
        AiBesideChat(),
        Uploads(),
        PageInChromium(),
    )
    thrice, often = (1, 2) if quick else (3, 5)
    wide, wider, both = (Pace(1, 5), Pace(1, 5), Pace(1, 4)) if quick else (Pace(3, 12), Pace(2, 12), Pace(2, 5))
    end_to_end = "End to end, 1,000 clients in 100 groups of 10, embedded database"
    processes = "Two processes over Redis, 1,000 clients in 100 groups of 10"
    return {
        "endtoend": (
            f"{end_to_end}, AI off",
            plain.rows,
            lambda: plain.measure(folder / "plain" / "home", wide, _say),
        ),
        "endtoend-ai": (
            f"{end_to_end}, AI on as it is by default",
            whole.rows,
            lambda: whole.measure(folder / "whole" / "home", wider, _say),
        ),
        "processes": (processes, two.rows, lambda: two.measure(folder / "processes", both, _say)),
        "readers": (
            "Slow readers, and a reconnect storm",
            people.rows,
            lambda: people.measure(folder / "readers", 1, _say),
        ),
        "history": ("History", pages.rows, lambda: pages.measure(folder / "history" / "home", thrice, _say)),
        "search": ("Search", search.rows, lambda: search.measure(folder / "search" / "home", thrice, _say)),
        "ai": (
            "AI beside the chat",
            beside.rows,
            lambda: beside.measure(folder / "ai", thrice, 6 if quick else 8, _say),
        ),
        "media": ("Uploads", uploads.rows, lambda: uploads.measure(folder / "media" / "home", often, _say)),
        "page": ("The page", seen.rows, lambda: seen.measure(folder / "page" / "home", often, _say)),
    }


def run(parts: Sequence[str], *, quick: bool, messages: int) -> tuple[list[Section], list[str]]:
    """The sections, and what failed: the other parts, and the samples of that one so far, are kept."""
    sections: list[Section] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="chatcore-bench-") as folder:
        known = measured_parts(Path(folder), quick=quick, messages=messages)
        for part in parts:
            _pin_load()
            try:
                if part == "fanout":
                    sections.extend(fan_out(quick))
                else:
                    title, rows, measure = known[part]
                    sections.append((title, rows))
                    measure()
            except Exception as error:  # noqa: BLE001 - minutes of measuring are worth more than one part
                failed.append(f"{part}: {type(error).__name__}: {str(error)[:300]}")
                console.print(f"[red]{failed[-1]}[/]", markup=True)
    return sections, failed


def _rival() -> str:
    return node.version(fanout.CACHE) if node.installed(fanout.CACHE) else "nothing, Node was not there"


def _say(text: str) -> None:
    console.print(f"[dim]{text}[/]")


def _pin_load() -> None:
    """This process and what it starts; servers are moved to their core afterwards."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {OTHER_CORE})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about five minutes; writes nothing")
    parser.add_argument(
        "--only", choices=PARTS, action="append", help="only this part; may be repeated; writes nothing"
    )
    parser.add_argument("--messages", type=int, help="in the long log; default 200000, quick 20000")
    given = parser.parse_args()
    began, busy = time.monotonic(), psutil.getloadavg()[0]
    if busy > results.BUSY:
        console.print(f"[yellow]Load average {busy:.1f}: other work on this machine spoils rates and latencies.[/]")
    messages = given.messages or (20_000 if given.quick else 200_000)
    sections, failed = run(given.only or PARTS, quick=given.quick, messages=messages)
    console.print(results.table(sections))
    if not given.quick and not given.only:
        target = Path(__file__).parent / "RESULTS.md"
        took_seconds = time.monotonic() - began
        results.write(
            target, sections, how="make bench", took_seconds=took_seconds, rival=_rival(), busy=busy, failed=failed
        )
        console.print(f"wrote benchmarks/{target.name}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
