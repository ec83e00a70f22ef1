"""Sending a message: who gets it, in which order, and what a repeat does."""

import asyncio

import pytest

from tests.talking import NO_GROUP, People


async def test_a_message_reaches_the_others_and_the_senders_other_devices(people: People) -> None:
    ana, ben = await people.connected("ana", "ben")
    tablet = await ana.connects()
    group = await ana.creates_group(ben)
    receipt = await ana.sends(group, "  good morning  ", tempId="t1")
    for socket in (ben.socket, tablet):
        message = await socket.receives("new_message", content="good morning")
        assert message["_id"] == receipt["messageId"]
        assert message["seq"] == receipt["seq"]
        assert message["senderId"] == ana.user_id
        assert message["sender"]["name"] == ana.name
        assert message["type"] == "text"
        assert message["createdAt"] == receipt["createdAt"]
    assert receipt["tempId"] == "t1"
    assert receipt["duplicate"] is False
    assert await ana.receives("message_sent") == receipt
    await ana.socket.settled()
    assert not [data for event, data in ana.socket.heard if event == "new_message" and data["type"] == "text"]


async def test_nobody_outside_the_group_hears_it(people: People) -> None:
    ana, ben, eve = await people.connected("ana", "ben", "eve")
    group = await ana.creates_group(ben)
    await ana.sends(group)
    await ben.receives("new_message", type="text")
    assert await eve.socket.settled() == []


async def test_what_was_pushed_is_what_history_and_sync_tell(people: People) -> None:
    ana, ben = await people.connected("ana", "ben")
    group = await ana.creates_group(ben)
    await ana.sends(group, "as it is")
    pushed = await ben.receives("new_message", content="as it is")
    assert (await ben.reads(group))[-1] == pushed
    synced = await ben.syncs(group, since=pushed["seq"] - 1)
    assert synced["events"] == [{"seq": pushed["seq"], "event": "new_message", "data": pushed}]


async def test_everybody_hears_all_of_a_talk_in_the_order_of_the_log_without_a_hole(people: People) -> None:
    talkers = await people.connected("ana", "ben", "cleo")
    ana, *others = talkers
    group = await ana.creates_group(*others)
    listener = await ana.connects()
    listener.forget()
    first = (await ana.group(group))["latestSeq"] + 1
    await asyncio.gather(*(person.sends(group, f"{person.name} {n}") for person in talkers for n in range(20)))
    await listener.settled()
    heard = [data for event, data in listener.heard if event == "new_message"]
    assert [message["seq"] for message in heard] == list(range(first, first + 60))
    for person in talkers:
        own = [message["content"] for message in heard if message["senderId"] == person.user_id]
        assert own == [f"{person.name} {n}" for n in range(20)]


