"""Groups as people use them: create, find, join, invite, leave, manage, delete."""

import secrets
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from chatcore.background import Background
from chatcore.contract.base import Empty
from chatcore.contract.groups import (
    AcceptInvite,
    Ban,
    BanEntry,
    Bans,
    ChangeRole,
    CreateGroup,
    CreateInvite,
    DirectMessage,
    FindGroups,
    Group,
    GroupDeleted,
    GroupJoined,
    GroupLeft,
    GroupMembers,
    GroupOrUserPath,
    GroupPath,
    Groups as GroupList,
    GroupSettings,
    GroupSettingsChange,
    GroupUpdated,
    Invite,
    LeaveGroup,
    LeaveReason,
    Member,
    MemberPath,
    TransferOwnership,
    UpdateGroup,
)
from chatcore.contract.people import User
from chatcore.errors import Banned, Conflict, Forbidden, InviteInvalid, NotFound
from chatcore.groups.membership import Clock, Membership
from chatcore.groups.permissions import Action, authorize, require_above
from chatcore.groups.records import RANK, BanRecord, GroupRecord, InviteRecord, MemberRecord, Room
from chatcore.groups.rendering import Rendering, group_shape
from chatcore.groups.rooms import Rooms
from chatcore.groups.store import GroupStore
from chatcore.identity.service import Identity
from chatcore.journal.ids import keyed_id, new_id
from chatcore.journal.rows import Entry, Head, Row
from chatcore.journal.store import JournalStore
from chatcore.ports import Caller, Fanout
from chatcore.presence.service import Presence
from chatcore.vault.service import Vault

