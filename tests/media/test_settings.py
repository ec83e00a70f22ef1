"""A server that keeps images and files in S3, with a scanner, and without seals of its own."""

from pathlib import Path

import pytest

from chatcore.app import open_chat
from chatcore.settings import BadSettings, Settings, load_settings
from tests.media import pictures
from tests.media.bucket import Bucket
from tests.media.library import uploaded, uploads
from tests.media.test_scanning import EICAR, FakeClamd, listening
from tests.servers import people_of


async def test_uploads_are_scanned_kept_in_s3_and_handed_out_by_links(tmp_path: Path) -> None:
    bucket = Bucket()
    async with listening(FakeClamd(), tmp_path) as scanner:
        settings = Settings(
            _env_file=None, chatcore_home=tmp_path / "home", port=0, rate_limits=False, log_level="error",
            s3_bucket_name=bucket.NAME, aws_endpoint_url=bucket.url, aws_access_key_id="test",
            aws_secret_access_key="test", media_sealing=False, clamd_socket=scanner, max_file_size=100_000,
        )  # fmt: skip
        async with open_chat(settings) as chat, people_of(chat.url) as people:
            ana = await people.person("ana")
            group = await ana.creates_group()
            assert (await uploads(ana, group, EICAR)).code == "unsupported_media"
            assert (await uploads(ana, group, bytes(100_001))).code == "payload_too_large"
            assert bucket.whole() == []
            media = await uploaded(ana, group, pictures.photo())
            assert len(bucket.whole()) == 3
            path = media["mediaUrl"].removeprefix("/api")
            sent_on = await ana.rest("GET", path, allow_redirects=False)
            assert (sent_on.status, sent_on.headers["Location"].split("/")[2]) == (302, bucket.url.split("/")[2])
            async with people.http.get(sent_on.headers["Location"]) as answer:
                assert pictures.opened(await answer.read()).size == (400, 300)
                assert answer.headers["Content-Type"] == "image/jpeg"
            bucket.dies()
            down = await uploads(ana, group, b"x")
            assert (down.status, down.code) == (503, "unavailable")
            assert (await ana.posts(group, "texts go on"))["content"] == "texts go on"
            assert (await people.http.get(f"{people.url}/health/ready")).status == 200


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"aws_access_key_id": "x"}, "AWS_SECRET_ACCESS_KEY"),
        ({"aws_secret_access_key": "x"}, "AWS_ACCESS_KEY_ID"),
        ({"aws_endpoint_url": "minio:9000"}, "AWS_ENDPOINT_URL"),
        ({"max_file_size": 0}, "MAX_FILE_SIZE"),
        ({"s3_encryption": "rot13"}, "S3_ENCRYPTION"),
        ({"media_sealing": False, "chatcore_env": "production"}, "MEDIA_SEALING"),
        (
            {
                "media_sealing": False,
                "chatcore_env": "production",
                "s3_bucket_name": "b",
                "s3_encryption": "off",
            },
            "MEDIA_SEALING",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(variables: dict[str, object], named: str) -> None:
    with pytest.raises(BadSettings, match=named):
        load_settings(_env_file=None, **variables)
