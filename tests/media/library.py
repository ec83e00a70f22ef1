"""The media service alone, and people who upload over HTTP."""

from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from chatcore.journal.rows import Change
from chatcore.media.clamd import Clamd
from chatcore.media.folder import FolderObjects
from chatcore.media.objects import ObjectStore
from chatcore.media.records import MediaRecord, Variant
from chatcore.media.service import Media
from chatcore.media.spool import Spool
from chatcore.media.store import MediaStore, MemoryMediaStore
from chatcore.vault.master import MasterKeys
from chatcore.vault.service import Vault
from chatcore.vault.store import MemoryKeyStore
from tests.memory import START
from tests.talking import Answer, Person

GROUP, OTHER_GROUP = "a" * 24, "b" * 24
LIMIT = 12 * 1024 * 1024


class Library:
    """Uploads without groups and messages, on a clock that moves when told."""

    def __init__(
        self,
        folder: Path,
        *,
        objects: ObjectStore | None = None,
        store: MediaStore | None = None,
        sealing: bool = True,
        scanner: Clamd | None = None,
        max_bytes: int = LIMIT,
    ):
        self.now = START
        self.folder = folder
        self.objects = objects or FolderObjects(folder / "objects")
        self.store = store or MemoryMediaStore()
        self.vault = Vault(MasterKeys({"k1": b"m" * 32}), MemoryKeyStore())
        self.media = Media(
            store=self.store,
            objects=self.objects,
            vault=self.vault,
            clock=self._clock,
            spool_folder=folder / "spool",
            max_bytes=max_bytes,
            sealing=sealing,
            scanner=scanner,
        )

    def _clock(self) -> datetime:
        return self.now

    def pass_hours(self, hours: float) -> None:
        self.now += timedelta(hours=hours)

    async def spooled(self, content: bytes, piece: int = 10_000) -> Spool:
        spool = self.media.spool()
        for start in range(0, len(content), piece):
            await spool.write(content[start : start + piece])
        await spool.finish()
        return spool

    async def adds(self, content: bytes, name: str | None = "it.bin", group_id: str = GROUP) -> MediaRecord:
        with await self.spooled(content) as spool:
            return await self.media.add(group_id, "ana", name, spool)

    async def reads(self, record: MediaRecord, variant: Variant = "original") -> bytes:
        return await self.reads_part(record, 0, record.variants[variant], variant)

    async def reads_part(self, record: MediaRecord, start: int, stop: int, variant: Variant = "original") -> bytes:
        download = await self.media.download(record, variant)
        return b"".join([piece async for piece in download.read(start, stop)])

    async def names(self, record: MediaRecord) -> str:
        card = await self.media.card(record)
        assert card is not None
        return card.metadata.original_filename

    async def keys(self) -> list[str]:
        return await self.objects.keys("")


async def committed(*changes: Change) -> None:
    """As a transaction of the memory twin."""
    for change in changes:
        await change(None, ())


async def pieces(content: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def a_form(content: bytes, group_id: str, name: str = "it.bin", *, file_first: bool = False) -> aiohttp.MultipartWriter:
    form = aiohttp.MultipartWriter("form-data")

    def add_file() -> None:
        part = form.append(content, {"Content-Type": "application/octet-stream"})  # type: ignore[arg-type]
        part.set_content_disposition("form-data", quote_fields=False, name="file", filename=name)

    def add_group() -> None:
        form.append(group_id).set_content_disposition("form-data", name="groupId")

    steps: Iterable[Any] = (add_file, add_group) if file_first else (add_group, add_file)
    for step in steps:
        step()
    return form


async def uploads(person: Person, group_id: str, content: bytes, name: str = "it.bin", **more: Any) -> Answer:
    return await person.rest("POST", "/media/upload", data=a_form(content, group_id, name, **more))


async def uploaded(person: Person, group_id: str, content: bytes, name: str = "it.bin") -> dict[str, Any]:
    answer = await uploads(person, group_id, content, name)
    assert answer.status == 201, (answer.status, answer.body)
    body: dict[str, Any] = answer.body
    return body
