"""What becomes of pictures: clean, upright, still moving, still transparent; and what is refused."""

import io
import time

import pytest
from PIL import Image, ImageCms, ImageSequence

from chatcore.errors import PayloadTooLarge, UnsupportedMedia
from chatcore.media.containers import Malformed, clean_gif, clean_png, clean_webp
from chatcore.media.decoding import FRAMES, PIXELS
from tests.media import pictures
from tests.media.library import Library


def frames_of(content: bytes) -> list[bytes]:
    return [frame.convert("RGBA").tobytes() for frame in ImageSequence.Iterator(Image.open(io.BytesIO(content)))]


class TestMetadata:
    @pytest.mark.parametrize("orientation", [1, 6])
    async def test_a_photo_says_nothing_of_where_and_with_what_it_was_taken(
        self, library: Library, orientation: int
    ) -> None:
        source = pictures.photo(orientation)
        assert pictures.WHERE in source
        record = await library.adds(source, "photo.jpg")
        for variant in record.variants:
            content = await library.reads(record, variant)
            assert not [word for word in (b"Exif", b"secret", b"Secret", pictures.WHERE) if word in content]
            assert not pictures.opened(content).getexif()

    @pytest.mark.parametrize(
        ("orientation", "top_left_is_red", "sideways"),
        [(1, True, False), (3, False, False), (4, False, False), (6, False, True), (8, True, True)],
    )
    async def test_it_stands_as_the_camera_meant_it(
        self, library: Library, orientation: int, top_left_is_red: bool, sideways: bool
    ) -> None:
        record = await library.adds(pictures.photo(orientation))
        shown = pictures.opened(await library.reads(record))
        assert shown.size == (record.width, record.height) == ((300, 400) if sideways else (400, 300))
        red, _, blue = shown.convert("RGB").getpixel((5, 5))  # type: ignore[misc]
        assert (red > blue) is top_left_is_red

    async def test_png_text_and_profiles_go_and_the_colours_stay(self, library: Library) -> None:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        exif = Image.Exif()
        exif[0x010F] = "Secret Camera"
        source = pictures.saved(pictures.flag(), "PNG", icc_profile=profile, exif=exif)
        record = await library.adds(source)
        content = await library.reads(record)
        assert b"eXIf" in source
        assert b"iCCP" in source
        assert not [kind for kind in (b"eXIf", b"iCCP", b"tEXt", b"iTXt", b"zTXt") if kind in content]
        assert pictures.opened(content).tobytes() == pictures.flag().tobytes()

    async def test_what_follows_the_picture_is_cut_off(self, library: Library) -> None:
        for source in (
            pictures.saved(pictures.flag(), "PNG"),
            pictures.photo(),
            pictures.animation("GIF"),
            pictures.saved(pictures.flag(), "WEBP"),
        ):
            record = await library.adds(source + b"PK\x03\x04 a zip archive <script>alert(1)</script>")
            content = await library.reads(record)
            assert b"PK\x03\x04" not in content
            assert b"script" not in content


class TestWhatStays:
    async def test_a_gif_goes_on_moving(self, library: Library) -> None:
        source = pictures.animation("GIF")
        record = await library.adds(source)
        content = await library.reads(record)
        assert (record.content_type, record.width, record.height) == ("image/gif", 60, 40)
        assert frames_of(content) == frames_of(source)
        assert Image.open(io.BytesIO(content)).info["loop"] == 0
        assert Image.open(io.BytesIO(content)).info["duration"] == 70
        assert b"secret comment" in source
        assert b"secret comment" not in content

    @pytest.mark.parametrize("format_", ["PNG", "WEBP"])
    async def test_so_do_the_animations_of_other_formats(self, library: Library, format_: str) -> None:
        source = pictures.animation(format_, **({"lossless": True} if format_ == "WEBP" else {}))
        content = await library.reads(await library.adds(source))
        assert len(frames_of(content)) == 4
        assert frames_of(content) == frames_of(source)

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
    async def test_transparency_is_kept_also_in_thumbnails(self, library: Library, mode: str) -> None:
        see_through = Image.new("RGBA", (500, 400), (10, 200, 10, 0))
        options = {}
        if mode == "P":
            see_through, options = Image.new("P", (500, 400), 0), {"transparency": 0}
        source = pictures.saved(see_through.convert(mode) if mode != "P" else see_through, "PNG", **options)
        record = await library.adds(source)
        for variant in record.variants:
            shown = pictures.opened(await library.reads(record, variant)).convert("RGBA")
            assert shown.getpixel((3, 3))[3] == 0  # type: ignore[index]

    @pytest.mark.parametrize("mode", ["1", "L", "I;16", "CMYK"])
    async def test_rare_colour_modes_are_read(self, library: Library, mode: str) -> None:
        picture = Image.new(mode, (500, 400), 40_000) if mode == "I;16" else pictures.flag((500, 400), mode)
        record = await library.adds(pictures.saved(picture, "JPEG" if mode == "CMYK" else "PNG"))
        assert (record.kind, record.width, record.height) == ("image", 500, 400)
        small = pictures.opened(await library.reads(record, "320"))
        assert small.size == (320, 256)
        if mode == "I;16":
            assert abs(small.convert("L").getpixel((9, 9)) - 156) < 3  # type: ignore[operator]

    async def test_thumbnails_are_webp_of_two_sizes_and_never_enlarged(self, library: Library) -> None:
        for size, wanted in (
            ((2000, 1000), {"1280": (1280, 640), "320": (320, 160)}),
            ((800, 600), {"1280": (800, 600), "320": (320, 240)}),
            ((100, 50), {"320": (100, 50)}),
        ):
            record = await library.adds(pictures.saved(pictures.flag(size), "PNG"))
            made = {v: pictures.opened(await library.reads(record, v)) for v in record.variants if v != "original"}
            assert {variant: shown.size for variant, shown in made.items()} == wanted
            assert {shown.format for shown in made.values()} == {"WEBP"}


