"""A service that runs for months follows its folder of specs, and is not stopped by one that broke."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chatcore.lab.runs.store import JsonlRuns
from pipelines.live_specs import LiveSpecs
from pipelines.schedule import DUE, Service
from pipelines.specs import BadSpec
from tests.pipelines.notebooks import write_notebook
from tests.pipelines.test_schedule import Recorder

NOW = datetime(2026, 1, 5, 12, 7, tzinfo=UTC)


class Folder:
    def __init__(self, path: Path):
        self.path, self.told = path / "jobs", list[str]()
        self.notebook = write_notebook(path / "n.ipynb", "1")
        self.path.mkdir()

    def write(self, name: str, cron: str = "*/5 * * * *", more: str = "") -> None:
        (self.path / f"{name}.yaml").write_text(
            f'apiVersion: chatcore/v1\nname: {name}\nnotebook: {self.notebook}\nschedule: {{cron: "{cron}"}}\n{more}'
        )

    def live(self) -> LiveSpecs:
        return LiveSpecs(self.path, self.told.append)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.write("watch")
    return folder


def test_what_did_not_change_is_not_read_again(folder: Folder) -> None:
    live = folder.live()
    assert (live.renew(), folder.told) == (None, [])


def test_a_change_a_new_file_and_one_that_is_gone_are_followed(folder: Folder) -> None:
    live = folder.live()
    folder.write("watch", "0 3 * * *")
    folder.write("second")
    plans = live.renew()
    assert plans is not None
    assert {name: spec.job.schedule.cron for name, (spec, _) in plans.items() if spec.job.schedule} == {
        "watch": "0 3 * * *",
        "second": "*/5 * * * *",
    }
    (folder.path / "watch.yaml").unlink()
    assert list(live.renew() or {}) == ["second"]
    assert "watch.yaml is gone" in folder.told[-1]
    assert live.job("watch").name == "watch", "for the alert of a run that is under way"


@pytest.mark.parametrize(
    "broken",
    ["no: [yaml", "apiVersion: chatcore/v1\nname: watch\n", '{cron: "61 * * * *"}', "parameters: {unknown: 1}"],
)
def test_of_a_file_that_broke_the_last_good_one_is_kept_and_told_once(folder: Folder, broken: str) -> None:
    live = folder.live()
    before = live.plans["watch"]
    if broken.startswith("{cron"):
        folder.write("watch", "61 * * * *")
    elif broken.startswith("parameters"):
        folder.write("watch", more=f"{broken}\n")
    else:
        (folder.path / "watch.yaml").write_text(broken)
    plans = live.renew()
    assert plans is not None
    assert plans["watch"] == before
    assert len(folder.told) == 1
    assert "what it said before goes on" in folder.told[0]
    assert live.renew() is None
    assert len(folder.told) == 1
    folder.write("watch", "0 4 * * *")
    renewed = (live.renew() or {})["watch"][0].job.schedule
    assert renewed is not None
    assert renewed.cron == "0 4 * * *"


def test_a_new_file_that_is_none_stops_no_other(folder: Folder) -> None:
    live = folder.live()
    (folder.path / "new.yaml").write_text("nothing")
    assert list(live.renew() or {}) == ["watch"]
    assert "nothing of it runs" in folder.told[0]


def test_at_the_start_a_file_that_is_none_is_refused(folder: Folder) -> None:
    (folder.path / "new.yaml").write_text("nothing")
    with pytest.raises(BadSpec):
        folder.live()


async def test_a_service_runs_what_came_and_not_what_went(folder: Folder, tmp_path: Path) -> None:
    live, runner = folder.live(), Recorder()
    service = Service(
        JsonlRuns(tmp_path / "r.jsonl"), runner, live.plans, lease=timedelta(seconds=30), renew=live.renew,  # type: ignore[arg-type]
    )  # fmt: skip
    serving = asyncio.create_task(service.serve())
    await asyncio.wait_for(runner.started.wait(), 30)
    folder.write("second")
    (folder.path / "watch.yaml").unlink()
    await service.look(datetime.now(UTC))
    assert len(runner.asked) == 2
    assert service._scheduler is not None
    assert [job.id for job in service._scheduler.get_jobs() if job.id.startswith(DUE)] == [f"{DUE}second"]
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_a_new_limit_counts_from_the_next_run_on(folder: Folder, tmp_path: Path) -> None:
    live, runner = folder.live(), Recorder()
    service = Service(JsonlRuns(tmp_path / "r.jsonl"), runner, live.plans, at_once=9, renew=live.renew)  # type: ignore[arg-type]
    before = service._slots_of["watch"]
    await service.look(NOW)
    assert service._slots_of["watch"] is before
    folder.write("watch", more="run: {concurrency: 3}\n")
    await service.look(NOW)
    assert service._slots_of["watch"]._value == 3
