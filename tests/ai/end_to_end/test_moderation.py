"""Moderation over real sockets and REST: what the sender sees, what people who review do, and what the audit holds."""

import asyncio
import os
import subprocess
import sys
from uuid import uuid4

import pytest

from tests.ai.end_to_end.conftest import ready
from tests.servers import ROOT, ServerInThread, people_of
from tests.talking import People, Person, request

INSULT = "you are a stupid asshole, fuck you"
PASSWORD = "correct horse battery"


async def reviewer(server: ServerInThread, people: People) -> Person:
    """With an account of this server that has the role; connected."""
    name = f"rita-{uuid4().hex[:8]}"
    accounts = server.chat.core.accounts
    assert accounts is not None
    await server.inside(accounts.add_account(name, PASSWORD, ["reviewer"]))
    signed = await request(people.http, "POST", f"{people.url}/api/auth/login", {"name": name, "password": PASSWORD})
    person = Person(name, signed["userId"], signed["token"], people.url, people.http)
    people._all.append(person)
    await person.connects()
    return person


async def eventually_reads(person: Person, group: str, **expected: object) -> None:
    """The newest message looks like this, after the models have spoken."""
    async with asyncio.timeout(20):
        while not expected.items() <= (await person.reads(group))[-1].items():
            await asyncio.sleep(0.05)


async def test_a_refused_message_is_appealed_against_upheld_and_sent(
    ai_server: ServerInThread, ai_people: People
) -> None:
    ada, bob = await ai_people.connected("ada", "bob")
    rita = await reviewer(ai_server, ai_people)
    group = await ada.creates_group(bob)
    refused = await ada.socket.refusal("send_message", groupId=group, content=INSULT, tempId="t1")
    assert (refused["code"], refused["tempId"], refused["retryable"]) == ("message_rejected", "t1", False)
    told = await ada.receives("message_rejected", tempId="t1")
    assert told == {
        "tempId": "t1", "groupId": group, "category": "harassment", "decisionId": refused["decisionId"],
        "appealable": True,
    }  # fmt: skip
    assert "message_error" not in await ada.socket.settled()
    assert INSULT not in [message["content"] for message in await bob.reads(group)]

    made = await ada.post("/appeals", {"decisionId": told["decisionId"], "reason": "we quote a film"})
    assert (made.status, made["state"], made["content"]) == (201, "open", INSULT)
    waiting = (await rita.get("/admin/appeals"))["appeals"]
    assert made["_id"] in [appeal["_id"] for appeal in waiting]
    await rita.post(f"/admin/appeals/{made['_id']}/resolve", {"outcome": "upheld", "note": "fine"})
    heard = await ada.receives("appeal_resolved", decisionId=told["decisionId"])
    assert (heard["outcome"], heard["resend"], heard["note"]) == ("upheld", True, "fine")
    await ada.sends(group, INSULT)
    await bob.receives("new_message", content=INSULT)
    assert [appeal["state"] for appeal in (await ada.get("/appeals"))["appeals"]] == ["upheld"]


async def test_over_rest_a_refusal_names_its_decision(ai_people: People) -> None:
    ada, bob = await ai_people.persons("ada", "bob")
    group = await ada.creates_group(bob)
    refused = await ada.rest("POST", "/messages", {"groupId": group, "content": INSULT})
    assert (refused.status, refused["code"], refused["category"]) == (422, "message_rejected", "harassment")
    assert refused["appealable"] is True
    assert (await ada.post("/appeals", {"decisionId": refused["decisionId"], "reason": "no"})).status == 201
    sent = await ada.posts(group, "hello")
    edited = await ada.rest("PATCH", f"/messages/{sent['_id']}", {"content": INSULT})
    assert (edited.status, (await bob.reads(group))[-1]["content"]) == (422, "hello")
    renamed = await ada.rest("PATCH", f"/groups/{group}", {"name": INSULT})
    assert (renamed.status, renamed["code"]) == (422, "message_rejected")


async def test_reports_reach_people_who_review_and_removing_can_be_undone(
    ai_server: ServerInThread, ai_people: People
) -> None:
    ada, bob = await ai_people.connected("ada", "bob")
    rita = await reviewer(ai_server, ai_people)
    group = await ada.creates_group(bob)
    sent = await ada.sends(group, "see you at ten")
    await bob.socket.call("report_message", groupId=group, messageId=sent["messageId"], reason="rude")
    await rita.receives("report_created", messageId=sent["messageId"], reason="rude")
    (review,) = [
        each
        for each in (await rita.get("/admin/reviews", limit=100))["reviews"]
        if each["messageId"] == sent["messageId"]
    ]
    assert (review["content"], review["source"], review["reports"]) == ("see you at ten", "report", 1)
    await rita.post(f"/admin/reviews/{review['_id']}/assign")
    await rita.post(f"/admin/reviews/{review['_id']}/resolve", {"resolution": "remove", "note": "off topic"})
    gone = await bob.receives("message_deleted", messageId=sent["messageId"])
    assert (gone["deletedBy"], gone["seq"]) == ("moderation", sent["seq"] + 1)
    decision = (await ada.reads(group))[-1]["moderation"]["decisionId"]
    appeal = await ada.post("/appeals", {"decisionId": decision, "reason": "it was not"})
    await rita.post(f"/admin/appeals/{appeal['_id']}/resolve", {"outcome": "upheld"})
    back = await bob.receives("message_updated")
    assert (back["message"]["content"], back["message"]["seq"], back["seq"]) == (
        "see you at ten", sent["seq"], sent["seq"] + 2,
    )  # fmt: skip
    synced = (await bob.syncs(group, sent["seq"] - 1))["events"]
    assert [event["seq"] for event in synced] == [sent["seq"], sent["seq"] + 1, sent["seq"] + 2]
    actions = [entry["action"] for entry in (await rita.get("/admin/audit", limit=2))["entries"]]
    assert actions == ["appeal.resolve", "review.resolve"]


