"""The process that looks into one image: `python -I -m chatcore.media.decoder LIMITS`, image in, result out.

It is the only place where image bytes are interpreted. Before it reads any, it gives up everything but a bounded amount
of memory and processor time: it can open no more files, write none, start no process. Its answer is one line of JSON,
`{"format", "width", "height", "parts": [[name, bytes], ...]}` or `{"refused": "pixels"}`, then the parts in that order.
"""

import io
import json
import os
import resource
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FORMATS: Final = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
}
THUMBNAIL_SIDES: Final = (1280, 320)
ORIENTATION: Final = 0x0112
NICENESS: Final = 10  # messages go first


class Refused(Exception):
    """Why: `pixels`, `frames` or `unreadable`."""


@dataclass(frozen=True)
class Limits:
    """`frame_pixels` are those of all frames together, which bounds the time as `pixels` bounds the memory."""

    bytes: int
    pixels: int
    frames: int
    frame_pixels: int
    address_space_bytes: int
    cpu_seconds: int


def confine(limits: Limits) -> None:
    """As far as a process can do it to itself; a reader of 48 files is what the imports of Pillow need."""
    for what, most in (
        (resource.RLIMIT_AS, limits.address_space_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 48),
    ):
        resource.setrlimit(what, (most, most))
    os.nice(NICENESS)


def decoded(source: bytes, limits: Limits) -> dict[str, Any]:
    """`parts` as bytes by name. Raises Refused; Pillow may raise anything at hostile input."""
    picture = _opened(source, limits)
    kind, moving = FORMATS[str(picture.format)], getattr(picture, "is_animated", False)
    if (
        kind == "image/gif"
        or (moving and kind != "image/jpeg")
        or (kind == "image/webp" and _orientation(picture) == 1)
    ):
        original = _rewritten(kind, source)
        picture = _opened(original, limits)
        _require_all_frames(picture, limits)
        drawn = picture
    else:
        picture.load()
        drawn = _upright(picture)
        original = _drawn_anew(drawn, kind, picture, source)
    width, height = drawn.size
    return {"format": kind, "width": width, "height": height, "parts": {"original": original} | _thumbnails(drawn)}


def _opened(source: bytes, limits: Limits) -> "Picture":
    """Only the headers are read yet."""
    from PIL import Image  # noqa: PLC0415 - after `confine`

    Image.MAX_IMAGE_PIXELS = None  # ours is stricter, and no mere warning
    picture = Image.open(io.BytesIO(source), formats=("JPEG", "PNG", "GIF", "WEBP"))
    _require_area(picture, limits)
    return picture


def _require_area(picture: "Picture", limits: Limits) -> int:
    area = picture.size[0] * picture.size[1]
    if area > limits.pixels:
        raise Refused("pixels")
    return area


def _require_all_frames(picture: "Picture", limits: Limits) -> None:
    """Reads every frame once, and goes back to the first."""
    count = all_pixels = 0
    while True:
        count, all_pixels = count + 1, all_pixels + _require_area(picture, limits)
        if count > limits.frames or all_pixels > limits.frame_pixels:
            raise Refused("frames")
        picture.load()
        try:
            picture.seek(count)
        except EOFError:
            break
    if count > 1:
        picture.seek(0)


def _rewritten(kind: str, source: bytes) -> bytes:
    from chatcore.media.containers import clean_gif, clean_png, clean_webp  # noqa: PLC0415 - after `confine`

    return {"image/gif": clean_gif, "image/png": clean_png, "image/webp": clean_webp}[kind](source)


