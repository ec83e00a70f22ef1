"""Runs kept in S3, as moto plays it over a real socket."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chatcore.lab.runs import RunRecord
from chatcore.lab.runs.store import JsonlRuns
from pipelines import artifacts
from pipelines.keeping import collect
from pipelines.runner import Runner
from pipelines.specs import BadSpec, Planned, read_spec
from tests.media.bucket import Bucket
from tests.pipelines.notebooks import write_notebook
from tests.pipelines.test_runs import GATE, RECORD, START

NOW = datetime(2026, 1, 5, 12, 7, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    started = Bucket()
    yield started
    started.dies()


@pytest.fixture
def bucket(server: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    server.empty()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("S3_BUCKET_NAME", server.NAME)
    return server


def job(folder: Path, store: str = "s3://$S3_BUCKET_NAME/runs") -> Planned:
    notebook = write_notebook(folder / "kept.ipynb", START, RECORD, GATE)
    spec = folder / "kept.yaml"
    spec.write_text(
        f'apiVersion: chatcore/v1\nname: kept\nnotebook: {notebook}\nartifacts: {{store: "{store}", keep: 1d}}\n'
    )
    return read_spec(spec).plan()[0]


async def test_a_run_is_kept_in_the_bucket_and_a_change_there_is_noticed(tmp_path: Path, bucket: Bucket) -> None:
    store = JsonlRuns(tmp_path / "r.jsonl")
    record = await Runner(tmp_path / "runs", store).run(job(tmp_path))
    assert (record.status, record.location) == ("passed", f"s3://{bucket.NAME}/runs/{record.run_id}")
    assert {key.rpartition("/")[2] for key in bucket.whole()} == {*record.artifacts, "record.json"}
    assert b"Passed" in await artifacts.read(record, "report.html")
    assert await artifacts.tampered(record) == []

    (tmp_path / "runs" / record.run_id / "metrics.json").write_text("a copy does not count")
    assert await artifacts.tampered(record) == []
    key = f"runs/{record.run_id}/metrics.json"
    bucket.client.put_object(Bucket=bucket.NAME, Key=key, Body=b"{}")
    bucket.client.delete_object(Bucket=bucket.NAME, Key=f"runs/{record.run_id}/report.html")
    assert await artifacts.tampered(record) == ["metrics.json", "report.html"]

    await store.save(record.model_copy(update={"run_id": "newer", "started_at": NOW + timedelta(days=3_000)}))
    await collect(store, tmp_path / "runs", {"kept": timedelta(days=1)}, now=NOW + timedelta(days=3_000))
    assert (bucket.whole(), (tmp_path / "runs" / record.run_id).exists()) == ([], False)


async def test_of_a_bucket_nothing_goes_but_the_runs_own_folder(tmp_path: Path, bucket: Bucket) -> None:
    """A registry is a table that others can write to."""
    record = await Runner(tmp_path / "runs", JsonlRuns(tmp_path / "r.jsonl")).run(job(tmp_path))
    there = bucket.whole()
    for location in (f"s3://{bucket.NAME}", f"s3://{bucket.NAME}/runs", f"s3://{bucket.NAME}/runs/another"):
        await artifacts.delete(record.model_copy(update={"location": location}))
        assert bucket.whole() == there
    await artifacts.delete(record)
    assert bucket.whole() == []


async def test_a_verdict_whose_evidence_cannot_be_kept_is_none(tmp_path: Path, bucket: Bucket) -> None:
    store = JsonlRuns(tmp_path / "r.jsonl")
    record = await Runner(tmp_path / "runs", store).run(job(tmp_path, "s3://no-such-bucket/runs"))
    assert (record.status, record.exit_code) == ("error", 2)
    assert "not kept in s3://no-such-bucket/runs" in record.reason
    assert "it was passed" in record.reason
    assert await artifacts.tampered(record) == []  # the folder has it all
    assert json.loads((Path(record.location) / "metrics.json").read_text())["finished"] is True
    assert await store.find(record.run_id) == record


async def test_a_run_without_files_proves_nothing() -> None:
    empty = RunRecord(run_id="r", job="kept", notebook="n", started_at=NOW, status="passed")
    assert await artifacts.tampered(empty) == ["all files"]


@pytest.mark.parametrize("store", ["runs", "http://bucket/runs", "s3://"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, store: str) -> None:
    with pytest.raises(BadSpec, match=r"artifacts\.store"):
        job(tmp_path, store)
