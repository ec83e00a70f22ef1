"""One suite for the folder and for S3, and what becomes of uploads when S3 dies."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from chatcore.errors import NotFound
from chatcore.media.folder import FolderObjects
from chatcore.media.objects import ObjectMissing, ObjectStore, StoreDown
from chatcore.media.s3 import PART_BYTES, S3Objects
from chatcore.media.service import LATE_WRITES_FOR, UPLOADING_FOR
from chatcore.vault.envelope import SealBroken
from tests.media import pictures
from tests.media.bucket import Bucket
from tests.media.library import GROUP, Library, pieces

KEY = f"{GROUP}/{'1' * 24}/original"
PREFIX = KEY.removesuffix("original")
SIZES = [1, 100_000, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 99]


@pytest.fixture(scope="module")
def moto() -> Iterator[Bucket]:
    bucket = Bucket()
    yield bucket
    bucket.dies()


@pytest.fixture
def bucket(moto: Bucket) -> Bucket:
    moto.empty()
    return moto


@pytest.fixture(params=["folder", "s3"])
async def objects(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ObjectStore]:
    store = (
        request.getfixturevalue("bucket").objects() if request.param == "s3" else FolderObjects(tmp_path / "objects")
    )
    yield store
    await store.close()


async def everything(parts: AsyncIterator[bytes]) -> bytes:
    return b"".join([part async for part in parts])


def content_of(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


class TestPromises:
    @pytest.mark.parametrize("size", SIZES)
    async def test_what_was_put_is_read_in_any_part(self, objects: ObjectStore, size: int) -> None:
        content = content_of(size)
        await objects.put(KEY, size, pieces(content))
        assert await everything(objects.read(KEY, 0, size)) == content
        start, stop = size // 3, max(size // 3 + 1, size // 2)
        assert await everything(objects.read(KEY, start, stop)) == content[start:stop]

    async def test_what_is_not_there_is_said_to_be_missing(self, objects: ObjectStore) -> None:
        with pytest.raises(ObjectMissing):
            await everything(objects.read(KEY, 0, 10))

    async def test_a_deletion_takes_one_upload_and_no_other(self, objects: ObjectStore) -> None:
        other = f"{GROUP}/{'2' * 24}/original"
        for key in (KEY, f"{PREFIX}320", other):
            await objects.put(key, 3, pieces(b"abc"))
        await objects.delete(PREFIX)
        assert await objects.keys("") == [other]
        await objects.delete(PREFIX)

    @pytest.mark.parametrize("size", [100_000, 2 * PART_BYTES])
    async def test_an_upload_that_breaks_off_is_not_seen_and_can_be_deleted(
        self, objects: ObjectStore, size: int
    ) -> None:
        async def broken() -> AsyncIterator[bytes]:
            async for piece in pieces(content_of(size - 70_000)):
                yield piece
            raise SealBroken("the spool")

        with pytest.raises(SealBroken):
            await objects.put(KEY, size, broken())
        with pytest.raises(ObjectMissing):
            await everything(objects.read(KEY, 0, 10))
        await objects.delete(PREFIX)
        assert await objects.keys("") == []

    async def test_it_answers_when_asked(self, objects: ObjectStore) -> None:
        await objects.check()


class TestTheFolder:
    async def test_is_the_owners_alone(self, tmp_path: Path) -> None:
        objects = FolderObjects(tmp_path / "objects")
        await objects.put(KEY, 3, pieces(b"abc"))
        for path in (tmp_path / "objects").rglob("*"):
            assert path.stat().st_mode & 0o077 == 0 or path.is_dir()
        assert (tmp_path / "objects" / KEY).stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize("key", ["../x/original", "a/../../x", "/etc/passwd"])
    async def test_keeps_keys_inside(self, tmp_path: Path, key: str) -> None:
        with pytest.raises(ValueError, match="inside"):
            await FolderObjects(tmp_path / "objects").put(key, 1, pieces(b"a"))

    async def test_leaves_no_empty_folders(self, tmp_path: Path) -> None:
        objects = FolderObjects(tmp_path / "objects")
        await objects.put(KEY, 3, pieces(b"abc"))
        await objects.delete(PREFIX)
        assert list((tmp_path / "objects").iterdir()) == []


class TestS3:
    async def test_is_told_to_encrypt(self, bucket: Bucket) -> None:
        for size in (10, PART_BYTES + 10):
            objects = S3Objects(replace(bucket.place(), kms_key_id="alias/chat"))
            await objects.put(KEY, size, pieces(content_of(size)))
            head = bucket.client.head_object(Bucket=bucket.NAME, Key=KEY)
            assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/chat")
            plain = S3Objects(bucket.place("AES256"))
            await plain.put(KEY, size, pieces(content_of(size)))
            assert bucket.client.head_object(Bucket=bucket.NAME, Key=KEY)["ServerSideEncryption"] == "AES256"

    async def test_at_most_one_part_waits_in_memory(self, bucket: Bucket) -> None:
        """Counted where the bytes are asked for: nothing is asked for while a part is being written."""
        objects = bucket.objects()
        taken = written = most = 0
        send = objects._part

        async def counted() -> AsyncIterator[bytes]:
            nonlocal taken, most
            for _ in range(160):
                taken += 65_536
                most = max(most, taken - written)
                yield bytes(65_536)

        async def sent(key: str, upload_id: str, number: int, part: bytes) -> dict[str, object]:
            nonlocal written
            answer = await send(key, upload_id, number, part)
            written += len(part)
            return answer

        objects._part = sent  # type: ignore[method-assign]
        await objects.put(KEY, 160 * 65_536, counted())
        assert written == taken == 160 * 65_536
        assert most <= PART_BYTES + 65_536

    async def test_holds_nothing_that_it_could_read(self, bucket: Bucket, tmp_path: Path) -> None:
        library = Library(tmp_path, objects=bucket.objects())
        record = await library.adds(b"canary" * 100_000, "canary.txt")
        stored = bucket.client.get_object(Bucket=bucket.NAME, Key=record.prefix + "original")["Body"].read()
        assert b"canary" not in stored
        assert await library.reads(record) == b"canary" * 100_000
        assert await library.reads_part(record, 65_530, 65_550) == (b"canary" * 100_000)[65_530:65_550]
        assert (await library.media.download(record, "original")).link is None

    async def test_hands_out_links_of_60_seconds_where_sealing_is_off(self, bucket: Bucket, tmp_path: Path) -> None:
        library = Library(tmp_path, objects=bucket.objects(), sealing=False)
        record = await library.adds(b"open", "<x>.html")
        download = await library.media.download(record, "original")
        assert download.link is not None
        asked = {name: values[0] for name, values in parse_qs(urlsplit(download.link).query).items()}
        assert asked["X-Amz-Expires"] == "60"
        assert asked["response-content-type"] == "application/octet-stream"
        assert asked["response-content-disposition"].startswith("attachment;")
        async with aiohttp.ClientSession() as http, http.get(download.link) as answer:
            assert await answer.read() == b"open"
        assert await library.reads(record) == b"open"


class TestS3Dies:
    """Rows in the memory twin, objects in moto: what people see is what is there, whenever the line is cut."""

    @pytest.mark.parametrize("size", [1_000_000, 2 * PART_BYTES], ids=["one-request", "multipart"])
    @pytest.mark.parametrize("after", [1, 10, 100])
    async def test_in_the_middle_of_an_upload_no_row_is_seen_and_nothing_is_left_after_the_sweep(
        self, bucket: Bucket, tmp_path: Path, size: int, after: int
    ) -> None:
        objects = bucket.objects()
        library = Library(tmp_path, objects=objects)
        put = objects.put

        async def cut(key: str, size: int, parts: AsyncIterator[bytes]) -> None:
            async def until_then() -> AsyncIterator[bytes]:
                count = 0
                async for part in parts:
                    count += 1
                    if count == after:
                        bucket.dies()
                    yield part

            await put(key, size, until_then())

        objects.put = cut  # type: ignore[method-assign]
        died = after <= size // 65_536
        if died:
            with pytest.raises(StoreDown):
                await library.adds(content_of(size))
            bucket.comes_back()
        else:
            await library.adds(content_of(size))
        (row,) = library.store._media.values()  # type: ignore[attr-defined]
        assert (await library.media.find(row.id) is None) is died
        library.now += LATE_WRITES_FOR
        await library.media.sweep()
        assert (bucket.whole() == [] and bucket.unfinished() == []) is died
        assert (not library.store._media) is died  # type: ignore[attr-defined]

    async def test_between_a_picture_and_its_thumbnails(self, bucket: Bucket, tmp_path: Path) -> None:
        objects = bucket.objects()
        library = Library(tmp_path, objects=objects)
        put = objects.put

        async def cut(key: str, size: int, parts: AsyncIterator[bytes]) -> None:
            if key.endswith("320"):
                bucket.dies()
            await put(key, size, parts)

        objects.put = cut  # type: ignore[method-assign]
        with pytest.raises(StoreDown):
            await library.adds(pictures.saved(pictures.flag(), "PNG"))
        bucket.comes_back()
        assert len(bucket.whole()) == 2
        library.now += LATE_WRITES_FOR
        assert await library.media.sweep() == 1
        assert bucket.whole() == []

    async def test_while_things_are_deleted_they_stay_due(self, bucket: Bucket, tmp_path: Path) -> None:
        library = Library(tmp_path, objects=bucket.objects())
        record = await library.adds(b"x" * 1000)
        bucket.dies()
        await library.media.remove(record)
        assert await library.media.find(record.id) is None
        assert await library.media.sweep() == 0
        bucket.comes_back()
        assert await library.media.sweep() == 1
        assert bucket.whole() == []

    async def test_a_download_is_refused_as_something_to_try_again(self, bucket: Bucket, tmp_path: Path) -> None:
        library = Library(tmp_path, objects=bucket.objects())
        record = await library.adds(b"x" * 1000)
        bucket.dies()
        with pytest.raises(StoreDown) as refused:
            await library.reads(record)
        bucket.comes_back()
        assert (refused.value.status, refused.value.retryable) == (503, True)
        assert await library.reads(record) == b"x" * 1000


class TestTheSweep:
    async def test_takes_what_nobody_sent_after_a_day(self, library: Library) -> None:
        record = await library.adds(b"x")
        library.pass_hours(23.9)
        assert await library.media.sweep() == 0
        assert await library.reads(record) == b"x"
        library.pass_hours(0.2)
        assert await library.media.sweep() == 1
        assert await library.keys() == []
        assert await library.media.find(record.id) is None

    async def test_takes_what_a_killed_process_left(self, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
        """Killed after the objects were written: the row stays as it was at that moment."""

        async def killed(record: object) -> bool:
            raise KeyboardInterrupt

        async def nothing(*_: object) -> None:
            return None

        monkeypatch.setattr(library.store, "finished", killed)
        monkeypatch.setattr(library.store, "abandon", nothing)
        with pytest.raises(KeyboardInterrupt):
            await library.adds(b"x")
        assert len(await library.keys()) == 1
        assert await library.media.sweep() == 0
        library.now += UPLOADING_FOR
        assert await library.media.sweep() == 1
        assert await library.keys() == []

    async def test_a_group_deleted_during_an_upload_takes_it_along(self, library: Library) -> None:
        finished = library.store.finished

        async def deleted_meanwhile(record: object) -> bool:
            await library.media.erase_group(GROUP, [])
            await library.media.sweep()
            return await finished(record)  # type: ignore[arg-type]

        library.store.finished = deleted_meanwhile  # type: ignore[assignment,method-assign]
        with pytest.raises(NotFound):
            await library.adds(b"x")
        library.now += LATE_WRITES_FOR
        await library.media.sweep()
        assert await library.keys() == []

    async def test_shredded_keys_make_everything_unreadable_at_once(self, library: Library) -> None:
        record = await library.adds(b"x" * 100)
        await library.vault.shred(GROUP)
        with pytest.raises(NotFound):
            await library.reads(record)
        assert await library.media.cards([record.id]) == {}
