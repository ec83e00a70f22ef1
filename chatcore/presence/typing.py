"""Who is typing where: a lease of five seconds that ends by itself."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chatcore.contract.people import User
from chatcore.contract.presence import UserStoppedTyping, UserTyping
from chatcore.ports import Caller, Fanout
from chatcore.presence.peers import NoPresencePeers, PresencePeers

LEASE_SECONDS: Final = 5.0
SWEEP_SECONDS: Final = 0.5
# A renewal is told again, as volatile packets get lost and people come in late, but not on every key.
REPEAT_SECONDS: Final = 2.5
MAX_PER_CONNECTION: Final = 16

_Place = tuple[str, str]


@dataclass(slots=True)
class _Lease:
    connection_id: str  # of another process where `elsewhere`
    user: User
    ends_at: float
    told_at: float
    elsewhere: bool = False


class Typing:
    """One lease for a person and group, held by the connection that typed last.

    That a caller may type in a group is for the groups to settle before.
    """

    def __init__(self, fanout: Fanout, clock: Callable[[], float] = time.monotonic, peers: PresencePeers | None = None):
        self._fanout = fanout
        self._clock = clock
        self._peers: PresencePeers = NoPresencePeers() if peers is None else peers
        # All leases are equally long and a renewal moves to the back, so the front ends first.
        self._leases: OrderedDict[_Place, _Lease] = OrderedDict()
        self._held: dict[str, OrderedDict[_Place, None]] = {}

    def start(self, caller: Caller, group_id: str) -> None:
        """Begin or renew. The group is told at the begin and then at most each 2.5 s; never the typing connection."""
        if caller.connection_id is not None:
            self._start(_Lease(caller.connection_id, caller.user, 0.0, 0.0), group_id)

    def heard(self, process: str, group_id: str, user: User, *, started: bool) -> None:
        """Somebody types at another process, or stops; a lease here too, as that process or its word may get lost."""
        lease = self._leases.get((group_id, user.user_id))
        if started:
            self._start(_Lease(process, user, 0.0, 0.0, elsewhere=True), group_id)
        elif lease is not None and lease.connection_id == process:
            self._end((group_id, user.user_id))

    def _start(self, fresh: _Lease, group_id: str) -> None:
        now = self._clock()
        place = (group_id, fresh.user.user_id)
        lease = self._leases.pop(place, None)
        told_at = lease.told_at if lease is not None else float("-inf")
        if lease is not None:
            self._let_go(lease.connection_id, place)
        tell = now - told_at >= REPEAT_SECONDS
        fresh.ends_at, fresh.told_at = now + LEASE_SECONDS, now if tell else told_at
        self._leases[place] = fresh
        self._hold(fresh, place)
        if tell:
            typing = UserTyping(group_id=group_id, user_id=fresh.user.user_id, user=fresh.user)
            self._publish("user_typing", typing, group_id, fresh)

    def stop(self, caller: Caller, group_id: str) -> None:
        """Does nothing for one who does not type, or types on another device."""
        lease = self._leases.get((group_id, caller.user_id))
        if lease is not None and lease.connection_id == caller.connection_id:
            self._end((group_id, caller.user_id))

    def clear(self, group_id: str, caller: Caller) -> None:
        """The caller has sent a message, from whichever device."""
        self._end((group_id, caller.user_id))

    def left(self, user_id: str, group_id: str) -> None:
        """No longer a member."""
        self._end((group_id, user_id))

    def disconnected(self, caller: Caller) -> None:
        for place in list(self._held.get(caller.connection_id or "", ())):
            self._end(place)

    async def sweep(self) -> None:
        """Call every `SWEEP_SECONDS`."""
        now = self._clock()
        while self._leases:
            place, lease = next(iter(self._leases.items()))
            if lease.ends_at > now:
                return
            self._end(place)

    def sizes(self) -> dict[str, int]:
        """Entries of each map; all 0 when nobody types."""
        return {"leases": len(self._leases), "held": len(self._held)}

    def _end(self, place: _Place) -> None:
        lease = self._leases.pop(place, None)
        if lease is None:
            return
        self._let_go(lease.connection_id, place)
        group_id, user_id = place
        stopped = UserStoppedTyping(group_id=group_id, user_id=user_id)
        self._publish("user_stopped_typing", stopped, group_id, lease)

    def _hold(self, lease: _Lease, place: _Place) -> None:
        held = self._held.setdefault(lease.connection_id, OrderedDict())
        held[place] = None
        if len(held) > MAX_PER_CONNECTION and not lease.elsewhere:
            self._end(next(iter(held)))

    def _let_go(self, connection_id: str, place: _Place) -> None:
        held = self._held.get(connection_id)
        if held is not None:
            held.pop(place, None)
            if not held:
                del self._held[connection_id]

    def _publish(self, name: str, event: UserTyping | UserStoppedTyping, group_id: str, lease: _Lease) -> None:
        own = None if lease.elsewhere else lease.connection_id
        self._fanout.publish(name, event, group_id=group_id, skip_connection=own, volatile=True)
        if not lease.elsewhere:
            self._peers.typing(group_id, lease.user, started=name == "user_typing")
