"""Leads the worker processes through a load test and merges what they saw into one result."""

import asyncio
import platform
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import orjson
import psutil

from chatcore import __version__
from chatcore.client.rest import fetch_info
from chatcore.loadtest.measures import Histogram, Verdict
from chatcore.loadtest.people import Cast
from chatcore.loadtest.plan import LoadRefused, Plan
from chatcore.loadtest.watch import Usage, Watch, find_server

STEP_DEADLINE_SECONDS = 180.0
START_DELAY_SECONDS = 0.5
LATE_MS = 50.0
Report = dict[str, Any]
Progress = Callable[[str, dict[str, float]], None]
"""The step that is under way, and counts of all clients together."""


@dataclass(slots=True)
class Member:
    """One worker process, and its share of the sending clients."""

    process: asyncio.subprocess.Process
    counts: dict[str, float] = field(default_factory=dict)

    async def order(self, **order: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(orjson.dumps(order) + b"\n")
        await self.process.stdin.drain()

    async def answer(self, step: str, progress: Callable[[], None]) -> Any:
        """What the worker says when it is done with a step."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            told = orjson.loads(line)
            if "progress" in told:
                self.counts = told["progress"]
                progress()
            elif told.get("done") == step:
                if "failed" in told:
                    raise LoadRefused(f"the load process failed to {step}: {told['failed']}")
                return told["outcome"]
        raise LoadRefused(f"a load process ended before it was told to ({await self.process.wait()})")


class Conductor:
    """Holds the connected clients of one test; `perform` may be called once."""

    def __init__(self, plan: Plan, members: Sequence[Member], servers: Sequence[psutil.Process], progress: Progress):
        self._plan = plan
        self._members = members
        self._progress = progress
        self.watch = Watch(servers, [member.process.pid for member in members])

    async def _all(self, step: str, deadline_seconds: float, **order: Any) -> list[Any]:
        def progress() -> None:
            merged: Counter[str] = Counter()
            for member in self._members:
                merged.update(member.counts)
            self._progress(step, dict(merged))

        for member in self._members:
            await member.order(do=step, **order)
        try:
            async with asyncio.timeout(deadline_seconds):
                return list(await asyncio.gather(*(member.answer(step, progress) for member in self._members)))
        except TimeoutError:
            raise LoadRefused(f"the step `{step}` did not end within {deadline_seconds:.0f} s") from None

    async def connect(self) -> Report:
        """All clients. Raises LoadRefused where some did not come in."""
        before = self.watch.read()
        outcomes = await self._all("connect", STEP_DEADLINE_SECONDS)
        online = sum(outcome["online"] for outcome in outcomes)
        if online < self._plan.clients:
            why = ", ".join(sorted({reason for outcome in outcomes for reason in outcome["failed"]}))
            raise LoadRefused(f"only {online} of {self._plan.clients} clients could connect: {why}")
        seconds = max(outcome["seconds"] for outcome in outcomes)
        return {
            "clients": online,
            "seconds": seconds,
            "per_second": online / seconds,
            "latency": _merge(outcomes, "latency").summary(),
            "usage": _spent(before, self.watch.read()),
        }

    async def perform(self) -> Report:
        """The messages, then the comparison of every view with the log."""
        plan = self._plan
        start = time.monotonic_ns() + int(START_DELAY_SECONDS * 1e9)
        deadline = plan.warmup_seconds + plan.seconds + STEP_DEADLINE_SECONDS
        running = asyncio.create_task(self._all("run", deadline, at=start))
        try:
            usage, series = await self._sample(start)
            outcomes = await running
        finally:
            running.cancel()
        verdict = Verdict()
        examples: list[dict[str, Any]] = []
        for told in await self._all("verify", STEP_DEADLINE_SECONDS):
            verdict.add(Verdict(**told["verdict"]))
            examples += told["examples"]
        return _merged(plan, outcomes, verdict, usage, series) | {"unequal_views": examples}

    async def _sample(self, start: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """CPU and memory over the timed seconds, as a whole and second by second."""
        timed_from = start / 1e9 + self._plan.warmup_seconds
        await asyncio.sleep(max(0.0, timed_from - time.monotonic()))
        readings = [(time.monotonic(), self.watch.read())]
        ends_at = timed_from + self._plan.seconds
        while time.monotonic() < ends_at - 0.01:
            await asyncio.sleep(min(1.0, max(0.0, ends_at - time.monotonic())))
            readings.append((time.monotonic(), self.watch.read()))
        (began, first), (ended, last) = readings[0], readings[-1]
        usage = {"seconds": ended - began, "cores": self.watch.cores(), **_spent(first, last)}
        series = [
            {name: cost["cpu_seconds"] / (to - since) for name, cost in _spent(before, after).items()}
            | {"rss_mib": after.get("server", Usage()).rss_bytes / (1024 * 1024)}
            for (since, before), (to, after) in pairwise(readings)
        ]
        return usage, series

    async def close(self) -> None:
        for member in self._members:
            if member.process.returncode is None:
                try:
                    await member.order(do="stop")
                    await asyncio.wait_for(member.process.wait(), 5)
                except (OSError, TimeoutError):
                    member.process.kill()
                    await member.process.wait()


@asynccontextmanager
async def conducting(plan: Plan, cast: Cast, run: str, progress: Progress) -> AsyncIterator[Conductor]:
    """Worker processes with the plan and their part of the people, not connected yet."""
    members: list[Member] = []
    senders = plan.clients - plan.slow_readers
    conductor = None
    try:
        for number in range(plan.processes):
            own = [person for person in cast.people if person.index % plan.processes == number]
            share = sum(person.index < senders for person in own) / senders
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "chatcore.loadtest.worker",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 28,
            )  # fmt: skip
            members.append(Member(process))
            assert process.stdin is not None
            opening = {"plan": plan.to_json(), "people": [asdict(p) for p in own], "run": run, "share": share}
            process.stdin.write(orjson.dumps(opening) + b"\n")
            await process.stdin.drain()
        found = [find_server(url) for url in dict.fromkeys(person.url or plan.url for person in cast.people)]
        servers = {server.pid: server for server in found if server is not None}
        conductor = Conductor(plan, members, list(servers.values()), progress)
        yield conductor
    finally:
        await (conductor or Conductor(plan, members, (), progress)).close()


async def load(plan: Plan, cast: Cast, run: str, progress: Progress) -> Report:
    """A whole load test: connect, send, compare. The report's form is that of the JSON output."""
    info = await fetch_info(plan.url)
    async with conducting(plan, cast, run, progress) as conductor:
        connects = await conductor.connect()
        result = await conductor.perform()
    return {
        "tool": {"name": "chatcore loadtest", "version": __version__},
        "server": {"url": plan.url, "version": info.get("version"), "uptime_seconds": info.get("uptime")},
        "machine": machine(),
        "plan": plan.to_json(),
        "connects": connects,
        **result,
    }


def machine() -> dict[str, Any]:
    """In plain words: cores, memory, processor, Python."""
    return {
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 1024**3, 1),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as told:  # noqa: PTH123 - a device of the kernel
            names = [line.partition(":")[2].strip() for line in told if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _spent(before: dict[str, Usage], after: dict[str, Usage]) -> dict[str, dict[str, float]]:
    return {
        name: {
            "cpu_seconds": after[name].cpu_seconds - before[name].cpu_seconds,
            "rss_before_mib": before[name].rss_bytes / (1024 * 1024),
            "rss_mib": after[name].rss_bytes / (1024 * 1024),
        }
        for name in after
        if name in before
    }


def _merge(outcomes: Sequence[Report], name: str) -> Histogram:
    merged = Histogram()
    for outcome in outcomes:
        merged.merge(Histogram.from_json(outcome[name]))
    return merged


def _merged(
    plan: Plan, outcomes: Sequence[Report], verdict: Verdict, usage: Report, costs: list[dict[str, Any]]
) -> Report:
    def total(name: str) -> int:
        return sum(outcome[name] for outcome in outcomes)

    def counted(name: str) -> dict[str, int]:
        return dict(sum((Counter(outcome[name]) for outcome in outcomes), Counter()))

    acks, deliveries = _merge(outcomes, "acks"), _merge(outcomes, "deliveries")
    server = usage.get("server", {}).get("cpu_seconds")
    report: Report = {
        "messages": {
            name: total(name) for name in ("sent", "acked", "repeated", "unanswered", "delivered", "cuts")
        } | {"per_second": len(acks) / plan.seconds, "refused": counted("refused")},
        "acks": acks.summary() | {"curve": acks.curve()},
        "deliveries": deliveries.summary()
        | {
            "curve": deliveries.curve(),
            "per_second": len(deliveries) / plan.seconds,
            "per_server_cpu_second": len(deliveries) / server if server else None,
        },
        "verdict": verdict.to_json() | {"clean": verdict.clean},
        "usage": usage,
        "failed_connects": counted("failed_connects"),
        "series": _series(outcomes, costs),
        "late_ms": max(outcome["late_ms"] for outcome in outcomes),
        "storm": _storm(outcomes),
        "slow_readers": _added([outcome["slow"] for outcome in outcomes if outcome["slow"]]),
    }  # fmt: skip
    return report | {"warnings": warnings(report)}


def _series(outcomes: Sequence[Report], costs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for number, seconds in enumerate(zip(*(outcome["series"] for outcome in outcomes), strict=False)):
        acks, deliveries = _merge(seconds, "acks"), _merge(seconds, "deliveries")
        found.append(
            {name: sum(second[name] for second in seconds) for name in ("sent", "acked", "delivered")}
            | {"ack_p50": acks.percentile(50), "ack_p99": acks.percentile(99)}
            | {"delivery_p50": deliveries.percentile(50), "delivery_p99": deliveries.percentile(99)}
            | {"cpu": costs[number] if number < len(costs) else {}}
        )
    return found


def _storm(outcomes: Sequence[Report]) -> Report | None:
    storms = [outcome["storm"] for outcome in outcomes if outcome["storm"]]
    if not storms:
        return None
    return {
        **_added([{name: storm[name] for name in ("cut", "back", "synced")} for storm in storms]),
        "seconds": max(storm["seconds"] for storm in storms),
        "latency": _merge(storms, "latency").summary(),
    }


def _added(parts: Sequence[dict[str, int]]) -> dict[str, int]:
    return {name: sum(part[name] for part in parts) for name in (parts[0] if parts else ())}


def warnings(report: Report) -> list[str]:
    """What makes the numbers less than they seem."""
    found = []
    usage, verdict, messages = report["usage"], report["verdict"], report["messages"]
    load_cpu = usage["load"]["cpu_seconds"]
    if "server" not in usage:
        found.append("The server's CPU time cannot be seen from here, so its cost for each delivery is not known.")
    elif load_cpu > usage["server"]["cpu_seconds"]:
        found.append(
            "The load processes used more CPU time than the server: latencies show them as much as the server. "
            "Lower the rate, or use more processes or another machine."
        )
    if report["late_ms"] > LATE_MS:
        found.append(
            f"A message left up to {report['late_ms']:.0f} ms late because the load process was busy; "
            "latencies count from the intended moment and include that."
        )
    if messages["refused"]:
        told = ", ".join(f"{count} x {code}" for code, count in sorted(messages["refused"].items()))
        found.append(f"The server refused messages: {told}. (RATE_LIMITS=off lifts the limits for a load test.)")
    if messages["cuts"]:
        found.append(f"{messages['cuts']} connections were lost without our doing; their clients came back.")
    if messages["unanswered"]:
        found.append(f"{messages['unanswered']} messages were never answered.")
    if not verdict["clean"]:
        found.append("Not every view equals the log: see losses, order and repeats.")
    return found
