"""Objects as files under CHATCORE_HOME: for one machine."""

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from chatcore.media.objects import ObjectMissing, StoreDown
from chatcore.media.sealing import Pieces

P = ParamSpec("P")
T = TypeVar("T")
READ_BYTES = 131_104  # two sealed chunks
UNFINISHED = ".part"
CREATE_ATTEMPTS = 5


class FolderObjects:
    """`root/group/media/variant`. Folders and files are the owner's alone."""

    def __init__(self, root: Path):
        self._root = root

    async def put(self, key: str, size: int, pieces: Pieces) -> None:
        path = self._path(key)
        part = path.with_name(path.name + UNFINISHED)
        descriptor = await _in_thread(_create, part)
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    await _in_thread(_write_all, descriptor, piece)
            await _in_thread(os.fsync, descriptor)
            await _in_thread(_appear, part, path)
        finally:
            os.close(descriptor)

    async def read(self, key: str, start: int, stop: int) -> Pieces:
        try:
            descriptor = await _in_thread(os.open, self._path(key), os.O_RDONLY)
        except FileNotFoundError:
            raise ObjectMissing(key) from None
        try:
            while start < stop:
                piece = await _in_thread(os.pread, descriptor, min(READ_BYTES, stop - start), start)
                if not piece:
                    return
                yield piece
                start += len(piece)
        finally:
            os.close(descriptor)

    async def delete(self, prefix: str) -> None:
        await _in_thread(self._delete, self._path(prefix))

    def _delete(self, folder: Path) -> None:
        if folder.exists():
            shutil.rmtree(folder)
        with suppress(OSError):  # the group's folder, where this was the last in it
            folder.parent.rmdir()

    async def keys(self, prefix: str) -> list[str]:
        return await _in_thread(self._keys, prefix)

    def _keys(self, prefix: str) -> list[str]:
        found = self._root.rglob("*") if self._root.exists() else []
        keys = [path.relative_to(self._root).as_posix() for path in found if path.is_file()]
        return sorted(key for key in keys if key.startswith(prefix))

    async def presigned(self, key: str, *, seconds: int, content_type: str, disposition: str) -> str | None:
        return None

    async def check(self) -> None:
        await _in_thread(lambda: self._root.mkdir(parents=True, exist_ok=True, mode=0o700))

    async def close(self) -> None:
        return None

    def _path(self, key: str) -> Path:
        path = self._root / key
        if ".." in path.parts or not path.is_relative_to(self._root):
            raise ValueError("a key stays inside its folder")
        return path


async def _in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return await asyncio.to_thread(call, *args, **kwargs)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreDown from error


def _create(path: Path) -> int:
    """A deletion may take the group's empty folder away in between: then it is made again."""
    for _ in range(CREATE_ATTEMPTS):
        with suppress(FileNotFoundError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    raise StoreDown


def _write_all(descriptor: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]


def _appear(part: Path, path: Path) -> None:
    """The name appears at once, and stays after a power cut: the folders up to the group's are synced too."""
    part.replace(path)
    for folder in (path.parent, path.parent.parent, path.parent.parent.parent):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
