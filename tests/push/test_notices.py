"""Who is told, of what, and when no more: people in memory, and a push service that reads what it gets."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from chatcore.ai.calls import Served
from chatcore.ai.ledger.records import Decision
from chatcore.contract import groups as g
from chatcore.contract import push as p
from chatcore.ports import Caller
from chatcore.push import courier, lanes
from chatcore.push import service as push_service
from chatcore.push.courier import Courier
from chatcore.push.pacing import Pacing
from chatcore.push.records import Payload
from tests.memory import Household
from tests.push.conftest import Browser, PushService


class Notified(Household):
    """A household whose notices go out, on a clock that moves when told."""

    seconds = 0.0

    def listen(self, payload: Payload = "titles") -> "Notified":
        push = self.push
        push._payload = payload
        push._pacing = Pacing(clock=lambda: self.seconds)
        push._monotonic = lambda: self.seconds
        push._resting = lanes.Resting(lambda: self.seconds)
        push._courier = Courier(push._vapid, loopback=True, pause_seconds=0.001)
        self.outcomes: list[str] = []
        push._counted = self.outcomes.append
        self.background.watch("push", push.run())
        return self

    async def wants(self, person: Caller, browser: Browser, service: PushService, scope: p.PushScope = "all") -> str:
        given = p.MakePushSubscription.model_validate(browser.given(service.url, scope=scope))
        return (await self.push.subscribe(person, given)).id

    def connects(self, person: Caller, *groups: str) -> Caller:
        here = Caller(person.user_id, person.session_id, person.user, connection_id=f"c-{person.user_id}")
        self.push._whereabouts.presence.connected(here, groups)  # type: ignore[attr-defined]
        return here

    def leaves_the_line(self, person: Caller) -> None:
        self.push._whereabouts.presence.disconnected(person)  # type: ignore[attr-defined]

    async def settled(self, outcomes: int) -> list[str]:
        """Once so many notices have an outcome, and every queue is empty."""
        async with asyncio.timeout(10):
            while len(self.outcomes) < outcomes or self.push._news.qsize() or len(self.push._notices):
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)
        return self.outcomes


@pytest.fixture
async def house() -> AsyncIterator[Notified]:
    async with Notified() as house:
        yield house.listen()


async def test_who_is_not_connected_is_told_once_without_the_text(house: Notified, service: PushService) -> None:
    ana, ben = house.people("ana", "ben")
    group, browser = await house.group(ana, ben), Browser("ben")
    await house.wants(ben, browser, service)
    await house.sends(ana, group, "the secret of the beans")
    (pushed,) = await service.got(1)
    assert service.read(pushed, browser) == {
        "groupId": group, "group": "Garden", "sender": "Ana", "direct": False, "mentioned": False, "count": 1,
    }  # fmt: skip
    claims = service.sender_of(pushed, house.push._vapid.public_key)
    assert claims["aud"] == service.url
    assert (pushed.headers["TTL"], pushed.headers["Urgency"]) == ("86400", "normal")
    assert pushed.headers["Topic"] == house.push._vapid.topic(group)
    assert b"beans" not in pushed.body
    assert await house.settled(1) == ["sent"]


async def test_neither_the_sender_nor_who_is_connected_is_told(house: Notified, service: PushService) -> None:
    ana, ben, carl = house.people("ana", "ben", "carl")
    group = await house.group(ana, ben, carl)
    for person, name in ((ana, "a"), (ben, "b"), (carl, "c")):
        await house.wants(person, Browser(name), service)
    here = house.connects(ben, group)
    await house.sends(ana, group)
    await house.settled(1)
    assert [each.path for each in service.pushed] == ["c"]
    house.leaves_the_line(here)
    await house.sends(ana, group)
    await house.settled(2)
    assert [each.path for each in service.pushed] == ["c", "b"]


async def test_a_bare_notice_names_nothing(house: Notified, service: PushService) -> None:
    ana, ben = house.people("ana", "ben")
    group, browser = await house.group(ana, ben), Browser("ben")
    house.push._payload = "bare"
    await house.wants(ben, browser, service)
    await house.sends(ana, group)
    (pushed,) = await service.got(1)
    assert service.read(pushed, browser) == {}


async def test_switched_off_nothing_is_sent_or_taken(house: Notified, service: PushService) -> None:
    ana, ben = house.people("ana", "ben")
    group = await house.group(ana, ben)
    await house.wants(ben, Browser("ben"), service)
    house.push._payload = "off"
    await house.sends(ana, group)
    assert house.push._news.qsize() == 0
    assert await house.refusal(house.wants(ben, Browser("other"), service)) == "capability_unavailable"
    assert (await house.push.mine(ben)).payload == "off"


async def test_whoever_wants_mentions_alone_hears_of_them_and_of_direct_messages(
    house: Notified, service: PushService
) -> None:
    ana, ben = house.people("ana", "ben")
    group, browser = await house.group(ana, ben), Browser("ben")
    await house.wants(ben, browser, service, "mentions")
    await house.sends(ana, group, "hello everybody")
    await house.sends(ana, group, "hello @ben")
    direct = await house.services.groups.direct(ana, g.DirectMessage(user_id="ben"))
    await house.sends(ana, direct.id, "only you")
    first, second = await service.got(2)
    assert [service.read(each, browser)["mentioned"] for each in (first, second)] == [True, False]
    assert service.read(second, browser)["direct"]
    assert {each.headers["Urgency"] for each in (first, second)} == {"high"}
    assert await house.settled(2) == ["sent", "sent"]


async def test_a_storm_is_one_notice_and_one_more_with_the_rest(house: Notified, service: PushService) -> None:
    ana, ben = house.people("ana", "ben")
    group, browser = await house.group(ana, ben), Browser("ben")
    await house.wants(ben, browser, service)
    for number in range(12):
        await house.sends(ana, group, f"message {number}")
    await house.settled(1)
    await house.push.tick()
    assert len(service.pushed) == 1
    house.seconds = 31.0
    await house.push.tick()
    assert service.read((await service.got(2))[1], browser)["count"] == 11
    assert await house.settled(2) == ["sent", "sent"]


async def test_what_was_held_back_is_not_told_to_who_came_back_or_was_removed(
    house: Notified, service: PushService
) -> None:
    ana, ben, carl = house.people("ana", "ben", "carl")
    group = await house.group(ana, ben, carl)
    await house.wants(ben, Browser("b"), service)
    await house.wants(carl, Browser("c"), service)
    await house.sends(ana, group)
    await house.sends(ana, group)
    await house.settled(2)
    house.connects(ben, group)
    await house.services.members.kick(ana, g.MemberPath(group_id=group, user_id="carl"))
    house.seconds = 31.0
    await house.push.tick()
    assert await house.settled(2) == ["sent", "sent"]


@pytest.mark.parametrize("status", [404, 410])
async def test_a_browser_that_is_gone_is_forgotten(house: Notified, service: PushService, status: int) -> None:
    ana, ben = house.people("ana", "ben")
    group = await house.group(ana, ben)
    await house.wants(ben, Browser("old"), service)
    await house.wants(ben, Browser("new"), service)
    service.answers["old"] = [web.Response(status=status)]
    await house.sends(ana, group)
    assert sorted(await house.settled(2)) == ["gone", "sent"]
    assert [each.endpoint for each in await house.push_store.of_people(["ben"])] == [f"{service.url}/new"]
    house.seconds = 31.0
    await house.push.tick()
    await house.sends(ana, group)
    await house.settled(3)
    assert [each.path for each in service.pushed].count("old") == 1


async def test_a_service_that_asks_to_wait_is_asked_again_and_one_that_refuses_is_not(
    house: Notified, service: PushService
) -> None:
    ana, ben = house.people("ana", "ben")
    group = await house.group(ana, ben)
    for name in ("busy", "broken", "strict"):
        await house.wants(ben, Browser(name), service)
    service.answers["busy"] = [web.Response(status=429, headers={"Retry-After": "0"}), web.Response(status=503)]
    service.answers["broken"] = [web.Response(status=500) for _ in range(3)]
    service.answers["strict"] = [web.Response(status=403)]
    await house.sends(ana, group)
    assert sorted(await house.settled(3)) == ["failed", "refused", "sent"]
    tried = [each.path for each in service.pushed]
    assert {name: tried.count(name) for name in tried} == {"busy": 3, "broken": 3, "strict": 1}
    assert len(await house.push_store.of_people(["ben"])) == 3


async def test_who_signs_out_or_erases_the_account_hears_no_more(house: Notified, service: PushService) -> None:
    ana, ben = house.people("ana", "ben")
    group = await house.group(ana, ben)
    await house.wants(ben, Browser("ben"), service)
    await house.sends(ana, group)
    await house.settled(1)
    await house.identity.end_session("ben", ben.session_id)
    house.seconds = 31.0
    await house.push.tick()
    await house.sends(ana, group)
    await house.wants(ben, Browser("ben"), service)
    await house.identity.erase(ben)
    assert await house.push_store.of_people(["ben"]) == []
    assert await house.settled(1) == ["sent"]


async def test_an_export_of_oneself_names_the_browsers_and_nothing_that_wakes_them(
    house: Notified, service: PushService
) -> None:
    ana, ben = house.people("ana", "ben")
    mine = await house.wants(ana, Browser("secret-place"), service)
    await house.wants(ben, Browser("b"), service)
    exported = await house.identity.export_me(ana)
    (browser,) = exported.push_subscriptions
    assert (browser.id, browser.host, browser.created_at) == (mine, "127.0.0.1", house.now)
    assert not any(word in exported.model_dump_json() for word in ("secret-place", "p256dh", "auth"))


async def test_an_export_of_oneself_holds_what_was_decided_about_ones_messages(house: Notified) -> None:
    ana, ben = house.people("ana", "ben")
    group = await house.group(ana, ben)
    for person, action in ((ana, "mask"), (ben, "allow")):
        served = Served("embedded", "small", True, "r1", 3.0, 5, 1, None)
        await house.ledger.record(
            Decision(
                house.ledger.new_id(), "moderation", served, {"text": "what ana wrote"}, {"flagged": True},
                group_id=group, message_id="c" * 24, user_id=person.user_id, scores={"hate": 0.9}, action=action,
            )
        )  # fmt: skip
    exported = await house.identity.export_me(ana)
    (decision,) = exported.decisions
    assert (decision.feature, decision.action, decision.scores) == ("moderation", "mask", {"hate": 0.9})
    assert (decision.group_id, decision.message_id, decision.degraded) == (group, "c" * 24, True)
    assert "what ana wrote" not in exported.model_dump_json()
    assert not exported.has_more


async def test_the_oldest_browsers_go_beyond_twenty(house: Notified, service: PushService) -> None:
    (ben,) = house.people("ben")
    for number in range(22):
        house.pass_hours(1)
        await house.wants(ben, Browser(f"b{number}"), service)
    mine = (await house.push.mine(ben)).subscriptions
    assert len(mine) == push_service.MOST_A_PERSON
    kept = {each.endpoint.rpartition("/")[2] for each in await house.push_store.of_people(["ben"])}
    assert kept == {f"b{number}" for number in range(2, 22)}


async def test_a_browser_that_changes_hands_tells_its_new_owner(house: Notified, service: PushService) -> None:
    ana, ben, carl = house.people("ana", "ben", "carl")
    group, browser = await house.group(ana, ben, carl), Browser("shared")
    first = await house.wants(ben, browser, service)
    await house.sends(ana, group)
    await house.settled(1)
    assert await house.wants(carl, browser, service) == first
    house.connects(carl, group)
    house.seconds = 31.0
    await house.sends(ana, group)
    assert await house.settled(1) == ["sent"]
    assert (
        await house.refusal(house.push.unsubscribe(ben, p.PushSubscriptionPath(subscription_id=first))) == "not_found"
    )


async def test_an_address_alone_takes_nobodys_notices_away_and_reads_none(
    house: Notified, service: PushService
) -> None:
    ana, ben, eve = house.people("ana", "ben", "eve")
    group, browser = await house.group(ana, ben), Browser("bens")
    await house.wants(ben, browser, service)
    assert await house.refusal(house.wants(eve, Browser("bens", secret=b"another-secret-1"), service)) == "conflict"
    assert (await house.push.mine(eve)).subscriptions == []
    await house.sends(ana, group)
    (pushed,) = await service.got(1)
    assert service.read(pushed, browser)["group"] == "Garden"


async def test_whoever_hangs_holds_up_nobody_else(house: Notified, service: PushService) -> None:
    ana, ben, eve = house.people("ana", "ben", "eve")
    for number in range(push_service.SENDERS + 2):
        service.hanging.add(f"e{number}")
        await house.wants(eve, Browser(f"e{number}"), service)
    await house.wants(ben, Browser("b"), service)
    group = await house.group(ana, eve)
    await house.sends(ana, group)
    await service.got(lanes.AT_ONCE_A_PERSON)
    await house.sends(ana, await house.group(ana, ben))
    assert [each.path for each in await service.got(3)].count("b") == 1
    assert len([each for each in service.pushed if each.path != "b"]) == lanes.AT_ONCE_A_PERSON
    service.release.set()
    assert len(await house.settled(push_service.SENDERS + 3)) == push_service.SENDERS + 3


async def test_a_service_that_does_not_answer_is_tried_once_and_left_alone_for_longer_each_time(
    house: Notified, service: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "ANSWER_SECONDS", 0.2)
    ana, ben = house.people("ana", "ben")
    service.hanging.add("b")
    await house.wants(ben, Browser("b"), service)
    for _ in range(3):
        await house.sends(ana, await house.group(ana, ben))
        await house.settled(len(house.outcomes) + 1)
    assert (house.outcomes, len(service.pushed)) == (["failed", "dropped", "dropped"], 1)
    house.seconds = 31.0
    await house.sends(ana, await house.group(ana, ben))
    assert (await house.settled(4))[3] == "failed"
    house.seconds = 62.0
    await house.sends(ana, await house.group(ana, ben))
    assert (await house.settled(5))[4] == "dropped"
    house.seconds = 92.0
    service.hanging.clear()
    await house.sends(ana, await house.group(ana, ben))
    await house.sends(ana, await house.group(ana, ben))
    assert (await house.settled(7))[5:] == ["sent", "sent"]


async def test_a_service_that_asks_for_minutes_holds_no_sender(house: Notified, service: PushService) -> None:
    ana, ben = house.people("ana", "ben")
    await house.wants(ben, Browser("b"), service)
    service.answers["b"] = [web.Response(status=429, headers={"Retry-After": "120"})]
    await house.sends(ana, await house.group(ana, ben))
    assert await house.settled(1) == ["failed"]
    house.seconds = 119.0
    await house.sends(ana, await house.group(ana, ben))
    assert await house.settled(2) == ["failed", "dropped"]
    house.seconds = 121.0
    await house.sends(ana, await house.group(ana, ben))
    assert await house.settled(3) == ["failed", "dropped", "sent"]


@pytest.mark.parametrize("ends", ["here", "elsewhere", "half", "handed on", "removed"])
async def test_a_notice_that_waits_does_not_outlive_the_sign_in(
    house: Notified, service: PushService, ends: str
) -> None:
    """`elsewhere`: another process took the row away, and this one still believes what it read; `half`: it was stopped
    before it did."""
    ana, ben, eve = house.people("ana", "ben", "eve")
    group, browser = await house.group(ana, ben), Browser("b")
    mine = await house.wants(ben, browser, service)
    service.answers["b"] = [web.Response(status=503)]
    house.push._courier._pause_seconds = 0.3
    await house.sends(ana, group)
    await service.got(1)
    if ends == "here":
        await house.identity.end_session("ben", ben.session_id)
    elif ends == "elsewhere":
        await house.push_store.remove_session("ben", ben.session_id)
    elif ends == "half":
        await house.identity.revocations.add("ben", ben.session_id)
    elif ends == "handed on":
        await house.wants(eve, browser, service)
    else:
        await house.push.unsubscribe(ben, p.PushSubscriptionPath(subscription_id=mine))
    assert await house.settled(1) == ["stale"]
    assert len(service.pushed) == 1


async def test_people_without_a_browser_are_looked_up_once_a_minute(house: Notified, service: PushService) -> None:
    ana, *others = house.people("ana", *(f"p{number}" for number in range(30)))
    group = await house.group(ana, *others)
    asked: list[int] = []
    plain = house.push_store.of_people

    async def counting(user_ids: list[str]) -> object:
        asked.append(len(user_ids))
        return await plain(user_ids)

    house.push_store.of_people = counting  # type: ignore[assignment,method-assign]
    for _ in range(5):
        await house.sends(ana, group)
    await house.settled(0)
    assert asked == [30]
    house.seconds = 61.0
    await house.sends(ana, group)
    await house.settled(0)
    assert asked == [30, 30]


async def test_a_full_queue_drops_news_and_counts_it(house: Notified, service: PushService) -> None:
    ana, ben = house.people("ana", "ben")
    group = await house.group(ana, ben)
    house.push._news = asyncio.Queue(1)
    house.push._news.put_nowait(None)  # type: ignore[arg-type]
    await house.sends(ana, group)
    assert house.outcomes == ["dropped"]


@pytest.mark.parametrize(
    "fault",
    [
        {"endpoint": "http://10.0.0.1/x"},
        {"keys": {"p256dh": "B" + "A" * 86, "auth": "BTBZMqHH6r4Tts7J_aSIgg"}},
        {"keys": {"p256dh": "A" * 87, "auth": "BTBZMqHH6r4Tts7J_aSIgg"}},
    ],
)
async def test_what_no_browser_gives_is_refused(
    house: Notified, service: PushService, fault: dict[str, object]
) -> None:
    (ben,) = house.people("ben")
    given = p.MakePushSubscription.model_validate(Browser("b").given(service.url) | fault)
    assert await house.refusal(house.push.subscribe(ben, given)) == "invalid_payload"
    assert await house.push_store.of_people(["ben"]) == []
