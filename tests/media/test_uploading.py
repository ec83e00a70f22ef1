"""The way in: how much is held, how many at once, and what is left where it fails."""

import os
import tracemalloc
from pathlib import Path

import pytest

from chatcore.errors import Invalid, PayloadTooLarge, RateLimited, Unavailable
from chatcore.media.service import UPLOADS_AT_ONCE, UPLOADS_OF_ONE
from chatcore.media.spool import Spool
from tests.media import pictures
from tests.media.library import Library

MIB = 1024 * 1024


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class TestMemory:
    """What Python itself holds, counted by its allocator: the same on every machine."""

    @pytest.mark.parametrize("picture", [False, True], ids=["file", "image"])
    async def test_ten_mebibytes_are_held_a_few_chunks_at_a_time(self, library: Library, picture: bool) -> None:
        content = pictures.noise((2_000, 1_740)) if picture else bytes(10 * MIB)
        assert len(content) > 9 * MIB
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            record = await library.adds(content, "x")
            download = await library.media.download(record, "original")
            assert sum([len(piece) async for piece in download.read(0, record.size)]) == record.size
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak - before < 2 * MIB

    async def test_a_spool_never_holds_more_than_two_chunks(self, tmp_path: Path) -> None:
        with Spool(tmp_path, 10 * MIB) as spool:
            for _ in range(100):
                await spool.write(bytes(65_536))
                assert len(spool._waiting) <= 65_536
            await spool.finish()
            assert [len(chunk) async for chunk in spool.chunks()] == [65_536] * 100


class TestTheSpool:
    @pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
    async def test_gives_back_what_it_got(self, library: Library, size: int) -> None:
        content = os.urandom(size)
        for piece in (1_000, 70_000):
            with await library.spooled(content, piece) as spool:
                assert b"".join([chunk async for chunk in spool.chunks()]) == content
                assert (spool.size, spool.head) == (size, content[:32])

    async def test_has_no_name_on_the_disk_and_is_sealed_there(self, library: Library) -> None:
        with await library.spooled(b"canary" * 50_000) as spool:
            assert spool._file is not None
            assert [path for path in library.folder.rglob("*") if path.is_file()] == []
            assert b"canary" not in os.pread(spool._file.fileno(), 400_000, 0)

    async def test_stops_at_its_limit(self, library: Library) -> None:
        with library.media.spool() as spool:
            await spool.write(bytes(library.media.max_bytes))
            with pytest.raises(PayloadTooLarge):
                await spool.write(b"x")

    async def test_says_so_where_the_disk_takes_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "spool").write_text("a file where the folder should be")
        with Spool(tmp_path / "spool", 100) as spool, pytest.raises(Unavailable):
            await spool.finish()


async def test_an_empty_file_is_refused(library: Library) -> None:
    with pytest.raises(Invalid, match="empty"):
        await library.adds(b"")


async def test_nothing_stays_open_after_uploads_of_all_kinds(library: Library) -> None:
    await library.adds(b"x")
    before = open_files()
    for content in (b"x" * 100_000, pictures.photo(), b"\xff\xd8\xff", b""):
        try:
            await library.reads(await library.adds(content))
        except Invalid:
            continue
    assert open_files() == before


def test_uploads_at_once_are_counted_for_each_person_and_in_all(library: Library) -> None:
    turns = []
    for person in range(UPLOADS_AT_ONCE // UPLOADS_OF_ONE):
        for _ in range(UPLOADS_OF_ONE):
            turns.append(library.media.turn(f"p{person}"))
            turns[-1].__enter__()
        with pytest.raises(RateLimited), library.media.turn(f"p{person}"):
            pass
    with pytest.raises(RateLimited), library.media.turn("one more"):
        pass
    turns.pop().__exit__()
    with library.media.turn("one more"):
        pass
    for turn in turns:
        turn.__exit__()
    assert not library.media._under_way
