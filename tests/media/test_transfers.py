"""Lines that break and objects that are damaged: half a file is never taken for the whole."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.media.library import a_form, uploaded
from tests.servers import ServerInThread
from tests.talking import People, Person

FILE = bytes(range(256)) * 1_000
CHUNK = 65_536 + 16


@pytest.fixture
async def stored(people: People, server: ServerInThread) -> tuple[Person, str, Path]:
    """Who may read it, its path, and the file it lies in."""
    ana = await people.person("ana")
    group = await ana.creates_group()
    media = await uploaded(ana, group, FILE)
    home = server.chat.core.settings.chatcore_home
    return ana, media["mediaUrl"].removeprefix("/api"), home / f"media/objects/{group}/{media['_id']}/original"


def damage(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


class TestDamagedObjects:
    async def test_a_broken_seal_at_the_beginning_is_refused_with_nothing_of_the_content(
        self, stored: tuple[Person, str, Path]
    ) -> None:
        ana, path, file = stored
        damage(file, 5)
        answer = await ana.rest("GET", path)
        assert (answer.status, answer.code) == (404, "not_found")
        later = await ana.rest("GET", path, headers={"Range": "bytes=70000-70009"})
        assert (later.status, later.raw) == (206, FILE[70000:70010])

    async def test_one_further_on_cuts_the_connection(self, stored: tuple[Person, str, Path]) -> None:
        ana, path, file = stored
        damage(file, 2 * CHUNK + 5)
        with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)):
            await ana.rest("GET", path)
        assert (await ana.rest("GET", path, headers={"Range": "bytes=0-9"})).raw == FILE[:10]

    async def test_a_shortened_object_cuts_it_too(self, stored: tuple[Person, str, Path]) -> None:
        ana, path, file = stored
        file.write_bytes(file.read_bytes()[: 2 * CHUNK])
        with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)):
            await ana.rest("GET", path)

    async def test_another_upload_put_in_its_place_does_not_open(
        self, stored: tuple[Person, str, Path], server: ServerInThread
    ) -> None:
        ana, path, file = stored
        group = file.parts[-3]
        other = await uploaded(ana, group, FILE)
        file.write_bytes((file.parent.parent / other["_id"] / "original").read_bytes())
        assert (await ana.rest("GET", path)).code == "not_found"

    async def test_a_missing_object_is_not_found(self, stored: tuple[Person, str, Path]) -> None:
        ana, path, file = stored
        file.unlink()
        assert (await ana.rest("GET", path)).code == "not_found"


class TestBrokenLines:
    async def test_a_client_that_stops_sending_is_not_waited_for(
        self, people: People, server: ServerInThread, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chatcore.transport.media.PIECE_SECONDS", 0.2)
        ana = await people.person("ana")
        group = await ana.creates_group()
        reader, writer = await self._half_a_form(ana, group)
        async with asyncio.timeout(10):
            answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert not server.chat.core.services.attachments.media._under_way
        writer.close()

    async def test_a_client_that_hangs_up_leaves_nothing_behind(self, people: People, server: ServerInThread) -> None:
        ana = await people.person("ana")
        group = await ana.creates_group()
        media = server.chat.core.services.attachments.media
        _, writer = await self._half_a_form(ana, group)
        async with asyncio.timeout(10):
            while not media._under_way:
                await asyncio.sleep(0.01)
        writer.transport.abort()
        async with asyncio.timeout(10):
            while media._under_way:
                await asyncio.sleep(0.01)
        assert await server.inside(media.objects.keys(f"{group}/")) == []
        assert (await ana.rest("POST", "/media/upload", data=a_form(FILE, group))).status == 201

    @staticmethod
    async def _half_a_form(person: Person, group: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = person.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        form = (
            f'--b\r\nContent-Disposition: form-data; name="groupId"\r\n\r\n{group}\r\n'
            '--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nhalf'
        )
        head = (
            f"POST /api/media/upload HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {person.token}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n"
        )
        writer.write((head + form).encode())
        await writer.drain()
        return reader, writer
