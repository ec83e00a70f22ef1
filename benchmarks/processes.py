"""Two server processes over Redis: what they cost, what they gain, and that nothing is lost when Redis dies."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.cluster import CORES, Redis, cluster
from benchmarks.endtoend import Pace
from benchmarks.live import OTHER_CORE, free_to_run
from benchmarks.rows import Row
from chatcore.loadtest.conductor import conducting
from chatcore.loadtest.people import Cast, gather_people
from chatcore.loadtest.plan import Plan

CLIENTS, GROUPS = 1_000, 100
OUTAGE_RATE = 100
WARMUP_SECONDS = 1.0
KILLED_AFTER, AWAY, ON_AFTERWARDS = 2.0, 2.0, 4.0
Say = Callable[[str], None]
Report = dict[str, Any]


class TwoProcesses:
    """Rows that fill while `measure` runs. In each repetition one process alone, then two, on the same data."""

    def __init__(self) -> None:
        def row(name: str, unit: str, target: float | None, *, more: bool = False, each: str = "") -> Row:
            return Row(name, unit, "more" if more else "less", CORES, target, each=each)

        one, outage = "x one process", "Redis killed under load and back 2 s later"
        cpu, rate = "deliveries/CPU-s", "messages/s"
        self.sharded = row("deliveries per CPU-second, each group at one process", one, 0.75, more=True, each=cpu)
        self.gain = row("messages a second, each group at one process", one, None, more=True, each=rate)
        self.mixed = row("deliveries per CPU-second, each group at both processes", one, None, more=True, each=cpu)
        self.mixed_gain = row("messages a second, each group at both processes", one, None, more=True, each=rate)
        self.unanswered = row(f"messages never answered, {outage}", "messages", 0)
        self.unlogged = row(f"acknowledged messages missing from the log, {outage}", "messages", 0)
        self.unseen = row(f"messages missing from somebody's view without asking, {outage}", "messages", 0)
        self.converged = row(f"in all views after, longest, {outage}", "s", 3)
        self.before = row("in all views after, p99, Redis there", "ms", None)
        self.rows = [value for value in vars(self).values() if isinstance(value, Row)]

    def measure(self, folder: Path, pace: Pace, say: Say) -> None:
        with cluster(folder) as installation:
            redis = Redis(folder)
            with installation.alone() as live, free_to_run():
                say(f"preparing {CLIENTS:,} users and {GROUPS} groups")
                plan = Plan(live.url, CLIENTS, GROUPS)
                cast = asyncio.run(gather_people(plan, (), secrets.token_hex(3), lambda what, done, total: None))
            try:
                redis.start()
                for repetition in range(pace.repetitions):
                    say(f"one process and two, {repetition + 1} of {pace.repetitions}")
                    with installation.alone() as live:
                        alone = asyncio.run(self._closed(placed(cast, [live.url], mixed=False), pace.seconds))
                    with installation.pair(redis) as pair:
                        urls = [live.url for live in pair]
                        asyncio.run(self._pair(cast, urls, alone, pace.seconds))
                        if repetition == 0:
                            say("Redis killed under load")
                            asyncio.run(self._outage(placed(cast, urls, mixed=True), redis))
            finally:
                redis.kill()

    async def _pair(self, cast: Cast, urls: list[str], alone: Report, seconds: float) -> None:
        for cost, gain, mixed in ((self.sharded, self.gain, False), (self.mixed, self.mixed_gain, True)):
            two = await self._closed(placed(cast, urls, mixed=mixed), seconds)
            for row, part, name in ((cost, "deliveries", "per_server_cpu_second"), (gain, "messages", "per_second")):
                row.samples.append(two[part][name])
                row.baseline.append(alone[part][name])

    async def _closed(self, cast: Cast, seconds: float) -> Report:
        plan = self._plan(mode="closed", seconds=seconds)
        async with conducting(plan, cast, secrets.token_hex(3), lambda step, counts: None) as conductor:
            await conductor.connect()
            result = await conductor.perform()
        if not result["verdict"]["clean"] or result["messages"]["refused"] or result["messages"]["cuts"]:
            self.sharded.note = f"NOT CLEAN: {result['verdict']}, {result['messages']}"
        return result

    @staticmethod
    def _plan(**more: Any) -> Plan:
        return Plan("", CLIENTS, GROUPS, warmup_seconds=WARMUP_SECONDS, load_cores=(OTHER_CORE,), **more)

    async def _outage(self, cast: Cast, redis: Redis) -> None:
        """At a steady rate, half of each group at either process, so that half of all deliveries cross over."""
        seconds = KILLED_AFTER + AWAY + ON_AFTERWARDS
        plan = self._plan(rate=OUTAGE_RATE, seconds=seconds)
        async with conducting(plan, cast, secrets.token_hex(3), lambda step, counts: None) as conductor:
            await conductor.connect()
            result, _ = await asyncio.gather(conductor.perform(), _kill_for_a_while(redis, plan.warmup_seconds))
        verdict, messages = result["verdict"], result["messages"]
        self.unanswered.samples.append(messages["unanswered"])
        self.unlogged.samples.append(verdict["vanished"])
        self.unseen.samples.append(verdict["lost"] + messages["cuts"])
        self.converged.samples.append(result["deliveries"]["max"] / 1000)
        self.before.samples.append(result["series"][0]["delivery_p99"])
        if not verdict["clean"] or messages["refused"]:
            self.unlogged.note = f"NOT CLEAN: {verdict}, refused {messages['refused']}"


async def _kill_for_a_while(redis: Redis, warmup_seconds: float) -> None:
    await asyncio.sleep(warmup_seconds + KILLED_AFTER)
    redis.kill()
    await asyncio.sleep(AWAY)
    await asyncio.to_thread(redis.start)


def placed(cast: Cast, urls: list[str], *, mixed: bool) -> Cast:
    """Each group's people at one of the addresses, or spread over all of them."""
    groups = len(cast.owners)

    def url(index: int) -> str:
        group, place_in_group = index % groups, index // groups
        return urls[(place_in_group if mixed else group) % len(urls)]

    return replace(cast, people=tuple(replace(person, url=url(person.index)) for person in cast.people))
