"""What `doctor` says of where images and files are kept."""

from pathlib import Path

from chatcore.cli.doctor import check_media
from chatcore.settings import Settings
from tests.media.bucket import Bucket
from tests.media.test_scanning import FakeClamd, listening


async def test_the_folder_is_fine(tmp_path: Path) -> None:
    (finding,) = await check_media(Settings(_env_file=None, chatcore_home=tmp_path))
    assert (finding.status, finding.subject) == ("ok", "media")


async def test_s3_and_the_scanner_are_asked(tmp_path: Path) -> None:
    bucket = Bucket()
    async with listening(FakeClamd(), tmp_path) as scanner:
        settings = Settings(
            _env_file=None, chatcore_home=tmp_path, s3_bucket_name=bucket.NAME, aws_endpoint_url=bucket.url,
            aws_access_key_id="test", aws_secret_access_key="test", clamd_socket=scanner,
        )  # fmt: skip
        (good,) = await check_media(settings)
        (wrong,) = await check_media(settings.model_copy(update={"s3_bucket_name": "another"}))
        (unscanned,) = await check_media(settings.model_copy(update={"clamd_socket": "/nowhere"}))
        bucket.dies()
        (down,) = await check_media(settings)
    assert [each.status for each in (good, wrong, unscanned, down)] == ["ok", "fail", "fail", "fail"]
    assert "scanner" in unscanned.says
    assert all("S3_BUCKET_NAME" in each.advice for each in (wrong, down))
