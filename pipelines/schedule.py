"""`serve`: due jobs, each run by exactly one of however many services there are.

APScheduler tells when a job is due; the claim in the registry decides who runs it. A service that dies loses its claim
when the lease runs out, and the next look of another takes it over.
"""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.triggers.cron import CronTrigger

from chatcore.lab.runs import RunRecord, RunStore
from pipelines.runner import Runner
from pipelines.specs import BadSpec, Planned, SpecFile

LEASE = timedelta(seconds=60)
LOOK_SECONDS = 15.0
GRACE = timedelta(hours=1)
Told = Callable[[RunRecord], Awaitable[None]]


def trigger_of(spec: SpecFile) -> CronTrigger:
    """Raises BadSpec where the expression or the time zone is none."""
    assert spec.job.schedule is not None
    try:
        return CronTrigger.from_crontab(spec.job.schedule.cron, timezone=spec.job.schedule.timezone)
    except (ValueError, KeyError) as error:
        raise BadSpec([f"{spec.path}: schedule.cron: {error}"]) from None


def last_due(spec: SpecFile, now: datetime) -> datetime | None:
    """The newest due time of the last hour, if any: older ones are not caught up, so a pause runs a job once."""
    trigger = trigger_of(spec)
    found = None
    moment = trigger.get_next_fire_time(None, now - GRACE)
    while moment is not None and moment <= now:
        found = moment
        moment = trigger.get_next_fire_time(moment, moment + timedelta(seconds=1))
    return None if found is None else found.astimezone(UTC)


class Service:
    """One scheduler. `owner` is its name in the claims."""

    def __init__(self, store: RunStore, runner: Runner, plans: dict[str, tuple[SpecFile, list[Planned]]], *,
                 lease: timedelta = LEASE, tell: Told | None = None):  # fmt: skip
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._store = store
        self._runner = runner
        self._plans = plans
        self._lease = lease
        self._tell = tell
        self._started = datetime.now(UTC)

    async def serve(self) -> None:
        """Until cancelled."""
        while True:
            await self.look(datetime.now(UTC))
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, now: datetime) -> list[RunRecord]:
        """Claim and run all that is due and not done. Returns what this service ran."""
        ran: list[RunRecord] = []
        for spec, planned in self._plans.values():
            if spec.job.schedule is None:
                continue
            due = last_due(spec, now)
            if due is None or (spec.job.schedule.catchup == "none" and due < self._started):
                continue
            for item in planned:
                record = await self._run_if_mine(item, due)
                ran += [record] if record is not None else []
        return ran

    async def _run_if_mine(self, planned: Planned, due: datetime) -> RunRecord | None:
        place = (planned.job.name, due, planned.matrix_key)
        if not await self._store.claim(*place, owner=self.owner, lease=self._lease):
            return None
        work = asyncio.create_task(self._runner.run(planned, scheduled_at=due))
        holding = asyncio.create_task(self._hold(place, work))
        try:
            record = await work
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if this is not None and this.cancelling():
                raise
            return None  # not this service is stopped, but its run: another holds the claim
        finally:
            holding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await holding
        await self._store.finish(*place, owner=self.owner, run_id=record.run_id)
        if self._tell is not None:
            await self._tell(record)
        return record

    async def _hold(self, place: tuple[str, datetime, str], work: "asyncio.Task[RunRecord]") -> None:
        """Renews the claim; where another has it by now, our run is stopped, so that only one counts."""
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            if not await self._store.renew(*place, owner=self.owner, lease=self._lease):
                work.cancel()
                return
