"""Bytes of images and files over HTTP: uploads as they come, downloads in ranges. No command: these stream."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Final

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from chatcore.api import Services
from chatcore.contract.groups import GroupPath
from chatcore.contract.media import MediaPath, Thumbnail
from chatcore.errors import Invalid, NotFound, PayloadTooLarge, RangeNotSatisfiable, UnknownField, UnsupportedMedia
from chatcore.limits import Bucket
from chatcore.logs import get_logger
from chatcore.media.objects import ObjectMissing, StoreDown
from chatcore.media.sealing import Pieces
from chatcore.media.service import Download
from chatcore.media.spool import Spool
from chatcore.messages.attachments import Attachments
from chatcore.ports import Caller
from chatcore.transport.failures import parse
from chatcore.vault.envelope import SealBroken

log = get_logger("media")
READ_BYTES: Final = 65_536
FORM_BYTES: Final = 16_384  # boundaries, headers and the field groupId
FIELD_BYTES: Final = 64
PIECE_SECONDS, UPLOAD_SECONDS, DOWNLOAD_SECONDS = 30.0, 900.0, 900.0
MAX_PARTS: Final = 4
PLAIN_ENCODINGS: Final = frozenset(("", "binary", "8bit", "7bit"))
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")
DOWNLOAD_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",  # kept by the browser, asked for again each time: members come and go
    "Accept-Ranges": "bytes",
}

Admit = Callable[[web.Request, Bucket], Awaitable[Caller]]
AddHeaders = Callable[[web.Request, web.StreamResponse], None]


class MediaRoutes:
    """`admit` signs the caller in and counts the request; `add_headers` completes an answer that starts to stream."""

    def __init__(self, services: Services, *, admit: Admit, add_headers: AddHeaders):
        self._services = services
        self._admit = admit
        self._add_headers = add_headers

    @property
    def _attachments(self) -> Attachments:
        return self._services.attachments

    def add_routes(self, app: web.Application, prefix: str) -> None:
        app.router.add_post(f"{prefix}/media/upload", self._upload)
        app.router.add_get(f"{prefix}/media/{{mediaId}}/download", self._download)
        app.router.add_get(f"{prefix}/media/{{mediaId}}/thumbnail", self._thumbnail)

    # --- in

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        caller = await self._admit(request, "upload")
        if request.content_type != "multipart/form-data":
            raise UnsupportedMedia("Send multipart/form-data with the fields groupId and file")
        media = self._attachments.media
        if request.content_length is not None and request.content_length > media.max_bytes + FORM_BYTES:
            raise PayloadTooLarge(f"A file may have {media.max_bytes} bytes at most", field="file")
        with media.turn(caller.user_id), media.spool() as spool:
            group_id, name = await self._read_form(request, caller, spool)
            added = await self._attachments.upload(caller, group_id, name, spool)
        return web.Response(body=added.wire_json(), status=201, content_type="application/json")

    async def _read_form(self, request: web.Request, caller: Caller, spool: Spool) -> tuple[str, str | None]:
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                form = _Form(await request.multipart(), spool)
                async for name in form.fields():
                    if name == "groupId":  # where it comes first, a stranger's file is not even read
                        await self._attachments.require_may_upload(caller, form.group_id)
        except TimeoutError:
            raise Invalid("The upload takes too long") from None
        except (ConnectionError, web.RequestPayloadError):
            raise Invalid("The upload was broken off") from None
        except (ValueError, AssertionError, HttpProcessingError):
            raise Invalid("The body is no multipart form") from None
        return form.whole()

    # --- out

    async def _download(self, request: web.Request) -> web.StreamResponse:
        caller = await self._admit(request, "read")
        asked = parse(MediaPath, dict(request.match_info) | dict(request.query))
        return await self._send(request, await self._attachments.original(caller, asked))

    async def _thumbnail(self, request: web.Request) -> web.StreamResponse:
        caller = await self._admit(request, "read")
        asked = parse(Thumbnail, dict(request.match_info) | dict(request.query))
        return await self._send(request, await self._attachments.thumbnail(caller, asked))

    async def _send(self, request: web.Request, download: Download) -> web.StreamResponse:
        if download.link is not None:
            return web.Response(status=302, headers={"Location": download.link, "Cache-Control": "no-store"})
        headers = DOWNLOAD_HEADERS | {"ETag": download.etag}
        if download.etag in [each.strip() for each in request.headers.get("If-None-Match", "").split(",")]:
            return web.Response(status=304, headers=headers)
        part = _part(request, download)
        headers |= {"Content-Type": download.content_type, "Content-Disposition": download.disposition}
        response = web.StreamResponse(status=200 if part is None else 206, headers=headers)
        start, stop = part or (0, download.size)
        if part is not None:
            response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{download.size}"
        response.content_length = stop - start
        self._add_headers(request, response)
        if request.method == "HEAD":
            await response.prepare(request)
            return response
        return await _stream(request, response, download.read(start, stop))


class _Form:
    """The fields `groupId` and `file`, once each and in any order."""

    def __init__(self, reader: MultipartReader, spool: Spool):
        self._reader = reader
        self._spool = spool
        self._seen: set[str] = set()
        self._name: str | None = None
        self.group_id = ""

    async def fields(self) -> AsyncIterator[str]:
        """The name of each field, once it was read."""
        for _ in range(MAX_PARTS):
            async with asyncio.timeout(PIECE_SECONDS):
                part = await self._reader.next()
            if part is None:
                return
            yield await self._take(part)
        raise Invalid("The form has more fields than groupId and file")

    async def _take(self, part: MultipartReader | BodyPartReader) -> str:
        if not isinstance(part, BodyPartReader):
            raise Invalid("A form within a form is not taken")
        name = part.name or ""
        if name not in ("groupId", "file"):
            raise UnknownField("The form has a field other than groupId and file")
        if name in self._seen:
            raise Invalid(f"{name} is given more than once", field=name)
        if "Content-Encoding" in part.headers or (
            part.headers.get("Content-Transfer-Encoding", "").lower() not in PLAIN_ENCODINGS
        ):
            raise UnsupportedMedia("Send the fields as they are, without an encoding", field=name)
        self._seen.add(name)
        await (self._take_group(part) if name == "groupId" else self._take_file(part))
        return name

    async def _take_group(self, part: BodyPartReader) -> None:
        value = b""
        async for piece in _pieces(part):
            value += piece
            if len(value) > FIELD_BYTES:
                raise Invalid("groupId is too long", field="groupId")
        self.group_id = parse(GroupPath, {"groupId": value.decode("utf-8", "replace")}).group_id

    async def _take_file(self, part: BodyPartReader) -> None:
        self._name = _as_named(part.filename)
        async for piece in _pieces(part):
            await self._spool.write(piece)
        await self._spool.finish()

    def whole(self) -> tuple[str, str | None]:
        for name in ("groupId", "file"):
            if name not in self._seen:
                raise Invalid(f"The form has no field {name}", field=name)
        return self.group_id, self._name


def _as_named(filename: str | None) -> str | None:
    """Browsers write these three in percent and everything else as it is (HTML, 4.10.21.8)."""
    for written, meant in (("%22", '"'), ("%0D", "\r"), ("%0A", "\n")):
        filename = filename.replace(written, meant) if filename else filename
    return filename


async def _pieces(part: BodyPartReader) -> AsyncIterator[bytes]:
    """A client that stops sending is not waited for."""
    while True:
        async with asyncio.timeout(PIECE_SECONDS):
            piece = await part.read_chunk(READ_BYTES)
        if not piece:
            return
        yield piece


def _part(request: web.Request, download: Download) -> tuple[int, int] | None:
    """The one range that is asked for, as start and stop; None for the whole, also where the header is no such range
    or meant for another version (RFC 9110, 14.2). Raises RangeNotSatisfiable."""
    asked = _RANGE.match(request.headers.get("Range", ""))
    if asked is None or not any(asked.groups()) or request.headers.get("If-Range", download.etag) != download.etag:
        return None
    first, last = asked.groups()
    if first:
        start, stop = int(first), min(int(last) + 1 if last else download.size, download.size)
        if last and int(last) < start:
            return None
    else:
        start, stop = max(0, download.size - int(last)), download.size
    if start >= download.size or start >= stop:
        raise RangeNotSatisfiable(f"The file has {download.size} bytes")
    return start, stop


async def _stream(request: web.Request, response: web.StreamResponse, pieces: Pieces) -> web.StreamResponse:
    """The first piece is read before anything is promised; what fails later cuts the connection, as nothing else tells
    a client that half a file is not the whole."""
    async with aclosing(pieces):
        try:
            async with asyncio.timeout(DOWNLOAD_SECONDS):
                first = await anext(pieces)
                await response.prepare(request)
                await response.write(first)
                async for piece in pieces:
                    await response.write(piece)
                await response.write_eof()
        except (SealBroken, ObjectMissing, StoreDown, TimeoutError) as error:
            if not isinstance(error, TimeoutError):
                log.error("media_unreadable", error=type(error).__name__)
            if response.prepared:
                if request.transport is not None:
                    request.transport.abort()
                return response
            if isinstance(error, StoreDown):
                raise
            raise NotFound("This upload cannot be read any more") from None
    return response
