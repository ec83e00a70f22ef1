"""The whole server: signed in, encrypted, stored durably on the embedded database."""

import asyncio
import re
import secrets
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.live import CORES, METRICS_TOKEN, OTHER_CORE, Live, serving
from benchmarks.rows import Row
from chatcore.loadtest.conductor import conducting
from chatcore.loadtest.people import Cast, gather_people
from chatcore.loadtest.plan import Plan

CLIENTS, GROUPS = 1_000, 100
LOADED_SECONDS = 8.0  # the libraries that the first message makes load in the background, and the first vectors
SETTLED_SECONDS = 2.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Pace:
    repetitions: int
    seconds: float


class EndToEnd:
    """Rows that fill while `measure` runs; each repetition has a server of its own on the same data."""

    def __init__(self, *, ai: bool) -> None:
        cores = f"{CORES}, models too; AI on" if ai else f"{CORES}; AI off"
        self._settings = {} if ai else {"AI": "off"}

        def row(name: str, unit: str, target: float | None, *, more: bool = False, note: str = "") -> Row:
            return Row(name, unit, "more" if more else "less", cores, target, note=note)

        self.sustained = row("messages, closed loop, each client one in flight", "messages/s", 2_000, more=True)
        self.p95 = row("acknowledged after, p95 at 500 messages/s, open loop", "ms", 50)
        self.delivered_p95 = row("delivered after, p95 at 500 messages/s, open loop", "ms", None)
        self.cpu = row("server's CPU at 100 messages/s, open loop", "% of a core", 30)
        self.database_cpu = row("database's CPU at 100 messages/s", "% of a core", None)
        if ai:
            self.models_cpu = row("models' CPU at 100 messages/s", "% of a core", None)
        self.commit = row("durable write, mean at 500 messages/s", "ms", 100)
        self.deliveries = row("deliveries per CPU-second of the server, closed loop", "/CPU-s", None, more=True)
        self.message_cpu = row("server's CPU for a message and its 9 deliveries, closed loop", "ms", None)
        self.message_database_cpu = row("database's CPU for a message, closed loop", "ms", None)
        self.connects = row("connects, authenticated known users, server just started", "/s", 1_000, more=True)
        self.reconnects = row("connects, authenticated known users, groups loaded already", "/s", 1_000, more=True)
        self.connect_cpu = row("server's CPU for a connect, server just started", "ms", None)
        self.connect_database_cpu = row("database's CPU for a connect, server just started", "ms", None)
        self.per_connection = row("memory a connection, over that when ready", "KiB", 25)
        self.loaded_per_connection = row(
            "memory a connection, over that after the first client and its first messages", "KiB", 25
        )
        self.full = row("memory with 1,000 clients", "MiB", 250)
        self.ready = row("memory when ready", "MiB", None)
        self._unclean: list[str] = []
        self.rows = [value for value in vars(self).values() if isinstance(value, Row)]

    def measure(self, home: Path, pace: Pace, say: Say) -> None:
        with serving(home, self._settings) as live:
            say(f"preparing {CLIENTS:,} users and {GROUPS} groups")
            plan = Plan(live.url, CLIENTS, GROUPS)
            cast = asyncio.run(gather_people(plan, (), secrets.token_hex(3), lambda what, done, total: None))
        for repetition in range(pace.repetitions):
            say(f"end to end, {repetition + 1} of {pace.repetitions}")
            with serving(home, self._settings) as live:
                asyncio.run(self._repeat(live, cast, pace.seconds))
            with serving(home, self._settings) as live:
                asyncio.run(self._measure_connections_alone(live, cast))

    async def _measure_connections_alone(self, live: Live, cast: Cast) -> None:
        """What is loaded once, with the first client and the first messages, is no part of any connection."""
        first = Cast(cast.people[:1], cast.owners[:1])
        plan = Plan(live.url, 1, 1, rate=2, seconds=2, load_cores=(OTHER_CORE,))
        async with conducting(plan, first, secrets.token_hex(3), lambda step, counts: None) as alone:
            await alone.connect()
            await alone.perform()
            await asyncio.sleep(LOADED_SECONDS)
            before = live.rss_mib()
            everybody = Plan(live.url, CLIENTS, GROUPS, load_cores=(OTHER_CORE,))
            async with conducting(everybody, cast, secrets.token_hex(3), lambda step, counts: None) as conductor:
                await conductor.connect()
                await asyncio.sleep(SETTLED_SECONDS)
                self.loaded_per_connection.samples.append((live.rss_mib() - before) * 1024 / CLIENTS)

    async def _repeat(self, live: Live, cast: Cast, seconds: float) -> None:
        ready = live.rss_mib()
        self.ready.samples.append(ready)
        at_100 = await self._run(live, cast, Plan(live.url, CLIENTS, GROUPS, rate=100, seconds=seconds), ready)
        self.cpu.samples.append(_share(at_100, "server"))
        self.database_cpu.samples.append(_share(at_100, "database"))
        if "models" in at_100["usage"]:
            self.models_cpu.samples.append(_share(at_100, "models"))
        before = commits(live.url)
        at_500 = await self._run(live, cast, Plan(live.url, CLIENTS, GROUPS, rate=500, seconds=seconds))
        after = commits(live.url)
        self.commit.samples.append((after[0] - before[0]) / max(1.0, after[1] - before[1]) * 1000)
        self.p95.samples.append(at_500["acks"]["p95"])
        self.delivered_p95.samples.append(at_500["deliveries"]["p95"])
        closed = await self._run(live, cast, Plan(live.url, CLIENTS, GROUPS, mode="closed", seconds=seconds))
        self.sustained.samples.append(closed["messages"]["per_second"])
        self.deliveries.samples.append(closed["deliveries"]["per_server_cpu_second"])
        timed = closed["messages"]["per_second"] * seconds
        self.message_cpu.samples.append(closed["usage"]["server"]["cpu_seconds"] / timed * 1000)
        self.message_database_cpu.samples.append(closed["usage"]["database"]["cpu_seconds"] / timed * 1000)

    async def _run(self, live: Live, cast: Cast, plan: Plan, ready_mib: float | None = None) -> dict[str, Any]:
        """Connect and perform; the first time after a start, memory and connects are noted as such."""
        pinned = Plan.from_json(plan.to_json() | {"load_cores": (OTHER_CORE,)})
        async with conducting(pinned, cast, secrets.token_hex(3), lambda step, counts: None) as conductor:
            connects = await conductor.connect()
            (self.connects if ready_mib is not None else self.reconnects).samples.append(connects["per_second"])
            if ready_mib is not None:
                self.connect_cpu.samples.append(connects["usage"]["server"]["cpu_seconds"] / CLIENTS * 1000)
                self.connect_database_cpu.samples.append(connects["usage"]["database"]["cpu_seconds"] / CLIENTS * 1000)
                await asyncio.sleep(SETTLED_SECONDS)
                self.full.samples.append(live.rss_mib())
                self.per_connection.samples.append((live.rss_mib() - ready_mib) * 1024 / CLIENTS)
            result = await conductor.perform()
        if not result["verdict"]["clean"] or result["messages"]["refused"] or result["messages"]["unanswered"]:
            self._unclean.append(
                f"{plan.mode} {plan.rate:g}/s: {result['verdict']}, refused {result['messages']['refused']}"
            )
            self.full.note = f"NOT CLEAN, see the load test: {'; '.join(self._unclean)}"
        return result


def _share(result: dict[str, Any], name: str) -> float:
    return float(result["usage"][name]["cpu_seconds"] / result["usage"]["seconds"] * 100)


def commits(url: str) -> tuple[float, float]:
    """Seconds and number of durable writes since the server's start, as its metrics count them."""
    request = urllib.request.Request(f"{url}/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        text = answer.read().decode()

    def value(name: str) -> float:
        found = re.search(rf"^chatcore_commit_seconds_{name} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    return value("sum"), value("count")
