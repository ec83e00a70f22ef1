"""Roles, ownership, settings and the end of a group; what concurrent changes must not break."""

import asyncio
from collections.abc import Awaitable

import pytest

from chatcore.contract import groups as g
from tests.memory import Household, codes
from tests.talking import Json, People, Person, Socket, request


class TestRoles:
    async def test_a_new_role_is_told_and_counts_at_once(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        changed = await ana.patch(f"/groups/{group}/members/{ben.user_id}", {"role": "moderator"})
        assert (changed["role"], changed["user"]["name"]) == ("moderator", ben.name)
        told = await ben.receives("member_role_changed")
        assert (told["userId"], told["role"], told["groupId"]) == (ben.user_id, "moderator", group)
        system = await ben.receives("new_message", content=f"{ana.name} made {ben.name} a moderator")
        assert system["seq"] == told["seq"] + 1
        sent = await ana.sends(group)
        await ben.socket.call("delete_message", groupId=group, messageId=sent["messageId"])

    async def test_the_same_role_again_is_told_to_nobody(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        ben.socket.forget()
        await ana.patch(f"/groups/{group}/members/{ben.user_id}", {"role": "member"})
        assert await ben.socket.settled() == []

    async def test_ownership_is_handed_over_and_the_old_owner_stays_as_an_admin(self, people: People) -> None:
        ana, ben, eve = await people.connected("ana", "ben", "eve")
        group = await ana.creates_group(ben)
        handed = await ana.post(f"/groups/{group}/transfer-ownership", {"userId": ben.user_id})
        assert handed["role"] == "admin"
        roles = {m["userId"]: m["role"] for m in (await ben.get(f"/groups/{group}/members"))["members"]}
        assert roles == {ana.user_id: "admin", ben.user_id: "owner"}
        for person, role in ((ben, "owner"), (ana, "admin")):
            await ana.receives("member_role_changed", userId=person.user_id, role=role)
        for heir in (eve.user_id, ben.user_id):
            assert (await ben.rest("POST", f"/groups/{group}/transfer-ownership", {"userId": heir})).code == "not_found"

    async def test_ownership_handed_over_twice_at_once_is_in_one_hand(self) -> None:
        async with Household() as house:
            ana, ben, cleo = house.people("ana", "ben", "cleo")
            group = await house.group(ana, ben, cleo)
            outcomes = await asyncio.gather(
                *(
                    house.services.members.transfer(ana, g.TransferOwnership(group_id=group, user_id=heir.user_id))
                    for heir in (ben, cleo)
                ),
                return_exceptions=True,
            )
            assert codes(outcomes) == ["access_denied", "ok"]
            assert sorted((await house.roles(group)).values()) == ["admin", "member", "owner"]

    async def test_one_who_is_demoted_meanwhile_removes_nobody(self) -> None:
        async with Household() as house:
            ana, mia, ben = house.people("ana", "mia", "ben")
            group = await house.group(ana, mia, ben)
            members = house.services.members
            await members.change_role(ana, g.ChangeRole(group_id=group, user_id="mia", role="moderator"))
            demotion = members.change_role(ana, g.ChangeRole(group_id=group, user_id="mia", role="member"))
            kick = members.kick(mia, g.MemberPath(group_id=group, user_id="ben"))
            outcomes = await asyncio.gather(demotion, kick, return_exceptions=True)
            assert codes(outcomes) == ["access_denied", "ok"]
            assert await house.members(group) == {"ana", "mia", "ben"}

    @pytest.mark.parametrize("turns", range(16))
    async def test_one_who_is_banned_while_joining_is_out_in_the_end(self, turns: int) -> None:
        """Whoever of the two comes first at any of their waits."""

        async def after_turns(work: Awaitable[object], count: int) -> None:
            for _ in range(count):
                await asyncio.sleep(0)
            await work

        async with Household() as house:
            ana, ben = house.people("ana", "ben")
            group = await house.group(ana, join_policy="open")
            ban = house.services.members.ban(ana, g.Ban(group_id=group, user_id="ben"))
            join = after_turns(house.joins(ben, group), max(0, turns - 8))
            await asyncio.gather(after_turns(ban, max(0, 8 - turns)), join, return_exceptions=True)
            assert await house.members(group) == {"ana"}
            assert set((await house.rooms.load(group)).members) == {"ana"}


class TestMembers:
    async def test_the_list_tells_role_presence_and_progress(self, people: People) -> None:
        ana, ben = await people.persons("ana", "ben")
        group = await ana.creates_group(ben)
        await ana.connects()
        listed = await ana.socket.call("get_group_members", groupId=group)
        assert listed == (await ana.receives("group_members"))
        assert listed == (await ana.get(f"/groups/{group}/members")).body | {"hasMore": False}
        shown = {member["userId"]: member for member in listed["members"]}
        assert (shown[ana.user_id]["isOnline"], shown[ben.user_id]["isOnline"]) == (True, False)
        assert (shown[ana.user_id]["role"], shown[ben.user_id]["role"]) == ("owner", "member")
        assert listed["onlineMembers"] == [ana.user_id]
        assert "email" not in str(listed)


class TestSettings:
    async def test_a_change_is_told_and_kept(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben, description="old")
        change = {
            "name": "Orchard",
            "joinPolicy": "open",
            "settings": {"ai": False, "moderation": "strict", "slowModeSeconds": 5, "retentionDays": 30},
        }
        changed = await ana.patch(f"/groups/{group}", change)
        assert changed["settings"] == change["settings"] | {"historyForNewMembers": "all", "consent": False}
        assert (changed["name"], changed["joinPolicy"], changed["description"]) == ("Orchard", "open", "old")
        told = await ben.receives("group_updated")
        personal = {"role", "unread", "lastMessage"}
        assert not personal & set(told["group"])
        assert told["group"] == {key: value for key, value in changed.body.items() if key not in personal}
        assert told["seq"] == changed["latestSeq"]
        back = await ana.patch(f"/groups/{group}", {"settings": {"retentionDays": None}})
        assert "retentionDays" not in back["settings"]
        assert back["settings"]["slowModeSeconds"] == 5

    @pytest.mark.parametrize(
        "change",
        [
            {"settings": {"slowModeSeconds": -1}},
            {"settings": {"slowModeSeconds": 21_601}},
            {"settings": {"moderation": "none"}},
            {"settings": {"unknown": 1}},
            {"name": ""},
            {"kind": "direct"},
            {"createdBy": "eve"},
            {"settings": {"ai": "maybe"}},
        ],
    )
    async def test_other_changes_are_refused(self, people: People, change: Json) -> None:
        ana = await people.person("ana")
        group = await ana.creates_group()
        before = await ana.group(group)
        assert (await ana.rest("PATCH", f"/groups/{group}", change)).status == 400
        assert await ana.group(group) == before

    async def test_two_changes_at_once_are_both_kept(self) -> None:
        async with Household() as house:
            (ana,) = house.people("ana")
            group = await house.group(ana)
            change = house.services.groups.update
            await asyncio.gather(
                change(ana, g.UpdateGroup(group_id=group, name="Orchard")),
                change(ana, g.UpdateGroup(group_id=group, description="trees")),
                change(ana, g.UpdateGroup(group_id=group, settings=g.GroupSettingsChange(ai=False))),
            )
            kept = await house.group_store.find(group)
            assert kept is not None
            assert (kept.name, kept.description, kept.settings.ai) == ("Orchard", "trees", False)


class TestDeleting:
    async def test_everybody_hears_it_and_nothing_is_left_to_see(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        sent = await ana.sends(group, "last words")
        await ana.delete(f"/groups/{group}")
        for person in (ana, ben):
            assert await person.receives("group_deleted") == {"groupId": group}
            assert (await person.rest("GET", f"/groups/{group}")).status == 404
            assert (await person.rest("GET", f"/messages/{group}")).status == 404
            assert (await person.rest("PATCH", f"/messages/{sent['messageId']}", {"content": "x"})).status == 404
            assert (await person.get("/groups"))["groups"] == []
            assert (await person.syncs(group))["error"] == "not_found"
        assert (await ben.socket.refusal("send_message", groupId=group, content="x"))["code"] == "not_found"

    async def test_a_send_at_the_same_moment_is_refused_or_came_before(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        sends = [ben.socket.ack("send_message", {"groupId": group, "content": f"m{n}"}) for n in range(20)]
        *answers, deleted = await asyncio.gather(*sends, ana.rest("DELETE", f"/groups/{group}"))
        assert deleted.status == 200
        assert {answer["error"]["code"] for answer in answers if not answer["ok"]} <= {"not_found"}
        await ana.receives("group_deleted")
        assert await ana.socket.settled() == [event for event in await ana.socket.settled() if event != "group_error"]


class TestErasingOneself:
    async def test_one_leaves_every_group_and_is_a_deleted_user_from_then_on(self, people: People) -> None:
        ana, ben, cleo = await people.connected("ana", "ben", "cleo")
        group = await ana.creates_group(ben, cleo)
        await ana.adds(cleo, group, "moderator")
        await ana.sends(group, "my words")
        await ana.delete("/me")
        left = await ben.receives("member_left", userId=ana.user_id)
        assert left["reason"] == "erased"
        await ben.receives("member_role_changed", userId=cleo.user_id, role="owner")
        await ana.socket.is_closed()
        assert (await ana.rest("GET", "/me")).status in (401, 403)
        page = str((await ben.get(f"/messages/{group}", limit=100)).body)
        assert "Deleted user" in page
        members = (await ben.get(f"/groups/{group}/members"))["members"]
        assert {member["userId"]: member["role"] for member in members} == {
            ben.user_id: "member",
            cleo.user_id: "owner",
        }
        assert (await ben.get("/directory/users", query=ana.name))["users"] == []

    async def test_the_name_stands_nowhere_any_more(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        await ana.delete("/me")
        await ben.receives("member_left", userId=ana.user_id)
        shown = {message["sender"]["name"] for message in await ben.reads(group) if message["senderId"] == ana.user_id}
        assert shown == {"Deleted user"}

    async def test_an_export_holds_ones_own_words_and_nobody_elses(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        await ana.sends(group, "words of ana")
        await ben.sends(group, "words of ben")
        gone = await ana.sends(group, "taken back")
        await ana.socket.call("delete_message", groupId=group, messageId=gone["messageId"])
        exported = (await ana.get("/me/export")).body
        assert exported["user"]["userId"] == ana.user_id
        assert [each["_id"] for each in exported["groups"]] == [group]
        assert [message["content"] for message in exported["messages"]] == ["words of ana"]
        assert exported["hasMore"] is False


class TestDevices:
    async def test_a_device_that_is_signed_out_is_cut_off_and_its_token_refused(self, people: People) -> None:
        ana = await people.person("ana")
        issued = await request(people.http, "POST", f"{people.url}/api/auth/dev-token", {"name": ana.name})
        phone = Person(ana.name, ana.user_id, issued["token"], people.url, people.http)
        socket = await phone.connects(deviceType="mobile")
        devices = (await ana.get("/me/sessions"))["sessions"]
        (signed_in,) = [device for device in devices if device["deviceType"] == "mobile"]
        assert (signed_in["status"], signed_in["current"]) == ("online", False)
        await ana.delete(f"/me/sessions/{signed_in['sessionId']}")
        await socket.is_closed()
        assert (await phone.rest("GET", "/me")).code == "token_invalid"
        refused = await Socket.open(people.http, people.url, {"token": phone.token})
        assert refused.connect_error is not None
        assert refused.connect_error["data"]["code"] == "token_invalid"
        await refused.close()
        assert (await ana.get("/me")).status == 200
