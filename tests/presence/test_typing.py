"""Who is typing: told once, never stuck."""

import pytest

from chatcore.presence.typing import LEASE_SECONDS, MAX_PER_CONNECTION, Typing
from tests.presence.conftest import GROUP, OTHER, Clock, Rooms, caller


@pytest.fixture
def typing(rooms: Rooms, clock: Clock) -> Typing:
    return Typing(rooms, clock)


async def test_the_group_is_told_but_not_the_typing_connection(typing: Typing, rooms: Rooms) -> None:
    typing.start(caller("ada", "c1"), GROUP)
    typing.stop(caller("ada", "c1"), GROUP)
    started, stopped = rooms.told
    assert started[0] == "user_typing"
    assert started[1] == {"groupId": GROUP, "userId": "ada", "user": {"userId": "ada", "name": "Ada"}}
    assert stopped[:2] == ("user_stopped_typing", {"groupId": GROUP, "userId": "ada"})
    assert [event[2:] for event in rooms.told] == [(GROUP, "c1", True)] * 2


async def test_every_key_renews_the_lease_but_few_are_told(typing: Typing, rooms: Rooms, clock: Clock) -> None:
    for _ in range(100):
        typing.start(caller("ada"), GROUP)
        clock.pass_seconds(0.1)
        await typing.sweep()
    assert [event for event, _, _ in rooms.take()] == ["user_typing"] * 4
    clock.pass_seconds(LEASE_SECONDS - 0.2)
    await typing.sweep()
    assert rooms.take() == []
    clock.pass_seconds(0.2)
    await typing.sweep()
    assert rooms.take() == [("user_stopped_typing", "ada", GROUP)]
    await typing.sweep()
    assert rooms.take() == []


async def test_only_the_leases_that_ended_end(typing: Typing, rooms: Rooms, clock: Clock) -> None:
    typing.start(caller("ada"), GROUP)
    clock.pass_seconds(1)
    typing.start(caller("bob"), GROUP)
    clock.pass_seconds(1)
    typing.start(caller("ada"), GROUP)
    rooms.take()
    clock.pass_seconds(LEASE_SECONDS - 1)
    await typing.sweep()
    assert rooms.take() == [("user_stopped_typing", "bob", GROUP)]


async def test_stopping_without_typing_is_no_news(typing: Typing, rooms: Rooms) -> None:
    typing.stop(caller("ada"), GROUP)
    typing.left("ada", GROUP)
    typing.clear(GROUP, caller("ada"))
    typing.disconnected(caller("ada"))
    assert rooms.take() == []


async def test_typing_ends_with_a_message_from_any_device(typing: Typing, rooms: Rooms) -> None:
    typing.start(caller("ada", "c1"), GROUP)
    typing.start(caller("ada", "c1"), OTHER)
    rooms.take()
    typing.clear(GROUP, caller("ada", "c2"))
    assert rooms.take() == [("user_stopped_typing", "ada", GROUP)]


async def test_typing_ends_with_the_membership(typing: Typing, rooms: Rooms) -> None:
    typing.start(caller("ada"), GROUP)
    rooms.take()
    typing.left("ada", GROUP)
    assert rooms.take() == [("user_stopped_typing", "ada", GROUP)]


async def test_typing_ends_in_all_groups_with_the_connection(typing: Typing, rooms: Rooms) -> None:
    typing.start(caller("ada", "c1"), GROUP)
    typing.start(caller("ada", "c1"), OTHER)
    typing.start(caller("bob"), GROUP)
    rooms.take()
    typing.disconnected(caller("ada", "c1"))
    assert sorted(rooms.take()) == [("user_stopped_typing", "ada", GROUP), ("user_stopped_typing", "ada", OTHER)]


async def test_the_device_that_typed_last_holds_the_lease(typing: Typing, rooms: Rooms) -> None:
    typing.start(caller("ada", "c1"), GROUP)
    typing.start(caller("ada", "c2"), GROUP)
    assert rooms.take() == [("user_typing", "ada", GROUP)]
    typing.stop(caller("ada", "c1"), GROUP)
    typing.disconnected(caller("ada", "c1"))
    assert rooms.take() == []
    typing.stop(caller("ada", "c2"), GROUP)
    assert rooms.take() == [("user_stopped_typing", "ada", GROUP)]


async def test_one_connection_types_in_few_groups_at_once(typing: Typing, rooms: Rooms) -> None:
    groups = [f"{number:024x}" for number in range(MAX_PER_CONNECTION + 5)]
    for group_id in groups:
        typing.start(caller("ada"), group_id)
    stopped = [group_id for event, _, group_id in rooms.take() if event == "user_stopped_typing"]
    assert stopped == groups[:5]
    assert typing.sizes() == {"leases": MAX_PER_CONNECTION, "held": 1}


async def test_nothing_is_left_after_churn(typing: Typing, rooms: Rooms, clock: Clock) -> None:
    for round_ in range(20):
        people = [caller(f"u{number % 30}", f"c{round_}-{number}") for number in range(100)]
        for index, person in enumerate(people):
            typing.start(person, f"{index % 11:024x}")
        for index, person in enumerate(people):
            (typing.stop(person, f"{index % 11:024x}"), typing.disconnected(person))[index % 2]
        clock.pass_seconds(LEASE_SECONDS + 0.1)
        await typing.sweep()
    assert typing.sizes() == {"leases": 0, "held": 0}
    last = {(user_id, group_id): event for event, user_id, group_id in rooms.take()}
    assert set(last.values()) == {"user_stopped_typing"}
