"""Creating and finding groups, the ways in, the ways out, and who hears of it."""

import asyncio

import pytest

from chatcore.contract.groups import DirectMessage, LeaveGroup, TransferOwnership
from tests.memory import Household, codes
from tests.talking import NO_GROUP, Json, People


class TestCreating:
    async def test_the_founder_owns_the_group_and_hears_of_it_at_once(self, people: People) -> None:
        (ana,) = await people.connected("ana")
        created = await ana.post("/groups", {"name": "  Garden ", "description": "green", "joinPolicy": "open"})
        assert created.status == 201
        group = created.body
        assert (group["name"], group["description"], group["joinPolicy"]) == ("Garden", "green", "open")
        assert (group["role"], group["memberCount"], group["kind"]) == ("owner", 1, "group")
        assert group["createdBy"] == ana.user_id
        assert (group["unread"], group["latestSeq"]) == (0, 2)
        assert group["settings"] == {
            "ai": True,
            "moderation": "fast",
            "slowModeSeconds": 0,
            "historyForNewMembers": "all",
            "consent": False,
        }
        joined = await ana.receives("member_joined", groupId=group["_id"])
        assert (joined["seq"], joined["role"]) == (1, "owner")
        assert (await ana.receives("new_message"))["type"] == "system"
        assert (await ana.group(group["_id"])) == group

    async def test_without_a_word_a_group_takes_people_by_invitation(self, people: People) -> None:
        ana = await people.person("ana")
        assert (await ana.post("/groups", {"name": "x"}))["joinPolicy"] == "invite"

    @pytest.mark.parametrize(
        "body", [{}, {"name": ""}, {"name": "  "}, {"name": "x" * 101}, {"name": "x", "description": "y" * 501},
                 {"name": "x", "joinPolicy": "secret"}, {"name": "x", "createdBy": "eve"},
                 {"name": "x", "_id": NO_GROUP}],
    )  # fmt: skip
    async def test_other_groups_are_refused(self, people: People, body: Json) -> None:
        ana = await people.person("ana")
        assert (await ana.rest("POST", "/groups", body)).status == 400

    async def test_ones_groups_come_newest_talk_first(self, people: People) -> None:
        (ana,) = await people.connected("ana")
        first, second = await ana.creates_group(name="first"), await ana.creates_group(name="second")
        await asyncio.sleep(0.002)  # times are milliseconds
        await ana.sends(first, "talk")
        groups = (await ana.get("/groups"))["groups"]
        assert [group["_id"] for group in groups] == [first, second]
        assert groups[0]["lastMessage"]["content"] == "talk"
        assert (await ana.get(f"/groups/{ana.user_id}"))["groups"] == groups

    async def test_the_groups_of_somebody_else_are_not_found(self, people: People) -> None:
        ana, ben = await people.persons("ana", "ben")
        assert (await ana.rest("GET", f"/groups/{ben.user_id}")).status == 404

    async def test_open_groups_are_found_by_the_beginning_of_their_name_and_others_are_not(
        self, people: People
    ) -> None:
        ana, ben = await people.persons("ana", "ben")
        word = ana.name.upper()
        group = await ana.creates_group(name=f"{word} open", joinPolicy="open")
        await ana.creates_group(name=f"{word} shut", joinPolicy="closed")
        found = (await ben.get("/directory/groups", query=word.lower()))["groups"]
        assert [each["_id"] for each in found] == [group]
        assert "role" not in found[0]
        assert "lastMessage" not in found[0]
        await ana.patch(f"/groups/{group}", {"joinPolicy": "invite"})
        assert (await ben.get("/directory/groups", query=word))["groups"] == []


