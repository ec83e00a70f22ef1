"""Who may do what in a group: one table, deny by default, the same for sockets and REST."""

from typing import Literal

from chatcore.contract.groups import GroupRole
from chatcore.errors import Forbidden, NotFound
from chatcore.groups.records import RANK, Room

Action = Literal[
    "group.read",
    "group.update",
    "group.delete",
    "group.transfer",
    "group.invite",
    "members.read",
    "members.add",
    "members.remove",
    "members.promote",
    "members.ban",
    "message.read",
    "message.send",
    "message.edit_own",
    "message.delete_own",
    "message.delete_any",
    "message.react",
    "message.pin",
    "message.report",
    "slow_mode.skip",
]

NO_SUCH_GROUP = "There is no such group, or you are not a member of it"
"""Word for word the same for a group that is not there and one that must not be seen."""

LEAST_ROLE: dict[Action, GroupRole] = {
    "group.read": "member",
    "group.update": "admin",
    "group.delete": "owner",
    "group.transfer": "owner",
    "group.invite": "moderator",
    "members.read": "member",
    "members.add": "admin",
    "members.remove": "moderator",
    "members.promote": "admin",
    "members.ban": "moderator",
    "message.read": "member",
    "message.send": "member",
    "message.edit_own": "member",
    "message.delete_own": "member",
    "message.delete_any": "moderator",
    "message.react": "member",
    "message.pin": "moderator",
    "message.report": "member",
    "slow_mode.skip": "moderator",
}
MANAGING: frozenset[Action] = frozenset(
    {
        "group.update",
        "group.delete",
        "group.transfer",
        "group.invite",
        "members.add",
        "members.remove",
        "members.promote",
        "members.ban",
    }
)


def allows(room: Room, user_id: str, action: Action) -> bool:
    """In a direct conversation both people may pin; nobody manages it."""
    member = room.members.get(user_id)
    if member is None or not room.record.is_active:
        return False
    if room.record.kind == "direct":
        return action not in MANAGING and (action == "message.pin" or LEAST_ROLE[action] == "member")
    return RANK[member.role] >= RANK[LEAST_ROLE[action]]


def authorize(room: Room, user_id: str, action: Action) -> None:
    """Raises NotFound for one who is no member, and Forbidden for a member whose role is too low."""
    if user_id not in room.members or not room.record.is_active:
        raise NotFound(NO_SUCH_GROUP)
    if not allows(room, user_id, action):
        if room.record.kind == "direct":
            raise Forbidden("A direct conversation has no roles, settings or invitations")
        raise Forbidden(f"This needs the role {LEAST_ROLE[action]} or higher in this group")


def require_above(room: Room, user_id: str, target_id: str) -> None:
    """Only somebody of a higher role may act on a member. Raises NotFound where the target is none."""
    target = room.members.get(target_id)
    if target is None:
        raise NotFound("That user is not a member of this group")
    if RANK[room.members[user_id].role] <= RANK[target.role]:
        raise Forbidden(f"This needs a role above {target.role}")
