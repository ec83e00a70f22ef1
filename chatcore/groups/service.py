"""Groups as people use them: create, find, join, invite, leave, manage, delete."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from chatcore.background import Background
from chatcore.contract.base import Empty
from chatcore.contract.groups import (
    CreateGroup,
    DirectMessage,
    FindGroups,
    Group,
    GroupDeleted,
    GroupJoined,
    GroupLeft,
    GroupOrUserPath,
    GroupPath,
    GroupSettings,
    GroupSettingsChange,
    GroupUpdated,
    LeaveGroup,
    LeaveReason,
    UpdateGroup,
)
from chatcore.contract.groups import (
    Groups as GroupList,
)
from chatcore.contract.people import User
from chatcore.errors import Banned, Conflict, NotFound
from chatcore.groups.membership import Clock, Membership
from chatcore.groups.permissions import MANAGING, NO_SUCH_GROUP, Action, allows, authorize
from chatcore.groups.records import RANK, GroupRecord, MemberRecord, Room
from chatcore.groups.rendering import Rendering, group_shape
from chatcore.groups.rooms import Rooms
from chatcore.groups.store import GroupStore
from chatcore.identity.service import Identity
from chatcore.journal.ids import keyed_id, new_id
from chatcore.journal.rows import Entry, Head, Row
from chatcore.journal.store import JournalStore
from chatcore.moderation.door import Door, OpenDoor
from chatcore.moderation.records import Subject
from chatcore.moderation.thresholds import wishes
from chatcore.ports import Caller, Fanout
from chatcore.presence.service import Presence
from chatcore.vault.service import Vault

ERASE_ROWS = 500
ERASE_AFTER_SECONDS = 15.0  # where several processes share a database; they look at its hints each second
UPDATE_ATTEMPTS = 8

MessageEraser = Callable[[str, Sequence[str]], Awaitable[object]]


class Groups:
    """The use cases of groups. A group one is no member of answers NotFound, whatever is asked."""

    def __init__(
        self,
        *,
        store: GroupStore,
        journal: JournalStore,
        rooms: Rooms,
        membership: Membership,
        rendering: Rendering,
        identity: Identity,
        presence: Presence,
        vault: Vault,
        fanout: Fanout,
        background: Background,
        clock: Clock,
        secret: bytes,
    ):
        self._store = store
        self._journal = journal
        self.rooms = rooms
        self.membership = membership
        self.rendering = rendering
        self._identity = identity
        self._presence = presence
        self._vault = vault
        self._fanout = fanout
        self._background = background
        self._clock = clock
        self._secret = secret
        self._erasers: list[MessageEraser] = []
        self.door: Door = OpenDoor()

    async def require(self, caller: Caller, action: Action, group_id: str) -> Room:
        """The group, where the caller may do this. Waits only for a group that is not loaded.

        Where other processes write too, the log is looked at before anybody is refused, and before changes of members.
        """
        room = self.rooms.loaded(group_id) or await self.rooms.load(group_id)
        if self.rooms.shared and (action in MANAGING or not allows(room, caller.user_id, action)):
            await self.rooms.writer.catch_up(group_id)
        authorize(room, caller.user_id, action)
        return room

    # --- creating and finding

    async def create(self, caller: Caller, request: CreateGroup) -> Group:
        await self._admit(caller, "", GroupSettings(), request.name, request.description)
        now = self._clock()
        record = GroupRecord(
            id=new_id(now),
            name=request.name,
            description=request.description,
            kind="group",
            join_policy=request.join_policy,
            settings=_changed(GroupSettings(), request.settings),
            created_by=caller.user_id,
            created_at=now,
            updated_at=now,
        )
        room = await self._found(record, caller.user, {caller.user_id: "owner"})
        return await self.shape(room, caller.user_id)

    async def direct(self, caller: Caller, request: DirectMessage) -> Group:
        """The conversation of two people; asking again, from either side, gives the same one. Who has left it is in it
        again, as a message to nobody would help neither."""
        if request.user_id == caller.user_id:
            raise Conflict("A direct conversation needs somebody else")
        other = (await self._identity.get_user(request.user_id)).card()
        group_id = keyed_id(self._secret, "direct", *sorted((caller.user_id, request.user_id)))
        try:
            room = await self.rooms.load(group_id)
        except NotFound:
            room = await self._start_direct(caller, other, group_id)
        for person in (caller.user, other):
            await self.membership.join(room, person)
        return await self.shape(room, caller.user_id)

    async def _start_direct(self, caller: Caller, other: User, group_id: str) -> Room:
        now = self._clock()
        record = GroupRecord(
            id=group_id,
            name="",
            description="",
            kind="direct",
            join_policy="closed",
            settings=GroupSettings(),
            created_by=caller.user_id,
            created_at=now,
            updated_at=now,
        )
        try:
            return await self._found(record, caller.user, {caller.user_id: "member", other.user_id: "member"})
        except Conflict:
            return await self.rooms.load(group_id)

    async def _found(self, record: GroupRecord, founder: User, roles: dict[str, str]) -> Room:
        """Group, first members and the log's first rows, all in one transaction."""
        await self._vault.key_of(record.id)
        room, people = Room(record, {}), await self._identity.cards(roles)
        rows: list[Row] = []
        for user_id, role in roles.items():
            facts = {"event": "member_joined", "userId": user_id, "role": role}
            told = (
                f"{founder.name} started the conversation"
                if record.kind == "direct"
                else f"{founder.name} created the group"
            )
            both = await self.membership.rows(record.id, founder, facts, told)
            rows += both if user_id == founder.user_id else both[:1]
        members = [MemberRecord(record.id, user_id, role, record.created_at) for user_id, role in roles.items()]  # type: ignore[arg-type]
        changes = [self._store.group_added(record), *(self._store.member_added(member) for member in members)]
        self.rooms.add(room, Head())

        def deliver(stored: Iterable[Row]) -> None:
            for row in stored:
                self.membership.tell(room, row, people | {founder.user_id: founder})

        try:
            await self.rooms.writer.append(Entry(record.id, rows, deliver, changes))
        except BaseException:
            self.rooms.drop(record.id)
            raise
        return room

    async def mine(self, caller: Caller, _: Empty) -> GroupList:
        rooms = await self.rooms_of(caller.user_id)
        return GroupList(groups=await self.as_seen_by(caller.user_id, rooms))

    async def as_seen_by(self, user_id: str, rooms: Sequence[Room]) -> list[Group]:
        """Newest talk first."""
        ordered = sorted(
            rooms,
            key=lambda room: room.last_message.created_at if room.last_message else room.record.created_at,
            reverse=True,
        )
        return [await self.shape(room, user_id) for room in ordered]

    async def rooms_of(self, user_id: str) -> list[Room]:
        found: list[Room] = []
        for group_id in await self._store.group_ids_of(user_id):
            try:
                room = self.rooms.loaded(group_id) or await self.rooms.load(group_id)
            except NotFound:  # deleted, but not erased yet
                continue
            if user_id in room.members and room.record.is_active:
                found.append(room)
        return found

    async def get(self, caller: Caller, request: GroupPath) -> Group:
        return await self.shape(await self.require(caller, "group.read", request.group_id), caller.user_id)

    async def get_or_mine(self, caller: Caller, request: GroupOrUserPath) -> Group | GroupList:
        """24 hex characters name a group; anything else a user, and only oneself."""
        if len(request.id) == 24 and all(character in "0123456789abcdef" for character in request.id):
            return await self.get(caller, GroupPath(group_id=request.id))
        if request.id != caller.user_id:
            raise NotFound("There is no such group or user, or you may not see it")
        return await self.mine(caller, Empty())

    async def find_open(self, caller: Caller, request: FindGroups) -> GroupList:
        """Open groups whose name begins so; anybody may join them."""
        found = await self._store.find_open(request.query, request.limit + 1)
        rooms = [await self.rooms.load(record.id) for record in found[: request.limit]]
        shapes = [group_shape(room, self.rooms.head(room.id), user_id=caller.user_id) for room in rooms]
        return GroupList(groups=shapes, has_more=len(found) > request.limit)

    # --- joining and leaving

    async def join(self, caller: Caller, request: GroupPath) -> GroupJoined:
        """Enter the room with this connection; in an open group become a member first."""
        room = await self.rooms.load(request.group_id)
        if caller.user_id not in room.members:
            await self._require_may_join(room, caller)
            await self.membership.join(room, caller.user)
        authorize(room, caller.user_id, "group.read")
        if caller.connection_id is not None:
            self._fanout.enter(room.id, connection_id=caller.connection_id)
        return GroupJoined(
            group_id=room.id,
            group=await self.shape(room, caller.user_id),
            online_members=self._presence.online_members(room.id),
            latest_seq=self.rooms.head(room.id).seq,
        )

    async def _require_may_join(self, room: Room, caller: Caller) -> None:
        if room.record.join_policy != "open" or room.record.kind == "direct":
            raise NotFound(NO_SUCH_GROUP)
        await self.require_not_banned(room.id, caller.user_id)

    async def require_not_banned(self, group_id: str, user_id: str) -> None:
        if await self._store.find_ban(group_id, user_id):
            raise Banned

    async def leave(self, caller: Caller, request: LeaveGroup) -> GroupLeft:
        """This connection only, or with `membership` for good."""
        room = await self.require(caller, "group.read", request.group_id)
        if request.membership:
            await self._end_membership(room, caller.user)
        elif caller.connection_id is not None:
            self._fanout.leave(room.id, connection_id=caller.connection_id)
        return GroupLeft(group_id=room.id)

    async def leave_for_good(self, caller: Caller, request: GroupPath) -> GroupLeft:
        return await self.leave(caller, LeaveGroup(group_id=request.group_id, membership=True))

    async def _end_membership(self, room: Room, user: User, reason: LeaveReason = "left") -> None:
        def still() -> None:
            member = room.members.get(user.user_id)
            if member is not None and member.role == "owner" and len(room.members) > 1:
                raise Conflict("An owner hands the group over (transfer-ownership) before leaving it")

        still()
        await self.membership.remove(room, user, by=user, reason=reason, still=still)
        if not room.members:
            await self._delete(room, user)

    async def erase_user(self, user_id: str) -> None:
        """Leave every group; groups owned with others in them go to the longest-standing member of the highest role."""
        user = await self._identity.card(user_id)
        for room in await self.rooms_of(user_id):
            if room.members[user_id].role == "owner" and len(room.members) > 1:
                await self._hand_over(room, user)
            await self._end_membership(room, user, "erased")

    async def _hand_over(self, room: Room, owner: User) -> None:
        others = [member for member in room.members.values() if member.user_id != owner.user_id]
        heir = min(others, key=lambda member: (-RANK[member.role], member.joined_seq))
        card = await self._identity.card(heir.user_id)

        def still() -> None:
            authorize(room, owner.user_id, "group.transfer")

        await self.membership.set_roles(
            room, {heir.user_id: (card, "owner"), owner.user_id: (owner, "member")}, by=owner, still=still
        )

    # --- managing

    async def update(self, caller: Caller, request: UpdateGroup) -> Group:
        """Changes of different things at the same moment are all kept."""
        room = await self.require(caller, "group.update", request.group_id)
        await self._admit(caller, room.id, room.record.settings, request.name or "", request.description or "")
        for attempt in range(UPDATE_ATTEMPTS):
            try:
                await self._save(room, caller, request)
                break
            except Conflict:
                if attempt == UPDATE_ATTEMPTS - 1:
                    raise
        return await self.shape(room, caller.user_id)

    async def _admit(self, caller: Caller, group_id: str, settings: GroupSettings, name: str, description: str) -> None:
        """Past moderation. Raises MessageRejected: a name is refused where a message would be masked."""
        subject = Subject(
            kind="group_name",
            user_id=caller.user_id,
            group_id=group_id,
            ai=settings.ai,
            mode=settings.moderation,
            overrides=wishes(settings),
        )
        for text in (name, description):
            await self.door.admit(text, subject)

    async def _save(self, room: Room, caller: Caller, request: UpdateGroup) -> None:
        old = room.record
        record = replace(
            old,
            name=request.name or old.name,
            description=old.description if request.description is None else request.description,
            join_policy=request.join_policy or old.join_policy,
            settings=_changed(old.settings, request.settings),
            updated_at=self._clock(),
        )
        row = Row(new_id(record.updated_at), room.id, "group", caller.user_id, record.updated_at)

        def deliver(stored: Iterable[Row]) -> None:
            for event in stored:
                room.record = record
                self.rooms.note(room, event)
                shape = group_shape(room, Head(event.seq, event.n, event.p))
                self._fanout.publish(
                    "group_updated", GroupUpdated(group_id=room.id, seq=event.seq, group=shape), group_id=room.id
                )

        def check() -> None:
            authorize(room, caller.user_id, "group.update")
            if room.record is not old:
                raise Conflict("Somebody changed this group at the same moment; look again")

        await self.rooms.writer.append(Entry(room.id, [row], deliver, [self._store.group_saved(record)], check))

    async def delete(self, caller: Caller, request: GroupPath) -> Empty:
        """Gone for everybody at once; keys are destroyed, then rows, in the background and again after a crash."""
        await self._delete(await self.require(caller, "group.delete", request.group_id), caller.user)
        return Empty()

    async def _delete(self, room: Room, by: User) -> None:
        now = self._clock()
        row = Row(new_id(now), room.id, "group", by.user_id, now, data={"deleted": True})

        def deliver(stored: Iterable[Row]) -> None:
            room.record.is_active = False
            self._fanout.publish("group_deleted", GroupDeleted(group_id=room.id), group_id=room.id)
            self._fanout.leave(room.id)
            self._presence.group_deleted(room.id)

        await self.rooms.writer.append(Entry(room.id, [row], deliver, [self._store.group_deleted(room.id, now)]))
        await self._vault.shred(room.id)
        if self.rooms.shared:
            self._background.watch("erase_group", self._erase_later([room.id]))
        else:
            self._background.spawn("erase_group", self._erase(room.id))

    def on_erase(self, eraser: MessageEraser) -> None:
        """`eraser(group_id, message_ids)` removes what else is kept about these messages; it must bear a repeat."""
        self._erasers.append(eraser)

    async def _erase(self, group_id: str) -> None:
        """From the end down, so that one that was interrupted finds its end again by walking up from the beginning."""
        await self._vault.shred(group_id)
        ends = [0]
        while rows := await self._journal.window(group_id, ends[-1], ends[-1] + ERASE_ROWS):
            ends.append(rows[-1].seq)
        for bottom, top in reversed(list(pairwise(ends))):
            ids = [row.id for row in await self._journal.window(group_id, bottom, top) if row.shown]
            for eraser in self._erasers:
                await eraser(group_id, ids)
            await self._journal.erase_group(group_id, bottom, top)
        await self._store.remove(group_id)
        self.rooms.drop(group_id)

    async def _erase_later(self, group_ids: Iterable[str]) -> None:
        """Other processes learn of a deletion by its row, whose place keeps them from writing on: it stays a while."""
        await asyncio.sleep(ERASE_AFTER_SECONDS)
        for group_id in group_ids:
            await self._erase(group_id)

    async def finish_deletions(self) -> None:
        """Go on with what a stop interrupted."""
        group_ids = [record.id for record in await self._store.deleted()]
        if self.rooms.shared:
            await self._erase_later(group_ids)
        else:
            for group_id in group_ids:
                await self._erase(group_id)

    # --- shared

    async def shape(self, room: Room, user_id: str) -> Group:
        last = (
            room.last_message
            if user_id in room.members and room.last_message and room.last_message.seq > room.floor(user_id)
            else None
        )
        return group_shape(
            room, self.rooms.head(room.id), user_id=user_id, last=await self.rendering.last_message(last)
        )


def _changed(settings: GroupSettings, change: GroupSettingsChange | None) -> GroupSettings:
    """Only `retentionDays` may be set back to nothing."""
    given = {name: getattr(change, name) for name in change.model_fields_set} if change else {}
    return settings.model_copy(
        update={name: value for name, value in given.items() if value is not None or name == "retention_days"}
    )
