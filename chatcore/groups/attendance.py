"""A group's life that is not stored: who is there, who is typing. Only among people who share a group."""

from chatcore.contract.base import Empty
from chatcore.contract.groups import Group, GroupPath, UserGroups
from chatcore.contract.presence import ChangeStatus, OnlineUsers
from chatcore.groups.service import Groups
from chatcore.identity.service import Identity
from chatcore.ports import REVIEWERS, Caller, Fanout
from chatcore.presence.service import Presence
from chatcore.presence.typing import Typing


class Attendance:
    """Brings connections into the rooms of their groups, and answers who else is there."""

    def __init__(self, *, groups: Groups, identity: Identity, presence: Presence, typing: Typing, fanout: Fanout):
        self._groups = groups
        self._identity = identity
        self._presence = presence
        self._typing = typing
        self._fanout = fanout

    async def arrive(self, caller: Caller) -> list[Group]:
        """A connection signed in: it enters its groups' rooms. Returns the groups as `user_groups` shows them."""
        assert caller.connection_id is not None
        rooms = [room for room in await self._groups.rooms_of(caller.user_id) if self._still_belongs(caller, room.id)]
        for room in rooms:
            self._fanout.enter(room.id, connection_id=caller.connection_id)
        if "reviewer" in caller.roles:
            self._fanout.enter(REVIEWERS, connection_id=caller.connection_id)
        self._presence.connected(caller, [room.id for room in rooms])
        # Only now, so that what happens meanwhile is pushed: its seq is past the latestSeq told here.
        groups = await self._groups.as_seen_by(caller.user_id, rooms)
        return [group for group in groups if self._still_belongs(caller, group.id)]

    def _still_belongs(self, caller: Caller, group_id: str) -> bool:
        """Who is removed while the groups are read must not enter a room that nobody would take them out of."""
        room = self._groups.rooms.loaded(group_id)
        return room is not None and room.record.is_active and caller.user_id in room.members

    async def take_in(self, user_id: str) -> None:
        """Whoever became a member of a group without this process hearing of it enters now, and sees all groups."""
        rooms = await self._groups.rooms_of(user_id)
        new = [room for room in rooms if user_id in room.members and not self._presence.is_in(user_id, room.id)]
        if not new or not self._presence.is_connected(user_id):
            return
        for room in new:
            self._fanout.enter(room.id, user_id=user_id)
            self._presence.joined(user_id, room.id)
        groups = await self._groups.as_seen_by(user_id, rooms)
        for connection_id in self._presence.connections_of(user_id):
            self._fanout.tell_connection(connection_id, "user_groups", UserGroups(groups=groups))

    def depart(self, caller: Caller) -> None:
        self._typing.disconnected(caller)
        self._presence.disconnected(caller)

    async def online_users(self, caller: Caller, request: GroupPath) -> OnlineUsers:
        await self._groups.require(caller, "members.read", request.group_id)
        return self._presence.online_users(request.group_id)

    async def change_status(self, caller: Caller, request: ChangeStatus) -> Empty:
        """Of this device; somebody with several is away only when all are."""
        self._presence.change_status(caller, request.status)
        self._identity.change_status(caller, request.status)
        return Empty()

    async def start_typing(self, caller: Caller, request: GroupPath) -> Empty:
        await self._groups.require(caller, "message.send", request.group_id)
        self._typing.start(caller, request.group_id)
        return Empty()

    async def stop_typing(self, caller: Caller, request: GroupPath) -> Empty:
        await self._groups.require(caller, "message.send", request.group_id)
        self._typing.stop(caller, request.group_id)
        return Empty()
