"""Objects in S3 or a server that speaks like it. boto3 blocks, so it works in threads of its own."""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from chatcore.media.objects import ObjectMissing, StoreDown
from chatcore.media.sealing import Pieces, regrouped

T = TypeVar("T")
Encryption = Literal["aws:kms", "AES256", "off"]
PART_BYTES: Final = 5 * 1024 * 1024  # the least that S3 takes for a part that is not the last
READ_BYTES: Final = 131_104
THREADS: Final = 8  # of our own: calls that hang must not hold up others' threads
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 3, 10, 2
_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})


@dataclass(frozen=True, slots=True)
class S3Place:
    """Where the bucket is and how S3 itself encrypts. Empty keys leave finding them to boto3 (roles, profiles).

    `kms_key_id` empty means the account's own key for S3. `off` sends no header: the bucket's default holds.
    """

    bucket: str
    region: str
    endpoint_url: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""
    encryption: Encryption = "aws:kms"
    kms_key_id: str = ""


class S3Objects:
    """At most one part of 5 MiB is held in memory for each upload; smaller objects go in one request."""

    def __init__(self, place: S3Place):
        self._bucket = place.bucket
        self._encryption = _encryption(place)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="s3")
        self._client = _client(place)

    async def put(self, key: str, size: int, pieces: Pieces) -> None:
        if size <= PART_BYTES:
            async with aclosing(pieces):
                body = b"".join([piece async for piece in pieces])
            await self._call("put_object", Key=key, Body=body, **self._encryption)
            return
        upload_id = (await self._call("create_multipart_upload", Key=key, **self._encryption))["UploadId"]
        try:
            parts: list[dict[str, Any]] = []
            async with aclosing(regrouped(pieces, PART_BYTES)) as bodies:
                async for body in bodies:
                    parts.append(await self._part(key, upload_id, len(parts) + 1, body))
            await self._call("complete_multipart_upload", Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts})
        except BaseException:
            await self._abandon(key, upload_id)
            raise

    async def _part(self, key: str, upload_id: str, number: int, part: bytes) -> dict[str, Any]:
        answer = await self._call("upload_part", Key=key, UploadId=upload_id, PartNumber=number, Body=part)
        return {"PartNumber": number, "ETag": answer["ETag"]}

    async def _abandon(self, key: str, upload_id: str) -> None:
        """Where this fails too, `delete` of the prefix finds the upload later."""
        try:
            await self._call("abort_multipart_upload", Key=key, UploadId=upload_id)
        except (StoreDown, ObjectMissing):
            return

    async def read(self, key: str, start: int, stop: int) -> Pieces:
        answer = await self._call("get_object", Key=key, Range=f"bytes={start}-{stop - 1}")
        body = answer["Body"]
        try:
            while piece := await self._run(functools.partial(body.read, READ_BYTES)):
                yield piece
        finally:
            body.close()

    async def delete(self, prefix: str) -> None:
        """With versions kept by the bucket this leaves them to its lifecycle rule: sealed, and their key shredded."""
        for upload_key, upload_id in await self._unfinished(prefix):
            await self._call("abort_multipart_upload", Key=upload_key, UploadId=upload_id)
        for key in await self._whole(prefix):
            await self._call("delete_object", Key=key)

    async def keys(self, prefix: str) -> list[str]:
        return sorted(await self._whole(prefix) + [key for key, _ in await self._unfinished(prefix)])

    async def _whole(self, prefix: str) -> list[str]:
        found: list[str] = []
        more: dict[str, str] = {}
        while True:
            answer = await self._call("list_objects_v2", Prefix=prefix, **more)
            found += [each["Key"] for each in answer.get("Contents", [])]
            if not answer.get("IsTruncated"):
                return found
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    async def _unfinished(self, prefix: str) -> list[tuple[str, str]]:
        answer = await self._call("list_multipart_uploads", Prefix=prefix)
        return [(each["Key"], each["UploadId"]) for each in answer.get("Uploads", []) if each["Key"].startswith(prefix)]

    async def presigned(self, key: str, *, seconds: int, content_type: str, disposition: str) -> str | None:
        fields = {
            "Bucket": self._bucket,
            "Key": key,
            "ResponseContentType": content_type,
            "ResponseContentDisposition": disposition,
            "ResponseCacheControl": "private, no-store",
        }
        make = functools.partial(
            self._client.generate_presigned_url, "get_object", Params=fields, ExpiresIn=seconds, HttpMethod="GET"
        )
        return str(await self._run(make))

    async def check(self) -> None:
        await self._call("head_bucket")

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def _call(self, operation: str, **fields: Any) -> Any:
        return await self._run(functools.partial(getattr(self._client, operation), Bucket=self._bucket, **fields))

    async def _run(self, call: Callable[[], T]) -> T:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - 30 MB, only where S3 is used
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _MISSING:
                raise ObjectMissing(self._bucket) from None
            raise StoreDown from error
        except (BotoCoreError, HTTPError, OSError) as error:
            raise StoreDown from error


def _encryption(place: S3Place) -> dict[str, str]:
    if place.encryption == "off":
        return {}
    key = {"SSEKMSKeyId": place.kms_key_id} if place.kms_key_id and place.encryption == "aws:kms" else {}
    return {"ServerSideEncryption": place.encryption} | key


def _client(place: S3Place) -> Any:
    import boto3  # noqa: PLC0415 - 30 MB, only where S3 is used
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        max_pool_connections=THREADS,
        signature_version="s3v4",
        s3={"addressing_style": "path"} if place.endpoint_url else {},
    )
    return boto3.client(
        "s3",
        region_name=place.region,
        endpoint_url=place.endpoint_url or None,
        aws_access_key_id=place.access_key_id or None,
        aws_secret_access_key=place.secret_access_key or None,
        config=config,
    )
