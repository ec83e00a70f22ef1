"""Changes of membership: each is one transaction of the log's event, a system message and the member's record."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from chatcore.contract.groups import GroupRole, LeaveReason
from chatcore.contract.people import User
from chatcore.errors import Conflict, LimitReached, NotFound
from chatcore.groups.permissions import NO_SUCH_GROUP
from chatcore.groups.records import MemberRecord, Room
from chatcore.groups.rendering import membership_event, message_shape
from chatcore.groups.rooms import Rooms
from chatcore.groups.store import GroupStore
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Change, Entry, Row
from chatcore.ports import Fanout
from chatcore.presence.service import Presence
from chatcore.presence.typing import Typing
from chatcore.vault.service import Vault

Clock = Callable[[], datetime]
Check = Callable[[], None]
"""Raises where a change may not be made (any more); called again right before it is committed."""


def unconditionally() -> None:
    """For changes that need nobody's permission."""


class Membership:
    """Writes joins, departures and roles; who may ask for them is decided by the caller."""

    def __init__(
        self,
        *,
        store: GroupStore,
        rooms: Rooms,
        vault: Vault,
        fanout: Fanout,
        presence: Presence,
        typing: Typing,
        clock: Clock,
        max_members: int,
    ):
        self._store = store
        self._rooms = rooms
        self._vault = vault
        self._fanout = fanout
        self._presence = presence
        self._typing = typing
        self._clock = clock
        self._max_members = max_members

    async def rows(self, group_id: str, actor: User, facts: dict[str, Any], told: str) -> list[Row]:
        """The membership event, and the system message that tells it."""
        now, key = self._clock(), await self._vault.key_of(group_id)
        event = Row(new_id(now), group_id, "membership", actor.user_id, now, data=facts)
        message = Row(new_id(now), group_id, "message", actor.user_id, now, type="system")
        sealed = key.seal(message.place, told.encode())
        return [event, Row(message.id, group_id, "message", actor.user_id, now, type="system", sealed=sealed)]

    async def join(self, room: Room, user: User, *, by: User | None = None, still: Check = unconditionally) -> None:
        """Make a user a member; a repeat is a no-op. Raises LimitReached where the group is full, or Banned."""
        if user.user_id in room.members:
            return
        facts = {"event": "member_joined", "userId": user.user_id, "role": "member"}
        told = f"{by.name} added {user.name}" if by and by.user_id != user.user_id else f"{user.name} joined"
        member = MemberRecord(room.id, user.user_id, "member", self._clock())

        def check() -> None:
            still()
            if not room.members:  # the last one has just left, and the group goes after them
                raise NotFound(NO_SUCH_GROUP)
            if user.user_id in room.members:
                raise Conflict("That user is a member already")
            if len(room.members) >= self._max_members:
                raise LimitReached(f"A group holds at most {self._max_members} members")

        actor = by or user
        rows = await self.rows(room.id, actor, facts, told)
        people = {actor.user_id: actor, user.user_id: user}
        try:
            await self._commit(room, rows, people, [self._store.member_added(member)], check)
        except Conflict:
            if user.user_id not in room.members:
                raise

    async def remove(
        self,
        room: Room,
        user: User,
        *,
        by: User,
        reason: LeaveReason,
        also: Sequence[Change] = (),
        still: Check = unconditionally,
    ) -> None:
        """End a membership. After the event that tells it, the user's connections hear nothing of this group.

        Only a ban may find that there is none.
        """
        facts = {"event": "member_left", "userId": user.user_id, "reason": reason}
        told = {
            "left": f"{user.name} left",
            "kicked": f"{by.name} removed {user.name}",
            "banned": f"{by.name} banned {user.name}",
            "erased": "A member's account was deleted",
        }[reason]

        def check() -> None:
            still()
            if user.user_id not in room.members and reason != "banned":
                raise NotFound("That user is not a member of this group")

        removal = self._store.member_removed(room.id, user.user_id, self._clock())
        rows = await self.rows(room.id, by, facts, told)
        await self._commit(room, rows, {by.user_id: by, user.user_id: user}, [removal, *also], check)

    async def set_roles(
        self, room: Room, roles: dict[str, tuple[User, GroupRole]], *, by: User, still: Check = unconditionally
    ) -> None:
        """One transaction for all, so that ownership is never in two hands or in none."""
        now = self._clock()
        rows: list[Row] = []
        for user, role in roles.values():
            facts = {"event": "member_role_changed", "userId": user.user_id, "role": role}
            rows += await self.rows(room.id, by, facts, f"{by.name} made {user.name} {_with_article(role)}")
        changes = [self._store.role_set(room.id, user_id, role, now) for user_id, (_, role) in roles.items()]

        def check() -> None:
            still()
            if any(user_id not in room.members for user_id in roles):
                raise NotFound("That user is not a member of this group")

        people = {user_id: user for user_id, (user, _) in roles.items()} | {by.user_id: by}
        await self._commit(room, rows, people, changes, check)

    async def _commit(
        self,
        room: Room,
        rows: Sequence[Row],
        people: dict[str, User],
        changes: Sequence[Change],
        check: Callable[[], None],
    ) -> None:
        await self._rooms.writer.append(Entry(room.id, rows, self._teller(room, people), changes, check))

    def _teller(self, room: Room, people: dict[str, User]) -> Callable[[Sequence[Row]], None]:
        def deliver(rows: Sequence[Row]) -> None:
            for row in rows:
                self.tell(room, row, people)

        return deliver

    def tell(self, room: Room, row: Row, people: dict[str, User]) -> None:
        """Apply one committed event and push it; who joins hears of it, who leaves hears that and nothing later."""
        if row.kind != "membership":
            self._tell_message(room, row, people)
            return
        user_id = row.data["userId"]
        self._rooms.apply_membership(room, row)
        self._rooms.note(room, row)
        if row.data["event"] == "member_joined":
            self._fanout.enter(room.id, user_id=user_id)
            self._presence.joined(user_id, room.id)
        self._fanout.publish(row.data["event"], membership_event(row, people[user_id]), group_id=room.id)
        if row.data["event"] == "member_left":
            self._fanout.leave(room.id, user_id=user_id)
            self._presence.left(user_id, room.id)
            self._typing.left(user_id, room.id)

    def _tell_message(self, room: Room, row: Row, people: dict[str, User]) -> None:
        self._rooms.note(room, row)
        content = self._told(row)
        self._fanout.publish("new_message", message_shape(row, people[row.sender_id], content), group_id=room.id)

    def _told(self, row: Row) -> str:
        key = self._vault.known_key(row.group_id)
        assert key is not None
        assert row.sealed is not None
        return key.open(row.place, row.sealed).decode()


def _with_article(role: GroupRole) -> str:
    return f"an {role}" if role in ("admin", "owner") else f"a {role}"
