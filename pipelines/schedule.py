"""`serve`: due jobs, each run by exactly one of however many services there are.

APScheduler tells when a job is due; the claim in the registry decides who runs it. A service that dies loses its claim
when the lease runs out, and the next look of another takes it over. A service that is told to stop gives it up at once.
"""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from chatcore.lab.runs import RunRecord, RunStore
from chatcore.lab.surroundings import ChatError, VariableNotSet
from pipelines.runner import RegistryLost, Runner
from pipelines.specs import BadSpec, Planned, SpecFile

LEASE = timedelta(seconds=60)
LOOK_SECONDS = 15.0
GRACE = timedelta(hours=1)  # a run that is due for longer is not caught up
AT_ONCE = 2
DUE = "due "
Told = Callable[[RunRecord], Awaitable[None]]
Trouble = Callable[[str], None]
Place = tuple[str, datetime, str]  # job, due time, matrix key
Plans = dict[str, tuple[SpecFile, list[Planned]]]


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
    """One scheduler. `owner` is its name in the claims; at most `at_once` runs are under way, and of a job as many as
    it allows. Whatever goes wrong with one run is told to `trouble`, and stops nothing else."""

    def __init__(
        self,
        store: RunStore,
        runner: Runner,
        plans: Plans,
        *,
        lease: timedelta = LEASE,
        at_once: int = AT_ONCE,
        tell: Told | None = None,
        trouble: Trouble = lambda _: None,
        renew: Callable[[], Plans | None] = lambda: None,
    ):
        """`renew` is asked before each look, in a thread: plans to go on with, or None where nothing changed."""
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._store = store
        self._runner = runner
        self._plans: Plans = {}
        self._lease = lease
        self._tell = tell
        self._trouble = trouble
        self._renew = renew
        self._scheduler: AsyncIOScheduler | None = None
        self._started = datetime.now(UTC)
        self._slots = asyncio.Semaphore(at_once)
        self._slots_of: dict[str, asyncio.Semaphore] = {}
        self._adopt(plans)
        self._under_way: dict[Place, asyncio.Task[RunRecord | None]] = {}

    async def serve(self) -> None:
        """Until cancelled; then the runs under way are ended, and their claims given up."""
        scheduler = self._scheduler = AsyncIOScheduler(timezone=UTC)
        often = IntervalTrigger(seconds=max(1.0, min(LOOK_SECONDS, self._lease.total_seconds() / 2)))
        now = datetime.now(UTC)
        scheduler.add_job(self._begin_all, often, next_run_time=now, coalesce=True, max_instances=1)
        self._keep_times()
        scheduler.start()
        try:
            await asyncio.Event().wait()
        finally:
            self._scheduler = None
            scheduler.shutdown(wait=False)
            await self._stop()

    def _adopt(self, plans: Plans) -> None:
        """Runs under way go on as they began; of a job whose concurrency changed they do not count any more."""
        for name, (spec, _) in plans.items():
            limit, (before, _) = spec.job.run.concurrency, self._plans.get(name, (None, []))
            if before is None or before.job.run.concurrency != limit:
                self._slots_of[name] = asyncio.Semaphore(limit)
        self._plans = plans
        self._keep_times()

    def _keep_times(self) -> None:
        """A job of the scheduler for each of ours, and none of those that are gone."""
        if self._scheduler is None:
            return
        for due in self._scheduler.get_jobs():
            if due.id.startswith(DUE):
                due.remove()
        for name, (spec, _) in self._plans.items():
            self._scheduler.add_job(
                self._begin_due, trigger_of(spec), args=[spec], id=f"{DUE}{name}", coalesce=True, max_instances=1,
                misfire_grace_time=int(GRACE.total_seconds()),
            )  # fmt: skip

    async def look(self, now: datetime) -> list[RunRecord]:
        """Claim and run all that is due and not done. Returns what this service ran."""
        begun = await self._begin_all(now)
        found = await asyncio.gather(*dict.fromkeys(begun))
        return [record for record in found if record is not None]

    async def _begin_all(self, now: datetime | None = None) -> "list[asyncio.Task[RunRecord | None]]":
        moment = now or datetime.now(UTC)
        if (fresh := await asyncio.to_thread(self._renew)) is not None:
            self._adopt(fresh)
        begun = [task for spec, _ in self._plans.values() for task in await self._begin_due(spec, moment)]
        try:
            left = await self._store.abandoned(since=moment - GRACE)
        except (ChatError, OSError) as error:
            self._trouble(f"the registry does not answer, so nothing is taken over: {error}")
            return begun
        for job, due, matrix_key in left:
            items = self._plans[job][1] if job in self._plans else []
            begun += [self._begin(item, due) for item in items if item.matrix_key == matrix_key]
        return begun

    async def _begin_due(self, spec: SpecFile, now: datetime | None = None) -> "list[asyncio.Task[RunRecord | None]]":
        due = last_due(spec, now or datetime.now(UTC))
        if due is None or (spec.job.schedule and spec.job.schedule.catchup == "none" and due < self._started):
            return []
        return [self._begin(item, due) for item in self._plans.get(spec.job.name, (spec, []))[1]]

    def _begin(self, planned: Planned, due: datetime) -> "asyncio.Task[RunRecord | None]":
        """A run that is under way already is not begun twice."""
        place = (planned.job.name, due, planned.matrix_key)
        if place not in self._under_way:
            task = asyncio.create_task(self._in_turn(planned, place))
            self._under_way[place] = task
            task.add_done_callback(lambda _: self._under_way.pop(place, None))
        return self._under_way[place]

    async def _in_turn(self, planned: Planned, place: Place) -> RunRecord | None:
        """Claimed only when there is room, so that a service with time to spare may take it first."""
        async with self._slots_of[planned.job.name], self._slots:
            try:
                return await self._run_if_mine(planned, place)
            except (ChatError, OSError, RegistryLost) as error:
                self._trouble(f"{planned.title}: {error}; the claim lapses, and the run begins again")
            except Exception as error:  # noqa: BLE001 - one job must not stop the service
                self._trouble(f"{planned.title}: {type(error).__name__}: {error}")
        return None

    async def _run_if_mine(self, planned: Planned, place: Place) -> RunRecord | None:
        if not await self._store.claim(*place, owner=self.owner, lease=self._lease):
            return None
        await self._close_what_died(place)
        work = asyncio.create_task(self._run_or_refuse(planned, place[1]))
        holding = asyncio.create_task(self._hold(place, work))
        try:
            record = await work
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if this is not None and this.cancelling():
                await self._give_up(place)
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

    async def _run_or_refuse(self, planned: Planned, due: datetime) -> RunRecord:
        """A run that cannot even start is one that failed: it is kept and told, and not tried again and again."""
        try:
            return await self._runner.run(planned, scheduled_at=due)
        except (ChatError, OSError, RegistryLost):
            raise
        except (VariableNotSet, BadSpec) as bad:
            return await self._runner.refuse(planned, str(bad), scheduled_at=due)
        except Exception as error:  # noqa: BLE001 - a fault of ours in one job
            return await self._runner.refuse(planned, f"{type(error).__name__}: {error}", scheduled_at=due)

    async def _close_what_died(self, place: Place) -> None:
        """The record of a service that was killed says `running` for ever."""
        job, due, matrix_key = place
        for record in await self._store.recent(since=due, job=job):
            if record.status == "running" and (record.scheduled_at, record.matrix_key) == (due, matrix_key):
                ended = {"status": "interrupted", "reason": "its service ended; another began the run anew"}
                await self._store.save(record.model_copy(update=ended))

    async def _hold(self, place: Place, work: "asyncio.Task[RunRecord]") -> None:
        """Renews the claim; where another has it by now, our run is stopped, so that only one counts."""
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            try:
                held = await self._store.renew(*place, owner=self.owner, lease=self._lease)
            except (ChatError, OSError) as error:  # nobody else can claim it either
                self._trouble(f"{place[0]}: the claim could not be renewed: {error}")
                continue
            if not held:
                work.cancel()
                return

    async def _give_up(self, place: Place) -> None:
        with contextlib.suppress(ChatError, OSError):
            await self._store.release(*place, owner=self.owner)

    async def _stop(self) -> None:
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