class TestDirectConversations:
    async def test_both_people_have_the_same_one_from_either_side(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        direct = await ana.post("/direct-messages", {"userId": ben.user_id})
        assert (direct.status, direct["kind"], direct["memberCount"], direct["role"]) == (201, "direct", 2, "member")
        again = await ben.post("/direct-messages", {"userId": ana.user_id})
        assert again["_id"] == direct["_id"]
        await ana.sends(direct["_id"], "just us")
        assert (await ben.receives("new_message", content="just us"))["groupId"] == direct["_id"]

    async def test_asked_for_by_both_at_the_same_moment_it_is_still_one(self, people: People) -> None:
        ana, ben = await people.persons("ana", "ben")
        asked = [a.post("/direct-messages", {"userId": b.user_id}) for a, b in ((ana, ben), (ben, ana)) * 3]
        assert len({answer["_id"] for answer in await asyncio.gather(*asked)}) == 1
        assert [each["memberCount"] for each in (await ben.get("/groups"))["groups"]] == [2]

    async def test_it_needs_somebody_else_who_exists(self, people: People) -> None:
        ana = await people.person("ana")
        assert (await ana.rest("POST", "/direct-messages", {"userId": ana.user_id})).code == "conflict"
        assert (await ana.rest("POST", "/direct-messages", {"userId": "nobody-at-all"})).code == "not_found"

    @pytest.mark.parametrize("asks", [0, 1])
    async def test_asking_again_brings_back_who_has_left(self, asks: int) -> None:
        async with Household() as house:
            ana, ben = house.people("ana", "ben")
            groups = house.services.groups
            direct = await groups.direct(ana, DirectMessage(user_id="ben"))
            await groups.leave(ana, LeaveGroup(group_id=direct.id, membership=True))
            asker, other = ((ana, "ben"), (ben, "ana"))[asks]
            again = await groups.direct(asker, DirectMessage(user_id=other))
            assert (again.id, again.role, again.member_count) == (direct.id, "member", 2)
            await house.sends(ana, direct.id)

    async def test_nobody_else_gets_in_and_nobody_manages_it(self, people: People) -> None:
        ana, ben, eve = await people.persons("ana", "ben", "eve")
        direct = (await ana.post("/direct-messages", {"userId": ben.user_id}))["_id"]
        assert (await eve.rest("POST", f"/groups/{direct}/join")).code == "not_found"
        for method, path, body in (
            ("PATCH", "", {"name": "x"}), ("DELETE", "", None), ("POST", "/invites", {}),
            ("POST", "/members", {"userId": eve.user_id}), ("DELETE", f"/members/{ben.user_id}", None),
            ("POST", "/bans", {"userId": ben.user_id}), ("POST", "/transfer-ownership", {"userId": ben.user_id}),
        ):  # fmt: skip
            assert (await ana.rest(method, f"/groups/{direct}{path}", body)).code == "access_denied", (method, path)


class TestJoining:
    async def test_an_open_group_takes_whoever_asks(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        phone = await ben.connects()
        group = await ana.creates_group(joinPolicy="open")
        await ana.sends(group, "before")
        joined = await ben.socket.call("join_group", groupId=group)
        assert (joined["group"]["role"], joined["group"]["memberCount"]) == ("member", 2)
        assert joined["group"]["unread"] == 0
        assert await ben.receives("group_joined") == joined
        for socket in (ana.socket, ben.socket, phone):
            told = await socket.receives("member_joined", groupId=group, userId=ben.user_id)
            assert told["user"]["name"] == ben.name
            system = await socket.receives("new_message", content=f"{ben.name} joined")
            assert system["seq"] == told["seq"] + 1 == joined["latestSeq"]
        await ana.sends(group, "after")
        for socket in (ben.socket, phone):
            await socket.receives("new_message", content="after")

    async def test_joining_again_tells_nobody(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(joinPolicy="open")
        await ben.socket.call("join_group", groupId=group)
        ana.socket.forget()
        await ben.socket.call("join_group", groupId=group)
        await ben.post(f"/groups/{group}/join")
        assert await ana.socket.settled() == []

    async def test_joining_from_several_devices_at_once_makes_one_membership(self, people: People) -> None:
        ana, ben = await people.persons("ana", "ben")
        devices = [await ben.connects() for _ in range(4)]
        group = await ana.creates_group(joinPolicy="open")
        await asyncio.gather(*(device.call("join_group", groupId=group) for device in devices))
        assert (await ana.group(group))["memberCount"] == 2
        assert (await ana.group(group))["latestSeq"] == 4

    @pytest.mark.parametrize("policy", ["invite", "closed"])
    async def test_another_group_looks_the_same_as_none(self, people: People, policy: str) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(joinPolicy=policy)
        told = [await ben.socket.refusal("join_group", groupId=target) for target in (group, NO_GROUP)]
        assert [error["code"] for error in told] == ["not_found", "not_found"]
        assert told[0]["message"] == told[1]["message"]

    async def test_a_full_group_takes_nobody_more(self) -> None:
        async with Household(max_members=2) as house:
            ana, ben, cleo = house.people("ana", "ben", "cleo")
            group = await house.group(ana, join_policy="open")
            await house.joins(ben, group)
            assert await house.refusal(house.joins(cleo, group)) == "limit_reached"
            assert await house.members(group) == {"ana", "ben"}


class TestInvitations:
    async def test_a_link_lets_people_in_as_often_as_it_says(self, people: People) -> None:
        ana, ben, cleo, dan = await people.persons("ana", "ben", "cleo", "dan")
        group = await ana.creates_group()
        invite = await ana.post(f"/groups/{group}/invites", {"maxUses": 2})
        assert invite.status == 201
        assert invite["inviteUrl"].endswith(f"/invite/{invite['code']}")
        for person in (ben, ben, cleo):  # a repeat by a member costs no use
            joined = await person.post(f"/invites/{invite['code']}/accept")
            assert joined["group"]["role"] == "member"
        assert (await dan.rest("POST", f"/invites/{invite['code']}/accept")).code == "invite_invalid"

    async def test_at_the_same_moment_no_more_than_it_says(self, people: People) -> None:
        ana, *others = await people.persons("ana", *(f"p{n}" for n in range(6)))
        group = await ana.creates_group()
        code = (await ana.post(f"/groups/{group}/invites", {"maxUses": 3}))["code"]
        answers = await asyncio.gather(*(person.rest("POST", f"/invites/{code}/accept") for person in others))
        assert sorted(answer.status for answer in answers) == [200] * 3 + [403] * 3

    async def test_a_link_falls_with_the_right_of_its_maker(self, people: People) -> None:
        ana, mia, ben = await people.persons("ana", "mia", "ben")
        group = await ana.creates_group()
        await ana.adds(mia, group, "moderator")
        code = (await mia.post(f"/groups/{group}/invites"))["code"]
        await ana.patch(f"/groups/{group}/members/{mia.user_id}", {"role": "member"})
        assert (await ben.rest("POST", f"/invites/{code}/accept")).code == "invite_invalid"

    async def test_a_closed_group_has_no_links_and_takes_nobody_by_an_older_one(self, people: People) -> None:
        ana, ben = await people.persons("ana", "ben")
        group = await ana.creates_group()
        code = (await ana.post(f"/groups/{group}/invites"))["code"]
        await ana.patch(f"/groups/{group}", {"joinPolicy": "closed"})
        assert (await ben.rest("POST", f"/invites/{code}/accept")).code == "invite_invalid"
        assert (await ana.rest("POST", f"/groups/{group}/invites", {})).code == "conflict"
        await ana.adds(ben, group)

    async def test_an_unknown_link_and_one_of_a_deleted_group_are_the_same(self, people: People) -> None:
        ana, ben = await people.persons("ana", "ben")
        group = await ana.creates_group()
        code = (await ana.post(f"/groups/{group}/invites"))["code"]
        await ana.delete(f"/groups/{group}")
        for tried in (code, "x" * 24):
            assert (await ben.rest("POST", f"/invites/{tried}/accept")).code == "invite_invalid"

    async def test_a_link_of_yesterday_is_over(self) -> None:
        async with Household() as house:
            ana, ben, cleo = house.people("ana", "ben", "cleo")
            group = await house.group(ana)
            code = await house.invites(ana, group, expires_in_hours=24)
            house.pass_hours(23.9)
            await house.accepts(ben, code)
            house.pass_hours(0.2)
            assert await house.refusal(house.accepts(cleo, code)) == "invite_invalid"


class TestLeaving:
    async def test_one_who_leaves_hears_that_and_nothing_later(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        ben.socket.forget()
        await ben.socket.call("leave_group", groupId=group, membership=True)
        await ana.sends(group, "gone at last")
        left = await ana.receives("member_left", userId=ben.user_id)
        assert left["reason"] == "left"
        assert await ben.receives("member_left") == left
        assert await ben.socket.settled() == ["group_left"]
        assert (await ben.syncs(group))["error"] == "not_found"
        assert (await ben.rest("GET", f"/messages/{group}")).status == 404
        assert await ben.socket.refusal("send_message", groupId=group, content="x")
        assert (await ben.get("/groups"))["groups"] == []

    async def test_leaving_the_room_is_for_one_connection_and_ends_no_membership(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        phone = await ben.connects()
        group = await ana.creates_group(ben)
        await ben.socket.settled()
        await ben.socket.call("leave_group", groupId=group)
        ben.socket.forget()
        await ana.sends(group, "one")
        await phone.receives("new_message", content="one")
        assert await ben.socket.settled() == []
        assert (await ben.group(group))["role"] == "member"
        await ben.socket.call("join_group", groupId=group)
        await ana.sends(group, "two")
        await ben.receives("new_message", content="two")

    async def test_an_owner_hands_over_first_unless_alone(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        assert (await ana.rest("POST", f"/groups/{group}/leave")).code == "conflict"
        await ben.post(f"/groups/{group}/leave")
        await ana.post(f"/groups/{group}/leave")
        assert (await ana.rest("GET", f"/groups/{group}")).status == 404

    async def test_who_is_made_the_owner_while_leaving_stays(self) -> None:
        async with Household() as house:
            ana, ben = house.people("ana", "ben")
            group = await house.group(ana, ben)
            outcomes = await asyncio.gather(
                house.services.members.transfer(ana, TransferOwnership(group_id=group, user_id="ben")),
                house.services.groups.leave(ben, LeaveGroup(group_id=group, membership=True)),
                return_exceptions=True,
            )
            assert codes(outcomes) == ["conflict", "ok"]
            assert await house.roles(group) == {"ana": "admin", "ben": "owner"}

    async def test_an_owner_whom_somebody_joins_while_leaving_stays(self) -> None:
        async with Household() as house:
            ana, ben = house.people("ana", "ben")
            group = await house.group(ana, join_policy="open")
            leaving = house.services.groups.leave(ana, LeaveGroup(group_id=group, membership=True))
            outcomes = await asyncio.gather(house.joins(ben, group), leaving, return_exceptions=True)
            assert codes(outcomes) == ["conflict", "ok"]
            assert await house.roles(group) == {"ana": "owner", "ben": "member"}

    async def test_nobody_joins_a_group_that_goes_with_its_last_member(self) -> None:
        async with Household() as house:
            ana, ben = house.people("ana", "ben")
            group = await house.group(ana, join_policy="open")
            leaving = house.services.groups.leave(ana, LeaveGroup(group_id=group, membership=True))
            outcomes = await asyncio.gather(leaving, house.joins(ben, group), return_exceptions=True)
            assert codes(outcomes) == ["not_found", "ok"]

    async def test_one_who_comes_back_starts_anew(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(joinPolicy="open")
        await ben.post(f"/groups/{group}/join")
        await ana.adds(ben, group, "moderator")
        await ben.post(f"/groups/{group}/leave")
        await ana.sends(group, "missed")
        back = await ben.socket.call("join_group", groupId=group)
        assert (back["group"]["role"], back["group"]["unread"]) == ("member", 0)


class TestRemoving:
    @pytest.mark.parametrize(
        ("method", "path", "reason"), [("DELETE", "members", "kicked"), ("POST", "bans", "banned")]
    )
    async def test_one_who_is_removed_hears_that_and_nothing_later(
        self, people: People, method: str, path: str, reason: str
    ) -> None:
        ana, ben, cleo = await people.connected("ana", "ben", "cleo")
        group = await ana.creates_group(ben, cleo, joinPolicy="open")
        phone = await ben.connects()
        ben.socket.forget()
        target = f"/{ben.user_id}" if method == "DELETE" else ""
        body = {"userId": ben.user_id, "reason": "noise"} if method == "POST" else None
        assert (await ana.rest(method, f"/groups/{group}/{path}{target}", body)).status in (200, 201)
        left = await cleo.receives("member_left")
        assert (left["userId"], left["reason"]) == (ben.user_id, reason)
        await ana.sends(group, "he is gone")
        for socket in (ben.socket, phone):
            assert await socket.receives("member_left") == left
            assert await socket.settled() == []
        assert (await ben.socket.refusal("send_message", groupId=group, content="x"))["code"] == "not_found"
        again = await ben.rest("POST", f"/groups/{group}/join")
        assert (again.status, again.code) == ((200, None) if reason == "kicked" else (403, "banned"))

    async def test_a_ban_keeps_out_by_every_way_until_it_is_lifted(self, people: People) -> None:
        ana, ben = await people.persons("ana", "ben")
        group = await ana.creates_group(ben, joinPolicy="open")
        code = (await ana.post(f"/groups/{group}/invites"))["code"]
        await ana.post(f"/groups/{group}/bans", {"userId": ben.user_id, "reason": "noise"})
        (ban,) = (await ana.get(f"/groups/{group}/bans"))["bans"]
        assert (ban["userId"], ban["bannedBy"], ban["reason"]) == (ben.user_id, ana.user_id, "noise")
        assert (await ben.rest("POST", f"/groups/{group}/join")).code == "banned"
        assert (await ben.rest("POST", f"/invites/{code}/accept")).code == "banned"
        assert (await ana.rest("POST", f"/groups/{group}/members", {"userId": ben.user_id})).code == "banned"
        await ana.delete(f"/groups/{group}/bans/{ben.user_id}")
        assert (await ana.get(f"/groups/{group}/bans"))["bans"] == []
        await ben.post(f"/groups/{group}/join")
        assert (await ana.rest("DELETE", f"/groups/{group}/bans/{ben.user_id}")).code == "not_found"

    async def test_somebody_can_be_banned_before_they_come(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(joinPolicy="open")
        await ana.post(f"/groups/{group}/bans", {"userId": ben.user_id})
        assert (await ben.socket.refusal("join_group", groupId=group))["code"] == "banned"
        assert await ben.socket.settled() == ["group_error"]

    async def test_a_send_that_meets_the_removal_is_stored_before_it_or_not_at_all(self, people: People) -> None:
        ana, ben = await people.connected("ana", "ben")
        group = await ana.creates_group(ben)
        sends = [ben.socket.ack("send_message", {"groupId": group, "content": f"m{n}"}) for n in range(30)]
        kick = ana.rest("DELETE", f"/groups/{group}/members/{ben.user_id}")
        *answers, _ = await asyncio.gather(*sends, kick)
        removed = (await ana.receives("member_left"))["seq"]
        accepted = [answer["data"]["seq"] for answer in answers if answer["ok"]]
        assert all(seq < removed for seq in accepted)
        written = [m["seq"] for m in await ana.reads(group, limit=100) if m["senderId"] == ben.user_id]
        assert written == accepted
