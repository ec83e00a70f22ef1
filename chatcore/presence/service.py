"""Who is there. Told to the groups that a person is a member of, and to nobody else."""

import heapq
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from chatcore.contract.groups import PresenceStatus
from chatcore.contract.people import User
from chatcore.contract.presence import (
    OnlineUser,
    OnlineUsers,
    UserOffline,
    UserOnline,
    UserStatusChanged,
)
from chatcore.ports import Caller, Fanout
from chatcore.presence.peers import Attendee, NoPresencePeers, PresencePeers

GRACE_SECONDS: Final = 5.0  # a reconnect within it is silent
TICK_SECONDS: Final = 0.05
# At 8 to 10 us a delivery (our fan-out on one core) this keeps presence under a fifth of the core in the worst storm.
DELIVERIES_PER_SECOND: Final = 20_000
PEERS_EVERY_TICKS: Final = 4  # other processes hear of changes each 0.2 s, all of a group in one piece


@dataclass(slots=True)
class _Elsewhere:
    """One person at one other process, seen in the groups that this process knows of."""

    status: PresenceStatus
    groups: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Person:
    card: User
    last_activity: datetime
    connections: dict[str, PresenceStatus] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    told: dict[str, PresenceStatus] = field(default_factory=dict)
    status: PresenceStatus | None = None
    leaves_at: float | None = None
    elsewhere: dict[str, _Elsewhere] = field(default_factory=dict)
    attending: PresenceStatus | None = None  # what other processes were told of the connections here

    @property
    def is_here(self) -> bool:
        return bool(self.connections or self.elsewhere)

    def settled(self) -> PresenceStatus | None:
        """Away only if every device is, at whichever process; None without a device."""
        return _least_away([*self.connections.values(), *(seen.status for seen in self.elsewhere.values())])

    def settled_here(self) -> PresenceStatus | None:
        """Of the connections of this process alone."""
        return _least_away(self.connections.values())


