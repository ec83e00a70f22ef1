"""The people of a group: members, roles, bans and invitations."""

import secrets
from datetime import timedelta

from chatcore.contract.base import Empty
from chatcore.contract.groups import (
    AcceptInvite,
    Ban,
    BanEntry,
    Bans,
    ChangeRole,
    CreateInvite,
    Group,
    GroupJoined,
    GroupMembers,
    GroupPath,
    GroupRole,
    Invite,
    LeaveReason,
    Member,
    MemberPath,
    TransferOwnership,
)
from chatcore.contract.people import User
from chatcore.errors import Conflict, Forbidden, InviteInvalid, NotFound
from chatcore.groups.membership import Clock, Membership
from chatcore.groups.permissions import authorize, require_above
from chatcore.groups.records import BanRecord, InviteRecord, MemberRecord
from chatcore.groups.service import Groups
from chatcore.groups.store import GroupStore
from chatcore.identity.service import Identity
from chatcore.ports import Caller
from chatcore.presence.service import Presence


class Members:
    """Who belongs to a group and as what; nobody acts on one of their own rank or above."""

    def __init__(
        self,
        *,
        store: GroupStore,
        groups: Groups,
        membership: Membership,
        identity: Identity,
        presence: Presence,
        clock: Clock,
        public_url: str,
    ):
        self._store = store
        self._groups = groups
        self._membership = membership
        self._identity = identity
        self._presence = presence
        self._clock = clock
        self._public_url = public_url

    async def of_group(self, caller: Caller, request: GroupPath) -> GroupMembers:
        room = await self._groups.require(caller, "members.read", request.group_id)
        people = await self._identity.cards(room.members)
        hidden = await self._identity.without_receipts(room.members)
        members = [
            self._member(member, people[member.user_id], member.user_id in hidden) for member in room.members.values()
        ]
        return GroupMembers(group_id=room.id, members=members, online_members=self._presence.online_members(room.id))

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

    async def add(self, caller: Caller, request: MemberPath) -> Member:
        room = await self._groups.require(caller, "members.add", request.group_id)
        user = await self._card(request.user_id)
        await self._groups.require_not_banned(room.id, request.user_id)

        def still() -> None:
            authorize(room, caller.user_id, "members.add")

        await self._membership.join(room, user, by=caller.user, still=still)
        return self._member(room.members[request.user_id], user, False)

    async def change_role(self, caller: Caller, request: ChangeRole) -> Member:
        """Nobody raises anybody to their own rank, or changes one who has it."""
        room = await self._groups.require(caller, "members.promote", request.group_id)

        def still() -> None:
            authorize(room, caller.user_id, "members.promote")
            require_above(room, caller.user_id, request.user_id)
            if request.role == "admin" and room.members[caller.user_id].role != "owner":
                raise Forbidden("Only the owner names admins")

        still()
        user = await self._card(request.user_id)
        if room.members[request.user_id].role != request.role:
            await self._membership.set_roles(room, {user.user_id: (user, request.role)}, by=caller.user, still=still)
        return self._member(room.members[request.user_id], user, False)

    async def kick(self, caller: Caller, request: MemberPath) -> Empty:
        room = await self._groups.require(caller, "members.remove", request.group_id)

        def still() -> None:
            authorize(room, caller.user_id, "members.remove")
            require_above(room, caller.user_id, request.user_id)

        still()
        user = await self._identity.card(request.user_id)
        await self._membership.remove(room, user, by=caller.user, reason="kicked", still=still)
        return Empty()

    async def ban(self, caller: Caller, request: Ban) -> Empty:
        """Also one who is no member (any more), so that nobody comes back by a link."""
        room = await self._groups.require(caller, "members.ban", request.group_id)
        user = await self._card(request.user_id)

        def still() -> None:
            authorize(room, caller.user_id, "members.ban")
            if request.user_id in room.members:
                require_above(room, caller.user_id, request.user_id)

        still()
        ban = self._store.banned(BanRecord(room.id, request.user_id, caller.user_id, request.reason, self._clock()))
        await self._membership.remove(room, user, by=caller.user, reason="banned", also=[ban], still=still)
        return Empty()

    async def expel(self, group_id: str, user_id: str, by: User, *, ban: bool, reason: str) -> None:
        """By somebody who reviews for the whole server, whatever roles they have here. An owner with others in the
        group must hand it over first. A ban also of one who has left."""
        room = await self._groups.rooms.load(group_id)
        if room.record.kind == "direct":
            raise Conflict("Nobody can be removed from a direct conversation")
        user = await self._identity.card(user_id)

        def still() -> None:
            member = room.members.get(user_id)
            if member is not None and member.role == "owner" and len(room.members) > 1:
                raise Conflict("The owner of a group cannot be removed from it")

        still()
        record = BanRecord(room.id, user_id, by.user_id, reason, self._clock())
        also = [self._store.banned(record)] if ban else []
        why: LeaveReason = "banned" if ban else "kicked"
        await self._membership.remove(room, user, by=by, reason=why, also=also, still=still)

    async def unban(self, caller: Caller, request: MemberPath) -> Empty:
        room = await self._groups.require(caller, "members.ban", request.group_id)
        if not await self._store.unban(room.id, request.user_id):
            raise NotFound("That user is not banned from this group")
        return Empty()

    async def bans(self, caller: Caller, request: GroupPath) -> Bans:
        room = await self._groups.require(caller, "members.ban", request.group_id)
        found = await self._store.bans_of(room.id)
        return Bans(
            bans=[
                BanEntry(user_id=ban.user_id, banned_by=ban.banned_by, reason=ban.reason, created_at=ban.created_at)
                for ban in found
            ]
        )

    async def transfer(self, caller: Caller, request: TransferOwnership) -> Group:
        """The old owner stays as an admin."""
        room = await self._groups.require(caller, "group.transfer", request.group_id)
        if request.user_id not in room.members or request.user_id == caller.user_id:
            raise NotFound("The new owner must be another member of this group")
        heir = await self._card(request.user_id)

        def still() -> None:
            authorize(room, caller.user_id, "group.transfer")

        roles: dict[str, tuple[User, GroupRole]] = {
            heir.user_id: (heir, "owner"),
            caller.user_id: (caller.user, "admin"),
        }
        await self._membership.set_roles(room, roles, by=caller.user, still=still)
        return await self._groups.shape(room, caller.user_id)

    # --- invitations

    async def invite(self, caller: Caller, request: CreateInvite) -> Invite:
        room = await self._groups.require(caller, "group.invite", request.group_id)
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
            room = await self._groups.rooms.load(invite.group_id)
            authorize(room, invite.created_by, "group.invite")
        except (NotFound, Forbidden):
            raise InviteInvalid from None
        if caller.user_id not in room.members:
            await self._groups.require_not_banned(room.id, caller.user_id)
            if room.record.join_policy == "closed" or not await self._store.use_invite(request.code):
                raise InviteInvalid
            await self._membership.join(room, caller.user)
        return await self._groups.join(caller, GroupPath(group_id=room.id))

    async def _card(self, user_id: str) -> User:
        """Raises NotFound for one who is no user here."""
        return (await self._identity.get_user(user_id)).card()
