"""Pictures and files on the page."""

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.visitor import Api, Visitor, unique
from tests.media.bucket import Bucket
from tests.servers import ServerInThread

Image = pytest.importorskip("PIL.Image", reason="the extra media is not installed")
Visit = Callable[..., Visitor]


def picture(width: int = 640, height: int = 400) -> bytes:
    out = BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(out, "PNG")
    return out.getvalue()


def test_a_picture_goes_from_one_page_to_the_other_and_opens_large(visit: Visit, api: Api) -> None:
    ana, ben = unique("ana"), unique("ben")
    group_id = api.group(ana, ben)
    one, other = visit(ana), visit(ben)
    one.opens(group_id)
    other.opens(group_id)
    one.page.locator("input[type=file]").set_input_files(
        {"name": "garden.png", "mimeType": "image/png", "buffer": picture()}
    )
    expect(one.page.locator(".attached-one img")).to_be_visible()
    expect(one.page.locator(".attached-one progress")).to_have_count(0)
    expect(one.page.locator(".attached-one")).not_to_contain_text("Being checked")
    one.writes("The beans, this morning")
    message = other.sees("The beans, this morning")
    image = message.locator(".picture img")
    expect(image).to_be_visible()
    assert image.evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 100
    message.locator(".picture").click()
    expect(other.page.locator(".large img")).to_be_visible()
    assert other.page.locator(".large img").evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 640
    one.page.set_viewport_size({"width": 360, "height": 640})
    one.page.reload()
    box = one.sees("The beans, this morning").locator(".picture").bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 360
    expect(one.sees("The beans, this morning").locator(".picture img")).to_be_visible()


def test_a_file_is_downloaded_as_it_was(visit: Visit, api: Api, tmp_path: Path) -> None:
    ana = unique("ana")
    group_id = api.group(ana)
    visitor = visit(ana)
    visitor.opens(group_id)
    body = b"one,two\n1,2\n" * 400
    visitor.page.locator("input[type=file]").set_input_files(
        {"name": "harvest.csv", "mimeType": "text/csv", "buffer": body}
    )
    expect(visitor.page.locator(".attached-one progress")).to_have_count(0)
    expect(visitor.page.locator(".attached-one")).not_to_contain_text("Being checked")
    visitor.page.get_by_role("button", name="Send", exact=True).click()
    with visitor.page.expect_download() as started:
        visitor.page.get_by_role("button", name="Download harvest.csv").click()
    started.value.save_as(tmp_path / "got.csv")
    assert started.value.suggested_filename == "harvest.csv"
    assert (tmp_path / "got.csv").read_bytes() == body


@pytest.fixture(scope="module")
def open_bucket(tmp_path_factory: pytest.TempPathFactory, libraries: None) -> Iterator[ServerInThread]:
    """A server that keeps uploads unsealed in S3, and so hands them out by links."""
    bucket = Bucket()
    running = ServerInThread(
        tmp_path_factory.mktemp("bucket") / "home", media_sealing=False, s3_bucket_name=bucket.NAME,
        aws_endpoint_url=bucket.url, aws_access_key_id="test", aws_secret_access_key="test",
    )  # fmt: skip
    running.start()
    yield running
    running.stop()
    bucket.dies()


def test_pictures_and_files_behind_links_into_a_bucket_are_shown_and_saved(
    visit: Visit, open_bucket: ServerInThread, tmp_path: Path
) -> None:
    ana = unique("ana")
    group_id = Api(open_bucket.url).group(ana)
    visitor = visit(ana, open_bucket.url)
    visitor.opens(group_id)
    chooser = visitor.page.locator("input[type=file]")
    chooser.set_input_files(
        [
            {"name": "garden.png", "mimeType": "image/png", "buffer": picture()},
            {"name": "harvest.csv", "mimeType": "text/csv", "buffer": b"one,two\n"},
        ]
    )
    expect(visitor.page.locator(".attached-one")).to_have_count(2)
    expect(visitor.page.locator(".attached-one progress")).to_have_count(0)
    expect(visitor.page.locator(".attached-one").filter(has_text="Being checked")).to_have_count(0)
    visitor.page.get_by_role("button", name="Send", exact=True).click()
    expect(visitor.page.locator(".file-card")).to_be_visible()
    visitor.page.reload()
    expect(visitor.page.locator(".picture img")).to_be_visible()
    with visitor.page.expect_download() as started:
        visitor.page.get_by_role("button", name="Download harvest.csv").click()
    started.value.save_as(tmp_path / "got.csv")
    assert (tmp_path / "got.csv").read_bytes() == b"one,two\n"


@pytest.fixture(scope="module")
def thrifty(tmp_path_factory: pytest.TempPathFactory, libraries: None) -> Iterator[ServerInThread]:
    running = ServerInThread(tmp_path_factory.mktemp("thrifty") / "home", max_file_size=300 * 1024)
    running.start()
    yield running
    running.stop()


def test_what_is_larger_than_this_server_takes_is_refused_before_it_is_sent(
    visit: Visit, thrifty: ServerInThread
) -> None:
    ana = unique("ana")
    group_id = Api(thrifty.url).group(ana)
    visitor = visit(ana, thrifty.url)
    visitor.opens(group_id)
    visitor.page.locator("input[type=file]").set_input_files(
        {"name": "film.bin", "mimeType": "application/octet-stream", "buffer": b"x" * (300 * 1024 + 1)}
    )
    expect(visitor.page.locator(".notice")).to_contain_text("film.bin is larger than 300 KiB")
    expect(visitor.page.locator(".attached-one")).to_have_count(0)
