"""Images and files as people use them: over HTTP and sockets, in groups and out of them."""

import asyncio
from typing import Any

import pytest

from tests.media import pictures
from tests.media.library import a_form, uploaded, uploads
from tests.servers import ServerInThread
from tests.talking import NO_GROUP, Answer, People, Person, request

PHOTO = pictures.photo()
FILE = bytes(range(256)) * 1_000
SMALL = b"a small file"
JSON_KEYS = {"_id", "groupId", "uploaderId", "type", "mediaUrl", "mediaMetadata", "createdAt"}


async def fetch(person: Person, path: str, **more: Any) -> Answer:
    """`path` as the server gave it."""
    return await person.rest(more.pop("method", "GET"), path.removeprefix("/api"), **more)


async def a_pair(people: People) -> tuple[Person, Person, str]:
    ana, ben = await people.connected("ana", "ben")
    return ana, ben, await ana.creates_group(ben)


class TestAnImage:
    async def test_goes_from_upload_to_everybodys_history(self, people: People) -> None:
        ana, ben, group = await a_pair(people)
        media = await uploaded(ana, group, PHOTO, "Été.jpg")
        assert set(media) == JSON_KEYS
        assert media["type"] == "image"
        about = media["mediaMetadata"]
        assert (about["originalFilename"], about["contentType"]) == ("Été.jpg", "image/jpeg")
        assert (about["width"], about["height"]) == (400, 300)
        sent = await ana.sends(group, "the garden", type="image", mediaId=media["_id"])
        pushed = await ben.receives("new_message", _id=sent["messageId"])
        (read,) = [each for each in await ben.reads(group) if each["_id"] == sent["messageId"]]
        synced = await ben.syncs(group)
        (logged,) = [each["data"] for each in synced["events"] if each["data"].get("_id") == sent["messageId"]]
        for message in (pushed, read, logged):
            assert (message["type"], message["content"]) == ("image", "the garden")
            assert message["mediaUrl"] == media["mediaUrl"]
            assert message["mediaMetadata"] == about
        shown = await fetch(ben, read["mediaUrl"])
        assert pictures.opened(shown.raw).size == (400, 300)
        assert b"secret" not in shown.raw
        small = await fetch(ben, about["thumbnailUrl"])
        assert pictures.opened(small.raw).size == (320, 240)
        assert (await fetch(ben, f"{read['mediaUrl'].removesuffix('download')}thumbnail?size=1280")).status == 200
        assert len(shown.raw) == about["size"]

    async def test_goes_over_rest_too_and_without_a_caption(self, people: People) -> None:
        ana, ben, group = await a_pair(people)
        media = await uploaded(ana, group, pictures.animation("GIF"))
        message = await ana.posts(group, "", type="image", mediaId=media["_id"])
        assert message["content"] == ""
        assert message["mediaMetadata"]["originalFilename"] == "it.bin.gif"
        pushed = await ben.receives("new_message", _id=message["_id"])
        assert pushed["mediaMetadata"] == message["mediaMetadata"]
        assert (await fetch(ana, f"/api/media/{media['_id']}"))["messageId"] == message["_id"]

    async def test_is_in_ones_export_and_in_the_group_list(self, people: People) -> None:
        ana, _, group = await a_pair(people)
        media = await uploaded(ana, group, PHOTO)
        await ana.sends(group, "cheese", type="image", mediaId=media["_id"])
        exported = (await ana.get("/me/export"))["messages"]
        assert [each["mediaUrl"] for each in exported if each["type"] == "image"] == [media["mediaUrl"]]
        assert (await ana.group(group))["lastMessage"]["type"] == "image"

    async def test_its_caption_can_be_changed_and_taken_away(self, people: People) -> None:
        ana, ben, group = await a_pair(people)
        media = await uploaded(ana, group, PHOTO)
        sent = await ana.sends(group, "befor", type="image", mediaId=media["_id"])
        place = {"groupId": group, "messageId": sent["messageId"]}
        for caption in ("after", ""):
            changed = await ana.socket.call("edit_message", place | {"content": caption})
            told = await ben.receives("message_updated", seq=changed["seq"])
            for message in (changed["message"], told["message"], (await ben.reads(group))[-1]):
                assert (message["content"], message["mediaUrl"]) == (caption, media["mediaUrl"])

    async def test_a_caption_obeys_the_rules_of_texts(self, people: People) -> None:
        ana, _, group = await a_pair(people)
        media = await uploaded(ana, group, PHOTO)
        fields = {"groupId": group, "type": "image", "mediaId": media["_id"]}
        assert (await ana.socket.refusal("send_message", fields | {"content": "x" * 4097}))[
            "code"
        ] == "message_too_long"
        assert (await ana.socket.refusal("send_message", fields | {"content": "a\0b"}))["code"] == "invalid_payload"


