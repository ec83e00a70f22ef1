"""Commands that take seconds: acked at once, bounded, gone with their connection, in nobody's way."""

from collections.abc import AsyncIterator

import pytest

from chatcore.transport.slow import MAX_AT_ONCE, MAX_OF_ONE_CONNECTION, SlowPool
from tests.ai.end_to_end.conftest import ready
from tests.ai.fake_provider import FakeProvider
from tests.servers import ServerInThread, people_of
from tests.talking import People, Person, eventually


@pytest.fixture
async def waiting(with_provider: ServerInThread, provider: FakeProvider) -> AsyncIterator[People]:
    """On a server whose provider does not answer."""
    await ready(with_provider)
    close_breakers(with_provider)
    provider.mode = "timeout"
    try:
        async with people_of(with_provider.url) as fresh:
            yield fresh
        await eventually(lambda: len(pool(with_provider)) == 0)
    finally:
        provider.mode = "good"
        close_breakers(with_provider)


def close_breakers(server: ServerInThread) -> None:
    """The provider that did not answer is asked again."""
    for rung in server.chat.core.ai.models._rungs:
        rung.breaker.succeeded()


def pool(server: ServerInThread) -> SlowPool:
    slow: SlowPool = server.chat.sockets._handlers.slow  # type: ignore[attr-defined]
    return slow


async def asks(person: Person, group_id: str) -> str:
    request_id: str = (await person.socket.call("request_smart_replies", groupId=group_id))["requestId"]
    return request_id


async def test_what_comes_after_a_slow_command_is_not_held_up(
    waiting: People, with_provider: ServerInThread, provider: FakeProvider
) -> None:
    ann, bob = await waiting.connected("ann", "bob")
    garden = await ann.creates_group(bob)
    await bob.sends(garden, "Coming?")
    asked = len(provider.requests)
    request_id = await asks(ann, garden)
    await eventually(lambda: len(provider.requests) > asked)
    await ann.sends(garden, "still here")
    assert len(pool(with_provider)) == 1
    heard = [data for event, data in ann.socket.heard if event in {"smart_replies_complete", "ai_error"}]
    assert not [data for data in heard if data["requestId"] == request_id]


async def test_messages_are_acknowledged_while_the_provider_has_them_hanging(
    waiting: People, provider: FakeProvider
) -> None:
    ann, bob = await waiting.connected("ann", "bob")
    garden = await ann.creates_group(bob)
    await ann.sends(garden, "the first one")
    await eventually(lambda: provider.hanging > 0)  # moderation, which the send has not waited for
    sent = await ann.sends(garden, "the second one")
    assert provider.hanging > 0
    await bob.receives("new_message", _id=sent["messageId"])


async def test_in_a_strict_group_a_message_waits_and_then_goes_in_all_the_same(
    waiting: People, provider: FakeProvider
) -> None:
    ann, bob = await waiting.connected("ann", "bob")
    garden = await ann.creates_group(bob, settings={"moderation": "strict"})
    asked = len(provider.requests)
    sent = await ann.sends(garden, "see you at ten")
    about_it = [each.path for each in provider.requests[asked:] if "see you at ten" in str(each.body)]
    assert about_it == ["/moderations"]  # one try, no other
    await bob.receives("new_message", _id=sent["messageId"])


async def test_a_connection_has_four_under_way_and_is_refused_a_fifth(
    waiting: People, with_provider: ServerInThread
) -> None:
    ann, bob = await waiting.connected("ann", "bob")
    garden = await ann.creates_group(bob)
    await bob.sends(garden, "Coming?")
    ids = [await asks(ann, garden) for _ in range(MAX_OF_ONE_CONNECTION)]
    assert len(set(ids)) == MAX_OF_ONE_CONNECTION
    refused = await ann.socket.refusal("request_smart_replies", groupId=garden)
    assert (refused["code"], refused["retryable"]) == ("rate_limited", True)
    assert refused["retryAfterMs"] > 0
    assert await ann.receives("ai_error", code="rate_limited")
    await asks(bob, garden)


async def test_they_end_with_their_connection(waiting: People, with_provider: ServerInThread) -> None:
    ann, bob = await waiting.connected("ann", "bob")
    garden = await ann.creates_group(bob)
    await bob.sends(garden, "Coming?")
    before = len(pool(with_provider))
    for _ in range(MAX_OF_ONE_CONNECTION):
        await asks(ann, garden)
    assert len(pool(with_provider)) == before + MAX_OF_ONE_CONNECTION
    await ann.leaves_the_line()
    await eventually(lambda: len(pool(with_provider)) == before)


async def test_the_server_has_so_many_under_way_and_refuses_more(
    waiting: People, with_provider: ServerInThread
) -> None:
    free = MAX_AT_ONCE - len(pool(with_provider))
    crowd = await waiting.connected(*(f"p{number}" for number in range(free // MAX_OF_ONE_CONNECTION + 1)))
    garden = await crowd[0].creates_group()
    await crowd[0].sends(garden, "Coming?")
    for person in crowd[1:]:
        await crowd[0].adds(person, garden)
    for place in range(free):
        await asks(crowd[place % len(crowd)], garden)
    refused = await crowd[-1].socket.refusal("request_smart_replies", groupId=garden)
    assert refused["code"] == "rate_limited"
    await crowd[0].sends(garden, "the chat goes on")
    for person in crowd:
        await person.leaves_the_line()
    await eventually(lambda: len(pool(with_provider)) == 0)
