"""The client against the real server: every client's view equals the log."""

import asyncio
import random
from contextlib import AsyncExitStack

import pytest

from chatcore.client import Backoff, Client
from chatcore.client.rest import dev_token
from chatcore.errors import PayloadTooLarge
from tests.live_server import LiveServer
from tests.tcp_proxy import tcp_proxy

QUICK = Backoff(first_seconds=0.02, longest_seconds=0.1)
PEOPLE, MESSAGES = 5, 12


async def signed_in(stack: AsyncExitStack, server: LiveServer, name: str, *, url: str = "") -> Client:
    token = (await dev_token(server.url, name)).token
    return await stack.enter_async_context(Client(url or server.url, token, backoff=QUICK))


async def chatter(client: Client, group_id: str, chance: random.Random) -> None:
    """Messages, with edits, reactions and deletions among them."""
    for number in range(MESSAGES):
        receipt = await client.send(group_id, f"{client.user.name} {number}")
        match chance.randrange(4):
            case 0:
                await client.edit(group_id, receipt.message_id, f"{client.user.name} {number}, corrected")
            case 1:
                await client.react(group_id, receipt.message_id, "🎉")
            case 2 if number % 3 == 0:
                await client.delete(group_id, receipt.message_id)


async def test_what_is_too_large_for_the_server_is_refused_once_and_the_connection_stays(
    live_server: LiveServer,
) -> None:
    async with AsyncExitStack() as stack:
        ana = await signed_in(stack, live_server, "verbose")
        group = await ana.create_group("short words")
        with pytest.raises(PayloadTooLarge, match="bytes"):
            await asyncio.wait_for(ana.send(group.id, "x" * 300_000), 20)
        assert (await ana.send(group.id, "shorter")).seq > 0


async def test_five_people_on_a_bad_network_end_with_the_same_log_and_every_message_once(
    live_server: LiveServer,
) -> None:
    chance = random.Random(7)
    async with tcp_proxy(live_server.url) as network, AsyncExitStack() as stack:
        first = await signed_in(stack, live_server, "storm0", url=network.url)
        group = await first.create_group("storm", join_policy="open")
        others = [await signed_in(stack, live_server, f"storm{n}", url=network.url) for n in range(1, PEOPLE)]
        for client in others:
            await client.join(group.id)
        people = [first, *others]
        views = [await client.view(group.id) for client in people]
        talking = asyncio.gather(*(chatter(client, group.id, chance) for client in people))
        while not talking.done():
            await asyncio.sleep(0.25)
            network.cut()
        await talking
        late = await signed_in(stack, live_server, "storm0")
        log = await late.view(group.id, depth=None)
        await asyncio.wait_for(asyncio.gather(*(view.reached(log.seq) for view in views)), 30)
        for view in views:
            known = {line["id"] for line in view.snapshot()}
            assert view.snapshot() == [line for line in log.snapshot() if line["id"] in known]
            assert known == {line["id"] for line in log.snapshot() if line["seq"] >= view.messages[0].seq}
        sent = [message for message in log.messages if message.type == "text"]
        assert len(sent) == PEOPLE * MESSAGES
        assert len({message.id for message in sent}) == PEOPLE * MESSAGES


async def test_a_long_outage_of_more_than_one_answer_of_sync_is_caught_up(live_server: LiveServer) -> None:
    async with tcp_proxy(live_server.url) as network, AsyncExitStack() as stack:
        ana = await signed_in(stack, live_server, "long-ana", url=network.url)
        ben, eva = [await signed_in(stack, live_server, f"long-{name}") for name in ("ben", "eva")]
        group = await ana.create_group("long", join_policy="open")
        for client in (ben, eva):
            await client.join(group.id)
        view = await ana.view(group.id)
        network.down = True
        network.cut()
        message = await ben.send(group.id, "one")
        for number in range(110):
            emoji = "👍🎉"[number % 2]
            await asyncio.gather(
                *(client.react(group.id, message.message_id, emoji, remove=number % 4 > 1) for client in (ben, eva))
            )
        network.down = False
        last = await ben.send(group.id, "last")
        await asyncio.wait_for(view.reached(last.seq), 30)
        assert last.seq > message.seq + 200
        assert view.snapshot() == (await ben.view(group.id)).snapshot()


async def test_a_direct_message_reaches_the_other_without_joining(live_server: LiveServer) -> None:
    async with AsyncExitStack() as stack:
        ana, ben = [await signed_in(stack, live_server, f"direct-{name}") for name in ("ana", "ben")]
        events = ben.events()
        group = await ana.direct_message(ben.user.user_id)
        receipt = await ana.send(group.id, "only for you")
        async with asyncio.timeout(10):
            async for happening in events:
                if getattr(happening, "name", "") == "new_message" and happening.data["_id"] == receipt.message_id:
                    break
        assert [message.content for message in (await ben.view(group.id)).messages if message.type == "text"] == [
            "only for you"
        ]


async def test_read_marks_of_others_arrive_in_the_view(live_server: LiveServer) -> None:
    async with AsyncExitStack() as stack:
        ana, ben = [await signed_in(stack, live_server, f"marks-{name}") for name in ("ana", "ben")]
        group = await ana.create_group("marks", join_policy="open")
        await ben.join(group.id)
        view = await ana.view(group.id)
        receipt = await ana.send(group.id, "seen?")
        await view.reached(receipt.seq)
        message = view.find_message(receipt.message_id)
        assert message is not None
        assert view.readers_of(message) == []
        await ben.mark_read(group.id, receipt.seq)
        async with asyncio.timeout(10):
            while not view.readers_of(message):
                await asyncio.sleep(0.01)
        assert view.readers_of(message) == [ben.user.user_id]
