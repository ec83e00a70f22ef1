"""Runs, baselines and claims: in MongoDB (`eval_runs`, `baselines`, `job_claims`), or in one JSONL file on a laptop."""

import asyncio
import errno
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

import orjson
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from chatcore.lab.runs.records import RunRecord
from chatcore.mongo import Index, open_mongo, translate_errors
from chatcore.settings import Settings

T = TypeVar("T")
INDEXES = (
    Index("eval_runs", (("startedAt", 1),)),
    Index("eval_runs", (("job", 1), ("startedAt", 1))),
    Index("job_claims", (("job", 1), ("scheduledAt", 1), ("matrixKey", 1)), unique=True),
    Index("job_claims", (("finished", 1), ("leaseUntil", 1))),
)
MOMENT = timedelta(milliseconds=1)


class RunStore(Protocol):
    async def save(self, record: RunRecord) -> None:
        """A repeat replaces the row of the same run."""
        ...

    async def find(self, run_id: str) -> RunRecord | None: ...

    async def recent(self, *, since: datetime, job: str = "") -> list[RunRecord]:
        """Newest first; of one job or of all."""
        ...

    async def forget(self, run_id: str) -> None: ...

    async def keep_baseline(self, job: str, matrix_key: str, run_id: str) -> None: ...

    async def baseline(self, job: str, matrix_key: str) -> str | None:
        """Run id of the kept run."""
        ...

    async def claim(self, job: str, scheduled_at: datetime, matrix_key: str, *, owner: str, lease: timedelta) -> bool:
        """True for exactly one owner at a time: the first, or the first after a lease ran out unfinished."""
        ...

    async def renew(self, job: str, scheduled_at: datetime, matrix_key: str, *, owner: str, lease: timedelta) -> bool:
        """False when somebody else holds the claim by now."""
        ...

    async def finish(self, job: str, scheduled_at: datetime, matrix_key: str, *, owner: str, run_id: str) -> None:
        """From now on nobody can claim it again."""
        ...

    async def release(self, job: str, scheduled_at: datetime, matrix_key: str, *, owner: str) -> None:
        """Give an unfinished claim up, so that anybody may take it at once."""
        ...

    async def abandoned(self, *, since: datetime) -> list[tuple[str, datetime, str]]:
        """Unfinished claims whose lease ran out after `since`: job, due time and matrix key of each, oldest first."""
        ...

    async def forget_claims(self, *, before: datetime) -> None:
        """Those whose lease ended before that."""
        ...


@asynccontextmanager
async def open_runs(settings: Settings) -> AsyncIterator[RunStore]:
    """MongoDB where MONGODB_URI names one, else the JSONL file in the folder of the runs."""
    uri = settings.mongodb_uri.get_secret_value()
    if not uri:
        yield JsonlRuns(settings.chatcore_runs / "registry.jsonl")
        return
    async with AsyncExitStack() as stack:
        mongo = await open_mongo(
            uri, database=settings.database_name, password=settings.database_password.get_secret_value()
        )
        stack.push_async_callback(mongo.close)
        await mongo.ensure_indexes(INDEXES)
        yield MongoRuns(mongo.database)


