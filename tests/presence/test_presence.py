"""Who is there, and who hears of it."""

from datetime import UTC, datetime, timedelta

import pytest

from chatcore.contract.people import User
from chatcore.presence.service import GRACE_SECONDS, Presence
from tests.presence.conftest import GROUP, OTHER, Clock, Rooms, caller

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Lobby:
    def __init__(self, rooms: Rooms, clock: Clock):
        self.rooms = rooms
        self.clock = clock
        self.presence = Presence(rooms, clock=clock, now=lambda: NOON + timedelta(seconds=clock() - 1000))

    async def told(self, after: float = 0.0) -> list[tuple[str, str, str]]:
        self.clock.pass_seconds(after)
        await self.presence.tick()
        return self.rooms.take()

    async def emptied(self) -> bool:
        self.clock.pass_seconds(GRACE_SECONDS + 0.1)
        for _ in range(1000):
            await self.presence.tick()
        return not any(self.presence.sizes().values())


@pytest.fixture
def lobby(rooms: Rooms, clock: Clock) -> Lobby:
    return Lobby(rooms, clock)


async def test_a_person_who_comes_is_told_to_each_shared_group_once(lobby: Lobby) -> None:
    lobby.presence.connected(caller("ada"), [GROUP, OTHER])
    lobby.presence.connected(caller("bob"), [GROUP])
    assert sorted(await lobby.told()) == [
        ("user_online", "ada", GROUP),
        ("user_online", "ada", OTHER),
        ("user_online", "bob", GROUP),
    ]
    assert await lobby.told() == []


async def test_presence_is_volatile_and_not_told_to_the_connection_itself(lobby: Lobby) -> None:
    lobby.presence.connected(caller("ada", "c1"), [GROUP])
    await lobby.presence.tick()
    assert lobby.rooms.told == [
        (
            "user_online",
            {"userId": "ada", "user": {"userId": "ada", "name": "Ada"}, "status": "online"},
            GROUP,
            "c1",
            True,
        )
    ]


async def test_a_second_device_is_no_news(lobby: Lobby) -> None:
    lobby.presence.connected(caller("ada", "c1"), [GROUP])
    await lobby.told()
    lobby.presence.connected(caller("ada", "c2"), [GROUP])
    assert await lobby.told() == []
    lobby.presence.disconnected(caller("ada", "c1"))
    assert await lobby.told(60) == []
    assert lobby.presence.status_of("ada") == "online"


async def test_a_reconnect_within_the_grace_is_silent(lobby: Lobby) -> None:
    lobby.presence.connected(caller("ada", "c1"), [GROUP])
    await lobby.told()
    for number in range(2, 10):
        lobby.presence.disconnected(caller("ada", f"c{number - 1}"))
        assert await lobby.told(GRACE_SECONDS - 0.5) == []
        assert lobby.presence.status_of("ada") == "online"
        lobby.presence.connected(caller("ada", f"c{number}"), [GROUP])
        assert await lobby.told(1) == []


async def test_a_person_who_does_not_come_back_is_offline_since_the_last_activity(lobby: Lobby) -> None:
    lobby.presence.connected(caller("ada"), [GROUP])
    await lobby.told()
    lobby.clock.pass_seconds(100)
    lobby.presence.disconnected(caller("ada"))
    lobby.clock.pass_seconds(GRACE_SECONDS + 0.1)
    await lobby.presence.tick()
    assert lobby.rooms.told == [
        ("user_offline", {"userId": "ada", "lastSeen": "2026-06-01T12:01:40.000Z"}, GROUP, None, True)
    ]
    assert lobby.presence.status_of("ada") is None
    assert lobby.presence.online_members(GROUP) == []


async def test_whoever_comes_and_goes_between_two_ticks_is_no_news(lobby: Lobby) -> None:
    lobby.presence.connected(caller("ada"), [GROUP])
    lobby.presence.disconnected(caller("ada"))
    assert await lobby.told(GRACE_SECONDS + 1) == []
    assert await lobby.emptied()


async def test_a_person_is_away_only_if_every_device_is(lobby: Lobby) -> None:
    lobby.presence.connected(caller("ada", "c1"), [GROUP])
    lobby.presence.connected(caller("ada", "c2"), [GROUP])
    await lobby.told()
    lobby.presence.change_status(caller("ada", "c1"), "away")
    assert await lobby.told() == []
    lobby.presence.change_status(caller("ada", "c2"), "away")
    assert await lobby.told() == [("user_status_changed", "ada", GROUP)]
    assert lobby.presence.status_of("ada") == "away"
    lobby.presence.change_status(caller("ada", "c1"), "online")
    assert await lobby.told() == [("user_status_changed", "ada", GROUP)]
    lobby.presence.disconnected(caller("ada", "c1"))
    assert await lobby.told() == [("user_status_changed", "ada", GROUP)]
    assert lobby.presence.status_of("ada") == "away"


async def test_a_status_that_flaps_within_a_tick_is_told_once_or_not_at_all(lobby: Lobby) -> None:
    lobby.presence.connected(caller("ada"), [GROUP])
    await lobby.told()
    for status in ("away", "online") * 50:
        lobby.presence.change_status(caller("ada"), status)  # type: ignore[arg-type]
    assert await lobby.told() == []
    for status in ("away", "online", "away"):
        lobby.presence.change_status(caller("ada"), status)  # type: ignore[arg-type]
    assert await lobby.told() == [("user_status_changed", "ada", GROUP)]


