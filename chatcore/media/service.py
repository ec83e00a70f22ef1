"""Uploads from the first byte to the last sweep. Nothing here asks who may; `messages/attachments.py` does."""

import asyncio
import base64
import json
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from chatcore.contract.messages import MediaMetadata
from chatcore.errors import Conflict, Invalid, NotFound, RateLimited, Unavailable
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Change
from chatcore.logs import get_logger
from chatcore.media.clamd import Clamd
from chatcore.media.decoding import Decoded, ImageDecoder, looks_like_image
from chatcore.media.names import disposition, safe_name
from chatcore.media.objects import ObjectMissing, ObjectStore, StoreDown
from chatcore.media.records import Kind, MediaRecord, Variant, media_place
from chatcore.media.sealing import ChunkSeal, Pieces, Span, new_key, opened_span, sealed_chunks, sealed_size
from chatcore.media.spool import Spool
from chatcore.media.store import TAKEN, MediaStore
from chatcore.vault.envelope import SealBroken
from chatcore.vault.service import Vault

log = get_logger("media")
ANY_FILE: Final = "application/octet-stream"
THUMBNAIL_TYPE: Final = "image/webp"
STORE_SECONDS: Final = 120.0
UPLOADING_FOR: Final = timedelta(hours=1)  # after a crash; a living upload is stored, or given up, within minutes
UNSENT_FOR: Final = timedelta(hours=24)
LATE_WRITES_FOR: Final = timedelta(minutes=5)  # a write that we gave up on may land, until its own time-out
SWEEP_SECONDS: Final = 60.0
SWEPT_AT_ONCE: Final = 500
UPLOADS_AT_ONCE, UPLOADS_OF_ONE = 32, 4
PRESIGNED_SECONDS: Final = 60

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the row holds sealed: the key of the objects, and the name the upload came with, made safe."""

    key: bytes
    name: str


@dataclass(frozen=True, slots=True)
class MediaCard:
    """How a message shows it."""

    url: str
    metadata: MediaMetadata


@dataclass(frozen=True, slots=True)
class Download:
    """An object ready to be read: `read` from any byte to any other, or fetch `link` where the store made one."""

    size: int
    content_type: str
    disposition: str
    etag: str
    read: Callable[[int, int], Pieces]
    link: str | None = None


class Media:
    """`max_bytes` bounds an upload. With `sealing` off the objects are stored as they are, names are sealed anyway."""

    def __init__(
        self,
        *,
        store: MediaStore,
        objects: ObjectStore,
        vault: Vault,
        clock: Clock,
        spool_folder: Path,
        max_bytes: int,
        sealing: bool = True,
        scanner: Clamd | None = None,
        decoder: ImageDecoder | None = None,
    ):
        self._store = store
        self.objects = objects
        self._vault = vault
        self._clock = clock
        self._spool_folder = spool_folder
        self.max_bytes = max_bytes
        self._sealing = sealing
        self._scanner = scanner
        self._decoder = decoder or ImageDecoder(spool_folder, max_bytes=max_bytes)
        self._under_way: dict[str, int] = {}

    # --- taking in

    def spool(self) -> Spool:
        """For the bytes of one upload, as they come."""
        return Spool(self._spool_folder, self.max_bytes)

    def turn(self, uploader_id: str) -> "_Turn":
        """Held while an upload is under way. Raises RateLimited where too many are, of this person or in all."""
        return _Turn(self._under_way, uploader_id)

    async def add(self, group_id: str, uploader_id: str, name: str | None, spool: Spool) -> MediaRecord:
        """Scan, look inside, seal, store. What comes back can be seen by its uploader and sent once.

        Raises Invalid, UnsupportedMedia or PayloadTooLarge as the file deserves, and Unavailable where a part is down:
        then there is no row that anybody sees, and what was written already is swept.
        """
        if spool.size == 0:
            raise Invalid("The file is empty", field="file")
        if self._scanner is not None:
            await self._scanner.require_clean(spool.chunks())
        async with AsyncExitStack() as stack:
            picture = await self._decoder.decode(spool, stack) if looks_like_image(spool.head) else None
            return await self._keep(group_id, uploader_id, name, spool, picture)

    async def _keep(
        self, group_id: str, uploader_id: str, name: str | None, spool: Spool, picture: Decoded | None
    ) -> MediaRecord:
        """The row comes first, unseen: whatever happens from here on, the sweep knows where to look."""
        now = self._clock()
        parts: dict[Variant, Spool] = dict(picture.parts) if picture else {"original": spool}
        kind: Kind = "image" if picture else "file"
        content_type = picture.content_type if picture else ANY_FILE
        secrets = Secrets(new_key(), safe_name(name, content_type))
        media_id = new_id(now)
        record = MediaRecord(
            id=media_id,
            group_id=group_id,
            uploader_id=uploader_id,
            created_at=now,
            kind=kind,
            content_type=content_type,
            size=parts["original"].size,
            sealed=(await self._vault.key_of(group_id)).seal(
                media_place(group_id, media_id, uploader_id), _packed(secrets)
            ),
            sealing=self._sealing,
            variants={variant: part.size for variant, part in parts.items()},
            width=picture.width if picture else None,
            height=picture.height if picture else None,
            sweep_at=now + UPLOADING_FOR,
        )
        await self._store.add(record)
        try:
            async with asyncio.timeout(STORE_SECONDS):
                for variant, part in parts.items():
                    await self._put(record, variant, secrets.key, part)
            ready = replace(record, state="ready", sweep_at=self._clock() + UNSENT_FOR)
            if not await self._store.finished(ready):
                raise NotFound("The group of this upload is gone")
        except BaseException as error:
            with suppress(Unavailable):  # then the row stays `uploading`, which the sweep takes up in an hour
                await self._store.abandon(record, self._clock() + LATE_WRITES_FOR)
            if isinstance(error, TimeoutError):
                raise StoreDown from error
            raise
        return ready

    async def _put(self, record: MediaRecord, variant: Variant, key: bytes, part: Spool) -> None:
        seal = ChunkSeal(key, record.group_id, record.id, variant)
        pieces = sealed_chunks(seal, part.size, part.chunks()) if record.sealing else part.chunks()
        size = sealed_size(part.size) if record.sealing else part.size
        await self.objects.put(record.prefix + variant, size, pieces)

    # --- looking at

    async def find(self, media_id: str) -> MediaRecord | None:
        """None also for what is still being uploaded, or gone."""
        record = (await self._store.by_ids([media_id])).get(media_id)
        return record if record is not None and record.state == "ready" else None

    async def cards(self, media_ids: Collection[str]) -> dict[str, MediaCard]:
        """One look-up for a page of messages. What is gone, or whose seal is broken, is missing."""
        cards: dict[str, MediaCard] = {}
        for record in (await self._store.by_ids(media_ids)).values() if media_ids else ():
            if record.state == "ready" and (card := await self.card(record)) is not None:
                cards[record.id] = card
        return cards

    async def card(self, record: MediaRecord) -> MediaCard | None:
        try:
            secrets = await self._secrets(record)
        except SealBroken:
            log.error("media_seal_broken", group=record.group_id)
            return None
        path = f"/api/media/{record.id}"
        ending = secrets.name.rpartition(".")[2] if record.kind == "image" else "bin"
        return MediaCard(
            url=f"{path}/download",
            metadata=MediaMetadata(
                filename=f"{record.id}.{ending}",
                original_filename=secrets.name,
                content_type=record.content_type,
                size=record.size,
                width=record.width,
                height=record.height,
                thumbnail_url=f"{path}/thumbnail?size=320" if record.kind == "image" else None,
            ),
        )

    async def download(self, record: MediaRecord, variant: Variant) -> Download:
        """Raises NotFound where the keys are gone or the object is, which the log tells apart."""
        try:
            secrets = await self._secrets(record)
        except SealBroken:
            log.error("media_seal_broken", group=record.group_id)
            raise NotFound("This upload cannot be read any more") from None
        original = variant == "original"
        content_type = record.content_type if original else THUMBNAIL_TYPE
        header = disposition(secrets.name if original else f"{record.id}-{variant}.webp", inline=record.kind == "image")
        key, size = record.prefix + variant, record.variants[variant]

        def read(start: int, stop: int) -> Pieces:
            if not record.sealing:
                return _exactly(stop - start, self.objects.read(key, start, stop))
            span = Span(start, stop, size)
            pieces = self.objects.read(key, span.sealed_start, span.sealed_stop)
            return opened_span(ChunkSeal(secrets.key, record.group_id, record.id, variant), span, pieces)

        link = None
        if not record.sealing and not self._sealing:  # where it was off once, the server hands out what is from then
            link = await self.objects.presigned(
                key, seconds=PRESIGNED_SECONDS, content_type=content_type, disposition=header
            )
        return Download(size, content_type, header, f'"{record.id}-{variant}"', read, link)

    async def sample_link(self) -> str | None:
        """A link as downloads get them, to nothing; None where the server itself hands everything out."""
        if self._sealing:
            return None
        return await self.objects.presigned("none", seconds=1, content_type=ANY_FILE, disposition="attachment")

    async def _secrets(self, record: MediaRecord) -> Secrets:
        return _unpacked(await self._vault.open(record.place, record.sealed))

    # --- sending and deleting

    def attached(self, record: MediaRecord, message_id: str) -> Change:
        """Part of the transaction that stores the message: an upload is of one message, or of none."""
        return self._store.attached(record, message_id)

    def due(self, media_id: str, at: datetime) -> Change:
        """Part of the transaction that deletes the message: its objects go when its content does."""
        return self._store.due(media_id, at)

    async def remove(self, record: MediaRecord) -> None:
        """Of an upload that was not sent. Raises Conflict where it was in the meantime."""
        if not await self._store.give_up(record.id, self._clock()):
            raise Conflict(TAKEN)
        try:
            await self._erase(record)
        except StoreDown:
            return  # nobody sees it any more, and the sweep tries again

    async def erase_group(self, group_id: str, message_ids: Sequence[str]) -> None:
        """Everything of a group, sent or not; the objects go with the next sweep, and their keys are gone already."""
        await self._store.give_up_group(group_id, self._clock())

    async def sweep(self) -> int:
        """Delete what is due, objects first; how many there were. What the store refuses now is tried again later."""
        swept = 0
        for record in await self._store.take_due(self._clock(), SWEPT_AT_ONCE):
            try:
                await self._erase(record)
            except (StoreDown, ObjectMissing) as error:
                log.warning("media_not_swept", error=type(error).__name__)
                continue
            swept += 1
        return swept

    async def _erase(self, record: MediaRecord) -> None:
        await self.objects.delete(record.prefix)
        await self._store.forget([record.id])

    async def check(self) -> None:
        """Raises Unavailable where the object store or the scanner does not answer."""
        await self.objects.check()
        if self._scanner is not None:
            await self._scanner.check()


class _Turn:
    """Counts uploads under way, by person."""

    def __init__(self, under_way: dict[str, int], uploader_id: str):
        self._under_way = under_way
        self._uploader_id = uploader_id

    def __enter__(self) -> None:
        mine = self._under_way.get(self._uploader_id, 0)
        if mine >= UPLOADS_OF_ONE or sum(self._under_way.values()) >= UPLOADS_AT_ONCE:
            raise RateLimited("Too many uploads are under way; wait for one to end", retry_after_ms=1_000)
        self._under_way[self._uploader_id] = mine + 1

    def __exit__(self, *_: object) -> None:
        left = self._under_way[self._uploader_id] - 1
        if left:
            self._under_way[self._uploader_id] = left
        else:
            del self._under_way[self._uploader_id]


async def _exactly(size: int, pieces: Pieces) -> Pieces:
    """Raises ObjectMissing where they are fewer."""
    async with aclosing(pieces):
        async for piece in pieces:
            size -= len(piece)
            yield piece
    if size:
        raise ObjectMissing("a stored object ends early")


def _packed(secrets: Secrets) -> bytes:
    return json.dumps({"key": base64.b64encode(secrets.key).decode(), "name": secrets.name}).encode()


def _unpacked(packed: bytes) -> Secrets:
    fields = json.loads(packed)
    return Secrets(base64.b64decode(fields["key"]), fields["name"])