def _orientation(picture: "Picture") -> int:
    try:
        value = picture.getexif().get(ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - broken EXIF says nothing of the picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(picture: "Picture") -> "Picture":
    """Turned as its camera meant it, in sRGB, without anything beside its pixels. In place where that can be."""
    from PIL import ImageOps  # noqa: PLC0415 - after `confine`

    turned = _orientation(picture) != 1
    drawn = _in_srgb(picture)
    if turned:
        ImageOps.exif_transpose(drawn, in_place=True)
    drawn.info = {name: drawn.info[name] for name in ("transparency",) if name in drawn.info}
    return drawn


def _in_srgb(picture: "Picture") -> "Picture":
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in ("RGB", "RGBA", "CMYK"):
        from PIL import ImageCms  # noqa: PLC0415 - after `confine`

        colours, in_place = ImageCms.createProfile("sRGB"), picture.mode != "CMYK"
        try:
            made = ImageCms.profileToProfile(
                picture, io.BytesIO(profile), colours, outputMode=None if in_place else "RGB", inPlace=in_place
            )
        except (ImageCms.PyCMSError, OSError, ValueError):  # a broken profile says nothing of the picture
            made = None
        if in_place or made is not None:
            return made or picture
    return picture.convert("RGB") if picture.mode in ("CMYK", "YCbCr", "LAB", "HSV") else picture


def _drawn_anew(drawn: "Picture", kind: str, picture: "Picture", source: bytes) -> bytes:
    out = io.BytesIO()
    if kind == "image/jpeg":
        from PIL import JpegImagePlugin  # noqa: PLC0415

        tables = getattr(picture, "quantization", None)
        sampling = JpegImagePlugin.get_sampling(picture)
        # The camera's own tables lose next to nothing the second time.
        same = {"qtables": tables, "subsampling": sampling} if tables and sampling >= 0 and len(tables) <= 2 else {}
        drawn.save(out, "JPEG", **(same or {"quality": 92}))
    elif kind == "image/png":
        drawn.save(out, "PNG")
    else:
        lossless = b"VP8L" in source[:64]
        drawn.save(out, "WEBP", quality=90, method=4, lossless=lossless)
    return out.getvalue()


def _thumbnails(drawn: "Picture") -> dict[str, bytes]:
    """WebP; the small one always, the large one where the picture is larger than the small. Changes `drawn`."""
    from PIL import Image  # noqa: PLC0415

    small = _plain(drawn)
    made: dict[str, bytes] = {}
    for side in THUMBNAIL_SIDES:
        if side > min(THUMBNAIL_SIDES) and max(drawn.size) <= min(THUMBNAIL_SIDES):
            continue
        if max(small.size) > side:
            small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
        out = io.BytesIO()
        small.save(out, "WEBP", quality=80, method=4)
        made[str(side)] = out.getvalue()
    return made


def _plain(drawn: "Picture") -> "Picture":
    """RGB or RGBA, as WebP takes it."""
    if drawn.mode.startswith("I") or drawn.mode == "F":  # 16 bits of grey
        drawn = drawn.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    transparent = drawn.mode in ("RGBA", "LA", "PA") or "transparency" in drawn.info
    plain = drawn.convert("RGBA" if transparent else "RGB") if drawn.mode != "RGB" or transparent else drawn
    plain.info = {}
    return plain


def main() -> None:
    limits = Limits(**json.loads(sys.argv[1]))
    confine(limits)
    import PIL.Image  # noqa: F401, PLC0415 - not to have it is our fault, and no word on the image

    out = sys.stdout.buffer
    try:
        source = sys.stdin.buffer.read(limits.bytes + 1)
        if len(source) > limits.bytes:
            raise Refused("unreadable")
        answer = decoded(source, limits)
    except Refused as refused:
        answer = {"refused": str(refused)}
    except MemoryError:
        answer = {"refused": "pixels"}
    except Exception:  # noqa: BLE001 - hostile input may raise anything, and nothing of it is told
        answer = {"refused": "unreadable"}
    parts: dict[str, bytes] = answer.pop("parts", {})
    head = answer | {"parts": [[name, len(part)] for name, part in parts.items()]}
    out.write(json.dumps(head).encode() + b"\n")
    for part in parts.values():
        out.write(part)
    out.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