class TestBombs:
    """Each is small on the line and huge in memory. The decoder refuses by what the header says, before it unpacks."""

    async def test_169_million_pixels_in_481_kib_are_refused_before_they_are_unpacked(self, library: Library) -> None:
        bomb = pictures.png_bomb()
        assert len(bomb) < 500_000
        before = time.process_time()
        with pytest.raises(PayloadTooLarge, match="pixels"):
            await library.adds(bomb)
        assert time.process_time() - before < 2
        assert await library.keys() == []

    async def test_one_pixel_too_many_is_too_many(self, library: Library) -> None:
        with pytest.raises(PayloadTooLarge):
            await library.adds(pictures.saved(Image.new("1", (10_000, PIXELS // 10_000 + 1)), "PNG"))

    async def test_a_canvas_as_wide_as_the_format_allows(self, library: Library) -> None:
        with pytest.raises(PayloadTooLarge):
            await library.adds(pictures.huge_gif())

    async def test_more_frames_than_anybody_looks_at(self, library: Library) -> None:
        assert (await library.adds(pictures.gif_of_many_frames(FRAMES))).kind == "image"
        with pytest.raises(PayloadTooLarge, match="frames"):
            await library.adds(pictures.gif_of_many_frames(FRAMES + 1))

    async def test_an_endless_comment(self, library: Library) -> None:
        with pytest.raises(UnsupportedMedia):
            await library.adds(pictures.png_with_text_bomb())

    async def test_memory_is_bounded_by_the_kernel_where_no_header_tells(
        self, library: Library, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A picture within the limits, in a decoder that may use less than it needs."""
        monkeypatch.setattr("chatcore.media.decoding.ADDRESS_SPACE_BYTES", 220 * 1024 * 1024)
        fine = await library.adds(pictures.saved(pictures.flag(), "PNG"))
        assert fine.kind == "image"
        with pytest.raises(PayloadTooLarge):
            await library.adds(pictures.saved(Image.new("RGB", (7_000, 7_000)), "PNG"))

    async def test_time_is_bounded_too(self, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(library.media._decoder, "_wall_seconds", 0.001)
        with pytest.raises(PayloadTooLarge, match="too long"):
            await library.adds(pictures.saved(pictures.flag(), "PNG"))


class TestBrokenOnes:
    @pytest.mark.parametrize(
        "content",
        [
            b"\xff\xd8\xff" + b"x" * 500,
            b"GIF89a",
            pictures.PNG_SIGNATURE,
            b"RIFF\xff\xff\xff\xffWEBPVP8 ",
            pictures.photo()[:4000],
            pictures.animation("GIF")[:-60],
            pictures.saved(pictures.flag(), "WEBP")[:-100],
            pictures.saved(pictures.flag(), "PNG")[:60],
        ],
        ids=["jpeg", "gif", "png", "webp", "half-a-jpeg", "half-a-gif", "half-a-webp", "half-a-png"],
    )
    async def test_what_begins_like_an_image_and_is_none_is_refused(self, library: Library, content: bytes) -> None:
        with pytest.raises(UnsupportedMedia):
            await library.adds(content)
        assert await library.keys() == []

    async def test_another_image_after_a_crash_of_the_decoder(self, library: Library) -> None:
        with pytest.raises(UnsupportedMedia):
            await library.adds(b"\xff\xd8\xff")
        assert (await library.adds(pictures.photo())).kind == "image"

    @pytest.mark.parametrize("clean", [clean_gif, clean_png, clean_webp])
    @pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP"])
    def test_rewriting_never_runs_away_on_any_beginning_of_a_file(self, clean: object, format_: str) -> None:
        source = pictures.animation(format_, frames=2, size=(8, 8))
        for length in range(len(source)):
            try:
                clean(source[:length])  # type: ignore[operator]
            except (Malformed, IndexError):
                continue