async def test_content_is_judged_on_request(ai_people: People) -> None:
    (ada,) = await ai_people.persons("ada")
    answer = await ada.post("/ai/moderate-content", {"content": INSULT})
    assert (answer["flagged"], answer["action"], answer["category"]) == (True, "block", "harassment")
    calm = await ada.post("/ai/moderate-content", {"content": "kill the process"})
    assert (calm["flagged"], calm["action"]) == (False, "allow")
    assert set(calm.body) >= {"categories", "scores", "decisionId", "provider", "model", "degraded"}
    empty = await ada.rest("POST", "/ai/moderate-content", {"content": ""})
    assert empty.status == 400


@pytest.mark.parametrize("source", ["embedded", "provider"])
async def test_hate_alone_is_taken_out_by_a_provider_and_only_reviewed_without(
    own_models: ServerInThread, with_provider: ServerInThread, source: str
) -> None:
    server, text = (
        (own_models, "All jews are vermin and should be wiped out")
        if source == "embedded"
        else (with_provider, "[hate] x")
    )
    await ready(server)
    async with people_of(server.url) as people:
        ada, bob = await people.connected("ada", "bob")
        rita = await reviewer(server, people)
        group = await ada.creates_group(bob)
        sent = await ada.sends(group, text)
        if source == "provider":
            await eventually_reads(bob, group, isDeleted=True)
            return
        async with asyncio.timeout(20):
            while True:
                reviews = (await rita.get("/admin/reviews", limit=100))["reviews"]
                if found := [each for each in reviews if each["messageId"] == sent["messageId"]]:
                    break
                await asyncio.sleep(0.05)
        assert found[0]["source"] == "flag"
        assert (await bob.reads(group))[-1]["content"] == text


async def test_the_audit_is_verified_from_the_command_line(own_models: ServerInThread) -> None:
    environment = {**os.environ, "CHATCORE_HOME": str(own_models._settings.chatcore_home)}
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "chatcore", "audit", "verify"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The chain holds" in done.stdout


async def test_who_signs_in_by_a_name_that_must_not_be_shown_goes_by_a_number(ai_people: People) -> None:
    given = await request(ai_people.http, "POST", f"{ai_people.url}/api/auth/dev-token", {"name": "nigger"})
    guest = Person("guest", given["userId"], given["token"], ai_people.url, ai_people.http)
    ai_people._all.append(guest)
    await guest.connects()
    (ada,) = await ai_people.connected("ada")
    group = await ada.creates_group(guest)
    members = (await ada.get(f"/groups/{group}/members"))["members"]
    assert f"User {guest.user_id[-4:]}" in [member["user"]["name"] for member in members]
    assert not any("nigger" in member["user"]["name"].lower() for member in members)


async def test_a_group_refuses_more_by_its_own_limits_and_never_less(own_models: ServerInThread) -> None:
    text = "shut up idiot"
    await ready(own_models)
    async with people_of(own_models.url) as people:
        ada, bob = await people.connected("ada", "bob")
        rough, gentle = await ada.creates_group(bob), await ada.creates_group(bob)
        refused = await bob.rest("PATCH", f"/groups/{gentle}", {"settings": {"moderation": "strict"}})
        assert refused.code == "access_denied"
        await ada.patch(f"/groups/{rough}", {"settings": {"moderationLimits": {"harassment": {"block": 1.0}}}})
        limits = {"harassment": {"block": 0.2}}
        await ada.patch(f"/groups/{gentle}", {"settings": {"moderation": "strict", "moderationLimits": limits}})
        await bob.sends(rough, text)
        told = await bob.socket.refusal("send_message", groupId=gentle, content=text)
        assert (told["code"], told["category"], told["appealable"]) == ("message_rejected", "harassment", True)
        assert (await bob.socket.refusal("send_message", groupId=rough, content=INSULT))["code"] == "message_rejected"
        assert [message["content"] for message in await ada.reads(gentle) if message["type"] == "text"] == []


async def test_severe_words_are_covered_for_everybody_until_an_appeal_is_upheld(
    ai_server: ServerInThread, ai_people: People
) -> None:
    ada, bob = await ai_people.connected("ada", "bob")
    rita = await reviewer(ai_server, ai_people)
    group = await ada.creates_group(bob)
    await ada.sends(group, "he called me a nigger")
    seen = await bob.receives("new_message", groupId=group, type="text")
    assert (seen["content"], seen["moderation"]["action"]) == ("he called me a ••••••", "mask")
    appeal = await ada.post("/appeals", {"decisionId": seen["moderation"]["decisionId"], "reason": "I report it"})
    await rita.post(f"/admin/appeals/{appeal['_id']}/resolve", {"outcome": "upheld"})
    back = await bob.receives("message_updated", groupId=group)
    assert (back["message"]["content"], back["messageSeq"]) == ("he called me a nigger", seen["seq"])