async def test_a_status_of_somebody_who_is_not_here_is_no_news(lobby: Lobby) -> None:
    lobby.presence.change_status(caller("ada"), "away")
    lobby.presence.disconnected(caller("ada"))
    lobby.presence.joined("ada", GROUP)
    lobby.presence.left("ada", GROUP)
    lobby.presence.active(caller("ada"))
    assert await lobby.told() == []
    assert not any(lobby.presence.sizes().values())


async def test_a_new_member_who_is_here_is_told_to_the_group(lobby: Lobby) -> None:
    lobby.presence.connected(caller("ada"), [])
    assert await lobby.told() == []
    lobby.presence.joined("ada", GROUP)
    assert lobby.presence.online_members(GROUP) == ["ada"]
    assert await lobby.told() == [("user_online", "ada", GROUP)]


async def test_a_former_member_is_no_longer_told_to_the_group(lobby: Lobby) -> None:
    lobby.presence.connected(caller("ada"), [GROUP, OTHER])
    await lobby.told()
    lobby.presence.left("ada", GROUP)
    lobby.presence.change_status(caller("ada"), "away")
    assert await lobby.told() == [("user_status_changed", "ada", OTHER)]
    assert lobby.presence.online_members(GROUP) == []


async def test_leaving_before_the_tick_takes_the_news_back(lobby: Lobby) -> None:
    lobby.presence.connected(caller("ada"), [GROUP])
    lobby.presence.left("ada", GROUP)
    assert await lobby.told() == []


async def test_leaving_a_group_while_the_grace_runs_leaves_nothing_behind(lobby: Lobby) -> None:
    lobby.presence.connected(caller("ada"), [GROUP])
    await lobby.told()
    lobby.presence.disconnected(caller("ada"))
    lobby.presence.left("ada", GROUP)
    assert await lobby.emptied()


async def test_a_group_that_is_deleted_is_forgotten(lobby: Lobby) -> None:
    for name in ("ada", "bob"):
        lobby.presence.connected(caller(name), [GROUP])
    await lobby.told()
    lobby.presence.group_deleted(GROUP)
    for name in ("ada", "bob"):
        lobby.presence.disconnected(caller(name))
    assert await lobby.told(60) == []
    assert await lobby.emptied()


async def test_online_users_are_told_with_status_and_activity(lobby: Lobby) -> None:
    lobby.presence.connected(caller("bob"), [GROUP])
    lobby.presence.connected(caller("ada"), [GROUP])
    lobby.presence.connected(caller("eve"), [OTHER])
    lobby.presence.change_status(caller("bob"), "away")
    lobby.clock.pass_seconds(30)
    lobby.presence.active(caller("ada"))
    lobby.presence.card_changed(User(user_id="ada", name="Ada King"))
    found = lobby.presence.online_users(GROUP)
    assert [(user.user_id, user.status, user.user.name) for user in found.users] == [
        ("ada", "online", "Ada King"),
        ("bob", "away", "Bob"),
    ]
    assert found.users[0].last_activity == NOON + timedelta(seconds=30)


async def test_a_storm_of_connects_costs_one_packet_a_person_and_group(lobby: Lobby) -> None:
    groups = [f"{number:024x}" for number in range(100)]
    for number in range(1000):
        lobby.presence.connected(caller(f"u{number}"), [groups[number % 100]])
    told: list[tuple[str, str, str]] = []
    for _ in range(100):
        told += await lobby.told()
    assert len(told) == 1000
    assert len(set(told)) == 1000


async def test_a_large_group_is_told_at_a_bounded_pace_and_in_the_end_of_everybody(lobby: Lobby) -> None:
    for number in range(1000):
        lobby.presence.connected(caller(f"u{number}"), [GROUP])
    first = await lobby.told()
    assert 1 <= len(first) * 1000 <= 2000, "deliveries of one tick"
    told = set(first)
    for _ in range(1100):
        told |= set(await lobby.told())
    assert len(told) == 1000


async def test_a_storm_that_is_over_before_its_turn_is_never_told(lobby: Lobby) -> None:
    for number in range(1000):
        lobby.presence.connected(caller(f"u{number}"), [GROUP])
    for number in range(1000):
        lobby.presence.disconnected(caller(f"u{number}"))
    lobby.clock.pass_seconds(GRACE_SECONDS + 0.1)
    assert await lobby.told() == []
    assert await lobby.emptied()


async def test_nothing_is_left_after_churn(lobby: Lobby) -> None:
    for round_ in range(20):
        people = [caller(f"u{number % 40}", f"c{round_}-{number}") for number in range(100)]
        for index, person in enumerate(people):
            lobby.presence.connected(person, [f"{index % 7:024x}", f"{index % 5 + 10:024x}"])
        await lobby.told(0.05)
        for index, person in enumerate(people):
            if index % 3 == 0:
                lobby.presence.left(person.user_id, f"{index % 7:024x}")
            lobby.presence.change_status(person, "away")
            lobby.presence.disconnected(person)
        await lobby.told(1)
    assert await lobby.emptied()
    assert lobby.presence.sizes() == {"people": 0, "groups": 0, "leaving": 0, "untold": 0}
