"""What people at one server process see of what people at the other do."""

import asyncio

from tests.relay.conftest import Town
from tests.talking import Person


async def test_both_servers_are_ready_when_their_own_words_come_back(town: Town) -> None:
    for server in (town.pair.first, town.pair.second):
        async with town.http.get(f"{server.url}/health/ready") as answer:
            assert answer.status == 200
            assert (await answer.json())["checks"] == {"database": "ok", "broker": "ok"}


async def test_somebody_added_elsewhere_is_in_the_group_at_once(town: Town) -> None:
    (ana,), (ben,) = await town.at_first("ana"), await town.at_second("ben")
    group = await ana.creates_group(ben)
    joined = await ben.receives("member_joined", groupId=group, userId=ben.user_id)
    assert joined["seq"] > 0
    await ana.sends(group, "welcome")
    assert (await ben.receives("new_message", content="welcome"))["sender"]["userId"] == ana.user_id


async def test_messages_of_both_sides_arrive_everywhere_in_one_order(town: Town) -> None:
    (ana, ada), (ben, bob) = await town.at_first("ana", "ada"), await town.at_second("ben", "bob")
    group = await ana.creates_group(ada, ben, bob)
    for person in (ben, bob):
        await person.receives("member_joined", userId=person.user_id)

    async def talk(person: Person, count: int) -> None:
        for number in range(count):
            await person.sends(group, f"{person.name} {number}")

    await asyncio.gather(*(talk(person, 25) for person in (ana, ada, ben, bob)))
    everybody = (ana, ada, ben, bob)
    heard = {person.name: [await next_talk(person) for _ in range(75)] for person in everybody}
    stored = [message["content"] for message in await ana.reads(group, limit=100) if message["type"] == "text"]
    for person in everybody:
        assert heard[person.name] == [content for content in stored if not content.startswith(person.name)]


async def next_talk(person: Person) -> str:
    """What somebody said next, whatever the system told in between."""
    while True:
        message = await person.receives("new_message")
        if message["type"] == "text":
            return str(message["content"])


async def test_edits_reactions_pins_and_deletions_reach_the_other_side(town: Town) -> None:
    (ana,), (ben,) = await town.at_first("ana"), await town.at_second("ben")
    group = await ana.creates_group(ben)
    sent = await ana.sends(group, "frist")
    await ana.socket.call("edit_message", groupId=group, messageId=sent["messageId"], content="first")
    assert (await ben.receives("message_updated"))["message"]["content"] == "first"
    await ben.socket.call("add_reaction", groupId=group, messageId=sent["messageId"], emoji="👍")
    assert (await ana.receives("reaction_changed"))["count"] == 1
    await ana.socket.call("pin_message", groupId=group, messageId=sent["messageId"])
    assert (await ben.receives("pins_changed"))["pins"] == [sent["messageId"]]
    await ana.socket.call("delete_message", groupId=group, messageId=sent["messageId"])
    assert (await ben.receives("message_deleted"))["messageId"] == sent["messageId"]


async def test_who_is_kicked_elsewhere_hears_that_and_nothing_later(town: Town) -> None:
    (ana,), (ben, bob) = await town.at_first("ana"), await town.at_second("ben", "bob")
    group = await ana.creates_group(ben, bob)
    await ben.receives("member_joined", userId=ben.user_id)
    await ana.delete(f"/groups/{group}/members/{ben.user_id}")
    await ana.sends(group, "he is gone")
    await bob.receives("new_message", content="he is gone")
    assert (await ben.receives("member_left", userId=ben.user_id))["reason"] == "kicked"
    assert not [data for event, data in ben.socket.heard if event == "new_message" and data["content"] == "he is gone"]
    assert (await ben.socket.refusal("send_message", groupId=group, content="but"))["code"] == "not_found"


