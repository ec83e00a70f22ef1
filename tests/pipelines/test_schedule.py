"""Due jobs, claims between services, alerts, and what is kept; the runs themselves are tested elsewhere."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from chatcore.errors import Unavailable
from chatcore.lab.runs import Gate, RunRecord, judge, metric
from chatcore.lab.runs.store import JsonlRuns
from pipelines.forms import FORMS
from pipelines.keeping import collect
from pipelines.reports.index import index_page, sparkline
from pipelines.schedule import Service, last_due, trigger_of
from pipelines.specs import BadSpec, Planned, SpecFile, read_spec
from tests.pipelines.notebooks import write_notebook

NOW = datetime(2026, 1, 5, 12, 7, tzinfo=UTC)
LEASE = timedelta(seconds=30)


def spec(folder: Path, schedule: str = '{cron: "*/5 * * * *"}', more: str = "") -> SpecFile:
    notebook = write_notebook(folder / "n.ipynb", "1")
    path = folder / "watch.yaml"
    path.write_text(f"apiVersion: chatcore/v1\nname: watch\nnotebook: {notebook}\nschedule: {schedule}\n{more}")
    return read_spec(path)


class Recorder:
    """Stands where the runner stands: notes what it was asked to run."""

    def __init__(self) -> None:
        self.asked: list[datetime | None] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.started = asyncio.Event()

    async def run(self, planned: Planned, *, scheduled_at: datetime | None = None) -> RunRecord:
        self.asked.append(scheduled_at)
        self.started.set()
        await self.gate.wait()
        return record(f"r{len(self.asked)}", "passed")

    async def refuse(self, planned: Planned, reason: str, *, scheduled_at: datetime | None = None) -> RunRecord:
        return record("refused", "error", reason=reason)


def record(run_id: str, status: Any = "passed", at: datetime = NOW, **more: Any) -> RunRecord:
    return RunRecord(**{"run_id": run_id, "job": "watch", "notebook": "n", "started_at": at, "status": status} | more)


def service(store: JsonlRuns, runner: Recorder, found: SpecFile, lease: timedelta = LEASE) -> Service:
    return Service(store, runner, {"watch": (found, found.plan())}, lease=lease)  # type: ignore[arg-type]


# --- when


def test_the_last_due_time_is_at_most_an_hour_old(tmp_path: Path) -> None:
    assert last_due(spec(tmp_path), NOW) == NOW.replace(minute=5)
    assert last_due(spec(tmp_path, '{cron: "30 11 * * *"}'), NOW) == NOW.replace(hour=11, minute=30)
    assert last_due(spec(tmp_path, '{cron: "0 3 * * *"}'), NOW) is None
    berlin = spec(tmp_path, '{cron: "0 13 * * *", timezone: Europe/Berlin}')
    assert last_due(berlin, NOW) == NOW.replace(minute=0)


@pytest.mark.parametrize(
    "schedule", ['{cron: "61 * * * *"}', '{cron: "daily"}', '{cron: "* * * * *", timezone: Mars/X}']
)
def test_a_schedule_that_is_none_is_refused(tmp_path: Path, schedule: str) -> None:
    with pytest.raises(BadSpec, match=r"schedule\.cron"):
        trigger_of(spec(tmp_path, schedule))


async def test_of_two_services_one_runs_a_due_job_and_only_once(tmp_path: Path) -> None:
    store, runner, found = JsonlRuns(tmp_path / "r.jsonl"), Recorder(), spec(tmp_path)
    one, two = service(store, runner, found), service(store, runner, found)
    ran = await asyncio.gather(one.look(NOW), two.look(NOW))
    assert sorted(map(len, ran)) == [0, 1]
    assert await one.look(NOW) == []
    assert runner.asked == [NOW.replace(minute=5)]
    assert len(await two.look(NOW + timedelta(minutes=5))) == 1


async def test_each_cell_of_a_matrix_is_claimed_apart(tmp_path: Path) -> None:
    store, runner = JsonlRuns(tmp_path / "r.jsonl"), Recorder()
    found = spec(tmp_path, more="matrix: {score: [1, 2, 3]}\n")
    assert len(await service(store, runner, found).look(NOW)) == 3


async def test_the_run_of_a_dead_service_is_taken_over(tmp_path: Path) -> None:
    store, dying, living, found = JsonlRuns(tmp_path / "r.jsonl"), Recorder(), Recorder(), spec(tmp_path)
    dying.gate.clear()
    dead = asyncio.create_task(service(store, dying, found, timedelta(seconds=-1)).look(NOW))
    await dying.started.wait()
    dead.cancel()  # it never finishes its claim, as after a kill
    await asyncio.gather(dead, return_exceptions=True)
    assert len(await service(store, living, found).look(NOW)) == 1
    assert living.asked == dying.asked


async def test_a_service_that_lost_its_claim_stops_its_run_and_goes_on(tmp_path: Path) -> None:
    store, slow, found = JsonlRuns(tmp_path / "r.jsonl"), Recorder(), spec(tmp_path)
    slow.gate.clear()
    first = service(store, slow, found, timedelta(milliseconds=60))
    looking = asyncio.create_task(first.look(NOW))
    await slow.started.wait()
    due = NOW.replace(minute=5)
    while not await store.claim("watch", due, "", owner="other", lease=LEASE):
        await store.renew("watch", due, "", owner=first.owner, lease=timedelta(seconds=-1))
    assert await asyncio.wait_for(looking, 10) == []


async def test_a_job_that_raises_is_kept_as_an_error_and_stops_nothing(tmp_path: Path) -> None:
    class Raising(Recorder):
        async def run(self, planned: Planned, *, scheduled_at: datetime | None = None) -> RunRecord:
            if not self.asked:
                self.asked.append(scheduled_at)
                raise RuntimeError("a fault of ours")
            return await super().run(planned, scheduled_at=scheduled_at)

    store, found = JsonlRuns(tmp_path / "r.jsonl"), spec(tmp_path, more="matrix: {score: [1, 2]}\n")
    ran = await service(store, Raising(), found).look(NOW)
    assert sorted((one.status, one.reason) for one in ran) == [
        ("error", "RuntimeError: a fault of ours"),
        ("passed", ""),
    ]
    assert await service(store, Recorder(), found).look(NOW) == []


async def test_no_more_runs_are_under_way_than_there_is_room_for(tmp_path: Path) -> None:
    class Counting(Recorder):
        now = most = 0

        async def run(self, planned: Planned, *, scheduled_at: datetime | None = None) -> RunRecord:
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.01)
            self.now -= 1
            return await super().run(planned, scheduled_at=scheduled_at)

    for job_allows, at_once, expected in ((6, 2, 2), (1, 4, 1)):
        more = f"matrix: {{score: [1, 2, 3, 4, 5, 6]}}\nrun: {{concurrency: {job_allows}}}\n"
        found, counting = spec(tmp_path, more=more), Counting()
        plans = {"watch": (found, found.plan())}
        store = JsonlRuns(tmp_path / f"r{at_once}.jsonl")
        assert len(await Service(store, counting, plans, at_once=at_once).look(NOW)) == 6  # type: ignore[arg-type]
        assert counting.most == expected


async def test_a_registry_that_is_away_for_a_moment_stops_no_service(tmp_path: Path) -> None:
    class Away(JsonlRuns):
        away = True

        async def claim(self, *args: Any, **more: Any) -> bool:
            if self.away:
                raise Unavailable("the database is away")
            return await super().claim(*args, **more)

    store, runner, told = Away(tmp_path / "r.jsonl"), Recorder(), []
    found = spec(tmp_path)
    watching = Service(store, runner, {"watch": (found, found.plan())}, trouble=told.append)  # type: ignore[arg-type]
    assert await watching.look(NOW) == []
    assert "the database is away" in told[0]
    store.away = False
    assert len(await watching.look(NOW)) == 1


def test_other_schedulers_get_their_form(tmp_path: Path) -> None:
    found = spec(tmp_path, '{cron: "15 3 * * *", timezone: Europe/Berlin}')
    assert "15 3 * * *" in FORMS["crontab"](found)
    assert "timeZone: Europe/Berlin" in FORMS["kubernetes"](found)
    assert "OnCalendar" in FORMS["systemd"](found)


# --- keeping


async def test_old_runs_go_but_baselines_and_the_newest_stay(tmp_path: Path) -> None:
    store = JsonlRuns(tmp_path / "registry.jsonl")
    for number, age in enumerate([1, 20, 40, 60]):
        (tmp_path / f"r{number}").mkdir()
        await store.save(record(f"r{number}", at=NOW - timedelta(days=age), location=str(tmp_path / f"r{number}")))
    await store.keep_baseline("watch", "", "r2")
    keep = {"watch": timedelta(days=10)}
    old, _ = await collect(store, tmp_path, keep, now=NOW, dry_run=True)
    assert {one.run_id for one in old} == {"r1", "r3"}
    assert (tmp_path / "r3").exists()
    await collect(store, tmp_path, keep, now=NOW)
    assert [(tmp_path / f"r{number}").exists() for number in range(4)] == [True, False, True, False]
    assert [one.run_id for one in await store.recent(since=datetime(2000, 1, 1, tzinfo=UTC))] == ["r0", "r2"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/etc", "a/b", "a/..", "r1\n", "-rf", "x" * 200])
def test_a_run_has_the_name_of_a_folder(name: str) -> None:
    with pytest.raises(ValidationError):
        record(name)


@pytest.mark.parametrize("name", ["", ".", "..", "../precious", "/precious", "a/../../precious"])
async def test_nothing_outside_of_the_runs_is_removed(tmp_path: Path, name: str) -> None:
    """A registry is a file or a table that others can write to."""

    class Forged(JsonlRuns):
        async def recent(self, *, since: datetime, job: str = "") -> list[RunRecord]:
            found = await super().recent(since=since, job=job)
            return [*found, found[0].model_copy(update={"run_id": name, "started_at": NOW - timedelta(days=900)})]

    (tmp_path / "precious").mkdir()
    (runs := tmp_path / "runs").mkdir()
    store = Forged(tmp_path / "registry.jsonl")
    await store.save(record("r0"))
    with pytest.raises(BadSpec, match="nothing was removed"):
        await collect(store, runs, {}, now=NOW)
    assert (runs.is_dir(), (tmp_path / "precious").is_dir()) == (True, True)


async def test_a_run_that_nobody_ended_is_closed_after_a_day(tmp_path: Path) -> None:
    store = JsonlRuns(tmp_path / "registry.jsonl")
    await store.save(record("killed", "running", NOW - timedelta(days=2)))
    await store.save(record("going", "running", NOW - timedelta(hours=2)))
    await collect(store, tmp_path, {}, now=NOW)
    assert [(one.run_id, one.status) for one in await store.recent(since=NOW - timedelta(days=9))] == [
        ("going", "running"),
        ("killed", "interrupted"),
    ]


def test_the_index_shows_each_job_with_its_history(tmp_path: Path) -> None:
    runs = [
        record(f"r{n}", status, NOW - timedelta(days=n), metrics=(metric("score", 0.5 + n / 10),), reason="<b>why</b>",
               location=str(tmp_path / f"r{n}"))
        for n, status in enumerate(["passed", "failed", "passed"])
    ]  # fmt: skip
    page = index_page(runs, tmp_path)
    assert page.count('href="r') == 3
    assert "<b>why" not in page
    assert "<svg" in page
    assert "<script" not in page
    assert sparkline([1.0]).count("circle") == 1


def test_the_index_begins_with_what_needs_a_look_and_shows_the_bound(tmp_path: Path) -> None:
    score = metric("score", 0.4)
    gates = judge([Gate(metric="score", value=0.5)], {"score": score})
    bad = record("b", "failed", job="zebra", metrics=(score,), gates=gates, location="s3://bucket/runs/b")
    page = index_page([record("a", job="ant"), bad, record("c", "error", job="zoo")], tmp_path)
    assert page.index("<h2>zoo") < page.index("<h2>zebra") < page.index("<h2>ant")
    assert "1 of 3 jobs pass" in page
    assert "bound 0.5" in page
    assert 'href="b/report.html"' in page  # the copy here, not the address in S3
    assert "bound" not in sparkline([0.1, 0.2])
