"""`python -m benchmarks`: every target in one table.

python -m benchmarks                 all, about 20 minutes; writes benchmarks/RESULTS.md
python -m benchmarks --quick         about two minutes, fewer repetitions; writes nothing
python -m benchmarks --only fanout   one part: fanout, endtoend, history, search, ai, media or page
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
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
from benchmarks.rows import Row
from benchmarks.search import SearchInLongGroup

PARTS = ("fanout", "endtoend", "history", "search", "ai", "media", "page")
SEARCHED = 50_000
FAN_OUT_TARGETS = {(1, 1_000): 2.5, (100, 10): 1.9, (10, 100): 1.9}
ACK_TARGET = 1.3
CORES = f"server on core {SERVER_CORE}; load on core {OTHER_CORE}; 1,000 connections"
console = Console(highlight=False)
Section = tuple[str, Sequence[Row]]


def fan_out_rows(repetitions: int, seconds: float, names: Sequence[str], loads: Sequence[fanout.Load]) -> list[Section]:
    """The three servers one after the other in each repetition; ours and the stock one as ratios to Node's."""
    measured: dict[tuple[str, str], list[float]] = {}
    titles = [load.name for load in loads] + ["ack round trips"]
    for repetition in range(repetitions):
        for title, load in zip(titles, (*loads, None), strict=True):
            console.print(f"[dim]fan-out {repetition + 1} of {repetitions}: {title}[/]")
            for name in names:
                measured.setdefault((title, name), []).append(_per_cpu_second(name, load, seconds))
    ours, others = [], []
    for title, load in zip(titles, (*loads, None), strict=True):
        target = FAN_OUT_TARGETS[load.rooms, load.members] if load else ACK_TARGET
        base = measured.get((title, "node"), [])
        ours.append(Row(title, "x Node", "more", CORES, target, measured[title, "ours"], base))
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
    loads = [load for load in fanout.LOADS if load.window == 1 or not quick]
    return fan_out_rows(1 if quick else 3, 1.0 if quick else 3.0, names, loads)


def run(parts: Sequence[str], *, quick: bool, messages: int) -> tuple[list[Section], list[str]]:
    """The sections, and what failed: the other parts, and the samples of that one so far, are kept."""
    sections: list[Section] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="chatcore-bench-") as folder:
        whole, pages, search = EndToEnd(), HistoryPages(messages), SearchInLongGroup(min(messages, SEARCHED))

        def end_to_end() -> None:
            sections.append(("End to end, 1,000 clients in 100 groups of 10, embedded database", whole.rows))
            whole.measure(Path(folder) / "endtoend" / "home", Pace(1, 5) if quick else Pace(3, 12), _say)

        def history() -> None:
            sections.append(("History", pages.rows))
            pages.measure(Path(folder) / "history" / "home", 1 if quick else 3, _say)

        def searching() -> None:
            sections.append(("Search", search.rows))
            search.measure(Path(folder) / "search" / "home", 1 if quick else 3, _say)

        def ai() -> None:
            beside = AiBesideChat()
            sections.append(("AI beside the chat", beside.rows))
            beside.measure(Path(folder) / "ai", 1 if quick else 3, 6 if quick else 8, _say)

        def media() -> None:
            uploads = Uploads()
            sections.append(("Uploads", uploads.rows))
            uploads.measure(Path(folder) / "media" / "home", 2 if quick else 5, _say)

        def page() -> None:
            seen = PageInChromium()
            sections.append(("The page", seen.rows))
            seen.measure(Path(folder) / "page" / "home", 2 if quick else 5, _say)

        actions = {
            "fanout": lambda: sections.extend(fan_out(quick)),
            "endtoend": end_to_end,
            "history": history,
            "search": searching,
            "ai": ai,
            "media": media,
            "page": page,
        }
        for part in parts:
            _pin_load()
            try:
                actions[part]()
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
    parser.add_argument("--quick", action="store_true", help="about two minutes; writes nothing")
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
