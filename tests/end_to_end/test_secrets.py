"""What must not be written down anywhere, what cannot be opened any more, and which key a start needs."""

import asyncio
import base64
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId
from bson.raw_bson import RawBSONDocument

from chatcore.app import open_core
from chatcore.contract import groups as g
from chatcore.contract import messages as m
from chatcore.groups.service import ERASE_ROWS
from chatcore.settings import Settings
from chatcore.vault.envelope import SealBroken
from tests.memory import Household
from tests.servers import ServerInThread, ServerProcess, start_process, stop_process
from tests.talking import People, request


def canary() -> str:
    return f"canary{uuid4().hex}"


async def documents(server: ServerInThread) -> bytes:
    """Every document of the database, as stored."""

    async def read() -> bytes:
        database = server.chat.core.mongo.database
        found = []
        for name in await database.list_collection_names():
            raw = database[name].with_options(database.codec_options.with_options(document_class=RawBSONDocument))
            found += [document.raw async for document in raw.find({}, comment="scan: everything, to look for text")]
        return b"".join(found)

    return await server.inside(read())


class TestNothingIsWrittenDown:
    async def test_content_stands_in_no_document_of_the_database(self, server: ServerInThread, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        first, second, answer = canary(), canary(), canary()
        group = await ana.creates_group(ben)
        sent = await ana.sends(group, f"secret {first}", tempId="t1")
        await ana.socket.call("edit_message", groupId=group, messageId=sent["messageId"], content=second)
        await ben.sends(group, answer, replyTo=sent["messageId"])
        stored = await documents(server)
        assert ObjectId(sent["messageId"]).binary in stored, "the search looked at the right database"
        for text in (first, second, answer):
            assert text.encode() not in stored
            assert base64.b64encode(text.encode()).rstrip(b"=")[:-2] not in stored

    async def test_tokens_and_passwords_stand_in_no_document(self, server: ServerInThread, people: People) -> None:
        ana = await people.person("ana")
        await ana.get("/me")
        password = canary()
        assert server.chat.core.accounts is not None
        await server.inside(server.chat.core.accounts.add_account(f"cleo-{uuid4().hex}", password))
        stored = await documents(server)
        for secret in (password, ana.token, ana.token.rpartition(".")[2]):
            assert secret.encode() not in stored

    async def test_nothing_secret_is_logged_or_measured_at_the_most_talkative_level(
        self, strangers: People, server_process: ServerProcess
    ) -> None:
        ana, ben, eve = await strangers.connected("ana", "ben", "eve")
        words = {name: canary() for name in ("content", "edited", "group", "description", "reason", "temp", "wrong")}
        group = await ana.creates_group(ben, name=words["group"], description=words["description"])
        sent = await ana.sends(group, words["content"], tempId=words["temp"])
        target = {"groupId": group, "messageId": sent["messageId"]}
        await ana.socket.call("edit_message", target | {"content": words["edited"]})
        await ben.socket.call("report_message", target | {"reason": words["reason"]})
        await ana.socket.refusal("send_message", groupId=group, content=words["content"], tempId=words["temp"], x=1)
        await eve.socket.refusal("send_message", groupId=group, content=words["content"])
        await eve.rest("POST", "/messages", {"groupId": group, "content": words["content"]})
        await eve.rest("POST", f"/messages?{words['content']}=1", {"groupId": group})
        await eve.rest("GET", f"/groups/{words['wrong']}")
        await request(strangers.http, "POST", f"{strangers.url}/api/auth/login",
                      {"name": words["wrong"], "password": words["wrong"]})  # fmt: skip
        await request(
            strangers.http, "GET", f"{strangers.url}/api/me", headers={"Authorization": f"Bearer {words['wrong']}"}
        )
        scraped = await request(
            strangers.http, "GET", f"{strangers.url}/metrics", headers={"Authorization": "Bearer scrape"}
        )
        assert scraped.status == 200
        await eve.socket.settled()
        written = server_process.written()
        assert '"command"' in written, "commands are logged"
        secrets = [*words.values(), ana.token, ben.token, ana.token.rpartition(".")[2], ana.user_id, group]
        for secret in secrets:
            assert secret not in written
            assert secret.encode() not in scraped.raw
        for word in words.values():
            assert word not in str(eve.socket.heard).replace(str(words["wrong"]), "")

    async def test_no_file_of_the_data_folder_holds_content(
        self, strangers: People, server_process: ServerProcess
    ) -> None:
        (ana,) = await strangers.connected("ana")
        word = canary()
        await ana.sends(await ana.creates_group(), word)

        def holding() -> list[str]:
            files = [path for path in server_process.home.rglob("*") if path.is_file()]
            assert files
            return [path.name for path in files if word.encode() in path.read_bytes()]

        assert await asyncio.to_thread(holding) == []

    async def test_an_email_address_is_for_oneself_alone(self) -> None:
        from chatcore.identity.records import Profile, UserRecord  # noqa: PLC0415
        from tests.memory import START  # noqa: PLC0415

        card = UserRecord("u1", Profile(email="ana@example.org", username="ana"), START, START).card()
        assert "example.org" not in card.wire_json().decode()


class TestIntegrity:
    async def test_a_changed_byte_shows_the_message_as_unavailable_and_the_rest_as_it_is(
        self, server: ServerInThread, people: People
    ) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        await ana.sends(group, "untouched")
        sent = await ana.sends(group, "tampered with")
        await server.inside(_flip_a_byte(server, sent["messageId"]))
        page = {message["_id"]: message for message in await ben.reads(group)}
        broken = page[sent["messageId"]]
        assert (broken["content"], broken["unavailable"], broken["isDeleted"]) == ("", True, False)
        assert next(message["content"] for message in page.values() if message["type"] == "text") == "untouched"
        (event,) = (await ben.syncs(group, since=sent["seq"] - 1))["events"]
        assert event["data"] == broken

    async def test_content_moved_to_another_message_does_not_open(self, server: ServerInThread, people: People) -> None:
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        first, second = await ana.sends(group, "first"), await ana.sends(group, "second")
        await server.inside(_swap(server, first["messageId"], second["messageId"]))
        shown = [message for message in await ana.reads(group) if message["type"] == "text"]
        assert [(message["content"], message["unavailable"]) for message in shown] == [("", True)] * 2

    async def test_with_a_group_go_its_keys_so_that_kept_ciphertext_cannot_be_opened(self) -> None:
        async with Household() as house:
            (ana,) = house.people("ana")
            group = await house.group(ana)
            sent = await house.sends(ana, group, "to be forgotten")
            kept = (await house.journal.by_ids([sent.message_id]))[sent.message_id]
            assert kept.sealed is not None
            assert await house.vault.open(kept.place, kept.sealed) == b"to be forgotten"
            await house.services.groups.delete(ana, g.GroupPath(group_id=group))
            assert await house.key_store.keys_of([group]) == []
            with pytest.raises(SealBroken):
                await house.vault.open(kept.place, kept.sealed)

    async def test_of_a_deleted_group_nothing_stays_in_the_database(
        self, server: ServerInThread, people: People
    ) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        sent = await ana.sends(group)
        reason = canary()
        target = {"groupId": group, "messageId": sent["messageId"]}
        await ben.socket.call("add_reaction", target | {"emoji": "\U0001f44d"})
        await ana.socket.call("pin_message", target)
        await ben.socket.call("report_message", target | {"reason": reason})
        await ana.post(f"/groups/{group}/invites")
        await ana.post(f"/groups/{group}/bans", {"userId": ben.user_id})
        await ana.delete(f"/groups/{group}")
        background = server.chat.core.background
        async with asyncio.timeout(20):
            while background._jobs:
                await asyncio.sleep(0.02)
        stored = await documents(server)
        assert ObjectId(group).binary not in stored
        assert reason.encode() not in stored

    async def test_an_erasure_that_was_interrupted_is_finished_at_the_next_start(self) -> None:
        async with Household() as house:
            (ana,) = house.people("ana")
            group = await house.group(ana)
            for number in range(2 * ERASE_ROWS):
                await house.sends(ana, group, f"m{number}")
            last = (await house.group_store.find(group)) and house.rooms.head(group).seq
            house.journal.erasures_until_stop = 1
            await house.services.groups.delete(ana, g.GroupPath(group_id=group))
            while house.background._jobs:
                await asyncio.sleep(0)
            assert 0 < len(await house.journal.window(group, 0, last + 10)) <= last
            house.journal.erasures_until_stop = None
            await house.services.groups.finish_deletions()
            assert await house.journal.window(group, 0, last + 10) == []
            assert await house.group_store.deleted() == []

    async def test_deleted_content_is_erased_when_its_time_is_over(self) -> None:
        async with Household(retention_days=30) as house:
            (ana,) = house.people("ana")
            group = await house.group(ana)
            sent = await house.sends(ana, group, "taken back")
            await house.services.messages.delete(ana, m.MessagePath(group_id=group, message_id=sent.message_id))
            house.pass_hours(30 * 24 - 1)
            await house.services.messages.erase_deleted()
            assert (await house.journal.by_ids([sent.message_id]))[sent.message_id].sealed is not None
            house.pass_hours(2)
            await house.services.messages.erase_deleted()
            assert (await house.journal.by_ids([sent.message_id]))[sent.message_id].sealed is None
            last = (await house.reads(ana, group))[-1]
            assert (last.id, last.is_deleted, last.content) == (sent.message_id, True, "")


async def _flip_a_byte(server: ServerInThread, message_id: str) -> None:
    messages = server.chat.core.mongo.database["messages"]
    document = await messages.find_one({"_id": ObjectId(message_id)})
    assert document is not None
    sealed = bytearray(document["sealed"]["ct"])
    sealed[0] ^= 1
    await messages.update_one({"_id": document["_id"]}, {"$set": {"sealed.ct": bytes(sealed)}})


async def _swap(server: ServerInThread, one: str, other: str) -> None:
    messages = server.chat.core.mongo.database["messages"]
    rows = [await messages.find_one({"_id": ObjectId(each)}) for each in (one, other)]
    for row, content in zip(rows, reversed(rows), strict=True):
        assert row is not None
        assert content is not None
        await messages.update_one({"_id": row["_id"]}, {"$set": {"sealed": content["sealed"]}})


class TestMasterKey:
    async def test_another_key_is_refused_at_the_start_with_what_to_do(self, tmp_path: Path) -> None:
        def settings(**more: Any) -> Settings:
            return Settings(_env_file=None, chatcore_home=tmp_path / "home", port=0, log_level="error", **more)

        right, wrong = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
        async with open_core(settings(encryption_secret_key=right)):
            pass
        with pytest.raises(SealBroken, match="another master key"):
            async with open_core(settings(encryption_secret_key=wrong)):
                pass
        async with open_core(settings(encryption_secret_key=right)):
            pass

    async def test_the_process_says_so_and_ends(self, tmp_path: Path) -> None:
        right, wrong = (base64.b64encode(os.urandom(32)).decode() for _ in range(2))
        first = await asyncio.to_thread(start_process, tmp_path, ENCRYPTION_SECRET_KEY=right)
        assert await asyncio.to_thread(stop_process, first.process) == 0
        (tmp_path / "server.log").write_text("")
        with pytest.raises(AssertionError) as failed:
            await asyncio.to_thread(start_process, tmp_path, ENCRYPTION_SECRET_KEY=wrong)
        told = str(failed.value)
        assert "did not start" in told
        assert "master key" in told
        assert "Traceback" not in told
        assert wrong not in told
