"""Pictures and hostile files, made here: no binary lies in the repository."""

import io
import random
import struct
import zlib
from typing import Any

from PIL import Image, ImageDraw

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
WHERE = b"N 48.8584 E 2.2945"


def saved(picture: Image.Image, format_: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, format_, **options)
    return out.getvalue()


def opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture


def flag(size: tuple[int, int] = (400, 300), mode: str = "RGB") -> Image.Image:
    """Red above, blue below, so that one sees how it is turned."""
    picture = Image.new("RGB", size, (200, 20, 20))
    ImageDraw.Draw(picture).rectangle((0, size[1] // 2, size[0], size[1]), fill=(20, 20, 200))
    return picture.convert(mode)


def photo(orientation: int = 1, size: tuple[int, int] = (400, 300)) -> bytes:
    """A JPEG as a phone makes it: where it was taken, how it was held, a comment, a maker's note."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Secret Camera"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[29] = WHERE.decode()
    return saved(flag(size), "JPEG", quality=90, exif=exif, comment=b"secret comment")


def animation(format_: str, frames: int = 4, size: tuple[int, int] = (60, 40), **options: Any) -> bytes:
    mode = "P" if format_ == "GIF" else "RGBA"
    pictures = [
        Image.new("RGBA", size, (index * 40 % 256, 99, 255 - index, 255)).convert(mode) for index in range(frames)
    ]
    more = {"comment": b"secret comment"} if format_ == "GIF" else {}
    return saved(
        pictures[0], format_, save_all=True, append_images=pictures[1:], duration=70, loop=0, **(more | options)
    )


def noise(size: tuple[int, int]) -> bytes:
    """A PNG that cannot be packed: 3 bytes a pixel."""
    return saved(Image.frombytes("RGB", size, random.Random(7).randbytes(size[0] * size[1] * 3)), "PNG")


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_bomb(side: int = 13_000) -> bytes:
    """169 million pixels in about 481 KiB: 507 MB of zeros, packed."""
    squeeze = zlib.compressobj(9)
    row = bytes(1 + 3 * side)
    packed = b"".join(squeeze.compress(row) for _ in range(side)) + squeeze.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return PNG_SIGNATURE + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")


def gif_of_many_frames(frames: int) -> bytes:
    """One pixel each, 20 bytes a frame."""
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return head + frame * frames + b"\x3b"


def huge_gif(side: int = 40_000) -> bytes:
    """A canvas of 1,600 million pixels, 33 bytes."""
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    return head + b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x44\x01\x00\x3b"


def png_with_text_bomb() -> bytes:
    """64 MiB of text, packed in a comment."""
    small = saved(Image.new("L", (4, 4)), "PNG")
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"A" * (64 * 1024 * 1024), 9))
    return small[:33] + text + small[33:]
