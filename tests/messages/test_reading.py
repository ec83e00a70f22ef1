"""History by page and by cursor, `sync`, read watermarks, unread counts and receipts."""

import pytest

from chatcore.contract.messages import LogEvent, Sync, SyncPoint
from chatcore.messages.history import SyncRoom
from tests.memory import Household
from tests.servers import ServerInThread
from tests.talking import NO_GROUP, Json, People, Person


def contents(messages: list[Json]) -> list[str]:
    return [message["content"] for message in messages]


async def _talk(person: Person, group: str, count: int, word: str = "m") -> list[Json]:
    return [await person.sends(group, f"{word}{n}") for n in range(1, count + 1)]


class TestHistory:
    async def test_page_one_is_the_newest_and_pages_meet_without_gap_or_overlap(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        sent = await _talk(ana, group, 7)
        await ana.socket.call("add_reaction", groupId=group, messageId=sent[3]["messageId"], emoji="\U0001f44d")
        await ana.socket.call("edit_message", groupId=group, messageId=sent[2]["messageId"], content="m3!")
        await _talk(ben, group, 4, "n")
        whole = ["n1", "n2", "n3", "n4"]
        pages = [(await ana.get(f"/messages/{group}", page=page, limit=3)).body for page in range(1, 6)]
        read = [content for page in reversed(pages) for content in contents(page["messages"])]
        assert read == contents(await ana.reads(group, limit=100))
        assert read[-11:] == ["m1", "m2", "m3!", "m4", "m5", "m6", "m7", *whole]
        assert len(read) == 13  # two system messages: created, added
        assert [page["hasMore"] for page in pages] == [True, True, True, True, False]
        assert (await ana.get(f"/messages/{group}", page=6, limit=3)).body["messages"] == []

    async def test_joining_and_leaving_are_told_among_the_messages(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        await ben.post(f"/groups/{group}/leave")
        told = await ana.reads(group)
        assert [message["type"] for message in told] == ["system"] * 3
        assert contents(told) == [
            f"{ana.name} created the group",
            f"{ana.name} added {ben.name}",
            f"{ben.name} left",
        ]

    async def test_cursors_are_exclusive_log_positions(self, people: People) -> None:
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        sent = await _talk(ana, group, 6)
        seqs = [receipt["seq"] for receipt in sent]
        before = await ana.get(f"/messages/{group}", before=seqs[4], limit=2)
        assert contents(before["messages"]) == ["m3", "m4"]
        assert before["hasMore"] is True
        after = await ana.get(f"/messages/{group}", after=seqs[3], limit=2)
        assert contents(after["messages"]) == ["m5", "m6"]
        assert after["hasMore"] is False
        assert after["latestSeq"] == seqs[-1]
        assert (await ana.get(f"/messages/{group}", after=seqs[0], limit=2))["hasMore"] is True
        assert (await ana.get(f"/messages/{group}", before=1))["messages"] == []
        assert contents((await ana.get(f"/messages/{group}", before=10**9, limit=1))["messages"]) == ["m6"]
        assert (await ana.get(f"/messages/{group}", after=10**9))["messages"] == []

    async def test_a_page_looks_past_events_that_are_no_messages(self, people: People) -> None:
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        first = (await ana.sends(group, "old"))["messageId"]
        for _ in range(15):
            for event in ("add_reaction", "remove_reaction"):
                await ana.socket.call(event, groupId=group, messageId=first, emoji="\U0001f44d")
        await ana.sends(group, "new")
        assert contents(await ana.reads(group, limit=2)) == ["old", "new"]
        last = (await ana.group(group))["latestSeq"]
        assert contents((await ana.get(f"/messages/{group}", before=last, limit=1))["messages"]) == ["old"]

    @pytest.mark.parametrize(
        "query",
        [
            {"limit": 0},
            {"limit": 101},
            {"page": 0},
            {"page": 1, "before": 5},
            {"before": 1, "after": 1},
            {"before": -1},
            {"limit": "x"},
            {"include": "all"},
            {"since": 1},
        ],
    )
    async def test_other_queries_are_refused(self, people: People, query: Json) -> None:
        ana = await people.person("ana")
        group = await ana.creates_group()
        answer = await ana.rest("GET", f"/messages/{group}", params={key: str(value) for key, value in query.items()})
        assert answer.status == 400
        assert answer.code in ("invalid_payload", "unknown_field")


class TestHistoryForNewMembers:
    async def test_none_hides_everything_before_the_joining_in_every_way_to_read(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(settings={"historyForNewMembers": "none"})
        old = (await ana.sends(group, "before ben"))["messageId"]
        await ana.socket.call("pin_message", groupId=group, messageId=old)
        await ana.adds(ben, group)
        joined = await ben.receives("member_joined", groupId=group)
        await ana.sends(group, "after ben")
        assert contents(await ben.reads(group)) == [f"{ana.name} added {ben.name}", "after ben"]
        assert (await ben.get(f"/messages/{group}", limit=1))["hasMore"] is True
        assert contents((await ben.get(f"/messages/{group}", after=0))["messages"])[-1] == "after ben"
        assert (await ben.get(f"/messages/{group}", before=joined["seq"]))["messages"] == []
        assert (await ben.get(f"/groups/{group}/pins"))["pins"] == []
        synced = await ben.syncs(group, since=0)
        assert (synced["resyncRequired"], synced["events"]) == (True, [])
        synced = await ben.syncs(group, since=joined["seq"] - 1)
        assert [event["event"] for event in synced["events"]] == ["member_joined", "new_message", "new_message"]
        for event, more in (
            ("add_reaction", {"emoji": "\U0001f44d"}),
            ("report_message", {"reason": "x"}),
            ("mark_message_read", {}),
        ):
            error = await ben.socket.refusal(event, {"groupId": group, "messageId": old} | more)
            assert error["code"] == "not_found"
        error = await ben.socket.refusal("mark_messages_read", groupId=group, messageIds=[old])
        assert error["code"] == "not_found"
        assert (await ben.rest("GET", f"/messages/{old}/receipts")).status == 404
        error = await ben.socket.refusal("send_message", groupId=group, content="x", replyTo=old)
        assert error["code"] == "not_found"
        assert "before ben" in contents(await ana.reads(group))

    async def test_all_shows_the_past(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group()
        await ana.sends(group, "before ben")
        await ana.adds(ben, group)
        assert "before ben" in contents(await ben.reads(group))
        assert (await ben.syncs(group))["events"][0]["seq"] == 1

    async def test_a_change_of_an_old_message_does_not_show_it_to_new_members(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(settings={"historyForNewMembers": "none"})
        old = (await ana.sends(group, "before ben"))["messageId"]
        await ana.adds(ben, group)
        ben.socket.forget()
        await ana.socket.call("edit_message", groupId=group, messageId=old, content="still before ben")
        last = (await ana.group(group))["latestSeq"]
        await ben.socket.settled()
        assert "before ben" not in str(ben.socket.heard)
        assert "before ben" not in str(await ben.syncs(group, since=last - 1))


class TestSync:
    async def test_every_kind_of_event_comes_as_it_was_pushed(self, people: People) -> None:
        ana, ben, cleo = await people.connected("ana", "ben", "cleo")
        group = await ana.creates_group(ben)
        ben.socket.forget()
        since = (await ana.group(group))["latestSeq"]
        sent = await ana.sends(group, "one")
        target = {"groupId": group, "messageId": sent["messageId"]}
        await ana.socket.call("add_reaction", target | {"emoji": "\U0001f44d"})
        await ana.socket.call("pin_message", target)
        await ana.adds(cleo, group, "moderator")
        await ana.patch(f"/groups/{group}", {"description": "new"})
        await cleo.post(f"/groups/{group}/leave")
        await ben.socket.settled()
        pushed = [(event, data) for event, data in ben.socket.heard if isinstance(data, dict) and "seq" in data]
        synced = await ben.syncs(group, since=since)
        told = [(event["event"], event["data"]) for event in synced["events"]]
        assert [name for name, _ in told] == [name for name, _ in pushed]
        assert [data["seq"] for _, data in told] == list(range(since + 1, synced["latestSeq"] + 1))
        for (name, was_pushed), (_, is_told) in zip(pushed, told, strict=True):
            if name == "new_message" and was_pushed["_id"] == sent["messageId"]:
                assert is_told == was_pushed | {"reactions": {"\U0001f44d": 1}}
            elif name == "group_updated":
                assert is_told["group"]["description"] == was_pushed["group"]["description"]
            else:
                assert is_told == was_pushed

    async def test_two_hundred_events_at_once_and_the_rest_after(self, people: People, server: ServerInThread) -> None:
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        for _ in range(205):
            await ana.socket.send_raw(f'42["send_message",{{"groupId":"{group}","content":"m"}}]')
        await ana.socket.settled()
        first = await ana.syncs(group, since=0)
        assert [event["seq"] for event in first["events"]] == list(range(1, 201))
        assert first["hasMore"] is True
        rest = await ana.syncs(group, since=200)
        assert [event["seq"] for event in rest["events"]] == list(range(201, first["latestSeq"] + 1))
        assert rest["hasMore"] is False
        assert first["latestSeq"] == 207

    async def test_one_answer_stays_small_enough_to_be_sent_and_leads_on(self) -> None:
        """What is unsent beyond 1 MiB has its connection cut, so a larger answer could never arrive."""
        async with Household() as house:
            ana, ben = house.people("ana", "ben")
            groups = [await house.group(ana, ben) for _ in range(3)]
            for group in groups:
                for number in range(40):
                    await house.sends(ana, group, '"' * 4090 + str(number))
            latest = {group: house.rooms.head(group).seq for group in groups}
            since, answers = dict.fromkeys(groups, 0), 0
            while since != latest:
                points = [SyncPoint(group_id=group, since=seq) for group, seq in since.items()]
                synced = await house.services.reading.sync(ben, Sync(groups=points))
                assert len(synced.wire_json()) < 400_000
                answers += 1
                for group in synced.groups:
                    places = [event.seq for event in group.events]
                    assert places == list(range(since[group.group_id] + 1, since[group.group_id] + 1 + len(places)))
                    since[group.group_id] += len(places)
                    assert group.has_more is (since[group.group_id] < latest[group.group_id])
                assert answers <= 8
            assert answers > 1

    async def test_a_single_event_larger_than_an_answer_comes_alone(self) -> None:
        event = LogEvent(seq=1, event="new_message", data={"content": "x" * 100})
        room = SyncRoom(10)
        assert room.fitting([event, event]) == [event]
        assert room.fitting([event]) == []

    async def test_one_who_is_up_to_date_gets_nothing(self, people: People) -> None:
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        last = (await ana.group(group))["latestSeq"]
        synced = await ana.syncs(group, since=last)
        assert (synced["events"], synced["hasMore"], synced["resyncRequired"]) == ([], False, False)
        assert synced["latestSeq"] == last

    async def test_a_cursor_past_the_end_asks_for_a_new_start(self, people: People) -> None:
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        assert (await ana.syncs(group, since=10_000))["resyncRequired"] is True

    async def test_a_group_one_may_not_read_leaves_the_others_alone(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        mine, theirs = await ana.creates_group(), await ben.creates_group()
        points = [{"groupId": group, "since": 0} for group in (theirs, mine, NO_GROUP)]
        foreign, own, none = (await ana.socket.call("sync", groups=points))["groups"]
        for refused in (foreign, none):
            assert (refused["error"], refused["events"], refused["latestSeq"]) == ("not_found", [], 0)
        assert "error" not in own
        assert len(own["events"]) == 2


class TestReadState:
    async def test_unread_counts_what_others_wrote_after_the_watermark(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        sent = await _talk(ana, group, 5)
        assert (await ben.group(group))["unread"] == 5
        assert (await ana.group(group))["unread"] == 0
        receipt = await ben.socket.call("mark_message_read", groupId=group, messageId=sent[2]["messageId"])
        assert receipt["upToSeq"] == sent[2]["seq"]
        assert (await ben.group(group))["unread"] == 2
        assert await ana.receives("message_read") == receipt

    async def test_sending_moves_ones_own_watermark(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        await _talk(ana, group, 3)
        await ben.sends(group, "I am here")
        assert (await ben.group(group))["unread"] == 0

    async def test_joining_leaving_editing_and_reacting_count_as_nothing(self, people: People) -> None:
        ana, ben, cleo = await people.connected("ana", "ben", "cleo")
        group = await ana.creates_group(ben)
        sent = await ana.sends(group)
        await ben.socket.call("mark_message_read", groupId=group, messageId=sent["messageId"])
        await ana.adds(cleo, group)
        await cleo.post(f"/groups/{group}/leave")
        await ana.patch(f"/messages/{sent['messageId']}", {"content": "changed"})
        await ana.socket.call("add_reaction", groupId=group, messageId=sent["messageId"], emoji="\U0001f44d")
        assert (await ben.group(group))["unread"] == 0

    async def test_going_back_is_a_no_op_and_a_repeat_is_not_told(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        sent = await _talk(ana, group, 3)
        await ben.socket.call("mark_messages_read", groupId=group, messageIds=[each["messageId"] for each in sent])
        told = await ana.receives("messages_read")
        assert told["upToSeq"] == sent[-1]["seq"]
        assert told["messageIds"] == [each["messageId"] for each in sent]
        back = await ben.socket.call("mark_message_read", groupId=group, messageId=sent[0]["messageId"])
        assert back["upToSeq"] == sent[-1]["seq"]
        await ben.socket.call("mark_messages_read", groupId=group, upToSeq=sent[-1]["seq"])
        assert not {"message_read", "messages_read"} & set(await ana.socket.settled())
        assert (await ben.group(group))["unread"] == 0

    async def test_reading_up_to_a_position_never_passes_the_end(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        await _talk(ana, group, 2)
        answer = await ben.post("/messages/read", {"groupId": group, "upToSeq": 10**9})
        assert answer["upToSeq"] == (await ana.group(group))["latestSeq"]
        await ana.sends(group, "later")
        assert (await ben.group(group))["unread"] == 1

    @pytest.mark.parametrize("more", [{}, {"messageIds": []}, {"messageIds": [NO_GROUP] * 201}, {"upToSeq": "5"}])
    async def test_other_forms_are_refused(self, people: People, more: Json) -> None:
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        error = await ana.socket.refusal("mark_messages_read", {"groupId": group} | more)
        assert error["code"] == "invalid_payload"

    async def test_ids_and_a_position_exclude_each_other(self, people: People) -> None:
        (ana,) = await people.connected("ana")
        group = await ana.creates_group()
        sent = await ana.sends(group)
        fields = {"groupId": group, "messageIds": [sent["messageId"]], "upToSeq": 1}
        assert (await ana.socket.refusal("mark_messages_read", fields))["code"] == "invalid_payload"


class TestReceipts:
    async def test_they_name_those_who_read_but_not_the_author_or_later_members(self, people: People) -> None:
        ana, ben, cleo, dan = await people.connected("ana", "ben", "cleo", "dan")
        group = await ana.creates_group(ben, cleo)
        first, second = await _talk(ana, group, 2)
        await ben.socket.call("mark_message_read", groupId=group, messageId=second["messageId"])
        await cleo.socket.call("mark_message_read", groupId=group, messageId=first["messageId"])
        await ana.adds(dan, group)
        readers = {
            message_id: [entry["userId"] for entry in (await ana.get(f"/messages/{message_id}/receipts"))["readBy"]]
            for message_id in (first["messageId"], second["messageId"])
        }
        assert sorted(readers[first["messageId"]]) == sorted([ben.user_id, cleo.user_id])
        assert readers[second["messageId"]] == [ben.user_id]
        page = await ana.reads(group, include="readBy")
        shown = {message["_id"]: [entry["userId"] for entry in message["readBy"]] for message in page}
        assert sorted(shown[first["messageId"]]) == sorted(readers[first["messageId"]])

    async def test_one_who_keeps_them_private_is_told_nowhere(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        sent = await ana.sends(group)
        me = await ben.patch("/me", {"settings": {"receipts": False}})
        assert me["settings"] == {"receipts": False, "ai": True, "consent": False}
        await ben.socket.call("mark_message_read", groupId=group, messageId=sent["messageId"])
        assert (await ben.group(group))["unread"] == 0
        assert "message_read" not in await ana.socket.settled()
        assert (await ana.get(f"/messages/{sent['messageId']}/receipts"))["readBy"] == []
        members = (await ana.get(f"/groups/{group}/members"))["members"]
        shown = {member["userId"]: member.get("readSeq") for member in members}
        assert shown[ben.user_id] is None
        assert shown[ana.user_id] == sent["seq"]
        await ben.patch("/me", {"settings": {"receipts": True}})
        assert (await ana.get(f"/messages/{sent['messageId']}/receipts"))["readBy"] != []
