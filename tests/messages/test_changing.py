"""Editing, deleting, reacting, pinning and reporting."""

import asyncio

import pytest

from tests.talking import Json, People, Person


async def _sent(people: People) -> tuple[Person, Person, str, Json]:
    """Ana owns a group with Ben and has sent a message there."""
    ana, ben = await people.connected("ana", "ben")
    group = await ana.creates_group(ben)
    sent = await ana.sends(group, "first form")
    await ben.receives("new_message", content="first form")
    return ana, ben, group, sent


class TestEditing:
    async def test_an_edit_reaches_everybody_the_editor_too(self, people: People) -> None:
        ana, ben, group, sent = await _sent(people)
        done = await ana.socket.call(
            "edit_message", groupId=group, messageId=sent["messageId"], content=" second form "
        )
        assert done["seq"] == sent["seq"] + 1
        assert done["messageSeq"] == sent["seq"]
        assert done["message"]["content"] == "second form"
        assert done["message"]["createdAt"] == sent["createdAt"]
        for person in (ana, ben):
            assert await person.receives("message_updated") == done
        assert (await ben.reads(group))[-1] == done["message"]

    async def test_sync_shows_the_present_text_at_both_places_and_never_the_old_one(self, people: People) -> None:
        ana, ben, group, sent = await _sent(people)
        await ana.patch(f"/messages/{sent['messageId']}", {"content": "second form"})
        new, updated = (await ben.syncs(group, since=sent["seq"] - 1))["events"]
        assert (new["event"], updated["event"]) == ("new_message", "message_updated")
        assert new["data"]["content"] == updated["data"]["message"]["content"] == "second form"

    async def test_only_the_author_edits(self, people: People) -> None:
        ana, ben, group, sent = await _sent(people)
        theirs = await ben.sends(group, "mine")
        for person, message in ((ben, sent), (ana, theirs)):
            target = {"groupId": group, "messageId": message["messageId"], "content": "x"}
            assert (await person.socket.refusal("edit_message", target))["code"] == "access_denied"
            assert (await person.rest("PATCH", f"/messages/{message['messageId']}", {"content": "x"})).status == 403

    async def test_the_same_text_again_changes_nothing_and_tells_nobody(self, people: People) -> None:
        ana, ben, group, sent = await _sent(people)
        done = await ana.socket.call("edit_message", groupId=group, messageId=sent["messageId"], content="first form")
        assert done["message"]["content"] == "first form"
        assert "message_updated" not in await ben.socket.settled()
        assert (await ana.group(group))["latestSeq"] == sent["seq"]

    async def test_edits_at_the_same_moment_end_with_one_text_for_all(self, people: People) -> None:
        ana, ben, group, sent = await _sent(people)
        tablet = await ana.connects()
        target = {"groupId": group, "messageId": sent["messageId"]}
        answers = await asyncio.gather(
            *(
                socket.ack("edit_message", target | {"content": f"form {index}"})
                for index, socket in enumerate((ana.socket, tablet))
            )
        )
        told = [data for _, data in ben.socket.heard if data.get("messageSeq") == sent["seq"]]
        assert sum(answer["ok"] for answer in answers) >= 1
        assert all(answer["ok"] or answer["error"]["code"] == "conflict" for answer in answers)
        await ben.socket.settled()
        told = [data["message"]["content"] for event, data in ben.socket.heard if event == "message_updated"]
        assert (await ben.reads(group))[-1]["content"] == told[-1]

    @pytest.mark.parametrize(("content", "code"), [(" ", "message_empty"), ("x" * 4097, "message_too_long")])
    async def test_an_edit_obeys_the_limits_of_a_message(self, people: People, content: str, code: str) -> None:
        ana, _, group, sent = await _sent(people)
        error = await ana.socket.refusal("edit_message", groupId=group, messageId=sent["messageId"], content=content)
        assert error["code"] == code
        assert (await ana.rest("PATCH", f"/messages/{sent['messageId']}", {"content": content})).code == code

    async def test_the_list_of_groups_shows_the_edited_text(self, people: People) -> None:
        ana, ben, group, sent = await _sent(people)
        await ana.patch(f"/messages/{sent['messageId']}", {"content": "second form"})
        assert (await ben.group(group))["lastMessage"]["content"] == "second form"


