"""A run's files: in the folder of the runs, and in S3 where its job says so. A location is a folder or `s3://...`."""

import asyncio
import hashlib
from pathlib import Path

from chatcore.lab.artifacts import fetch, put_folder, remove
from chatcore.lab.runs import RunRecord
from chatcore.lab.surroundings import expand, settings
from pipelines.specs import Job

SCHEME = "s3://"


def address_of(job: Job) -> str:
    """Where the job's runs are kept besides the folder; empty where nowhere. Raises VariableNotSet."""
    return expand(job.artifacts.store).rstrip("/") if job.artifacts.store else ""


async def upload(folder: Path, address: str) -> str:
    """Every file of the folder. Returns the address. Raises ChatError where the store does not answer."""
    await put_folder(settings(), folder, address)
    return address


async def read(record: RunRecord, name: str) -> bytes:
    """One file of a run, from where it is kept. Raises FileNotFoundError, ChatError."""
    if record.location.startswith(SCHEME):
        return await fetch(settings(), f"{record.location}/{name}")
    return await asyncio.to_thread((Path(record.location) / name).read_bytes)


async def tampered(record: RunRecord) -> list[str]:
    """Files of the run that are gone or not what they were when it ended; where it is kept, not in some copy."""
    changed = [] if record.artifacts else ["all files"]
    for name, digest in record.artifacts.items():
        try:
            content = await read(record, name)
        except OSError:
            content = b""
        if hashlib.sha256(content).hexdigest() != digest:
            changed.append(name)
    return changed


async def delete(record: RunRecord) -> None:
    """From S3; a repeat is a no-op. A location that is not this run's own is left alone. Raises ChatError where the
    store does not answer."""
    if record.location.startswith(SCHEME) and record.location.endswith(f"/{record.run_id}"):
        await remove(settings(), record.location)
