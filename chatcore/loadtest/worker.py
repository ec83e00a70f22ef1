"""A process full of clients: `python -m chatcore.loadtest.worker`. Takes orders and answers as JSON lines.

Orders: `connect`, `run` (from a monotonic moment on), `verify`, `stop`. While something is under way, a line of counts
goes out four times a second.
"""

import asyncio
import os
import random
import sys
import time
from array import array
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from itertools import pairwise
from typing import Any, TextIO

import orjson

from chatcore.loadtest.measures import Histogram, Verdict, describe, judge
from chatcore.loadtest.plan import Person, Plan
from chatcore.loadtest.talker import Talker, Tally

PROGRESS_SECONDS = 0.25
DRAIN_SECONDS = 10.0
TICK_SECONDS = 0.001
RECONNECT_TRIES = 8
LONGEST_PAUSE_SECONDS = 5.0
BEHIND_SECONDS = 1.0
EXAMPLES = 5


class Second:
    """Where the tally stood when a second of the run ended."""

    __slots__ = ("acked", "acks", "delivered", "deliveries", "sent")

    def __init__(self, tally: Tally):
        self.sent, self.acked, self.delivered = tally.sent, tally.acked, tally.delivered
        self.acks, self.deliveries = len(tally.acks), len(tally.deliveries)