class MongoRuns:
    def __init__(self, database: AsyncDatabase[dict[str, Any]]):
        self._runs = database["eval_runs"]
        self._baselines = database["baselines"]
        self._claims = database["job_claims"]

    @translate_errors
    async def save(self, record: RunRecord) -> None:
        row = {"job": record.job, "startedAt": record.started_at, "record": record.model_dump_json()}
        await self._runs.replace_one({"_id": record.run_id}, row, upsert=True)

    @translate_errors
    async def find(self, run_id: str) -> RunRecord | None:
        row = await self._runs.find_one({"_id": run_id})
        return None if row is None else RunRecord.model_validate_json(row["record"])

    @translate_errors
    async def recent(self, *, since: datetime, job: str = "") -> list[RunRecord]:
        wanted: dict[str, Any] = {"startedAt": {"$gte": since}} | ({"job": job} if job else {})
        rows = [RunRecord.model_validate_json(row["record"]) async for row in self._runs.find(wanted)]
        return sorted(rows, key=lambda record: record.started_at, reverse=True)

    @translate_errors
    async def forget(self, run_id: str) -> None:
        await self._runs.delete_one({"_id": run_id})

    @translate_errors
    async def keep_baseline(self, job: str, matrix_key: str, run_id: str) -> None:
        await self._baselines.replace_one({"_id": f"{job}|{matrix_key}"}, {"runId": run_id}, upsert=True)

    @translate_errors
    async def baseline(self, job: str, matrix_key: str) -> str | None:
        row = await self._baselines.find_one({"_id": f"{job}|{matrix_key}"})
        return None if row is None else str(row["runId"])

    @translate_errors
    async def claim(self, job: str, scheduled_at: datetime, matrix_key: str, *, owner: str, lease: timedelta) -> bool:
        now = datetime.now(UTC)
        place = {"job": job, "scheduledAt": scheduled_at, "matrixKey": matrix_key}
        try:
            await self._claims.insert_one({**place, "owner": owner, "leaseUntil": now + lease, "finished": False})
        except DuplicateKeyError:
            taken = await self._claims.update_one(
                {**place, "finished": False, "leaseUntil": {"$lt": now}},
                {"$set": {"owner": owner, "leaseUntil": now + lease}},
            )
            return taken.modified_count == 1
        return True

    @translate_errors
    async def renew(self, job: str, scheduled_at: datetime, matrix_key: str, *, owner: str, lease: timedelta) -> bool:
        place = {"job": job, "scheduledAt": scheduled_at, "matrixKey": matrix_key}
        until = datetime.now(UTC) + lease
        held = await self._claims.update_one(
            {**place, "owner": owner, "finished": False}, {"$set": {"leaseUntil": until}}
        )
        return held.matched_count == 1

    @translate_errors
    async def finish(self, job: str, scheduled_at: datetime, matrix_key: str, *, owner: str, run_id: str) -> None:
        place = {"job": job, "scheduledAt": scheduled_at, "matrixKey": matrix_key}
        await self._claims.update_one({**place, "owner": owner}, {"$set": {"finished": True, "runId": run_id}})

    @translate_errors
    async def release(self, job: str, scheduled_at: datetime, matrix_key: str, *, owner: str) -> None:
        place = {"job": job, "scheduledAt": scheduled_at, "matrixKey": matrix_key}
        given_up = {"$set": {"leaseUntil": datetime.now(UTC) - MOMENT}}
        await self._claims.update_one({**place, "owner": owner, "finished": False}, given_up)

    @translate_errors
    async def abandoned(self, *, since: datetime) -> list[tuple[str, datetime, str]]:
        lapsed = {"finished": False, "leaseUntil": {"$gte": since, "$lt": datetime.now(UTC)}}
        rows = [row async for row in self._claims.find(lapsed)]
        return sorted(((row["job"], row["scheduledAt"], row["matrixKey"]) for row in rows), key=lambda place: place[1])

    @translate_errors
    async def forget_claims(self, *, before: datetime) -> None:
        await self._claims.delete_many({"finished": {"$in": [False, True]}, "leaseUntil": {"$lt": before}})


