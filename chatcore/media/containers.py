"""Animated pictures, rewritten block by block: the pictures stay as they are, everything else is left out.

Drawing an animation anew would lose colours (GIF) or quality (WebP). So only the blocks that make the picture are
copied; comments, EXIF, XMP, colour profiles, unknown blocks and whatever follows the end are gone. The caller has
decoded every frame before, and decodes the result again.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT: Final = frozenset(
    (
        b"IHDR",
        b"PLTE",
        b"tRNS",
        b"IDAT",
        b"IEND",
        b"acTL",
        b"fcTL",
        b"fdAT",
        b"gAMA",
        b"cHRM",
        b"sRGB",
        b"bKGD",
        b"sBIT",
    )
)
_WEBP_KEPT: Final = frozenset((b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"))
_ALPHA, _ANIMATION = 0x10, 0x02
_FRAME_HEADER_BYTES: Final = 16


class Malformed(ValueError):
    """The blocks do not fit together."""


def clean_gif(source: bytes) -> bytes:
    """Header, colour tables, frames with their control blocks, and how often to repeat."""
    if source[:6] not in (b"GIF87a", b"GIF89a") or len(source) < 13:
        raise Malformed("no GIF")
    at = 13 + _colour_table_bytes(source[10])
    kept = [b"GIF89a", source[6:at]]
    while True:
        mark = source[at : at + 1]
        if mark == b"\x3b":
            return b"".join([*kept, mark])
        if mark == b"\x21":
            end = _sub_blocks_end(source, at + 2)
            if source[at + 1] == 0xF9 or source[at + 2 : at + 14] == b"\x0bNETSCAPE2.0":
                kept.append(source[at:end])
        elif mark == b"\x2c":
            end = _sub_blocks_end(source, at + 11 + _colour_table_bytes(_byte(source, at + 9)))
            kept.append(source[at:end])
        else:
            raise Malformed("an unknown block, or no end")
        at = end


def _colour_table_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _sub_blocks_end(source: bytes, at: int) -> int:
    while size := _byte(source, at):
        at += 1 + size
    return at + 1


def _byte(source: bytes, at: int) -> int:
    if at >= len(source):
        raise Malformed("it ends in the middle")
    return source[at]


def clean_png(source: bytes) -> bytes:
    """For animated ones; the checksum of each chunk is proved."""
    if not source.startswith(PNG_SIGNATURE):
        raise Malformed("no PNG")
    kept, at, kind = [PNG_SIGNATURE], len(PNG_SIGNATURE), b""
    while kind != b"IEND":
        if at + 12 > len(source):
            raise Malformed("it ends in the middle")
        size, kind = struct.unpack_from(">I4s", source, at)
        chunk = source[at : at + 12 + size]
        if len(chunk) != 12 + size or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            raise Malformed("a chunk is broken")
        if kind in _PNG_KEPT:
            kept.append(chunk)
        at += 12 + size
    return b"".join(kept)


def clean_webp(source: bytes) -> bytes:
    """The file header's flags keep only what stays: alpha and animation."""
    if source[:4] != b"RIFF" or source[8:12] != b"WEBP":
        raise Malformed("no WebP")
    end = 8 + int.from_bytes(source[4:8], "little")
    kept: list[bytes] = []
    for kind, body in _riff_chunks(source[:end], 12):
        if kind == b"VP8X":
            kept.append(_riff_chunk(kind, bytes([body[0] & (_ALPHA | _ANIMATION)]) + body[1:10]))
        elif kind == b"ANMF":
            kept.append(_riff_chunk(kind, _clean_frame(body)))
        elif kind in _WEBP_KEPT:
            kept.append(_riff_chunk(kind, body))
    inside = b"WEBP" + b"".join(kept)
    return b"RIFF" + len(inside).to_bytes(4, "little") + inside


def _clean_frame(body: bytes) -> bytes:
    parts = _riff_chunks(body, _FRAME_HEADER_BYTES)
    return body[:_FRAME_HEADER_BYTES] + b"".join(_riff_chunk(k, b) for k, b in parts if k in _WEBP_KEPT)


def _riff_chunks(source: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    while at + 8 <= len(source):
        kind, size = struct.unpack_from("<4sI", source, at)
        if at + 8 + size > len(source):
            raise Malformed("a chunk is broken")
        yield kind, source[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _riff_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + b"\x00" * (len(body) % 2)