class TestAFile:
    async def test_comes_back_byte_for_byte_and_is_never_shown_inside_a_page(self, people: People) -> None:
        ana, ben, group = await a_pair(people)
        media = await uploaded(ana, group, FILE, 'rep"ort\u202e.pdf')
        await ana.sends(group, "", type="file", mediaId=media["_id"])
        got = await fetch(ben, media["mediaUrl"])
        assert got.raw == FILE
        assert got.headers["Content-Type"] == "application/octet-stream"
        assert (
            got.headers["Content-Disposition"] == "attachment; filename=\"rep_ort.pdf\"; filename*=UTF-8''rep_ort.pdf"
        )
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in got.headers["Content-Security-Policy"]
        assert got.headers["Cache-Control"] == "private, no-cache"
        assert (await fetch(ben, f"/api/media/{media['_id']}/thumbnail")).code == "not_found"

    @pytest.mark.parametrize(
        "content",
        [
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
            b"<!DOCTYPE html><script>alert(1)</script>",
            b"%PDF-1.7 GIF89a",
            b"\0\0\0 ftypheic" + bytes(400),
            b"BM" + bytes(60),
            b"MZ" + bytes(100),
            b"\x00",
        ],
        ids=["svg", "html", "pdf", "heic", "bmp", "exe", "one-byte"],
    )
    async def test_whatever_its_name_says(self, people: People, content: bytes) -> None:
        """Polyglots and pictures that we do not decode: attachments without a type."""
        ana, _, group = await a_pair(people)
        media = await uploaded(ana, group, content, "innocent.png")
        assert media["type"] == "file"
        got = await fetch(ana, media["mediaUrl"])
        assert (got.raw, got.headers["Content-Type"]) == (content, "application/octet-stream")
        assert got.headers["Content-Disposition"].startswith("attachment;")
        refused = await ana.socket.refusal("send_message", groupId=group, type="image", mediaId=media["_id"])
        assert (refused["code"], refused["field"]) == ("invalid_payload", "type")

    @pytest.mark.parametrize("head", [b"GIF89a/*", b"GIF89a=1;/*"])
    async def test_a_gif_that_is_also_a_script_is_refused(self, people: People, head: bytes) -> None:
        ana, _, group = await a_pair(people)
        assert (await uploads(ana, group, head + b"*/alert(1)//" + bytes(200), "x.gif")).code in (
            "unsupported_media",
            "payload_too_large",
        )


class TestRanges:
    @pytest.fixture
    async def stored(self, people: People) -> tuple[Person, str, str]:
        ana, _, group = await a_pair(people)
        media = await uploaded(ana, group, FILE)
        etag = (await fetch(ana, media["mediaUrl"], method="HEAD")).headers["Etag"]
        return ana, media["mediaUrl"], etag

    async def test_a_part_is_the_same_part_of_the_whole(self, stored: tuple[Person, str, str]) -> None:
        ana, path, etag = stored
        for asked, start, stop in (
            ("bytes=0-0", 0, 1),
            ("bytes=65530-65545", 65530, 65546),
            ("bytes=131072-", 131072, len(FILE)),
            ("bytes=-5", len(FILE) - 5, len(FILE)),
            ("bytes=-999999999", 0, len(FILE)),
            ("bytes=10-99999999", 10, len(FILE)),
        ):
            got = await fetch(ana, path, headers={"Range": asked, "If-Range": etag})
            assert (got.status, got.raw) == (206, FILE[start:stop]), asked
            assert got.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(FILE)}"

    async def test_what_is_no_single_range_gets_the_whole(self, stored: tuple[Person, str, str]) -> None:
        ana, path, _ = stored
        for asked in ("bytes=0-1,5-6", "bytes=-", "bytes=9-3", "bytes=a-b", "lines=1-2", "bytes=" + "9" * 40 + "-"):
            got = await fetch(ana, path, headers={"Range": asked})
            assert (got.status, len(got.raw)) == (200, len(FILE)), asked
        stale = await fetch(ana, path, headers={"Range": "bytes=0-1", "If-Range": '"another"'})
        assert (stale.status, len(stale.raw)) == (200, len(FILE))

    async def test_behind_the_end_there_is_nothing(self, stored: tuple[Person, str, str]) -> None:
        ana, path, _ = stored
        for asked in (f"bytes={len(FILE)}-", "bytes=-0"):
            got = await fetch(ana, path, headers={"Range": asked})
            assert (got.status, got.code) == (416, "range_not_satisfiable"), asked

    async def test_who_has_it_already_is_told_so(self, stored: tuple[Person, str, str]) -> None:
        ana, path, etag = stored
        got = await fetch(ana, path, headers={"If-None-Match": f'"x", {etag}'})
        assert (got.status, got.raw) == (304, b"")
        head = await fetch(ana, path, method="HEAD")
        assert (head.status, head.headers["Content-Length"], head.raw) == (200, str(len(FILE)), b"")