class JsonlRuns:
    """Append-only; the last line of a key holds. A lock on the file makes several processes of one machine safe."""

    def __init__(self, path: Path):
        self._path = path

    async def save(self, record: RunRecord) -> None:
        await self._append("run", record.run_id, orjson.loads(record.model_dump_json()))

    async def find(self, run_id: str) -> RunRecord | None:
        found = (await self._all("run")).get(run_id)
        return None if found is None else RunRecord.model_validate(found)

    async def recent(self, *, since: datetime, job: str = "") -> list[RunRecord]:
        records = [RunRecord.model_validate(row) for row in (await self._all("run")).values()]
        kept = [one for one in records if one.started_at >= since and job in ("", one.job)]
        return sorted(kept, key=lambda record: record.started_at, reverse=True)

    async def forget(self, run_id: str) -> None:
        await self._append("run", run_id, None)

    async def keep_baseline(self, job: str, matrix_key: str, run_id: str) -> None:
        await self._append("baseline", f"{job}|{matrix_key}", run_id)

    async def baseline(self, job: str, matrix_key: str) -> str | None:
        return (await self._all("baseline")).get(f"{job}|{matrix_key}")

    async def claim(self, job: str, scheduled_at: datetime, matrix_key: str, *, owner: str, lease: timedelta) -> bool:
        now = datetime.now(UTC)

        def take(held: dict[str, Any] | None) -> dict[str, Any] | None:
            if held is not None and (held["finished"] or datetime.fromisoformat(held["leaseUntil"]) >= now):
                return None
            return {"owner": owner, "leaseUntil": (now + lease).isoformat(), "finished": False}

        return await self._change("claim", _claim_key(job, scheduled_at, matrix_key), take)

    async def renew(self, job: str, scheduled_at: datetime, matrix_key: str, *, owner: str, lease: timedelta) -> bool:
        until = (datetime.now(UTC) + lease).isoformat()

        def extend(held: dict[str, Any] | None) -> dict[str, Any] | None:
            if held is None or held["finished"] or held["owner"] != owner:
                return None
            return held | {"leaseUntil": until}

        return await self._change("claim", _claim_key(job, scheduled_at, matrix_key), extend)

    async def finish(self, job: str, scheduled_at: datetime, matrix_key: str, *, owner: str, run_id: str) -> None:
        def close(held: dict[str, Any] | None) -> dict[str, Any] | None:
            return None if held is None or held["owner"] != owner else held | {"finished": True, "runId": run_id}

        await self._change("claim", _claim_key(job, scheduled_at, matrix_key), close)

    async def release(self, job: str, scheduled_at: datetime, matrix_key: str, *, owner: str) -> None:
        def give_up(held: dict[str, Any] | None) -> dict[str, Any] | None:
            if held is None or held["finished"] or held["owner"] != owner:
                return None
            return held | {"leaseUntil": (datetime.now(UTC) - MOMENT).isoformat()}

        await self._change("claim", _claim_key(job, scheduled_at, matrix_key), give_up)

    async def abandoned(self, *, since: datetime) -> list[tuple[str, datetime, str]]:
        now = datetime.now(UTC)
        found = []
        for key, held in (await self._all("claim")).items():
            if not held["finished"] and since <= datetime.fromisoformat(held["leaseUntil"]) < now:
                job, moment, matrix_key = key.split("|", 2)
                found.append((job, datetime.fromisoformat(moment), matrix_key))
        return sorted(found, key=lambda place: place[1])

    async def forget_claims(self, *, before: datetime) -> None:
        for key, held in (await self._all("claim")).items():
            if datetime.fromisoformat(held["leaseUntil"]) < before:
                await self._append("claim", key, None)

    async def _all(self, kind: str) -> dict[str, Any]:
        return await asyncio.to_thread(self._read, kind)

    async def _append(self, kind: str, key: str, value: object) -> None:
        await self._change(kind, key, lambda _: value, even_none=True)

    async def _change(self, kind: str, key: str, change: Callable[[Any], Any], *, even_none: bool = False) -> bool:
        """Under the lock; a change to None leaves all as it is, unless it means to delete."""

        def apply() -> bool:
            with self._locked() as descriptor:
                changed = change(self._read(kind).get(key))
                if changed is None and not even_none:
                    return False
                _append_whole(
                    descriptor, orjson.dumps([kind, key, changed], option=orjson.OPT_APPEND_NEWLINE), self._path
                )
                return True

        return await asyncio.to_thread(apply)

    def _read(self, kind: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if not self._path.exists():
            return found
        for line in self._path.read_bytes().splitlines():
            try:
                of_kind, key, value = orjson.loads(line)
            except ValueError:
                continue  # a line cut off by a full disk or a kill: what it would have said was never confirmed
            if of_kind == kind:
                found.pop(key, None)
                if value is not None:
                    found[key] = value
        return found

    @contextmanager
    def _locked(self) -> Iterator[int]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                os.write(descriptor, b"\n")
            yield descriptor
        finally:
            os.close(descriptor)


def _append_whole(descriptor: int, line: bytes, path: Path) -> None:
    """On a full disk a write may take only the first part of a line, and say so by its count alone."""
    try:
        written = os.write(descriptor, line)
        if written < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(descriptor)
    except OSError as error:
        error.filename = str(path)
        raise


def _claim_key(job: str, scheduled_at: datetime, matrix_key: str) -> str:
    return f"{job}|{scheduled_at.isoformat()}|{matrix_key}"
