"""People who come and go leave nothing behind in the server's memory."""

import asyncio
import gc
import itertools
import statistics
from typing import Any

import pytest

from tests.servers import ServerInThread
from tests.talking import People, Person, eventually

ROUNDS = 5
PEOPLE = 20
VISITS = 5


def sizes(server: ServerInThread) -> dict[str, int]:
    """Every map that grows with connections; all empty when nobody is here."""
    chat, core = server.chat, server.chat.core
    services: Any = core.services
    return {
        "connections": len(chat.sockets.connections),
        "rooms": len(chat.sockets._rooms),
        "inboxes": len(chat.sockets._inboxes),
        "sessions": len(chat.sockets.engine.sockets),
        "held": len(services.identity._connections),
        "watched": len(services.identity._expiry),
        "live": len(services.identity._sessions),
        "queued": len(core.writer),
        "turns": len(services.responses._turns),
        **{f"typing {name}": size for name, size in core.typing.sizes().items()},
        **{f"presence {name}": size for name, size in core.presence.sizes().items()},
    }


async def _visit(person: Person, group: str) -> None:
    socket = await person.connects()
    await socket.call("join_group", groupId=group)
    await socket.call("typing_start", groupId=group)
    await socket.call("leave_group", groupId=group, membership=True)
    await person.leaves_the_line()


async def _round(crowd: list[Person], groups: list[str], visits: int) -> None:
    for visit in range(visits):
        await asyncio.gather(*(_visit(person, groups[(n + visit) % len(groups)]) for n, person in enumerate(crowd)))


async def _talk(ana: Person, ben: Person, group: str) -> None:
    for person in (ana, ben):
        await person.connects()
    await ben.socket.call("join_group", groupId=group)
    sent = await ana.sends(group, "hello", tempId="t1")
    react = {"groupId": group, "messageId": sent["messageId"], "emoji": "\U0001f44d"}
    await asyncio.gather(*(person.socket.call("add_reaction", react) for person in (ana, ben)))
    await ben.socket.call("typing_start", groupId=group)


async def test_when_all_have_gone_every_map_is_empty(server: ServerInThread, people: People) -> None:
    ana, ben = await people.persons("ana", "ben")
    await _talk(ana, ben, await ana.creates_group(joinPolicy="open"))
    here = sizes(server)
    assert (here["connections"], here["rooms"], here["typing leases"]) == (2, 1, 1)
    assert here["presence people"] >= 2  # whoever has just gone stays for some seconds
    for person in (ana, ben):
        await person.leaves_the_line()
    await eventually(lambda: not any(sizes(server).values()))


@pytest.mark.timeout(300)
async def test_five_hundred_visits_leave_every_map_empty_and_no_object_behind(
    server: ServerInThread, people: People
) -> None:
    """Objects that outlive a collection, not the resident size: between two collections the process holds more, by
    design (see `tune_garbage_collector`). One object a visit would be a leak in each round; what other threads hold at
    the moment of counting comes in one round and goes in the next."""
    ana, *crowd = await people.persons("ana", *(f"p{number}" for number in range(PEOPLE)))
    groups = [await ana.creates_group(joinPolicy="open") for _ in range(4)]
    held: list[int] = []
    for _ in range(ROUNDS):
        await _round(crowd, groups, VISITS)
        await eventually(lambda: not any(sizes(server).values()))
        gc.collect()
        held.append(len(gc.get_objects()))
    growth = [after - before for before, after in itertools.pairwise(held)]
    assert statistics.median(growth[-3:]) < PEOPLE * VISITS / 2, growth
