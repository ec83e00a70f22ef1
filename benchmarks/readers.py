"""People who do not read, and a thousand who come back at once."""

import asyncio
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.live import CORES, OTHER_CORE, Live, free_to_run, serving
from benchmarks.rows import Row
from chatcore.loadtest.conductor import conducting
from chatcore.loadtest.people import Cast, gather_people
from chatcore.loadtest.plan import Plan

READING, SLOW = 20, 200
MESSAGE_BYTES, RATE, SECONDS = 2_048, 45, 9.0
"""More than what may wait for a slow reader, 256 packets or 1 MiB, and more than the kernel takes for it besides."""
WARMUP_SECONDS = 1.0
PAGE_BYTES = 4_096  # of memory, in which the kernel counts what its sockets hold
CLIENTS, GROUPS, STORM_RATE, STORM_SECONDS = 1_000, 100, 100, 6.0
LOOK_SECONDS = 0.05
Say = Callable[[str], None]
Report = dict[str, Any]


@dataclass(slots=True)
class Peak:
    grown_mib: float = 0.0
    kernel_mib: float = 0.0


class Readers:
    """Rows that fill while `measure` runs. Memory is the server's peak over that at the begin of the same run."""

    def __init__(self) -> None:
        def row(name: str, unit: str, target: float | None) -> Row:
            return Row(name, unit, "less", f"{CORES}; AI off", target)

        talk = f"{READING} who read, {RATE} messages/s of 2 KB in one group"
        self.one = row(f"memory of 1 slow reader beside {talk}: peak, beyond that without", "MiB", 5)
        self.one_harm = row("readers cut off, or with a view unlike the log, beside 1 slow reader", "clients", 0)
        self.many = row(f"memory of {SLOW} slow readers beside {talk}: peak, beyond that without", "MiB", None)
        self.each = row(f"the same for each of the {SLOW}", "MiB", 5)
        self.kernel = row(f"the kernel's socket buffers meanwhile, peak, beside {SLOW}", "MiB", None)
        self.many_harm = row(f"readers cut off, or with a view unlike the log, beside {SLOW}", "clients", 0)
        self.cut = row(f"slow readers that the server cut off, of {SLOW}", "clients", None)
        self.plain_p95 = row("delivered to readers after, p95, no slow reader", "ms", None)
        self.one_p95 = row("delivered to readers after, p95, beside 1", "ms", None)
        self.many_p95 = row(f"delivered to readers after, p95, beside {SLOW}", "ms", None)
        storm = f"{CLIENTS:,} connections cut at once, {STORM_RATE} messages/s meanwhile"
        self.back = row(f"until all are back and know what they missed, {storm}", "s", None)
        self.unequal = row(f"views unlike the log afterwards, {storm}", "clients", 0)
        self.unanswered = row(f"messages never answered, {storm}", "messages", 0)
        self.rows = [value for value in vars(self).values() if isinstance(value, Row)]

    def measure(self, folder: Path, repetitions: int, say: Say) -> None:
        with serving(folder / "slow" / "home", {"AI": "off"}) as live:
            plan = Plan(live.url, READING + SLOW, 1)
            cast = self._cast(plan, say)
            for repetition in range(repetitions):
                say(f"slow readers, {repetition + 1} of {repetitions}")
                asyncio.run(self._slow(live, cast))
        with serving(folder / "storm" / "home", {"AI": "off"}) as live:
            cast = self._cast(Plan(live.url, CLIENTS, GROUPS), say)
            for repetition in range(repetitions):
                say(f"reconnect storm, {repetition + 1} of {repetitions}")
                asyncio.run(self._storm(live, cast))

    @staticmethod
    def _cast(plan: Plan, say: Say) -> Cast:
        say(f"preparing {plan.clients:,} users")
        with free_to_run():
            return asyncio.run(gather_people(plan, (), secrets.token_hex(3), lambda what, done, total: None))

    async def _slow(self, live: Live, cast: Cast) -> None:
        await self._talk(live, cast, slow=0, seconds=3)  # what the first talk of a server loads is no reader's
        without, plain = await self._talk(live, cast, slow=0)
        self.plain_p95.samples.append(plain["deliveries"]["p95"])
        for slow, memory, harm, p95 in (
            (1, self.one, self.one_harm, self.one_p95),
            (SLOW, self.many, self.many_harm, self.many_p95),
        ):
            peak, result = await self._talk(live, cast, slow=slow)
            memory.samples.append(peak.grown_mib - without.grown_mib)
            harm.samples.append(_harmed(result))
            p95.samples.append(result["deliveries"]["p95"])
            if not result["verdict"]["clean"]:
                harm.note = f"NOT CLEAN: {result['verdict']}"
        self.kernel.samples.append(peak.kernel_mib)
        self.each.samples.append(self.many.samples[-1] / SLOW)
        self.cut.samples.append(result["slow_readers"]["cut_by_server"])

    @staticmethod
    async def _talk(live: Live, cast: Cast, *, slow: int, seconds: float = SECONDS) -> tuple[Peak, Report]:
        plan = Plan(
            live.url,
            READING + slow,
            1,
            rate=RATE,
            seconds=seconds,
            warmup_seconds=WARMUP_SECONDS,
            message_bytes=MESSAGE_BYTES,
            slow_readers=slow,
            load_cores=(OTHER_CORE,),
        )
        some = replace(cast, people=cast.people[: plan.clients])
        async with conducting(plan, some, secrets.token_hex(3), lambda step, counts: None) as conductor:
            await conductor.connect()
            with watching(live) as peak:
                result = await conductor.perform()
        return peak, result

    async def _storm(self, live: Live, cast: Cast) -> None:
        plan = Plan(
            live.url, CLIENTS, GROUPS, rate=STORM_RATE, seconds=STORM_SECONDS, storm=True, load_cores=(OTHER_CORE,)
        )
        async with conducting(plan, cast, secrets.token_hex(3), lambda step, counts: None) as conductor:
            await conductor.connect()
            result = await conductor.perform()
        storm, verdict = result["storm"], result["verdict"]
        self.back.samples.append(storm["seconds"])
        self.unequal.samples.append(verdict["unequal_views"] + CLIENTS - storm["back"])
        self.unanswered.samples.append(result["messages"]["unanswered"])
        if not verdict["clean"] or storm["cut"] < CLIENTS:
            self.unequal.note = f"NOT CLEAN: {verdict}, {storm['cut']} cut, {storm['back']} back"


def _harmed(result: Report) -> int:
    """Views of the slow ones count as well, as they come back; that they were cut off does not."""
    others_cut = result["messages"]["cuts"] - result["slow_readers"]["cut_by_server"]
    return int(others_cut + result["verdict"]["unequal_views"])


@contextmanager
def watching(live: Live) -> Iterator[Peak]:
    """The server's memory beyond that at the begin, looked at again and again on a thread."""
    peak, done = Peak(), threading.Event()
    at_rest, kernel_at_rest = live.rss_mib(), kernel_mib()

    def look() -> None:
        while not done.wait(LOOK_SECONDS):
            peak.grown_mib = max(peak.grown_mib, live.rss_mib() - at_rest)
            peak.kernel_mib = max(peak.kernel_mib, kernel_mib() - kernel_at_rest)

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield peak
    finally:
        done.set()
        looker.join()


def kernel_mib() -> float:
    """What TCP holds in the kernel, of the whole machine."""
    told = Path("/proc/net/sockstat").read_text("ascii")
    (line,) = (line for line in told.splitlines() if line.startswith("TCP:"))
    return int(line.split()[-1]) * PAGE_BYTES / 1024**2