class TestDeleting:
    async def test_a_deleted_message_keeps_its_place_without_its_content(self, people: People) -> None:
        ana, ben, group, sent = await _sent(people)
        await ben.socket.call("add_reaction", groupId=group, messageId=sent["messageId"], emoji="\U0001f44d")
        done = await ana.socket.call("delete_message", groupId=group, messageId=sent["messageId"])
        assert done["messageSeq"] == sent["seq"]
        assert done["deletedBy"] == ana.user_id
        for person in (ana, ben):
            assert await person.receives("message_deleted") == done
        gone = (await ben.reads(group))[-1]
        assert (gone["_id"], gone["seq"], gone["isDeleted"], gone["content"]) == (
            sent["messageId"],
            sent["seq"],
            True,
            "",
        )
        assert "reactions" not in gone
        assert "mentions" not in gone
        assert (await ben.group(group))["lastMessage"]["content"] == ""
        assert all("first form" not in str(event) for event in (await ben.syncs(group))["events"])

    async def test_a_repeat_changes_nothing(self, people: People) -> None:
        ana, ben, _, sent = await _sent(people)
        await ana.delete(f"/messages/{sent['messageId']}")
        await ben.receives("message_deleted")
        await ana.delete(f"/messages/{sent['messageId']}")
        assert "message_deleted" not in await ben.socket.settled()

    async def test_nothing_can_be_done_with_it_any_more(self, people: People) -> None:
        ana, _, group, sent = await _sent(people)
        target = {"groupId": group, "messageId": sent["messageId"]}
        await ana.socket.call("delete_message", target)
        for event, more in (
            ("edit_message", {"content": "back"}),
            ("add_reaction", {"emoji": "\U0001f44d"}),
            ("pin_message", {}),
        ):
            assert (await ana.socket.refusal(event, target | more))["code"] == "conflict"

    async def test_a_moderator_deletes_anybodys_and_a_member_only_their_own(self, people: People) -> None:
        ana, ben, group, sent = await _sent(people)
        mia = (await people.connected("mia"))[0]
        await ana.adds(mia, group, "moderator")
        target = {"groupId": group, "messageId": sent["messageId"]}
        assert (await ben.socket.refusal("delete_message", target))["code"] == "access_denied"
        assert (await mia.socket.call("delete_message", target))["deletedBy"] == mia.user_id

    async def test_a_system_message_stays(self, people: People) -> None:
        ana, _, group, _ = await _sent(people)
        system = (await ana.reads(group))[0]
        assert system["type"] == "system"
        target = {"groupId": group, "messageId": system["_id"]}
        assert (await ana.socket.refusal("delete_message", target))["code"] == "access_denied"
        assert (await ana.socket.refusal("edit_message", target | {"content": "x"}))["code"] == "access_denied"


class TestReactions:
    async def test_they_are_counted_and_told(self, people: People) -> None:
        ana, ben, group, sent = await _sent(people)
        react = {"groupId": group, "messageId": sent["messageId"], "emoji": "\U0001f44d"}
        first = await ana.socket.call("add_reaction", react)
        second = await ben.socket.call("add_reaction", react)
        assert (first["count"], second["count"]) == (1, 2)
        assert await ben.receives("reaction_changed", count=1) == first
        assert await ana.receives("reaction_changed", count=2) == second
        assert (await ana.reads(group))[-1]["reactions"] == {"\U0001f44d": 2}
        assert (await ana.socket.call("remove_reaction", react))["count"] == 1
        assert (await ben.socket.call("remove_reaction", react))["count"] == 0
        assert "reactions" not in (await ana.reads(group))[-1]

    async def test_a_repeat_changes_nothing_and_tells_nobody(self, people: People) -> None:
        ana, ben, group, sent = await _sent(people)
        react = {"groupId": group, "messageId": sent["messageId"], "emoji": "\u2764\ufe0f"}
        assert (await ana.socket.call("remove_reaction", react))["count"] == 0
        assert "reaction_changed" not in await ben.socket.settled()
        await ana.socket.call("add_reaction", react)
        await ben.receives("reaction_changed")
        assert (await ana.socket.call("add_reaction", react))["count"] == 1
        assert "reaction_changed" not in await ben.socket.settled()

    async def test_many_at_once_are_all_counted(self, people: People) -> None:
        crowd = await people.connected(*(f"p{n}" for n in range(8)))
        group = await crowd[0].creates_group(*crowd[1:])
        sent = await crowd[0].sends(group)
        react = {"groupId": group, "messageId": sent["messageId"], "emoji": "\U0001f389"}
        counts = await asyncio.gather(*(person.socket.call("add_reaction", react) for person in crowd))
        assert sorted(answer["count"] for answer in counts) == list(range(1, 9))

    @pytest.mark.parametrize(
        "emoji",
        [
            "",
            "a",
            "$inc",
            "a.b",
            "\U0001f44d\U0001f44d $",
            "x\U0001f44d",
            "\u200d",
            "9",
            "1.a\u20e3",
            "#$\u20e3",
            "\u20e3",
        ],
    )
    async def test_only_an_emoji_is_a_reaction(self, people: People, emoji: str) -> None:
        ana, _, group, sent = await _sent(people)
        react = {"groupId": group, "messageId": sent["messageId"], "emoji": emoji}
        assert (await ana.socket.refusal("add_reaction", react))["code"] == "invalid_payload"

    @pytest.mark.parametrize("emoji", ["1\ufe0f\u20e3", "#\u20e3", "\u2764\ufe0f", "\U0001f1e9\U0001f1ea"])
    async def test_keycaps_hearts_and_flags_are_emoji(self, people: People, emoji: str) -> None:
        ana, ben, group, sent = await _sent(people)
        await ana.socket.call("add_reaction", groupId=group, messageId=sent["messageId"], emoji=emoji)
        assert (await ben.reads(group))[-1]["reactions"] == {emoji: 1}

    async def test_a_message_takes_twenty_different_ones(self, people: People) -> None:
        ana, _, group, sent = await _sent(people)
        react = {"groupId": group, "messageId": sent["messageId"]}
        for number in range(20):
            await ana.socket.call("add_reaction", react | {"emoji": chr(0x1F600 + number)})
        error = await ana.socket.refusal("add_reaction", react | {"emoji": chr(0x1F620)})
        assert error["code"] == "limit_reached"