class Worker:
    def __init__(self, plan: Plan, people: Iterable[Person], run: str, share: float, tell: Callable[[Any], None]):
        self._plan = plan
        self._share = share
        self._tell = tell
        self._tally = Tally()
        self._talkers = [
            Talker(person.url or plan.url, person, run, plan.message_bytes, self._tally) for person in people
        ]
        slow_from = plan.clients - plan.slow_readers
        for talker in self._talkers:
            talker.slow = talker.person.index >= slow_from
        self._senders = [talker for talker in self._talkers if not talker.slow]
        random.Random(1).shuffle(self._senders)  # noqa: S311 - spreads one group's senders over time
        self._seconds: list[Second] = []
        self._late_ns = 0
        self._storm: dict[str, Any] | None = None
        self._slow: dict[str, Any] | None = None
        self._ends_at = 0
        self._coming_back: set[asyncio.Task[None]] = set()

    # --- connecting

    async def connect(self) -> dict[str, Any]:
        """All clients, `connects_at_once` at a time."""
        latencies = array("I")
        started = time.monotonic()
        await self._each(self._talkers, lambda talker: self._connect(talker, latencies))
        took = time.monotonic() - started
        histogram = Histogram()
        histogram.add(latencies)
        return {
            "online": self._online(),
            "seconds": took,
            "latency": histogram.to_json(),
            "failed": dict(self._tally.failed_connects),
        }

    async def _each(self, talkers: list[Talker], action: Callable[[Talker], Awaitable[None]]) -> None:
        gate = asyncio.Semaphore(max(1, int(self._plan.connects_at_once * self._share)))

        async def one(talker: Talker) -> None:
            async with gate:
                await action(talker)

        await asyncio.gather(*(one(talker) for talker in talkers))

    async def _connect(self, talker: Talker, latencies: "array[int]") -> None:
        """Tries again with growing pauses, as clients do; what went wrong is counted."""
        started = time.monotonic_ns()
        for attempt in range(RECONNECT_TRIES):
            try:
                await talker.connect()
            except (OSError, TimeoutError) as error:
                self._tally.failed_connects[str(error)[:80] or type(error).__name__] += 1
                talker.cut()
                await asyncio.sleep(min(0.1 * 2**attempt, LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1.5))  # noqa: S311
            else:
                latencies.append((time.monotonic_ns() - started) // 1000)
                return

    def _online(self) -> int:
        return sum(talker.online for talker in self._talkers)

    # --- the run

    async def run(self, at: int) -> dict[str, Any]:
        """From the monotonic moment `at` on (nanoseconds), for the plan's warm-up and seconds."""
        plan = self._plan
        timed_from = at + int(plan.warmup_seconds * 1e9)
        self._tally.timed_from = timed_from
        self._ends_at = timed_from + int(plan.seconds * 1e9)
        await asyncio.sleep(max(0.0, (at - time.monotonic_ns()) / 1e9))
        sending = self._send_evenly(at) if plan.mode == "open" else self._send_in_turns()
        jobs = [sending, self._note_seconds(timed_from)]
        if plan.storm:
            jobs.append(self._raise_storm(timed_from))
        if plan.slow_readers:
            jobs.append(self._hold_up(timed_from))
        for talker in self._senders:
            talker.on_cut = self._lead_back
        await asyncio.gather(*jobs)
        await self._drain()
        return self._outcome()

    async def _send_evenly(self, at: int) -> None:
        """Open loop: message k leaves at `at + k / rate`, however late the answers are."""
        interval = 1e9 / (self._plan.rate * self._share)
        sent = 0
        while True:
            now = time.monotonic_ns()
            if now >= self._ends_at:
                return
            due = int((now - at) / interval) + 1
            if due > sent:
                self._late_ns = max(self._late_ns, now - int(at + sent * interval))
            while sent < due:
                self._senders[sent % len(self._senders)].send(int(at + sent * interval))
                sent += 1
            await asyncio.sleep(TICK_SECONDS)

    async def _send_in_turns(self) -> None:
        """Closed loop: each client sends when its last message is answered."""
        for talker in self._senders:
            talker.on_acked = self._send_next
            talker.send(time.monotonic_ns())
        await asyncio.sleep((self._ends_at - time.monotonic_ns()) / 1e9)
        for talker in self._senders:
            talker.on_acked = lambda talker, wait_ms: None

    def _send_next(self, talker: Talker, wait_ms: int) -> None:
        if wait_ms:
            asyncio.get_running_loop().call_later(wait_ms / 1000, self._send_next, talker, 0)
        elif time.monotonic_ns() < self._ends_at:
            talker.send(time.monotonic_ns())

    async def _note_seconds(self, timed_from: int) -> None:
        moment = timed_from
        while moment <= self._ends_at:
            await asyncio.sleep(max(0.0, (moment - time.monotonic_ns()) / 1e9))
            self._seconds.append(Second(self._tally))
            moment += 1_000_000_000

    async def _raise_storm(self, timed_from: int) -> None:
        """Half-way every connection is cut at once; all come back at once, sync, and send what was left open."""
        await asyncio.sleep(max(0.0, (timed_from + self._ends_at) / 2 - time.monotonic_ns()) / 1e9)
        latencies = array("I")
        cut = [talker for talker in self._talkers if talker.online]
        started = time.monotonic()
        for talker in cut:
            talker.cut()

        async def come_back(talker: Talker) -> None:
            await self._come_back(talker, latencies)

        await self._each(cut, come_back)
        took = time.monotonic() - started
        histogram = Histogram()
        histogram.add(latencies)
        synced = sum(len(talker.view.synced) for talker in cut)
        self._storm = {
            "cut": len(cut), "back": self._online(), "seconds": took, "synced": synced, "latency": histogram.to_json()
        }  # fmt: skip

    async def _come_back(self, talker: Talker, latencies: "array[int]") -> None:
        for _ in range(RECONNECT_TRIES):
            await self._connect(talker, latencies)
            with suppress(OSError, TimeoutError):
                await talker.catch_up()
                return

    def _lead_back(self, talker: Talker) -> None:
        """A connection that the server or the network cut: the client comes back and syncs, as clients do."""
        task = asyncio.create_task(self._come_back(talker, array("I")))
        self._coming_back.add(task)
        task.add_done_callback(self._coming_back.discard)

    async def _hold_up(self, timed_from: int) -> None:
        """The slow readers read nothing from the first timed moment to the end, then all there is."""
        slow = [talker for talker in self._talkers if talker.slow]
        await asyncio.sleep(max(0.0, (timed_from - time.monotonic_ns()) / 1e9))
        for talker in slow:
            talker.stop_reading()
        await asyncio.sleep(max(0.0, (self._ends_at - time.monotonic_ns()) / 1e9))
        for talker in slow:
            talker.read_on()
        await asyncio.sleep(BEHIND_SECONDS)
        dropped = [talker for talker in slow if not talker.online]
        await self._each(dropped, lambda talker: self._come_back(talker, array("I")))
        self._slow = {"readers": len(slow), "cut_by_server": len(dropped)}

    async def _drain(self) -> None:
        """Until every message is answered and no push comes any more, or the time is over."""
        until = time.monotonic() + DRAIN_SECONDS
        before = -1
        while time.monotonic() < until:
            unanswered = sum(talker.unanswered for talker in self._talkers)
            if not unanswered and not self._coming_back and before == self._tally.delivered:
                return
            before = self._tally.delivered
            await asyncio.sleep(PROGRESS_SECONDS)

    def _outcome(self) -> dict[str, Any]:
        tally = self._tally
        acks, deliveries = Histogram(), Histogram()
        acks.add(tally.acks)
        deliveries.add(tally.deliveries)
        return {
            "sent": tally.sent,
            "acked": tally.acked,
            "repeated": tally.repeated,
            "delivered": tally.delivered,
            "refused": dict(tally.refused),
            "failed_connects": dict(tally.failed_connects),
            "cuts": tally.cuts,
            "unanswered": sum(talker.unanswered for talker in self._talkers),
            "acks": acks.to_json(),
            "deliveries": deliveries.to_json(),
            "series": self._series(),
            "late_ms": self._late_ns / 1e6,
            "storm": self._storm,
            "slow": self._slow,
        }

    def _series(self) -> list[dict[str, Any]]:
        """One entry for each second: counts and the latencies that arrived in it."""
        found = []
        for before, after in pairwise(self._seconds):
            acks, deliveries = Histogram(), Histogram()
            acks.add(self._tally.acks[before.acks : after.acks])
            deliveries.add(self._tally.deliveries[before.deliveries : after.deliveries])
            found.append(
                {
                    "sent": after.sent - before.sent,
                    "acked": after.acked - before.acked,
                    "delivered": after.delivered - before.delivered,
                    "acks": acks.to_json(),
                    "deliveries": deliveries.to_json(),
                }
            )
        return found

    # --- afterwards

    async def verify(self) -> dict[str, Any]:
        """Each client's view against its group's log, which one client of the group reads from its beginning."""
        verdict = Verdict()
        examples: list[dict[str, Any]] = []
        by_group: dict[str, list[Talker]] = {}
        for talker in self._talkers:
            by_group.setdefault(talker.person.group_id, []).append(talker)
        for talkers in by_group.values():
            base = min(talker.view.base for talker in talkers)
            log = await self._read_log(talkers, base)
            for talker in talkers:
                own = {place: key for place, key in log.items() if place > talker.view.base}
                one = judge(talker.view, own)
                verdict.add(one)
                if not one.clean and len(examples) < EXAMPLES:
                    examples.append({"client": talker.person.index, **describe(talker.view, own)})
        return {"verdict": verdict.to_json(), "examples": examples}

    @staticmethod
    async def _read_log(talkers: list[Talker], base: int) -> dict[int, int]:
        for talker in talkers:
            if talker.online:
                with suppress(OSError, TimeoutError):
                    return await talker.read_log(base)
        raise ConnectionAbortedError("no client of a group is left that could read its log")

    async def stop(self) -> None:
        for talker in self._talkers:
            talker.close()
        await asyncio.sleep(0.2)

    async def report_progress(self) -> None:
        while True:
            tally = self._tally
            counts = {"online": self._online(), "sent": tally.sent, "acked": tally.acked, "delivered": tally.delivered}
            self._tell({"progress": counts})
            await asyncio.sleep(PROGRESS_SECONDS)


async def serve(orders: asyncio.StreamReader, out: TextIO) -> None:
    def tell(line: Any) -> None:
        out.write(orjson.dumps(line).decode() + "\n")
        out.flush()

    opening = orjson.loads(await orders.readline())
    plan = Plan.from_json(opening["plan"])
    if plan.load_cores:
        os.sched_setaffinity(0, plan.load_cores)
    worker = Worker(plan, [Person(**person) for person in opening["people"]], opening["run"], opening["share"], tell)
    reporting = asyncio.create_task(worker.report_progress())
    while line := await orders.readline():
        order = orjson.loads(line)
        try:
            if order["do"] == "connect":
                tell({"done": "connect", "outcome": await worker.connect()})
            elif order["do"] == "run":
                tell({"done": "run", "outcome": await worker.run(order["at"])})
            elif order["do"] == "verify":
                tell({"done": "verify", "outcome": await worker.verify()})
            else:
                break
        except (OSError, TimeoutError) as error:
            tell({"done": order["do"], "failed": str(error) or type(error).__name__})
    reporting.cancel()
    await worker.stop()


async def _main() -> None:
    orders = asyncio.StreamReader(limit=1 << 28)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    await serve(orders, sys.stdout)


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(_main())
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_main())
