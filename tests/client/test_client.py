"""The client against a server and a network that misbehave."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from chatcore.client import Backoff, Client, ConnectionChanged, Event, LinkLost, Resynced, TooSlow
from chatcore.client.events import Subscription
from chatcore.errors import Conflict, Forbidden, MessageRejected, TokenExpired, Unavailable
from tests.client.small_server import SmallServer, emit, small_server

QUICK = Backoff(first_seconds=0.01, longest_seconds=0.05)
Connect = Callable[..., "asyncio.Future[Client]"]


@pytest.fixture
async def server() -> AsyncIterator[SmallServer]:
    async with small_server() as running:
        yield running


@pytest.fixture
async def connect(server: SmallServer) -> AsyncIterator[Connect]:
    async with AsyncExitStack() as stack:

        async def opened(name: str, **options: object) -> Client:
            """After its first `sync`, so that no later one is owed to the connecting."""
            asked = server.syncs + any(name.partition(":")[0] in members for members in server.members.values())
            client = await stack.enter_async_context(Client(server.url, name, backoff=QUICK, **options))
            async with asyncio.timeout(5):
                while server.syncs < asked:
                    await asyncio.sleep(0.005)
            await asyncio.sleep(0.01)
            return client

        yield opened


async def log_places(events: Subscription, count: int) -> list[int]:
    """The places of the next `count` log events."""
    places: list[int] = []
    async with asyncio.timeout(10):
        while len(places) < count:
            happening = await anext(events)
            if isinstance(happening, Event) and happening.seq is not None:
                places.append(happening.seq)
    return places


async def read_all(events: Subscription) -> None:
    async for _ in events:
        pass


async def test_a_message_reaches_the_other_and_the_sender_sees_it_in_the_log(
    server: SmallServer, connect: Connect
) -> None:
    group = server.add_group("general", "ana", "bo")
    ana, bo = await connect("ana"), await connect("bo")
    views = [await ana.view(group), await bo.view(group)]
    heard = [ana.events(), bo.events()]
    receipt = await ana.send(group, "hello")
    assert receipt.seq == 1
    for events in heard:
        assert await log_places(events, 1) == [1]
    assert views[0].snapshot() == views[1].snapshot()
    assert [message.content for message in views[0].messages] == ["hello"]


async def test_pushes_that_never_arrive_are_fetched(server: SmallServer, connect: Connect) -> None:
    group = server.add_group("general", "ana")
    ana = await connect("ana")
    events = ana.events()
    server.faults.silent_pushes = 3
    for number in range(5):
        await server.write(group, "bo", f"{number}")
    assert await log_places(events, 5) == [1, 2, 3, 4, 5]


async def test_repeated_pushes_are_handed_over_once(server: SmallServer, connect: Connect) -> None:
    group = server.add_group("general", "ana")
    ana = await connect("ana")
    events = ana.events()
    server.faults.repeated_pushes = True
    for number in range(6):
        await server.write(group, "bo", f"{number}")
    assert await log_places(events, 6) == [1, 2, 3, 4, 5, 6]
    await asyncio.sleep(0.05)
    assert events._queue.empty()


async def test_swapped_pushes_come_out_in_order(server: SmallServer, connect: Connect) -> None:
    group = server.add_group("general", "ana")
    ana = await connect("ana")
    events = ana.events()
    server.faults.reversed_pushes = True
    for number in range(6):
        await server.write(group, "bo", f"{number}")
    assert await log_places(events, 6) == [1, 2, 3, 4, 5, 6]


async def test_a_connection_cut_before_the_ack_leaves_exactly_one_message(
    server: SmallServer, connect: Connect
) -> None:
    group = server.add_group("general", "ana")
    ana = await connect("ana")
    server.faults.cut_before_ack = 1
    receipt = await asyncio.wait_for(ana.send(group, "once"), 10)
    assert receipt.duplicate
    assert [message["content"] for message in server.messages(group)] == ["once"]
    assert server.connects == 2


async def test_what_was_said_during_an_outage_is_read_after_it(server: SmallServer, connect: Connect) -> None:
    group = server.add_group("general", "ana")
    ana = await connect("ana")
    view, events = await ana.view(group), ana.events()
    await server.cut_all()
    await asyncio.sleep(0)
    for number in range(450):
        await server.write(group, "bo", f"{number}")
    assert await log_places(events, 450) == list(range(1, 451))
    assert len(view.messages) == 450
    assert view.snapshot()[-1]["content"] == "449"


async def test_what_happened_while_the_groups_were_listed_is_asked_for(server: SmallServer, connect: Connect) -> None:
    group = server.add_group("general", "ana")
    ana = await connect("ana")
    events = ana.events()
    server.faults.stale_groups, server.faults.silent_pushes = 2, 2
    await server.write(group, "bo", "one")
    await server.write(group, "bo", "two")
    await server.cut_all()
    assert await log_places(events, 2) == [1, 2]


async def test_commands_given_during_an_outage_wait_for_its_end(server: SmallServer, connect: Connect) -> None:
    group = server.add_group("general", "ana")
    ana = await connect("ana")
    await server.cut_all()
    receipts = await asyncio.wait_for(asyncio.gather(*(ana.send(group, f"{n}") for n in range(10))), 10)
    assert sorted(receipt.seq for receipt in receipts) == list(range(1, 11))
    assert len(server.messages(group)) == 10


async def test_the_program_is_told_of_an_outage_and_its_end(server: SmallServer, connect: Connect) -> None:
    ana = await connect("ana")
    events = ana.events()
    await ana.interrupt()
    states = []
    async with asyncio.timeout(10):
        while "connected" not in states:
            happening = await anext(events)
            if isinstance(happening, ConnectionChanged):
                states.append(happening.state)
    assert states[0] == "reconnecting"


async def test_a_log_that_was_cut_off_starts_anew_from_history(server: SmallServer, connect: Connect) -> None:
    group = server.add_group("general", "ana")
    await server.write(group, "bo", "old")
    ana = await connect("ana")
    view, events = await ana.view(group), ana.events()
    server.faults.silent_pushes = 9
    for number in range(9):
        await server.write(group, "bo", f"{number}")
    server.faults.forget_before = 8
    await server.cut_all()
    async with asyncio.timeout(10):
        while not isinstance(happening := await anext(events), Resynced):
            pass
    assert happening.latest_seq == 10
    while view.seq < 10:
        await asyncio.sleep(0.01)
    await server.write(group, "bo", "after")
    assert await log_places(events, 1) == [11]
    assert [message.content for message in view.messages] == ["old", *map(str, range(9)), "after"]


async def test_an_earlier_place_is_continued_from(server: SmallServer, connect: Connect) -> None:
    group = server.add_group("general", "ana")
    for number in range(5):
        await server.write(group, "bo", f"{number}")
    client = Client(server.url, "ana", since={group: 2})
    events = client.events()
    async with client:
        assert await log_places(events, 3) == [3, 4, 5]
        assert client.places == {group: 5}


async def test_a_refusal_is_raised_as_its_class(server: SmallServer, connect: Connect) -> None:
    group = server.add_group("general", "ana")
    ana = await connect("ana")
    server.faults.refuse_sends = [{"code": "message_rejected", "message": "No.", "retryable": False}]
    with pytest.raises(MessageRejected, match="No"):
        await ana.send(group, "x")
    server.faults.refuse_sends = [{"code": "conflict", "message": "Other content", "field": "tempId"}]
    with pytest.raises(Conflict) as refused:
        await ana.send(group, "x")
    assert refused.value.field == "tempId"


async def test_a_limit_that_says_when_to_come_again_is_waited_out_once(server: SmallServer, connect: Connect) -> None:
    group = server.add_group("general", "ana")
    ana = await connect("ana")
    limited = {"code": "rate_limited", "message": "Slowly", "retryable": True, "retryAfterMs": 20}
    server.faults.refuse_sends = [limited]
    assert (await ana.send(group, "x")).seq == 1
    server.faults.refuse_sends = [limited, limited]
    with pytest.raises(Exception, match="Slowly"):
        await ana.send(group, "y")


async def test_a_send_that_could_not_be_stored_is_tried_again_once(server: SmallServer, connect: Connect) -> None:
    group = server.add_group("general", "ana")
    ana = await connect("ana")
    stalled = {"code": "unavailable", "error": "The database is busy", "retryable": True}
    server.faults.refuse_sends = [stalled]
    assert (await ana.send(group, "x")).seq == 1
    server.faults.refuse_sends = [stalled, stalled]
    with pytest.raises(Unavailable):
        await ana.send(group, "y")


async def test_a_server_that_asks_to_come_again_is_asked_again_while_there_is_time(
    server: SmallServer, connect: Connect
) -> None:
    stalled = {"code": "unavailable", "error": "The database is busy", "retryable": True, "retryAfterMs": 10}
    server.faults.refuse_connects = [stalled, stalled]
    await connect("ana")
    assert (server.connects, len(server.tokens_seen)) == (1, 3)
    server.faults.refuse_connects = [stalled | {"retryAfterMs": 60_000}]
    with pytest.raises(Unavailable):
        await connect("ben")
    server.faults.refuse_connects = [stalled | {"code": "access_denied", "retryable": False}]
    with pytest.raises(Forbidden):
        await connect("cleo")


async def test_an_expired_token_is_renewed_when_coming_back(server: SmallServer, connect: Connect) -> None:
    async def renew() -> str:
        return "ana:2"

    group = server.add_group("general", "ana")
    ana = await connect("ana:1", renew=renew)
    server.faults.refuse_tokens = {"ana:1"}
    await server.cut_all()
    assert (await asyncio.wait_for(ana.send(group, "still here"), 10)).seq == 1
    assert server.tokens_seen == ["ana:1", "ana:1", "ana:2"]


async def test_a_token_about_to_expire_is_renewed_on_the_open_connection(server: SmallServer, connect: Connect) -> None:
    async def renew() -> str:
        return "ana:2"

    await connect("ana:1", renew=renew)
    await emit(next(iter(server.sockets)), "token_expiring", {"expiresAt": "2030-01-01T00:00:00.000Z"})
    async with asyncio.timeout(5):
        while len(server.tokens_seen) < 2:
            await asyncio.sleep(0.01)
    assert server.tokens_seen == ["ana:1", "ana:2"]
    assert server.connects == 1


async def test_a_refused_token_ends_the_client_and_all_that_waits_for_it(server: SmallServer, connect: Connect) -> None:
    group = server.add_group("general", "ana")
    ana = await connect("ana")
    events = ana.events()
    server.faults.refuse_tokens = {"ana"}
    await server.cut_all()
    with pytest.raises(TokenExpired):
        await asyncio.wait_for(ana.send(group, "x"), 10)
    with pytest.raises(TokenExpired):
        await asyncio.wait_for(read_all(events), 5)


async def test_a_draining_server_is_given_the_time_it_asks_for(server: SmallServer, connect: Connect) -> None:
    ana = await connect("ana")
    events = ana.events()
    await emit(next(iter(server.sockets)), "server_draining", {"retryAfterMs": 300})
    await asyncio.sleep(0.05)
    await server.cut_all()
    async with asyncio.timeout(5):
        while not isinstance(happening := await anext(events), ConnectionChanged):
            pass
    assert happening.state == "reconnecting"
    assert happening.retry_in_seconds >= 0.3


async def test_no_server_is_a_plain_error() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(LinkLost, match="cannot reach"):
            await Client.connect(f"http://127.0.0.1:{nobody.getsockname()[1]}", "ana")


async def test_a_reader_that_does_not_read_is_thrown_out_and_others_stay(server: SmallServer, connect: Connect) -> None:
    group = server.add_group("general", "ana")
    ana = await connect("ana")
    lazy, busy = ana.events(), ana.events()
    lazy.max_pending = 3
    for number in range(8):
        await server.write(group, "bo", f"{number}")
    assert await log_places(busy, 8) == list(range(1, 9))
    with pytest.raises(TooSlow):
        await read_all(lazy)


async def test_edits_deletions_and_reactions_give_every_client_the_view_of_the_log(
    server: SmallServer, connect: Connect
) -> None:
    group = server.add_group("general", "ana", "bo")
    ana, bo = await connect("ana"), await connect("bo")
    live = await bo.view(group)
    first, second = await ana.send(group, "frist"), await ana.send(group, "oops")
    await ana.edit(group, first.message_id, "first")
    await ana.react(group, first.message_id, "🎉")
    await ana.delete(group, second.message_id)
    async with asyncio.timeout(5):
        while live.seq < 5:
            await asyncio.sleep(0.01)
    late = await (await connect("bo")).view(group)
    assert live.snapshot() == late.snapshot()
    assert [line["content"] for line in late.snapshot()] == ["first", ""]
    assert late.snapshot()[0]["reactions"] == {"🎉": 1}