class TestPins:
    async def test_pins_are_told_and_listed_oldest_first(self, people: People) -> None:
        ana, ben, group, first = await _sent(people)
        second = await ana.sends(group, "second")
        ids = [first["messageId"], second["messageId"]]
        for message_id in ids:
            done = await ana.socket.call("pin_message", groupId=group, messageId=message_id)
        assert done["pins"] == ids
        assert await ben.receives("pins_changed", pins=ids) == done
        assert [message["_id"] for message in (await ben.get(f"/groups/{group}/pins"))["pins"]] == ids
        await ana.socket.call("unpin_message", groupId=group, messageId=ids[0])
        assert (await ben.receives("pins_changed", pins=ids[1:]))["seq"] == done["seq"] + 1

    async def test_a_repeat_changes_nothing_and_tells_nobody(self, people: People) -> None:
        ana, ben, group, sent = await _sent(people)
        target = {"groupId": group, "messageId": sent["messageId"]}
        assert (await ana.socket.call("unpin_message", target))["pins"] == []
        assert "pins_changed" not in await ben.socket.settled()
        await ana.socket.call("pin_message", target)
        await ben.receives("pins_changed")
        await ana.socket.call("pin_message", target)
        assert "pins_changed" not in await ben.socket.settled()

    async def test_in_a_group_moderators_pin_and_in_a_direct_conversation_both_people(self, people: People) -> None:
        ana, ben, group, sent = await _sent(people)
        error = await ben.socket.refusal("pin_message", groupId=group, messageId=sent["messageId"])
        assert error["code"] == "access_denied"
        direct = (await ana.post("/direct-messages", {"userId": ben.user_id}))["_id"]
        hello = await ana.sends(direct)
        await ben.socket.call("pin_message", groupId=direct, messageId=hello["messageId"])


class TestReports:
    async def test_a_report_reaches_those_who_moderate_and_nobody_else(self, people: People) -> None:
        ana, ben, group, _ = await _sent(people)
        mia, cleo = await people.connected("mia", "cleo")
        await ana.adds(mia, group, "moderator")
        await ana.adds(cleo, group)
        bad = await ben.sends(group, "something bad")
        report = {"groupId": group, "messageId": bad["messageId"], "reason": "not kind"}
        done = await cleo.socket.call("report_message", report)
        for reviewer in (ana, mia):
            notice = await reviewer.receives("report_created")
            assert notice == {"reportId": done["reportId"], **report}
        for other in (ben, cleo):
            assert "report_created" not in await other.socket.settled()

    async def test_a_repeat_is_the_first_report(self, people: People) -> None:
        ana, ben, group, _ = await _sent(people)
        (cleo,) = await people.connected("cleo")
        await ana.adds(cleo, group)
        bad = await ben.sends(group, "something bad")
        report = {"groupId": group, "messageId": bad["messageId"], "reason": "not kind"}
        first = await cleo.socket.call("report_message", report)
        await ana.receives("report_created")
        assert await cleo.socket.call("report_message", report | {"reason": "again"}) == first
        assert "report_created" not in await ana.socket.settled()

    async def test_whom_a_report_is_about_is_not_told_whatever_their_role(self, people: People) -> None:
        ana, ben, group, sent = await _sent(people)
        (mia,) = await people.connected("mia")
        await ana.adds(mia, group, "moderator")
        report = {"groupId": group, "messageId": sent["messageId"], "reason": "the owner is not kind"}
        await ben.socket.call("report_message", report)
        await mia.receives("report_created")
        assert "report_created" not in await ana.socket.settled()

    async def test_ones_own_message_is_not_reported(self, people: People) -> None:
        ana, _, group, sent = await _sent(people)
        report = {"groupId": group, "messageId": sent["messageId"], "reason": "x"}
        assert (await ana.socket.refusal("report_message", report))["code"] == "access_denied"
