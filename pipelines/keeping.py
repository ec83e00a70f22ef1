"""Old runs go; what a baseline or a promotion stands on stays."""

import asyncio
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chatcore.lab.runs import RunRecord, RunStore
from pipelines import artifacts
from pipelines.specs import BadSpec

DEFAULT_KEEP = timedelta(days=30)
ABANDONED = timedelta(days=1)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


async def collect(
    store: RunStore, folder: Path, keep: dict[str, timedelta], *, now: datetime, dry_run: bool = False
) -> tuple[list[RunRecord], list[Path]]:
    """Runs older than their job keeps them, and working folders that a killed run left. `keep` is by job."""
    records = await store.recent(since=LONG_AGO)
    kept = await _kept_for_good(store, records)
    old = [
        one
        for one in records
        if one.run_id not in kept and now - one.started_at > keep.get(one.job, DEFAULT_KEEP)
    ]  # fmt: skip
    abandoned = await asyncio.to_thread(_abandoned, folder, now)
    if not dry_run:
        # Only what lies in the folder of the runs: a location elsewhere is somebody else's to keep.
        for path in [*(folder_of(record.run_id, folder) for record in old), *abandoned]:
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)
        for record in old:
            await artifacts.delete(record)
            await store.forget(record.run_id)
        for record in records:
            if record.status == "running" and now - record.started_at > ABANDONED:
                ended = {"status": "interrupted", "reason": "nobody was there to end it"}
                await store.save(record.model_copy(update=ended))
        await store.forget_claims(before=now - DEFAULT_KEEP)
    return old, abandoned


def folder_of(run_id: str, folder: Path) -> Path:
    """Where a run's files are. Raises BadSpec for a name that leads elsewhere."""
    path = folder / run_id
    if run_id in ("", ".", "..") or path.parent != folder:
        raise BadSpec([f"the run {run_id!r} of the registry would be outside of {folder}; nothing was removed"])
    return path


def _abandoned(folder: Path, now: datetime) -> list[Path]:
    return [path for path in folder.glob(".*.attempt*") if _age(path, now) > ABANDONED]


async def _kept_for_good(store: RunStore, records: Iterable[RunRecord]) -> set[str]:
    """Baselines, and the newest run of each job."""
    records = list(records)
    places = {(one.job, one.matrix_key) for one in records}
    baselines = {await store.baseline(job, key) for job, key in places}
    newest = {key: max((one for one in records if (one.job, one.matrix_key) == key), key=_started) for key in places}
    return {name for name in baselines if name} | {one.run_id for one in newest.values()}


def _started(record: RunRecord) -> datetime:
    return record.started_at


def _age(path: Path, now: datetime) -> timedelta:
    return now - datetime.fromtimestamp(path.stat().st_mtime, UTC)