class Presence:
    """What each group was last told of each person is kept, and only a difference is sent, once a tick.

    So a storm of connects costs one small volatile packet per person and group, a connection that flaps within a tick
    costs none, and a large group is told at a bounded pace. Somebody who shares several groups with a person hears of
    it once for each: one frame for a whole room is cheaper than one for each listener, and a repeat changes nothing.
    """

    def __init__(
        self,
        fanout: Fanout,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        grace_seconds: float = GRACE_SECONDS,
        deliveries_per_second: int = DELIVERIES_PER_SECOND,
        peers: PresencePeers | None = None,
    ):
        self._fanout = fanout
        self._peers: PresencePeers = NoPresencePeers() if peers is None else peers
        self._clock = clock
        self._now = now
        self._grace_seconds = grace_seconds
        self._per_tick = deliveries_per_second * TICK_SECONDS
        self._people: dict[str, _Person] = {}
        self._online: dict[str, set[str]] = {}
        self._leaving: list[tuple[float, str]] = []
        self._untold: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._untold_peers: dict[str, dict[str, User]] = {}
        self._ticks = 0

    def connected(self, caller: Caller, group_ids: Iterable[str]) -> None:
        """A connection of the caller, who is a member of these groups."""
        assert caller.connection_id is not None
        person = self._people.setdefault(caller.user_id, _Person(caller.user, self._now()))
        person.card = caller.user
        person.connections[caller.connection_id] = "online"
        person.leaves_at = None
        for group_id in group_ids:
            self._enter(caller.user_id, person, group_id)
        self._settle(caller.user_id, person)
        self._settle_here(caller.user_id, person)

    def disconnected(self, caller: Caller) -> None:
        """Unknown connections are passed over. The last one of a person ends the presence after a grace."""
        person = self._people.get(caller.user_id)
        if person is None or caller.connection_id is None or person.connections.pop(caller.connection_id, None) is None:
            return
        person.last_activity = self._now()
        if person.is_here:
            self._settle(caller.user_id, person)
            self._settle_here(caller.user_id, person)
            return
        self._leave_in(self._grace_seconds, caller.user_id, person)

    def change_status(self, caller: Caller, status: PresenceStatus) -> None:
        """Of this connection; the person's follows from all of them."""
        person = self._people.get(caller.user_id)
        if person is not None and caller.connection_id in person.connections:
            person.connections[caller.connection_id] = status
            self._settle(caller.user_id, person)
            self._settle_here(caller.user_id, person)

    def card_changed(self, card: User) -> None:
        person = self._people.get(card.user_id)
        if person is not None:
            person.card = card

    def active(self, caller: Caller) -> None:
        """The caller did something."""
        person = self._people.get(caller.user_id)
        if person is not None:
            person.last_activity = self._now()

    def joined(self, user_id: str, group_id: str) -> None:
        """A new member; does nothing for one who is not here."""
        person = self._people.get(user_id)
        if person is not None:
            self._enter(user_id, person, group_id)

    def left(self, user_id: str, group_id: str) -> None:
        """No longer a member: the group learns it from `member_left`, and hears no more of this person."""
        person = self._people.get(user_id)
        if person is not None:
            person.groups.discard(group_id)
            person.told.pop(group_id, None)
            self._untold_peers.get(group_id, {}).pop(user_id, None)
            for process in list(person.elsewhere):
                self._gone_from(process, group_id, person)
            self._withdraw(user_id, group_id)
            if not person.is_here and person.leaves_at is None:
                person.status = None  # was at other processes only, and seen in this group only
            self._forget_if_done(user_id, person)

    def group_deleted(self, group_id: str) -> None:
        for user_id in list(self._online.get(group_id, ())):
            self.left(user_id, group_id)
        self._untold_peers.pop(group_id, None)

    # --- other processes

    def attendees(self, group_id: str) -> list[Attendee]:
        """Everybody in this group who is connected to this process, for peers who ask."""
        people = [self._people[user_id] for user_id in self.online_members(group_id)]
        return [
            Attendee(person.card, person.attending, person.last_activity)
            for person in people
            if person.attending is not None
        ]

    def heard(self, process: str, group_id: str, attendees: Sequence[Attendee], *, everybody: bool = False) -> None:
        """Who is at another process, in a group that is loaded here; members only. `everybody`: nobody else is."""
        if everybody:
            named = {attendee.user.user_id for attendee in attendees}
            for user_id in [other for other in self._online.get(group_id, ()) if other not in named]:
                self._not_at(process, group_id, user_id, self._grace_seconds)
        for attendee in attendees:
            if attendee.status is None:
                self._not_at(process, group_id, attendee.user.user_id, 0.0)
            else:
                self._seen_at(process, group_id, attendee, attendee.status)

    def process_gone(self, process: str) -> None:
        """Nothing was heard of it for its lease. Who was there has a grace to come back elsewhere."""
        for user_id, person in list(self._people.items()):
            if person.elsewhere.pop(process, None) is not None:
                self._settle_or_leave(user_id, person, self._grace_seconds)

    def group_forgotten(self, group_id: str) -> None:
        """This process does not hear of the group any more: those who are elsewhere are not seen in it."""
        for user_id in list(self._online.get(group_id, ())):
            if not self._people[user_id].connections:
                self.left(user_id, group_id)

    def connected_people(self) -> list[str]:
        """To this process."""
        return [user_id for user_id, person in self._people.items() if person.connections]

    def connections_of(self, user_id: str) -> list[str]:
        person = self._people.get(user_id)
        return list(person.connections) if person is not None else []

    def is_in(self, user_id: str, group_id: str) -> bool:
        """Whether the person is counted as there in this group."""
        person = self._people.get(user_id)
        return person is not None and group_id in person.groups

    def is_connected(self, user_id: str) -> bool:
        """To this process."""
        person = self._people.get(user_id)
        return person is not None and bool(person.connections)

    def is_here(self, user_id: str) -> bool:
        """Whether the person has a connection to this process, or to another that is heard here."""
        person = self._people.get(user_id)
        return person is not None and person.is_here

    def is_attended(self, group_id: str) -> bool:
        """Whether somebody of this group is connected to this process."""
        return any(self._people[user_id].connections for user_id in self._online.get(group_id, ()))

    def _seen_at(self, process: str, group_id: str, attendee: Attendee, status: PresenceStatus) -> None:
        user_id = attendee.user.user_id
        person = self._people.setdefault(user_id, _Person(attendee.user, attendee.last_activity))
        seen = person.elsewhere.setdefault(process, _Elsewhere(status))
        seen.status = status
        seen.groups.add(group_id)
        person.last_activity = max(person.last_activity, attendee.last_activity)
        person.leaves_at = None
        self._enter(user_id, person, group_id)
        self._settle(user_id, person, at=person.last_activity)
        self._settle_here(user_id, person)

    def _not_at(self, process: str, group_id: str, user_id: str, grace_seconds: float) -> None:
        person = self._people.get(user_id)
        if person is not None and self._gone_from(process, group_id, person):
            self._settle_or_leave(user_id, person, grace_seconds)

    @staticmethod
    def _gone_from(process: str, group_id: str, person: _Person) -> bool:
        """Whether that process has the person in no group any more that is known here."""
        seen = person.elsewhere.get(process)
        if seen is None or group_id not in seen.groups:
            return False
        seen.groups.discard(group_id)
        if seen.groups:
            return False
        del person.elsewhere[process]
        return True

    def _settle_or_leave(self, user_id: str, person: _Person, grace_seconds: float) -> None:
        if person.is_here:
            self._settle(user_id, person, at=person.last_activity)
        elif person.leaves_at is None:
            self._leave_in(grace_seconds, user_id, person)

    def _leave_in(self, seconds: float, user_id: str, person: _Person) -> None:
        person.leaves_at = self._clock() + seconds
        heapq.heappush(self._leaving, (person.leaves_at, user_id))

    def _settle_here(self, user_id: str, person: _Person) -> None:
        status = person.settled_here()
        if status != person.attending:
            person.attending = status
            for group_id in person.groups:
                self._untold_peers.setdefault(group_id, {})[user_id] = person.card

    def _tell_peers(self) -> None:
        untold, self._untold_peers = self._untold_peers, {}
        for group_id, cards in untold.items():
            attendees = [self._attendee(user_id, card) for user_id, card in cards.items()]
            if attendees:
                self._peers.attending(group_id, attendees)

    def _attendee(self, user_id: str, card: User) -> Attendee:
        person = self._people.get(user_id)
        if person is None:
            return Attendee(card, None, self._now())
        return Attendee(person.card, person.attending, person.last_activity)

    # --- what is asked

    def status_of(self, user_id: str) -> PresenceStatus | None:
        """None for somebody who is not here; a lost connection counts until its grace is over."""
        person = self._people.get(user_id)
        return person.status if person is not None else None

    def online_members(self, group_id: str) -> list[str]:
        return sorted(self._online.get(group_id, ()))

    def online_users(self, group_id: str) -> OnlineUsers:
        """The caller's right to know is for the groups to settle."""
        people = [(user_id, self._people[user_id]) for user_id in self.online_members(group_id)]
        users = [
            OnlineUser(user_id=user_id, user=person.card, status=person.status, last_activity=person.last_activity)
            for user_id, person in people
            if person.status is not None
        ]
        return OnlineUsers(group_id=group_id, users=users)

    async def tick(self) -> None:
        """Call every `TICK_SECONDS`. Ends the presence of those who did not come back, and tells the groups."""
        self._let_leave()
        self._ticks += 1
        if self._ticks % PEERS_EVERY_TICKS == 0:
            self._tell_peers()
        room = self._per_tick
        while self._untold and room > 0:
            (user_id, group_id), _ = self._untold.popitem(last=False)
            if self._tell(user_id, group_id):
                room -= max(1, len(self._online.get(group_id, ())))

    def sizes(self) -> dict[str, int]:
        """Entries of each map; all 0 when everybody has gone."""
        return {
            "people": len(self._people),
            "groups": len(self._online),
            "leaving": len(self._leaving),
            "untold": len(self._untold) + len(self._untold_peers),
        }

    def _enter(self, user_id: str, person: _Person, group_id: str) -> None:
        if group_id in person.groups:
            return
        person.groups.add(group_id)
        if person.attending is not None:
            self._untold_peers.setdefault(group_id, {})[user_id] = person.card
        if person.status is not None:
            self._online.setdefault(group_id, set()).add(user_id)
            self._untold[user_id, group_id] = None

    def _settle(self, user_id: str, person: _Person, *, at: datetime | None = None) -> None:
        person.last_activity = at or self._now()
        status = person.settled()
        if status == person.status:
            return
        person.status = status
        for group_id in person.groups:
            self._online.setdefault(group_id, set()).add(user_id)
            self._untold[user_id, group_id] = None

    def _let_leave(self) -> None:
        now = self._clock()
        while self._leaving and self._leaving[0][0] <= now:
            due_at, user_id = heapq.heappop(self._leaving)
            person = self._people.get(user_id)
            if person is None or person.leaves_at != due_at:
                continue  # came back; may be leaving again, later
            person.status = None
            self._settle_gone(user_id, person)
            for group_id in person.groups:
                self._withdraw(user_id, group_id)
                if group_id in person.told:
                    self._untold[user_id, group_id] = None
            self._forget_if_done(user_id, person)

    def _settle_gone(self, user_id: str, person: _Person) -> None:
        person.leaves_at = None
        self._settle_here(user_id, person)

    def _withdraw(self, user_id: str, group_id: str) -> None:
        here = self._online.get(group_id, set())
        here.discard(user_id)
        if not here:
            self._online.pop(group_id, None)
        self._untold.pop((user_id, group_id), None)

    def _forget_if_done(self, user_id: str, person: _Person) -> None:
        if person.status is None and not person.told:
            del self._people[user_id]

    def _tell(self, user_id: str, group_id: str) -> bool:
        """False when the group knows already."""
        person = self._people[user_id]
        before, after = person.told.get(group_id), person.status
        if before == after:
            return False
        event: UserOnline | UserOffline | UserStatusChanged
        if after is None:
            del person.told[group_id]
            name, event = "user_offline", UserOffline(user_id=user_id, last_seen=person.last_activity)
        else:
            person.told[group_id] = after
            if before is None:
                name, event = "user_online", UserOnline(user_id=user_id, user=person.card, status=after)
            else:
                name = "user_status_changed"
                event = UserStatusChanged(user_id=user_id, status=after, last_seen=person.last_activity)
        own = next(iter(person.connections)) if len(person.connections) == 1 else None
        self._fanout.publish(name, event, group_id=group_id, skip_connection=own, volatile=True)
        self._forget_if_done(user_id, person)
        return True


def _least_away(statuses: Iterable[PresenceStatus]) -> PresenceStatus | None:
    found = set(statuses)
    return "online" if "online" in found else "away" if found else None
