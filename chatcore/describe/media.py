"""The routes that carry bytes of images and files."""

from collections.abc import Iterator
from typing import Final

from chatcore.describe.examples import Examples
from chatcore.describe.refusals import SIGN_IN, WITH_BODY, Refusal, ordered
from chatcore.describe.responses import content, problems, rate, rate_words
from chatcore.describe.shapes import Schema
from chatcore.errors import NotFound, RangeNotSatisfiable
from chatcore.limits import Bucket

_ID: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{24}$", "minLength": 24, "maxLength": 24}
_MEDIA_ID: Final[Schema] = {
    "name": "mediaId",
    "in": "path",
    "required": True,
    "description": "The `_id` of an upload.",
    "schema": _ID,
    "example": "65f1a2b3c4d5e6f708192a40",
}
_RANGE: Final[Schema] = {
    "name": "Range",
    "in": "header",
    "description": "One range of bytes. Anything else is answered with the whole.",
    "schema": {"type": "string"},
    "example": "bytes=0-65535",
}
_SIZE: Final[Schema] = {
    "name": "size",
    "in": "query",
    "required": False,
    "description": "The longest side in pixels. Pictures are never enlarged.",
    "schema": {"type": "string", "enum": ["320", "1280"], "default": "320"},
    "example": "320",
}
_BYTES: Final[Schema] = {"schema": {"type": "string", "format": "binary"}}
_IMAGES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")


def media_routes(examples: Examples) -> Iterator[tuple[str, str, Schema]]:
    yield "/api/media/upload", "post", _upload(examples)
    originals = (*_IMAGES, "application/octet-stream")
    words = "The image or file itself: to its uploader, and once it is sent to whoever sees the message."
    yield "/api/media/{mediaId}/download", "get", _download("download_media", words, originals, [], examples)
    words = "A small WebP of an image, for the same people."
    yield "/api/media/{mediaId}/thumbnail", "get", _download("thumbnail", words, ("image/webp",), [_SIZE], examples)


def _upload(examples: Examples) -> Schema:
    refused: list[Refusal] = [*SIGN_IN, *WITH_BODY, NotFound]
    created = {"201": {"description": "Created", "content": {"application/json": _media(examples)}}}
    form: Schema = {
        "type": "object",
        "properties": {
            "groupId": _ID | {"description": "The group in which it will be sent. Best before `file`."},
            "file": {"type": "string", "contentMediaType": "application/octet-stream"},
        },
        "required": ["groupId", "file"],
        "additionalProperties": False,
    }
    described = _route("upload_media", "Upload an image or file, to be sent within a day.", "upload")
    described["description"] = (
        "What it is, is found by looking into it. Images are cleaned of everything beside the picture and turned "
        f"upright. Rate: {rate_words('upload')}."
    )
    described["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": form}}}
    return {**described, "responses": created | problems(ordered(refused), examples)}


def _download(name: str, words: str, types: tuple[str, ...], query: list[Schema], examples: Examples) -> Schema:
    refused: list[Refusal] = [*SIGN_IN, NotFound, RangeNotSatisfiable]
    answers = {
        "200": {"description": "The whole", "content": dict.fromkeys(types, _BYTES)},
        "206": {"description": "The range that was asked for", "content": dict.fromkeys(types, _BYTES)},
        "302": {"description": "A link of 60 s into S3, only where `MEDIA_SEALING=off`"},
        "304": {"description": "The client has it already (`If-None-Match`)"},
    }
    described = _route(name, words, "read")
    described["description"] = f"Rate: {rate_words('read')}."
    described["parameters"] = [_MEDIA_ID, *query, _RANGE]
    return {**described, "responses": answers | problems(ordered(refused), examples)}


def _route(name: str, words: str, bucket: Bucket) -> Schema:
    return {"operationId": name, "tags": ["media"], "summary": words, "x-rate": rate(bucket)}


def _media(examples: Examples) -> Schema:
    return content("Media", examples.of("Media"))