class TestWhoMay:
    async def test_before_it_is_sent_only_its_uploader_sees_it(self, people: People) -> None:
        ana, ben, group = await a_pair(people)
        media = await uploaded(ana, group, PHOTO)
        paths = [f"/api/media/{media['_id']}{rest}" for rest in ("", "/download", "/thumbnail")]
        assert [(await fetch(ana, path)).status for path in paths] == [200, 200, 200]
        assert [(await fetch(ben, path)).code for path in paths] == ["not_found"] * 3
        assert (await fetch(ben, paths[0], method="DELETE")).code == "not_found"
        assert (await fetch(ana, paths[0])).status == 200

    async def test_strangers_and_people_who_left_see_nothing_and_nothing_else_than_for_what_is_not_there(
        self, people: People
    ) -> None:
        ana, ben, group = await a_pair(people)
        eve = await people.person("eve")
        media = await uploaded(ana, group, PHOTO)
        await ana.sends(group, "", type="image", mediaId=media["_id"])
        assert (await fetch(ben, media["mediaUrl"])).status == 200
        await ben.post(f"/groups/{group}/leave")
        for person in (eve, ben):
            for rest in ("", "/download", "/thumbnail"):
                there, nowhere = [await fetch(person, f"/api/media/{id_}{rest}") for id_ in (media["_id"], NO_GROUP)]
                assert {**there.body, "correlationId": ""} == {**nowhere.body, "correlationId": ""}
                assert there.status == 404
        anonymous = await request(people.http, "GET", people.url + media["mediaUrl"])
        assert anonymous.code == "token_missing"

    async def test_who_came_later_sees_pictures_only_as_far_back_as_messages(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(settings={"historyForNewMembers": "none"})
        media = await uploaded(ana, group, SMALL)
        await ana.sends(group, "", type="file", mediaId=media["_id"])
        await ana.adds(ben, group)
        assert (await fetch(ben, media["mediaUrl"])).code == "not_found"

    async def test_nor_do_later_changes_of_its_caption_show_it(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(settings={"historyForNewMembers": "none"})
        media = await uploaded(ana, group, SMALL, "canary.txt")
        sent = await ana.sends(group, "", type="file", mediaId=media["_id"])
        await ana.adds(ben, group)
        changed = await ana.socket.call("edit_message", groupId=group, messageId=sent["messageId"], content="canary")
        told = await ben.receives("message_updated", seq=changed["seq"])
        (synced,) = [each["data"] for each in (await ben.syncs(group, changed["seq"] - 1))["events"]]
        for update in (told, synced):
            assert "canary" not in str(update)
            assert media["_id"] not in str(update)

    async def test_a_stranger_cannot_upload_and_his_file_is_not_even_read(
        self, people: People, server: ServerInThread
    ) -> None:
        ana = await people.person("ana")
        eve = await people.person("eve")
        group = await ana.creates_group()
        for first in (False, True):
            assert (await uploads(eve, group, FILE, file_first=first)).code == "not_found"
        assert (await uploads(eve, NO_GROUP, FILE)).code == "not_found"
        anonymous = await request(people.http, "POST", f"{people.url}/api/media/upload", data=a_form(FILE, group))
        assert anonymous.code == "token_missing"


class TestOneGroupOneMessage:
    async def test_an_upload_is_of_the_group_it_was_made_for(self, people: People) -> None:
        ana, ben, group = await a_pair(people)
        other = await ana.creates_group(ben)
        media = await uploaded(ana, group, SMALL)
        refused = await ana.socket.refusal("send_message", groupId=other, type="file", mediaId=media["_id"])
        assert (refused["code"], refused["field"]) == ("not_found", "mediaId")

    async def test_and_of_who_made_it(self, people: People) -> None:
        ana, ben, group = await a_pair(people)
        media = await uploaded(ana, group, SMALL)
        refused = await ben.socket.refusal("send_message", groupId=group, type="file", mediaId=media["_id"])
        assert (refused["code"], refused["field"]) == ("not_found", "mediaId")

    async def test_it_is_sent_once_also_by_two_who_race(self, people: People) -> None:
        ana, _, group = await a_pair(people)
        await ana.connects()
        media = await uploaded(ana, group, SMALL)
        fields = {"groupId": group, "type": "file", "mediaId": media["_id"]}
        acks = await asyncio.gather(*(socket.ack("send_message", fields) for socket in ana.sockets for _ in range(3)))
        assert sorted(ack["ok"] for ack in acks) == [False] * 5 + [True]
        assert {ack["error"]["code"] for ack in acks if not ack["ok"]} == {"conflict"}
        assert [each["type"] for each in await ana.reads(group)].count("file") == 1

    async def test_a_retry_gets_the_first_receipt(self, people: People) -> None:
        ana, _, group = await a_pair(people)
        media = await uploaded(ana, group, SMALL)
        fields = {"groupId": group, "type": "file", "mediaId": media["_id"], "content": "c", "tempId": "t1"}
        first, again = [await ana.socket.call("send_message", fields) for _ in range(2)]
        assert (again["messageId"], again["duplicate"]) == (first["messageId"], True)
        other = await uploaded(ana, group, SMALL)
        refused = await ana.socket.refusal("send_message", fields | {"mediaId": other["_id"]})
        assert refused["code"] == "conflict"

    async def test_a_retry_after_the_deletion_too_and_in_a_process_that_forgot(
        self, people: People, server: ServerInThread
    ) -> None:
        ana, _, group = await a_pair(people)
        media = await uploaded(ana, group, SMALL)
        fields = {"groupId": group, "type": "file", "mediaId": media["_id"], "tempId": "t1"}
        first = await ana.socket.call("send_message", fields)
        await ana.socket.call("delete_message", groupId=group, messageId=first["messageId"])
        core = server.chat.core.services
        core.messages._receipts.clear()
        await server.inside(core.attachments.media._store.forget([media["_id"]]))
        again = await ana.socket.call("send_message", fields)
        assert (again["messageId"], again["duplicate"]) == (first["messageId"], True)

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"type": "text"}, "type"),
            ({"type": "system"}, "type"),
            ({"mediaId": "x"}, "mediaId"),
            ({"mediaId": NO_GROUP}, "mediaId"),
        ],
    )
    async def test_a_message_says_what_it_carries(self, people: People, fields: dict[str, str], field: str) -> None:
        ana, _, group = await a_pair(people)
        media = await uploaded(ana, group, SMALL)
        asked = {"groupId": group, "type": "file", "mediaId": media["_id"]} | fields
        assert (await ana.socket.refusal("send_message", asked))["field"] == field

    async def test_an_image_may_be_sent_as_a_file(self, people: People) -> None:
        ana, _, group = await a_pair(people)
        media = await uploaded(ana, group, PHOTO)
        assert (await ana.posts(group, "", type="file", mediaId=media["_id"]))["type"] == "file"


