"""Presence and typing of people who are at another process."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from chatcore.contract.groups import PresenceStatus
from chatcore.contract.people import User
from chatcore.presence.peers import Attendee, NoPresencePeers
from chatcore.presence.service import GRACE_SECONDS, PEERS_EVERY_TICKS, Presence
from chatcore.presence.typing import LEASE_SECONDS, Typing
from tests.presence.conftest import GROUP, OTHER, Clock, Rooms, caller

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass
class Peers(NoPresencePeers):
    """What the other processes were told: (group, person, status)."""

    told: list[tuple[str, str, PresenceStatus | None]] = field(default_factory=list)
    typed: list[tuple[str, str, bool]] = field(default_factory=list)

    def attending(self, group_id: str, attendees: list[Attendee]) -> None:  # type: ignore[override]
        self.told += [(group_id, attendee.user.user_id, attendee.status) for attendee in attendees]

    def typing(self, group_id: str, user: User, *, started: bool) -> None:
        self.typed.append((group_id, user.user_id, started))

    def take(self) -> list[tuple[str, str, PresenceStatus | None]]:
        found, self.told = self.told, []
        return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rooms() -> Rooms:
    return Rooms()


@pytest.fixture
def peers() -> Peers:
    return Peers()


@pytest.fixture
def presence(rooms: Rooms, clock: Clock, peers: Peers) -> Presence:
    return Presence(rooms, clock=clock, now=lambda: NOW, peers=peers)


async def ticks(presence: Presence) -> None:
    for _ in range(PEERS_EVERY_TICKS):
        await presence.tick()


def seen(user_id: str, status: PresenceStatus | None = "online") -> Attendee:
    return Attendee(User(user_id=user_id, name=user_id.title()), status, NOW)


async def test_somebody_elsewhere_is_here_for_the_group(presence: Presence, rooms: Rooms, peers: Peers) -> None:
    presence.heard("far", GROUP, [seen("ada")])
    await ticks(presence)
    assert rooms.take() == [("user_online", "ada", GROUP)]
    assert presence.online_members(GROUP) == ["ada"]
    assert presence.status_of("ada") == "online"
    assert presence.online_users(GROUP).users[0].user.name == "Ada"
    assert peers.take() == [], "what was heard is not said again"


async def test_who_leaves_one_process_is_still_there_at_the_other(
    presence: Presence, rooms: Rooms, peers: Peers, clock: Clock
) -> None:
    presence.connected(caller("ada"), [GROUP])
    presence.heard("far", GROUP, [seen("ada", "away")])
    await ticks(presence)
    assert peers.take() == [(GROUP, "ada", "online")]
    presence.disconnected(caller("ada"))
    await ticks(presence)
    assert peers.take() == [(GROUP, "ada", None)]
    assert [event for event, _, _ in rooms.take()] == ["user_online", "user_status_changed"]
    clock.pass_seconds(GRACE_SECONDS)
    presence.heard("far", GROUP, [seen("ada", None)])
    await ticks(presence)
    assert rooms.take() == [("user_offline", "ada", GROUP)]
    assert set(presence.sizes().values()) == {0}


async def test_peers_are_told_only_after_the_grace(presence: Presence, peers: Peers, clock: Clock) -> None:
    presence.connected(caller("ada"), [GROUP, OTHER])
    await ticks(presence)
    assert sorted(peers.take()) == [(GROUP, "ada", "online"), (OTHER, "ada", "online")]
    presence.disconnected(caller("ada"))
    await ticks(presence)
    assert peers.take() == []
    assert [attendee.user.user_id for attendee in presence.attendees(GROUP)] == ["ada"]
    clock.pass_seconds(GRACE_SECONDS)
    await ticks(presence)
    assert sorted(peers.take()) == [(GROUP, "ada", None), (OTHER, "ada", None)]
    assert presence.attendees(GROUP) == []


async def test_people_of_a_process_that_is_gone_have_a_grace_to_come_here(
    presence: Presence, rooms: Rooms, clock: Clock
) -> None:
    presence.heard("far", GROUP, [seen("ada"), seen("ben")])
    await ticks(presence)
    rooms.take()
    presence.process_gone("far")
    presence.connected(caller("ada"), [GROUP])
    clock.pass_seconds(GRACE_SECONDS)
    await ticks(presence)
    assert rooms.take() == [("user_offline", "ben", GROUP)]
    assert presence.online_members(GROUP) == ["ada"]


async def test_a_whole_list_ends_those_it_does_not_name(presence: Presence, rooms: Rooms, clock: Clock) -> None:
    presence.connected(caller("cleo"), [GROUP])
    presence.heard("far", GROUP, [seen("ada"), seen("ben")])
    presence.heard("other", GROUP, [seen("dora")])
    presence.heard("far", GROUP, [seen("ada")], everybody=True)
    clock.pass_seconds(GRACE_SECONDS)
    await ticks(presence)
    assert presence.online_members(GROUP) == ["ada", "cleo", "dora"]


async def test_who_is_removed_from_the_group_is_not_seen_in_it_wherever_they_are(
    presence: Presence, rooms: Rooms
) -> None:
    presence.heard("far", GROUP, [seen("ada")])
    presence.heard("far", OTHER, [seen("ada")])
    await ticks(presence)
    presence.left("ada", GROUP)
    assert presence.online_members(GROUP) == []
    assert presence.online_members(OTHER) == ["ada"]
    presence.group_forgotten(OTHER)
    await ticks(presence)
    assert set(presence.sizes().values()) == {0}


async def test_a_forgotten_group_keeps_those_who_are_connected_here(presence: Presence) -> None:
    presence.connected(caller("ada"), [GROUP])
    presence.heard("far", GROUP, [seen("ben")])
    presence.group_forgotten(GROUP)
    assert presence.online_members(GROUP) == ["ada"]
    assert presence.is_attended(GROUP)
    assert not presence.is_attended(OTHER)


async def test_typing_elsewhere_is_a_lease_here_and_told_to_nobody_else(
    rooms: Rooms, clock: Clock, peers: Peers
) -> None:
    typing = Typing(rooms, clock, peers)
    ada = User(user_id="ada", name="Ada")
    typing.heard("far", GROUP, ada, started=True)
    assert rooms.take() == [("user_typing", "ada", GROUP)]
    typing.heard("other", GROUP, ada, started=False)
    assert rooms.take() == [], "only the process where she types ends it"
    clock.pass_seconds(LEASE_SECONDS)
    await typing.sweep()
    assert rooms.take() == [("user_stopped_typing", "ada", GROUP)]
    assert peers.typed == []
    typing.start(caller("ben"), GROUP)
    typing.stop(caller("ben"), GROUP)
    assert peers.typed == [(GROUP, "ben", True), (GROUP, "ben", False)]
    assert set(typing.sizes().values()) == {0}
