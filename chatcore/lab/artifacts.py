"""Files of runs in S3, with the server's settings of it. An address is `s3://bucket/key`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chatcore.errors import Unavailable
from chatcore.media.objects import ObjectMissing, StoreDown
from chatcore.media.s3 import S3Objects, S3Place
from chatcore.settings import Settings

MAX_BYTES = 256 * 1024 * 1024  # of one file: a notebook's output beyond it is a mistake


async def put_folder(settings: Settings, folder: Path, address: str) -> None:
    """All files of the folder below the address. Raises Unavailable."""
    async with _bucket(settings, address) as (objects, prefix):
        for path in await asyncio.to_thread(lambda: sorted(path for path in folder.iterdir() if path.is_file())):
            content = await asyncio.to_thread(path.read_bytes)
            await objects.put(f"{prefix}/{path.name}", len(content), _whole(content))


async def fetch(settings: Settings, address: str) -> bytes:
    """One file. Raises FileNotFoundError, Unavailable."""
    async with _bucket(settings, address) as (objects, key):
        try:
            return b"".join([piece async for piece in objects.read(key, 0, MAX_BYTES)])
        except ObjectMissing:
            raise FileNotFoundError(2, "is not there", address) from None


async def remove(settings: Settings, address: str) -> None:
    """Everything below the address; a repeat is a no-op. Raises Unavailable."""
    async with _bucket(settings, address) as (objects, prefix):
        await objects.delete(f"{prefix}/")


@asynccontextmanager
async def _bucket(settings: Settings, address: str) -> AsyncIterator[tuple[S3Objects, str]]:
    """The bucket of the address, and the rest of it."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    place = S3Place(
        bucket=bucket,
        region=settings.aws_default_region,
        endpoint_url=settings.aws_endpoint_url,
        access_key_id=settings.aws_access_key_id.get_secret_value(),
        secret_access_key=settings.aws_secret_access_key.get_secret_value(),
        encryption=settings.s3_encryption,
        kms_key_id=settings.s3_kms_key_id,
    )
    objects = await asyncio.to_thread(S3Objects, place)
    try:
        yield objects, key
    except (StoreDown, ObjectMissing) as lost:
        cause = lost.__cause__ or lost
        raise Unavailable(f"{address}: the bucket is not there or does not answer ({cause})") from None
    finally:
        await objects.close()


async def _whole(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content