class TestForms:
    async def test_the_fields_may_come_in_any_order(self, people: People) -> None:
        ana, _, group = await a_pair(people)
        for first in (False, True):
            assert (await uploads(ana, group, FILE, file_first=first)).status == 201

    async def test_what_is_no_such_form_is_refused(self, people: People) -> None:
        ana, _, group = await a_pair(people)
        begin, end = "--b\r\nContent-Disposition: form-data; name=", "\r\n--b--\r\n"
        whole = f'{begin}"groupId"\r\n\r\n{group}\r\n{begin}"file"; filename="x"\r\n\r\nabc'
        bodies = {
            f'{begin}"groupId"\r\n\r\n{group}{end}': "invalid_payload",
            f'{begin}"file"; filename="x"\r\n\r\nabc{end}': "invalid_payload",
            f'{begin}"groupId"\r\n\r\n{group}\r\n{begin}"file"; filename="x"\r\n\r\n{end}': "invalid_payload",
            f'{whole}\r\n{begin}"file"; filename="y"\r\n\r\nabc{end}': "invalid_payload",
            f'{whole}\r\n{begin}"senderId"\r\n\r\neve{end}': "unknown_field",
            f'{begin}"groupId"\r\n\r\n{"a" * 100}{end}': "invalid_payload",
            f'{begin}"groupId"\r\n\r\nnot an id{end}': "invalid_payload",
            f"{whole}": "invalid_payload",
            "--b--\r\n": "invalid_payload",
            "nothing of the kind": "invalid_payload",
            "": "invalid_payload",
            whole.replace('"x"\r\n', '"x"\r\nContent-Transfer-Encoding: base64\r\n') + end: "unsupported_media",
            whole.replace('"x"\r\n', '"x"\r\nContent-Encoding: gzip\r\n') + end: "unsupported_media",
        }
        for body, code in bodies.items():
            headers = {"Content-Type": "multipart/form-data; boundary=b"}
            answer = await ana.rest("POST", "/media/upload", data=body.encode(), headers=headers)
            assert answer.code == code, body
        good = await ana.rest("POST", "/media/upload", data=(whole + end).encode(), headers=headers)
        assert good.status == 201
        for type_ in ("application/json", "multipart/mixed; boundary=b", "multipart/form-data"):
            answer = await ana.rest(
                "POST", "/media/upload", data=(whole + end).encode(), headers={"Content-Type": type_}
            )
            assert answer.status in (400, 415), type_

    async def test_too_large_is_refused_by_the_length_that_is_said_and_by_the_one_that_comes(
        self, people: People, server: ServerInThread
    ) -> None:
        ana, _, group = await a_pair(people)
        limit = server.chat.core.settings.max_file_size
        assert (await uploads(ana, group, bytes(limit + 20_000))).code == "payload_too_large"

        async def without_length() -> Any:
            head = f'--b\r\nContent-Disposition: form-data; name="groupId"\r\n\r\n{group}\r\n'
            yield (head + '--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n').encode()
            for _ in range(limit // 1_000_000 + 2):
                yield bytes(1_000_000)
            yield b"\r\n--b--\r\n"

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        answer = await ana.rest("POST", "/media/upload", data=without_length(), headers=headers)
        assert answer.code == "payload_too_large"
        assert (await uploads(ana, group, bytes(limit))).status == 201


class TestGoing:
    async def test_an_unsent_upload_can_be_taken_back(self, people: People, server: ServerInThread) -> None:
        ana, _, group = await a_pair(people)
        media = await uploaded(ana, group, SMALL)
        await ana.delete(f"/media/{media['_id']}")
        assert (await fetch(ana, media["mediaUrl"])).code == "not_found"
        objects = server.chat.core.services.attachments.media.objects
        assert await server.inside(objects.keys(f"{group}/")) == []
        refused = await ana.socket.refusal("send_message", groupId=group, type="file", mediaId=media["_id"])
        assert refused["code"] == "not_found"

    async def test_a_sent_one_goes_with_its_message(self, people: People, server: ServerInThread) -> None:
        ana, ben, group = await a_pair(people)
        media = await uploaded(ana, group, SMALL)
        sent = await ana.sends(group, "", type="file", mediaId=media["_id"])
        assert (await fetch(ana, f"/api/media/{media['_id']}", method="DELETE")).code == "conflict"
        await ana.socket.call("delete_message", groupId=group, messageId=sent["messageId"])
        for person in (ana, ben):
            assert (await fetch(person, media["mediaUrl"])).code == "not_found"
        gone = (await ben.reads(group))[-1]
        assert (gone["isDeleted"], gone["content"]) == (True, "")
        assert not {"mediaUrl", "mediaMetadata"} & set(gone)

    async def test_a_deleted_group_takes_everything_along(self, people: People, server: ServerInThread) -> None:
        ana, _, group = await a_pair(people)
        media = server.chat.core.services.attachments.media
        for send in (True, False):
            one = await uploaded(ana, group, PHOTO)
            if send:
                await ana.sends(group, "", type="image", mediaId=one["_id"])
        assert len(await server.inside(media.objects.keys(f"{group}/"))) == 6
        await ana.delete(f"/groups/{group}")
        async with asyncio.timeout(10):
            while await server.inside(media.objects.keys(f"{group}/")):
                await server.inside(media.sweep())
        assert (await fetch(ana, one["mediaUrl"])).code == "not_found"


async def test_nothing_on_the_disk_and_in_the_database_says_what_it_is(people: People, server: ServerInThread) -> None:
    ana, _, group = await a_pair(people)
    await uploaded(ana, group, b"canary-content-77" * 999, "canary-name-77.txt")
    found = [path for path in server.chat.core.settings.chatcore_home.rglob("*") if path.is_file()]
    assert [path for path in found if group in str(path)]
    assert not [
        path for path in found if b"canary-content-77" in path.read_bytes() or b"canary-name-77" in path.read_bytes()
    ]
