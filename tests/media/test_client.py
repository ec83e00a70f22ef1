"""Images and files through the Python client."""

import pytest

from chatcore.client import Client
from chatcore.client.rest import dev_token
from chatcore.errors import NotFound
from tests.media import pictures
from tests.servers import ServerInThread
from tests.talking import NO_GROUP


async def test_an_image_goes_up_and_comes_down(server: ServerInThread) -> None:
    token = (await dev_token(server.url, "uploader")).token
    async with Client(server.url, token) as client:
        group = await client.create_group("pictures")
        media = await client.upload(group.id, 'Été "1".jpg', pictures.photo())
        assert media.media_metadata.original_filename == "Été _1_.jpg"
        await client.send(group.id, "", media_id=media.id, type=media.type)
        (message,) = [each for each in (await client.history(group.id)).messages if each.type == "image"]
        assert message.media_url is not None
        assert pictures.opened(await client.rest.download(message.media_url)).size == (400, 300)
        with pytest.raises(NotFound):
            await client.upload(NO_GROUP, "x", b"x")
        with pytest.raises(NotFound):
            await client.rest.download(f"/api/media/{NO_GROUP}/download")
