"""The registry in MongoDB and its twin in a file keep the same promises."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chatcore.lab.runs import RunRecord, RunStore, metric, new_run_id
from chatcore.lab.runs.store import INDEXES, JsonlRuns, MongoRuns
from chatcore.mongo import Mongo

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
LONG, OVER = timedelta(minutes=5), timedelta(seconds=-1)


@pytest.fixture
async def in_mongo(mongo: Mongo) -> RunStore:
    await mongo.ensure_indexes(INDEXES)
    return MongoRuns(mongo.database)


@pytest.fixture
def in_file(tmp_path: Path) -> RunStore:
    return JsonlRuns(tmp_path / "deep" / "registry.jsonl")


@pytest.fixture(params=["in_mongo", "in_file"])
def runs(request: pytest.FixtureRequest) -> RunStore:
    store: RunStore = request.getfixturevalue(request.param)
    return store


def record(run_id: str = "a-1", job: str = "a", hours: int = 0, **more: object) -> RunRecord:
    return RunRecord(run_id=run_id, job=job, notebook="n.ipynb", started_at=NOON + timedelta(hours=hours), **more)  # type: ignore[arg-type]


async def test_a_run_is_found_as_it_was_saved(runs: RunStore) -> None:
    saved = record(parameters={"x": [1, 2]}, metrics=(metric("m", 0.5),), status="passed", artifacts={"a": "00"})
    await runs.save(saved)
    assert await runs.find("a-1") == saved
    assert await runs.find("a-2") is None


async def test_saving_again_replaces(runs: RunStore) -> None:
    await runs.save(record())
    await runs.save(record(status="failed", finished_at=NOON + timedelta(seconds=3)))
    found = await runs.find("a-1")
    assert found is not None
    assert (found.status, found.seconds, found.exit_code) == ("failed", 3.0, 1)
    assert len(await runs.recent(since=NOON)) == 1


async def test_recent_runs_come_newest_first_and_by_job(runs: RunStore) -> None:
    for number, job in enumerate(["a", "b", "a"]):
        await runs.save(record(f"{job}-{number}", job, hours=number))
    assert [one.run_id for one in await runs.recent(since=NOON)] == ["a-2", "b-1", "a-0"]
    assert [one.run_id for one in await runs.recent(since=NOON, job="a")] == ["a-2", "a-0"]
    assert [one.run_id for one in await runs.recent(since=NOON + timedelta(hours=1), job="a")] == ["a-2"]
    await runs.forget("a-2")
    assert [one.run_id for one in await runs.recent(since=NOON)] == ["b-1", "a-0"]


async def test_a_baseline_is_kept_for_each_matrix_key(runs: RunStore) -> None:
    assert await runs.baseline("a", "v=1") is None
    await runs.keep_baseline("a", "v=1", "a-1")
    await runs.keep_baseline("a", "v=1", "a-2")
    assert await runs.baseline("a", "v=1") == "a-2"
    assert await runs.baseline("a", "v=2") is None


async def test_one_of_two_services_gets_a_due_run(runs: RunStore) -> None:
    assert await runs.claim("a", NOON, "", owner="one", lease=LONG)
    assert not await runs.claim("a", NOON, "", owner="two", lease=LONG)
    assert await runs.claim("a", NOON, "v=2", owner="two", lease=LONG)
    assert await runs.claim("a", NOON + timedelta(days=1), "", owner="two", lease=LONG)


async def test_the_claim_of_a_dead_service_is_taken_over_once(runs: RunStore) -> None:
    assert await runs.claim("a", NOON, "", owner="dead", lease=OVER)
    assert await runs.claim("a", NOON, "", owner="two", lease=LONG)
    assert not await runs.claim("a", NOON, "", owner="three", lease=LONG)
    assert not await runs.renew("a", NOON, "", owner="dead", lease=LONG)
    assert await runs.renew("a", NOON, "", owner="two", lease=LONG)


async def test_a_finished_claim_stays_finished(runs: RunStore) -> None:
    await runs.claim("a", NOON, "", owner="one", lease=OVER)
    await runs.finish("a", NOON, "", owner="two", run_id="x")  # not its own: nothing happens
    assert await runs.claim("a", NOON, "", owner="two", lease=OVER)
    await runs.finish("a", NOON, "", owner="two", run_id="a-1")
    assert not await runs.claim("a", NOON, "", owner="three", lease=LONG)
    assert not await runs.renew("a", NOON, "", owner="two", lease=LONG)


async def test_claims_that_nobody_finished_are_found_and_the_rest_is_not(runs: RunStore) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    await runs.claim("a", NOON, "v=1|2", owner="dead", lease=OVER)
    await runs.claim("a", NOON - timedelta(hours=2), "", owner="dead", lease=OVER)
    await runs.claim("long", NOON, "", owner="dead", lease=-timedelta(hours=2))
    await runs.claim("held", NOON, "", owner="alive", lease=LONG)
    await runs.claim("done", NOON, "", owner="dead", lease=OVER)
    await runs.finish("done", NOON, "", owner="dead", run_id="x")
    expected = [("a", NOON - timedelta(hours=2), ""), ("a", NOON, "v=1|2")]
    assert await runs.abandoned(since=long_ago) == expected
    await runs.forget_claims(before=datetime.now(UTC))
    assert await runs.abandoned(since=NOON) == []
    assert await runs.renew("held", NOON, "", owner="alive", lease=LONG)


async def test_only_the_owner_gives_a_claim_up(runs: RunStore) -> None:
    await runs.claim("a", NOON, "", owner="one", lease=LONG)
    await runs.release("a", NOON, "", owner="two")
    assert not await runs.claim("a", NOON, "", owner="two", lease=LONG)
    await runs.release("a", NOON, "", owner="one")
    assert await runs.claim("a", NOON, "", owner="two", lease=LONG)
    await runs.finish("a", NOON, "", owner="two", run_id="x")
    await runs.release("a", NOON, "", owner="two")
    assert not await runs.claim("a", NOON, "", owner="one", lease=LONG)


async def test_a_line_cut_off_by_a_crash_loses_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "registry.jsonl"
    await JsonlRuns(path).save(record("a-1"))
    with path.open("ab") as file:
        file.write(b'["run","a-2",{"run_i')
    await JsonlRuns(path).save(record("a-3", hours=1))
    assert [one.run_id for one in await JsonlRuns(path).recent(since=NOON)] == ["a-3", "a-1"]


def test_run_ids_sort_by_time_and_are_safe_as_file_names() -> None:
    made: Callable[[int], str] = lambda hour: new_run_id("Smart reply/../x", now=NOON + timedelta(hours=hour))  # noqa: E731
    assert made(0) < made(1)
    assert "/" not in made(0)
    assert "." not in made(0)