class TestRepeats:
    async def test_a_retry_is_answered_with_the_first_receipt_and_not_told_again(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        first = await ana.sends(group, "once", tempId="t1")
        again = await ana.sends(group, "once", tempId="t1")
        assert again == first | {"duplicate": True}
        await ben.receives("new_message", content="once")
        assert "new_message" not in [event for event, data in ben.socket.heard if data.get("content") == "once"]
        assert [message["content"] for message in await ben.reads(group)].count("once") == 1

    async def test_retries_at_the_same_moment_store_one_message(self, people: People) -> None:
        ana = await people.person("ana")
        devices = [await ana.connects() for _ in range(4)]
        group = await ana.creates_group()
        payload = {"groupId": group, "content": "once", "tempId": "t1"}
        receipts = await asyncio.gather(*(device.call("send_message", payload) for device in devices))
        assert len({receipt["messageId"] for receipt in receipts}) == 1
        assert sorted(receipt["duplicate"] for receipt in receipts) == [False, True, True, True]
        assert [message["content"] for message in await ana.reads(group)].count("once") == 1

    @pytest.mark.parametrize("change", [{"content": "else"}, {"replyTo": True}])
    async def test_the_same_temp_id_for_another_message_is_a_conflict(self, people: People, change: dict) -> None:
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        other = await ana.sends(group, "other")
        await ana.sends(group, "one", tempId="t1")
        fields = {"content": "one"} | ({"replyTo": other["messageId"]} if "replyTo" in change else change)
        error = await ana.socket.refusal("send_message", {"groupId": group, "tempId": "t1"} | fields)
        assert (error["code"], error["field"], error["tempId"]) == ("conflict", "tempId", "t1")
        assert error["retryable"] is False

    async def test_a_temp_id_is_the_senders_own_in_one_group(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group, other = await ana.creates_group(ben), await ana.creates_group()
        first = await ana.sends(group, "x", tempId="t1")
        for sent in (await ben.sends(group, "x", tempId="t1"), await ana.sends(other, "x", tempId="t1")):
            assert sent["duplicate"] is False
            assert sent["messageId"] != first["messageId"]

    async def test_without_a_temp_id_the_same_text_twice_is_two_messages(self, people: People) -> None:
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        first, second = await ana.sends(group, "ha"), await ana.sends(group, "ha")
        assert first["messageId"] != second["messageId"]
        assert second["seq"] == first["seq"] + 1

    async def test_a_retry_finds_its_message_after_that_was_edited_or_deleted(self, people: People) -> None:
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        sent = await ana.sends(group, "first form", tempId="t1")
        target = {"groupId": group, "messageId": sent["messageId"]}
        await ana.socket.call("edit_message", target | {"content": "second form"})
        assert (await ana.sends(group, "first form", tempId="t1"))["messageId"] == sent["messageId"]
        await ana.socket.call("delete_message", target)
        assert (await ana.sends(group, "first form", tempId="t1"))["messageId"] == sent["messageId"]

    async def test_a_retry_finds_its_message_when_the_one_it_answers_was_deleted_since(self, people: People) -> None:
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        question = await ana.sends(group, "question")
        fields = {"tempId": "t1", "replyTo": question["messageId"]}
        answer = await ana.sends(group, "answer", **fields)
        await ana.socket.call("delete_message", groupId=group, messageId=question["messageId"])
        assert await ana.sends(group, "answer", **fields) == answer | {"duplicate": True}


class TestOverRest:
    async def test_a_message_posted_over_rest_reaches_the_sockets(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        answer = await ana.post("/messages", {"groupId": group, "content": "by post"})
        assert answer.status == 201
        assert await ben.receives("new_message", content="by post") == answer.body
        assert await ana.receives("new_message", content="by post") == answer.body

    async def test_the_idempotency_key_stands_for_the_temp_id(self, people: People) -> None:
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        body, headers = {"groupId": group, "content": "by post"}, {"Idempotency-Key": "k1"}
        first = await ana.rest("POST", "/messages", body, headers=headers)
        again = await ana.rest("POST", "/messages", body, headers=headers)
        assert first.body == again.body
        assert (await ana.sends(group, "by post", tempId="k1"))["duplicate"] is True
        other = await ana.rest("POST", "/messages", body | {"content": "else"}, headers=headers)
        assert (other.status, other.code) == (409, "conflict")

    async def test_the_path_and_the_older_form_of_the_path_are_the_same(self, people: People) -> None:
        ana = await people.person("ana")
        group = await ana.creates_group()
        posted = await ana.post("/v1/messages", {"groupId": group, "content": "hello"})
        assert (await ana.get(f"/messages/{group}")).body == (await ana.get(f"/v1/messages/{group}")).body
        assert posted.status == 201


class TestContent:
    @pytest.mark.parametrize(
        "content", ["", "   \n\t ", "\u200b\u200d \ufeff", "\u3164", "\u2800\u00ad\ufe0f", "\u202e"]
    )
    async def test_a_message_needs_text(self, people: People, content: str) -> None:
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        error = await ana.socket.refusal("send_message", groupId=group, content=content, tempId="t1")
        assert (error["code"], error["field"], error["tempId"]) == ("message_empty", "content", "t1")
        assert (await ana.receives("message_error", code="message_empty"))["tempId"] == "t1"

    async def test_4096_bytes_are_the_most(self, people: People) -> None:
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        full = "\u00e9" * 2048
        await ana.sends(group, f"  {full}  ")
        assert (await ana.reads(group))[-1]["content"] == full
        error = await ana.socket.refusal("send_message", groupId=group, content=full + "x")
        assert error["code"] == "message_too_long"

    async def test_text_comes_back_as_it_was_sent(self, people: People) -> None:
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        text = "\u202e e\u0301 \U0001f468\u200d\U0001f469\u200d\U0001f467 <b>&amp;</b> 'q' \\u0041 \x7f \ufffe {}[]"
        await ana.sends(group, text)
        assert (await ana.reads(group))[-1]["content"] == text.strip()

    async def test_an_image_without_an_upload_is_refused(self, people: People) -> None:
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        error = await ana.socket.refusal("send_message", groupId=group, content="x", type="image")
        assert (error["code"], error["field"]) == ("invalid_payload", "mediaId")


class TestRepliesAndMentions:
    async def test_a_reply_names_the_message_it_answers(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        question = await ana.sends(group, "who is there?")
        await ben.sends(group, "me", replyTo=question["messageId"])
        assert (await ana.receives("new_message", content="me"))["replyTo"] == question["messageId"]

    async def test_one_answers_only_a_message_of_the_same_group_that_is_there(self, people: People) -> None:
        (ana,) = await people.connected("ana")
        group, other = await ana.creates_group(), await ana.creates_group()
        elsewhere, gone = await ana.sends(other, "elsewhere"), await ana.sends(group, "gone")
        await ana.socket.call("delete_message", groupId=group, messageId=gone["messageId"])
        for reply_to, code in (
            (elsewhere["messageId"], "not_found"),
            (NO_GROUP, "not_found"),
            (gone["messageId"], "conflict"),
        ):
            error = await ana.socket.refusal("send_message", groupId=group, content="x", replyTo=reply_to)
            assert (error["code"], error["field"]) == (code, "replyTo")

    async def test_members_are_mentioned_by_name_and_others_are_not(self, people: People) -> None:
        ana, ben, eve = await people.connected("ana", "ben", "eve")
        group = await ana.creates_group(ben)
        await ana.sends(group, f"hi @{ben.name.upper()}. and @{eve.name}, x@{ben.name}")
        message = await ben.receives("new_message", senderId=ana.user_id, type="text")
        assert message["mentions"] == [ben.user_id]
        await ana.socket.call(
            "edit_message", groupId=group, messageId=message["_id"], content=f"no @{eve.name}, but @{ana.name}"
        )
        assert (await ben.receives("message_updated"))["message"]["mentions"] == [ana.user_id]


class TestSlowMode:
    async def test_a_member_waits_and_a_moderator_does_not(self, people: People) -> None:
        ana, ben, mia = await people.connected("ana", "ben", "mia")
        group = await ana.creates_group(ben)
        await ana.adds(mia, group, "moderator")
        await ana.patch(f"/groups/{group}", {"settings": {"slowModeSeconds": 600}})
        await ben.sends(group, "first", tempId="t1")
        error = await ben.socket.refusal("send_message", groupId=group, content="second")
        assert error["code"] == "slow_mode"
        assert 0 < error["retryAfterMs"] <= 600_000
        for person in (mia, ana):
            await person.sends(group, "one")
            await person.sends(group, "two")

    async def test_a_retry_is_no_second_message(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        await ana.patch(f"/groups/{group}", {"settings": {"slowModeSeconds": 600}})
        await ben.sends(group, "first", tempId="t1")
        assert (await ben.sends(group, "first", tempId="t1"))["duplicate"] is True

    async def test_a_message_that_is_refused_costs_no_pause(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        await ana.patch(f"/groups/{group}", {"settings": {"slowModeSeconds": 600}})
        await ben.socket.refusal("send_message", groupId=group, content=" ")
        await ben.sends(group, "first")