ERASE_ROWS = 500


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
        public_url: str,
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
        self._public_url = public_url

    async def require(self, caller: Caller, action: Action, group_id: str) -> Room:
        """The group, where the caller may do this. Waits only for a group that is not loaded."""
        room = self.rooms.loaded(group_id) or await self.rooms.load(group_id)
        authorize(room, caller.user_id, action)
        return room

    # --- creating and finding

    async def create(self, caller: Caller, request: CreateGroup) -> Group:
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
        return await self._shape(room, caller.user_id)

    async def direct(self, caller: Caller, request: DirectMessage) -> Group:
        """The conversation of two people; asking again, from either side, gives the same one."""
        if request.user_id == caller.user_id:
            raise Conflict("A direct conversation needs somebody else")
        if await self._identity.find(request.user_id) is None:
            raise NotFound("There is no such user")
        group_id = keyed_id(self._secret, "direct", *sorted((caller.user_id, request.user_id)))
        try:
            return await self._shape(await self.rooms.load(group_id), caller.user_id)
        except NotFound:
            pass
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
            room = await self._found(record, caller.user, {caller.user_id: "member", request.user_id: "member"})
        except Conflict:
            room = await self.rooms.load(group_id)
        return await self._shape(room, caller.user_id)

    async def _found(self, record: GroupRecord, founder: User, roles: dict[str, str]) -> Room:
        """Group, first members and the log's first rows, all in one transaction."""
        await self._vault.key_of(record.id)
        room, people = Room(record, {}), await self._identity.cards(roles)
        rows: list[Row] = []
        for user_id, role in roles.items():
            facts = {"event": "member_joined", "userId": user_id, "role": role}
            told = f"{founder.name} started the conversation" if record.kind == "direct" else f"{founder.name} created the group"
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
        return GroupList(groups=await self.groups_of(caller.user_id))

    async def groups_of(self, user_id: str) -> list[Group]:
        """Newest talk first."""
        rooms = await self.rooms_of(user_id)
        rooms.sort(key=lambda room: room.last_message.created_at if room.last_message else room.record.created_at, reverse=True)
        return [await self._shape(room, user_id) for room in rooms]

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
        return await self._shape(await self.require(caller, "group.read", request.group_id), caller.user_id)

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
            group=await self._shape(room, caller.user_id),
            online_members=self._online(room),
            latest_seq=self.rooms.head(room.id).seq,
        )

    async def _require_may_join(self, room: Room, caller: Caller) -> None:
        if room.record.join_policy != "open" or room.record.kind == "direct":
            raise NotFound("There is no such group, or it takes members by invitation only")
        await self._require_not_banned(room.id, caller.user_id)

    async def _require_not_banned(self, group_id: str, user_id: str) -> None:
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
        member = room.members[user.user_id]
        if member.role == "owner" and len(room.members) > 1:
            raise Conflict("An owner hands the group over (transfer-ownership) before leaving it")
        await self.membership.remove(room, user, by=user, reason=reason)
        if not room.members:
            await self._delete(room, user)

    async def erase_user(self, user: User) -> None:
        """Leave every group; groups owned with others in them go to the longest-standing member of the highest role."""
        for room in await self.rooms_of(user.user_id):
            if room.members[user.user_id].role == "owner" and len(room.members) > 1:
                await self._hand_over(room, user)
            await self._end_membership(room, user, "erased")

    async def _hand_over(self, room: Room, owner: User) -> None:
        others = [member for member in room.members.values() if member.user_id != owner.user_id]
        heir = min(others, key=lambda member: (-RANK[member.role], member.joined_seq))
        card = await self._identity.card(heir.user_id)
        await self.membership.set_roles(
            room, {heir.user_id: (card, "owner"), owner.user_id: (owner, "member")}, by=owner
        )

    # --- members

    async def members(self, caller: Caller, request: GroupPath) -> GroupMembers:
        room = await self.require(caller, "members.read", request.group_id)
        people = await self._identity.cards(room.members)
        hidden = await self._identity.without_receipts(room.members)
        members = [self._member(member, people[member.user_id], member.user_id in hidden) for member in room.members.values()]
        return GroupMembers(group_id=room.id, members=members, online_members=self._online(room))

    def _member(self, member: MemberRecord, user: User, hide_read: bool) -> Member:
        status = self._presence.status_of(member.user_id)
        return Member(
            user_id=member.user_id,
            role=member.role,
            joined_at=member.joined_at,
            read_seq=None if hide_read else member.read_seq,
            is_online=status is not None,
            status=status,
            user=user,
        )

    async def add_member(self, caller: Caller, request: MemberPath) -> Member:
        room = await self.require(caller, "members.add", request.group_id)
        user = await self._require_user(request.user_id)
        await self._require_not_banned(room.id, request.user_id)
        await self.membership.join(room, user, by=caller.user)
        return self._member(room.members[request.user_id], user, False)

    async def change_role(self, caller: Caller, request: ChangeRole) -> Member:
        """Nobody raises anybody to their own rank, or changes one who has it."""
        room = await self.require(caller, "members.promote", request.group_id)
        require_above(room, caller.user_id, request.user_id)
        if request.role == "admin" and room.members[caller.user_id].role != "owner":
            raise Forbidden("Only the owner names admins")
        user = await self._require_user(request.user_id)
        if room.members[request.user_id].role != request.role:
            await self.membership.set_role(room, user, request.role, by=caller.user)
        return self._member(room.members[request.user_id], user, False)

    async def kick(self, caller: Caller, request: MemberPath) -> Empty:
        room = await self.require(caller, "members.remove", request.group_id)
        require_above(room, caller.user_id, request.user_id)
        user = await self._identity.card(request.user_id)
        await self.membership.remove(room, user, by=caller.user, reason="kicked")
        return Empty()

    async def ban(self, caller: Caller, request: Ban) -> Empty:
        """Also one who is no member (any more), so that nobody comes back by a link."""
        room = await self.require(caller, "members.ban", request.group_id)
        user = await self._require_user(request.user_id)
        ban = BanRecord(room.id, request.user_id, caller.user_id, request.reason, self._clock())
        if request.user_id in room.members:
            require_above(room, caller.user_id, request.user_id)
            await self.membership.remove(room, user, by=caller.user, reason="banned", also=[self._store.banned(ban)])
        else:
            facts = {"event": "member_left", "userId": user.user_id, "reason": "banned"}
            rows = await self.membership.rows(room.id, caller.user, facts, f"{caller.user.name} banned {user.name}")
            people = {caller.user_id: caller.user, user.user_id: user}

            def deliver(stored: Iterable[Row]) -> None:
                for row in stored:
                    self.membership.tell(room, row, people)

            await self.rooms.writer.append(Entry(room.id, rows, deliver, [self._store.banned(ban)]))
        return Empty()

    async def unban(self, caller: Caller, request: MemberPath) -> Empty:
        room = await self.require(caller, "members.ban", request.group_id)
        if not await self._store.unban(room.id, request.user_id):
            raise NotFound("That user is not banned from this group")
        return Empty()

    async def bans(self, caller: Caller, request: GroupPath) -> Bans:
        room = await self.require(caller, "members.ban", request.group_id)
        found = await self._store.bans_of(room.id)
        return Bans(
            bans=[
                BanEntry(user_id=ban.user_id, banned_by=ban.banned_by, reason=ban.reason, created_at=ban.created_at)
                for ban in found
            ]
        )

    async def transfer(self, caller: Caller, request: TransferOwnership) -> Group:
        """The old owner stays as an admin."""
        room = await self.require(caller, "group.transfer", request.group_id)
        if request.user_id not in room.members or request.user_id == caller.user_id:
            raise NotFound("The new owner must be another member of this group")
        heir = await self._require_user(request.user_id)
        await self.membership.set_roles(
            room, {heir.user_id: (heir, "owner"), caller.user_id: (caller.user, "admin")}, by=caller.user
        )
        return await self._shape(room, caller.user_id)

    # --- invitations

    async def invite(self, caller: Caller, request: CreateInvite) -> Invite:
        room = await self.require(caller, "group.invite", request.group_id)
        if room.record.join_policy == "closed":
            raise Conflict("This group is closed: change its joinPolicy first, or add members by name")
        expires_at = self._clock() + timedelta(hours=request.expires_in_hours)
        code = secrets.token_urlsafe(18)
        await self._store.add_invite(InviteRecord(code, room.id, caller.user_id, expires_at, request.max_uses))
        url = f"{self._public_url}/invite/{code}"
        return Invite(invite_url=url, code=code, group_id=room.id, max_uses=request.max_uses, expires_at=expires_at)

    async def accept_invite(self, caller: Caller, request: AcceptInvite) -> GroupJoined:
        """A link stands only as long as its maker may still invite."""
        invite = await self._store.find_invite(request.code)
        if invite is None or invite.expires_at <= self._clock():
            raise InviteInvalid
        try:
            room = await self.rooms.load(invite.group_id)
            authorize(room, invite.created_by, "group.invite")
        except (NotFound, Forbidden):
            raise InviteInvalid from None
        if caller.user_id not in room.members:
            await self._require_not_banned(room.id, caller.user_id)
            if room.record.join_policy == "closed" or not await self._store.use_invite(request.code):
                raise InviteInvalid
            await self.membership.join(room, caller.user)
        return await self.join(caller, GroupPath(group_id=room.id))

    # --- managing

    async def update(self, caller: Caller, request: UpdateGroup) -> Group:
        room = await self.require(caller, "group.update", request.group_id)
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
                self._fanout.publish("group_updated", GroupUpdated(group_id=room.id, seq=event.seq, group=shape), group_id=room.id)

        def check() -> None:
            authorize(room, caller.user_id, "group.update")

        await self.rooms.writer.append(Entry(room.id, [row], deliver, [self._store.group_saved(record)], check))
        return await self._shape(room, caller.user_id)

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

        await self.rooms.writer.append(Entry(room.id, [row], deliver, [self._store.group_deleted(room.id, now)]))
        await self._vault.shred(room.id)
        self._background.spawn("erase_group", self._erase(room.id))

    async def _erase(self, group_id: str) -> None:
        await self._vault.shred(group_id)
        seq = 0
        while rows := await self._journal.window(group_id, seq, seq + ERASE_ROWS):
            await self._journal.erase_group(group_id, seq, rows[-1].seq)
            seq = rows[-1].seq
        await self._store.remove(group_id)
        self.rooms.drop(group_id)

    async def finish_deletions(self) -> None:
        """Go on with what a stop interrupted."""
        for record in await self._store.deleted():
            await self._erase(record.id)

    # --- shared

    def _online(self, room: Room) -> list[str]:
        return [user_id for user_id in room.members if self._presence.status_of(user_id) is not None]

    async def _require_user(self, user_id: str) -> User:
        user = await self._identity.find(user_id)
        if user is None:
            raise NotFound("There is no such user")
        return user

    async def _shape(self, room: Room, user_id: str) -> Group:
        last = room.last_message if user_id in room.members and room.last_message and room.last_message.seq > room.floor(user_id) else None
        return group_shape(
            room, self.rooms.head(room.id), user_id=user_id, last=await self.rendering.last_message(last)
        )


def _changed(settings: GroupSettings, change: GroupSettingsChange | None) -> GroupSettings:
    """Only `retentionDays` may be set back to nothing."""
    given = change.model_dump(exclude_unset=True) if change else {}
    return settings.model_copy(
        update={name: value for name, value in given.items() if value is not None or name == "retention_days"}
    )
