"""Who is there and who is typing, as the people of a group see it and nobody else does."""

import asyncio

from tests.talking import People


class TestPresence:
    async def test_coming_going_and_being_away_is_told_to_those_who_share_a_group(self, people: People) -> None:
        ana, ben, eve = await people.persons("ana", "ben", "eve")
        group = await ana.creates_group(ben)
        await ana.connects()
        await eve.connects()
        await ben.connects()
        came = await ana.receives("user_online", userId=ben.user_id)
        assert (came["status"], came["user"]["name"]) == ("online", ben.name)
        here = await ana.socket.call("get_online_users", groupId=group)
        assert {user["userId"] for user in here["users"]} == {ana.user_id, ben.user_id}
        await ben.socket.call("change_status", status="away")
        assert (await ana.receives("user_status_changed", userId=ben.user_id))["status"] == "away"
        await ben.leaves_the_line()
        await ana.receives("user_offline", userId=ben.user_id)
        here = await ana.socket.call("get_online_users", groupId=group)
        assert [user["userId"] for user in here["users"]] == [ana.user_id]
        await eve.socket.settled()
        assert not [event for event, data in eve.socket.heard if data.get("userId") != eve.user_id]

    async def test_one_is_away_only_when_every_device_is(self, people: People) -> None:
        ana, ben = await people.persons("ana", "ben")
        group = await ana.creates_group(ben)
        await ana.connects()
        phone, desk = await ben.connects(), await ben.connects()
        await ana.receives("user_online", userId=ben.user_id)
        await phone.call("change_status", status="away")
        here = await ana.socket.call("get_online_users", groupId=group)
        assert {user["userId"]: user["status"] for user in here["users"]}[ben.user_id] == "online"
        await desk.call("change_status", status="away")
        await ana.receives("user_status_changed", userId=ben.user_id, status="away")


class TestTyping:
    async def test_it_is_told_to_the_others_and_ends_by_stopping_sending_and_hanging_up(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        for end in ("stop", "send", "hang up"):
            await ben.socket.call("typing_start", groupId=group)
            typing = await ana.receives("user_typing")
            assert (typing["userId"], typing["groupId"], typing["user"]["name"]) == (ben.user_id, group, ben.name)
            if end == "stop":
                await ben.socket.call("typing_stop", groupId=group)
            elif end == "send":
                await ben.sends(group)
            else:
                await ben.leaves_the_line()
            assert await ana.receives("user_stopped_typing") == {"groupId": group, "userId": ben.user_id}
        assert "user_typing" not in [event for event, _ in ana.socket.heard]

    async def test_one_who_does_not_say_more_stops_by_themselves(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        await ben.socket.call("typing_start", groupId=group)
        await ana.receives("user_typing")
        await ana.receives("user_stopped_typing")

    async def test_who_is_removed_while_typing_types_no_more(self, people: People) -> None:
        ana, ben, cleo = await people.connected("ana", "ben", "cleo")
        group = await ana.creates_group(ben, cleo)
        await ben.socket.call("typing_start", groupId=group)
        await cleo.receives("user_typing")
        await ana.delete(f"/groups/{group}/members/{ben.user_id}")
        await asyncio.gather(*(person.receives("user_stopped_typing") for person in (ana, cleo)))
        refused = await ben.socket.refusal("typing_start", groupId=group)
        assert refused["code"] == "not_found"