async def test_typing_is_seen_elsewhere_and_ends(town: Town) -> None:
    (ana,), (ben,) = await town.at_first("ana"), await town.at_second("ben")
    group = await ana.creates_group(ben)
    await ben.receives("member_joined", userId=ben.user_id)
    await ana.socket.call("typing_start", groupId=group)
    assert (await ben.receives("user_typing", userId=ana.user_id))["user"]["name"]
    await ana.socket.call("typing_stop", groupId=group)
    await ben.receives("user_stopped_typing", userId=ana.user_id)
    assert "user_typing" not in [event for event, _ in ana.socket.heard]


async def test_presence_counts_the_devices_of_all_processes(town: Town) -> None:
    (ana,), (ben,) = await town.at_first("ana"), await town.at_second("ben")
    group = await ana.creates_group(ben)
    await ben.receives("user_online", userId=ana.user_id)
    await ana.receives("user_online", userId=ben.user_id)
    for person, other in ((ana, ben), (ben, ana)):
        online = (await person.socket.call("get_online_users", groupId=group))["users"]
        assert {user["userId"] for user in online} == {ana.user_id, ben.user_id}
        members = await person.socket.call("get_group_members", groupId=group)
        assert set(members["onlineMembers"]) == {ana.user_id, ben.user_id}
        assert {member["userId"]: member["isOnline"] for member in members["members"]}[other.user_id]
    await ben.socket.call("change_status", status="away")
    assert (await ana.receives("user_status_changed", userId=ben.user_id))["status"] == "away"

    phone = await town.device_at_second(ana)
    await ana.leaves_the_line()
    await asyncio.sleep(0.5)
    assert [user["userId"] for user in (await phone.socket.call("get_online_users", groupId=group))["users"]] == sorted(
        [ana.user_id, ben.user_id]
    )
    assert "user_offline" not in [event for event, _ in ben.socket.heard]
    await phone.leaves_the_line()
    await ben.receives("user_offline", userId=ana.user_id)


async def test_read_receipts_and_watermarks_are_the_same_at_both(town: Town) -> None:
    (ana,), (ben,) = await town.at_first("ana"), await town.at_second("ben")
    group = await ana.creates_group(ben)
    sent = await ana.sends(group, "read this")
    await ben.receives("new_message", content="read this")
    await ben.socket.call("mark_message_read", groupId=group, messageId=sent["messageId"])
    assert (await ana.receives("message_read"))["readBy"] == ben.user_id
    receipts = (await ana.get(f"/messages/{sent['messageId']}/receipts"))["readBy"]
    assert [reader["userId"] for reader in receipts] == [ben.user_id]
    away = await town.device_at_second(ana)
    assert {
        member["userId"]: member.get("readSeq")
        for member in (await away.socket.call("get_group_members", groupId=group))["members"]
    }[ben.user_id] == sent["seq"]


async def test_reviewers_at_the_other_process_hear_of_a_report(town: Town) -> None:
    (ana,), (ben, cleo) = await town.at_first("ana"), await town.at_second("ben", "cleo")
    group = await ana.creates_group(ben, cleo)
    sent = await ben.sends(group, "rude")
    await cleo.receives("new_message", content="rude")
    await cleo.socket.call("report_message", groupId=group, messageId=sent["messageId"], reason="rude")
    assert (await ana.receives("report_created"))["messageId"] == sent["messageId"]


async def test_a_session_ended_at_one_process_is_ended_at_the_other(town: Town) -> None:
    (ana,) = await town.at_first("ana")
    phone = await town.device_at_second(ana)
    (session,) = (await ana.get("/me/sessions"))["sessions"]
    await ana.delete(f"/me/sessions/{session['sessionId']}")
    await phone.socket.is_closed()
    await ana.socket.is_closed()


async def test_a_deleted_group_is_gone_at_both(town: Town) -> None:
    (ana,), (ben,) = await town.at_first("ana"), await town.at_second("ben")
    group = await ana.creates_group(ben)
    await ben.receives("member_joined", userId=ben.user_id)
    await ana.delete(f"/groups/{group}")
    await ben.receives("group_deleted", groupId=group)
    assert (await ben.socket.refusal("send_message", groupId=group, content="anybody?"))["code"] == "not_found"
