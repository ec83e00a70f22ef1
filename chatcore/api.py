"""The whole surface on one page: every command with its event, its REST form, its shape, its limit.

A new command is a shape in `contract/`, a method of a service, and a row here. The transports read the table and know
no feature; connecting, health, uploads and webhooks stay hand-written in them.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from chatcore.contract import groups as g
from chatcore.contract import messages as m
from chatcore.contract import people as p
from chatcore.contract import presence as pr
from chatcore.contract.base import Empty, Shape
from chatcore.contract.failures import ServerDraining
from chatcore.groups.attendance import Attendance
from chatcore.groups.members import Members
from chatcore.groups.service import Groups
from chatcore.identity.service import Identity
from chatcore.limits import Bucket
from chatcore.messages.reading import Reading
from chatcore.messages.responses import Responses
from chatcore.messages.service import Messages
from chatcore.ports import Caller

Method = Literal["GET", "POST", "PATCH", "DELETE"]
ErrorEvent = Literal["message_error", "group_error", "ai_error", "error"]


@dataclass(frozen=True)
class Services:
    """What the commands are answered by."""

    identity: Identity
    groups: Groups
    members: Members
    attendance: Attendance
    messages: Messages
    reading: Reading
    responses: Responses


Answer = Callable[[Services, Caller, Any], Awaitable[Shape]]


@dataclass(frozen=True, slots=True)
class Rest:
    """`path` fields, query and JSON body together fill the shape; `fixed` sets what the path alone says."""

    method: Method
    path: str
    status: int = 200


@dataclass(frozen=True, slots=True)
class Command:
    """One thing a client may ask for. `event` and `rest` are its two forms; either may be missing."""

    name: str
    summary: str
    request: type[Shape]
    reply: type[Shape] | tuple[type[Shape], ...]
    answer: Answer
    limit: Bucket
    event: str | None = None
    reply_event: str | None = None
    error_event: ErrorEvent = "error"
    rest: Rest | None = None
    tag: str = "messages"


async def _done(work: Awaitable[object]) -> Empty:
    await work
    return Empty()


def _group(name: str, **fields: Any) -> Command:
    return Command(name=name, **({"tag": "groups", "error_event": "group_error", "limit": "groups"} | fields))


def _message(name: str, **fields: Any) -> Command:
    return Command(name=name, **({"tag": "messages", "error_event": "message_error"} | fields))


def _me(name: str, **fields: Any) -> Command:
    return Command(name=name, **({"tag": "me", "limit": "read"} | fields))


COMMANDS: tuple[Command, ...] = (
    # messages
    _message(
        "send_message",
        event="send_message",
        reply_event="message_sent",
        request=m.SendMessage,
        reply=m.MessageSent,
        answer=lambda s, c, r: s.messages.send(c, r),
        limit="send",
        summary="Send a message; a repeat with the same tempId answers with the first receipt.",
    ),
    _message(
        "post_message",
        rest=Rest("POST", "/messages", 201),
        request=m.SendMessage,
        reply=m.Message,
        answer=lambda s, c, r: s.messages.post(c, r),
        limit="send",
        summary="Send a message; the header Idempotency-Key stands for tempId.",
    ),
    _message(
        "edit_message",
        event="edit_message",
        request=m.EditMessage,
        reply=m.MessageUpdated,
        answer=lambda s, c, r: s.messages.edit(c, r),
        limit="edit",
        summary="Change the text of one's own message.",
    ),
    _message(
        "patch_message",
        rest=Rest("PATCH", "/messages/{messageId}"),
        request=m.EditMessageById,
        reply=m.Message,
        answer=lambda s, c, r: s.messages.edit_by_id(c, r),
        limit="edit",
        summary="Change the text of one's own message.",
    ),
    _message(
        "delete_message",
        event="delete_message",
        request=m.MessagePath,
        reply=m.MessageDeleted,
        answer=lambda s, c, r: s.messages.delete(c, r),
        limit="edit",
        summary="Delete one's own message, or as a moderator anybody's; its place stays.",
    ),
    _message(
        "delete_message_by_id",
        rest=Rest("DELETE", "/messages/{messageId}"),
        request=m.MessageOnlyPath,
        reply=m.MessageDeleted,
        answer=lambda s, c, r: s.messages.delete_by_id(c, r),
        limit="edit",
        summary="Delete one's own message, or as a moderator anybody's; its place stays.",
    ),
    _message(
        "message_history",
        rest=Rest("GET", "/messages/{groupId}"),
        request=m.History,
        reply=m.MessagePage,
        answer=lambda s, c, r: s.reading.history(c, r),
        limit="read",
        summary="A page of messages, oldest first: by page (1 is the newest) or before/after a log position.",
    ),
    _message(
        "mark_message_read",
        event="mark_message_read",
        request=m.MarkMessageRead,
        reply=m.MessageRead,
        answer=lambda s, c, r: s.reading.mark_read(c, r),
        limit="receipt",
        summary="Move one's read watermark up to a message; earlier ones count as read too.",
    ),
    _message(
        "mark_messages_read",
        event="mark_messages_read",
        rest=Rest("POST", "/messages/read"),
        request=m.MarkMessagesRead,
        reply=m.MessagesRead,
        answer=lambda s, c, r: s.reading.mark_many_read(c, r),
        limit="receipt",
        summary="Move one's read watermark up to the last of these messages, or to a log position.",
    ),
    _message(
        "message_receipts",
        rest=Rest("GET", "/messages/{messageId}/receipts"),
        request=m.MessageOnlyPath,
        reply=m.Receipts,
        answer=lambda s, c, r: s.reading.receipts(c, r),
        limit="read",
        summary="Who has read a message, and when.",
    ),
    _message(
        "sync",
        event="sync",
        request=m.Sync,
        reply=m.Synced,
        answer=lambda s, c, r: s.reading.sync(c, r),
        limit="sync",
        summary="What came after a log position, in up to 100 groups.",
    ),
    _message(
        "add_reaction",
        event="add_reaction",
        request=m.React,
        reply=m.ReactionChanged,
        answer=lambda s, c, r: s.responses.add_reaction(c, r),
        limit="reaction",
        summary="React to a message with an emoji.",
    ),
    _message(
        "remove_reaction",
        event="remove_reaction",
        request=m.React,
        reply=m.ReactionChanged,
        answer=lambda s, c, r: s.responses.remove_reaction(c, r),
        limit="reaction",
        summary="Take one's reaction back.",
    ),
    _message(
        "pin_message",
        event="pin_message",
        request=m.MessagePath,
        reply=m.PinsChanged,
        answer=lambda s, c, r: s.responses.pin(c, r),
        limit="edit",
        summary="Pin a message to the group.",
    ),
    _message(
        "unpin_message",
        event="unpin_message",
        request=m.MessagePath,
        reply=m.PinsChanged,
        answer=lambda s, c, r: s.responses.unpin(c, r),
        limit="edit",
        summary="Take a pin off.",
    ),
    _message(
        "group_pins",
        rest=Rest("GET", "/groups/{groupId}/pins"),
        request=g.GroupPath,
        reply=m.Pins,
        answer=lambda s, c, r: s.responses.pins(c, r),
        limit="read",
        summary="The pinned messages of a group, oldest pin first.",
    ),
    _message(
        "report_message",
        event="report_message",
        request=m.ReportMessage,
        reply=m.ReportReceipt,
        answer=lambda s, c, r: s.responses.report(c, r),
        limit="report",
        summary="Report a message to the people who review.",
    ),
    # groups
    _group(
        "join_group",
        event="join_group",
        reply_event="group_joined",
        rest=Rest("POST", "/groups/{groupId}/join"),
        request=g.GroupPath,
        reply=g.GroupJoined,
        answer=lambda s, c, r: s.groups.join(c, r),
        summary="Enter a group's room; in an open group become a member first.",
    ),
    _group(
        "leave_group",
        event="leave_group",
        reply_event="group_left",
        request=g.LeaveGroup,
        reply=g.GroupLeft,
        answer=lambda s, c, r: s.groups.leave(c, r),
        summary="Leave the room with this connection, or with membership true for good.",
    ),
    _group(
        "leave_membership",
        rest=Rest("POST", "/groups/{groupId}/leave"),
        request=g.GroupPath,
        reply=g.GroupLeft,
        answer=lambda s, c, r: s.groups.leave_for_good(c, r),
        summary="End one's membership.",
    ),
    _group(
        "get_group_members",
        event="get_group_members",
        reply_event="group_members",
        rest=Rest("GET", "/groups/{groupId}/members"),
        request=g.GroupPath,
        reply=g.GroupMembers,
        answer=lambda s, c, r: s.members.of_group(c, r),
        limit="read",
        summary="Members with role, presence and read watermark.",
    ),
    _group(
        "my_groups",
        rest=Rest("GET", "/groups"),
        request=Empty,
        reply=g.Groups,
        answer=lambda s, c, r: s.groups.mine(c, r),
        limit="read",
        summary="One's own groups, newest talk first.",
    ),
    _group(
        "create_group",
        rest=Rest("POST", "/groups", 201),
        request=g.CreateGroup,
        reply=g.Group,
        answer=lambda s, c, r: s.groups.create(c, r),
        summary="Create a group and own it.",
    ),
    _group(
        "get_group",
        rest=Rest("GET", "/groups/{id}"),
        request=g.GroupOrUserPath,
        reply=(g.Group, g.Groups),
        answer=lambda s, c, r: s.groups.get_or_mine(c, r),
        limit="read",
        summary="A group by its id, or by one's own user id one's groups.",
    ),
    _group(
        "update_group",
        rest=Rest("PATCH", "/groups/{groupId}"),
        request=g.UpdateGroup,
        reply=g.Group,
        answer=lambda s, c, r: s.groups.update(c, r),
        summary="Change name, description, joining or settings.",
    ),
    _group(
        "delete_group",
        rest=Rest("DELETE", "/groups/{groupId}"),
        request=g.GroupPath,
        reply=Empty,
        answer=lambda s, c, r: s.groups.delete(c, r),
        summary="Delete a group for everybody and destroy its keys.",
    ),
    _group(
        "create_invite",
        rest=Rest("POST", "/groups/{groupId}/invites", 201),
        request=g.CreateInvite,
        reply=g.Invite,
        answer=lambda s, c, r: s.members.invite(c, r),
        summary="Make an invitation link.",
    ),
    _group(
        "accept_invite",
        rest=Rest("POST", "/invites/{code}/accept"),
        request=g.AcceptInvite,
        reply=g.GroupJoined,
        answer=lambda s, c, r: s.members.accept_invite(c, r),
        limit="invite",
        summary="Join by an invitation link.",
    ),
    _group(
        "transfer_ownership",
        rest=Rest("POST", "/groups/{groupId}/transfer-ownership"),
        request=g.TransferOwnership,
        reply=g.Group,
        answer=lambda s, c, r: s.members.transfer(c, r),
        summary="Hand the group to another member and stay as an admin.",
    ),
    _group(
        "add_member",
        rest=Rest("POST", "/groups/{groupId}/members", 201),
        request=g.MemberPath,
        reply=g.Member,
        answer=lambda s, c, r: s.members.add(c, r),
        summary="Add a user to the group.",
    ),
    _group(
        "change_role",
        rest=Rest("PATCH", "/groups/{groupId}/members/{userId}"),
        request=g.ChangeRole,
        reply=g.Member,
        answer=lambda s, c, r: s.members.change_role(c, r),
        summary="Change a member's role.",
    ),
    _group(
        "kick_member",
        rest=Rest("DELETE", "/groups/{groupId}/members/{userId}"),
        request=g.MemberPath,
        reply=Empty,
        answer=lambda s, c, r: s.members.kick(c, r),
        summary="Remove a member.",
    ),
    _group(
        "group_bans",
        rest=Rest("GET", "/groups/{groupId}/bans"),
        request=g.GroupPath,
        reply=g.Bans,
        answer=lambda s, c, r: s.members.bans(c, r),
        limit="read",
        summary="Who is banned from the group.",
    ),
    _group(
        "ban_user",
        rest=Rest("POST", "/groups/{groupId}/bans", 201),
        request=g.Ban,
        reply=Empty,
        answer=lambda s, c, r: s.members.ban(c, r),
        summary="Remove a user and keep them out.",
    ),
    _group(
        "unban_user",
        rest=Rest("DELETE", "/groups/{groupId}/bans/{userId}"),
        request=g.MemberPath,
        reply=Empty,
        answer=lambda s, c, r: s.members.unban(c, r),
        summary="Lift a ban.",
    ),
    _group(
        "direct_message",
        rest=Rest("POST", "/direct-messages", 201),
        request=g.DirectMessage,
        reply=g.Group,
        answer=lambda s, c, r: s.groups.direct(c, r),
        summary="The conversation with one other user; made where there is none.",
    ),
    _group(
        "find_groups",
        rest=Rest("GET", "/directory/groups"),
        request=g.FindGroups,
        reply=g.Groups,
        answer=lambda s, c, r: s.groups.find_open(c, r),
        limit="search",
        summary="Open groups whose name begins so.",
    ),
    # presence
    Command(
        name="typing_start",
        event="typing_start",
        request=g.GroupPath,
        reply=Empty,
        answer=lambda s, c, r: s.attendance.start_typing(c, r),
        limit="typing",
        tag="presence",
        summary="Say that one is typing; it lapses after 5 s.",
    ),
    Command(
        name="typing_stop",
        event="typing_stop",
        request=g.GroupPath,
        reply=Empty,
        answer=lambda s, c, r: s.attendance.stop_typing(c, r),
        limit="typing",
        tag="presence",
        summary="Say that one has stopped typing.",
    ),
    Command(
        name="get_online_users",
        event="get_online_users",
        reply_event="online_users",
        request=g.GroupPath,
        reply=pr.OnlineUsers,
        answer=lambda s, c, r: s.attendance.online_users(c, r),
        limit="read",
        tag="presence",
        error_event="group_error",
        summary="Who of a group is online.",
    ),
    Command(
        name="change_status",
        event="change_status",
        request=pr.ChangeStatus,
        reply=Empty,
        answer=lambda s, c, r: s.attendance.change_status(c, r),
        limit="status",
        tag="presence",
        summary="Say that one is online or away.",
    ),
    # oneself
    _me(
        "me",
        rest=Rest("GET", "/me"),
        request=Empty,
        reply=p.Me,
        answer=lambda s, c, r: s.identity.me(c),
        summary="Oneself.",
    ),
    _me(
        "update_me",
        rest=Rest("PATCH", "/me"),
        request=p.UpdateMe,
        reply=p.Me,
        answer=lambda s, c, r: s.identity.update_me(c, r),
        limit="groups",
        summary="Change one's settings: receipts, AI, consent.",
    ),
    _me(
        "erase_me",
        rest=Rest("DELETE", "/me"),
        request=Empty,
        reply=Empty,
        answer=lambda s, c, r: _done(s.identity.erase(c)),
        limit="export",
        summary="Erase one's account; one leaves every group.",
    ),
    _me(
        "export_me",
        rest=Rest("GET", "/me/export"),
        request=Empty,
        reply=p.MyExport,
        answer=lambda s, c, r: s.identity.export_me(c),
        limit="export",
        summary="Everything kept about oneself.",
    ),
    _me(
        "my_devices",
        rest=Rest("GET", "/me/sessions"),
        request=Empty,
        reply=p.Devices,
        answer=lambda s, c, r: s.identity.devices(c),
        summary="One's devices.",
    ),
    _me(
        "revoke_device",
        rest=Rest("DELETE", "/me/sessions/{sessionId}"),
        request=p.SessionPath,
        reply=Empty,
        answer=lambda s, c, r: _done(s.identity.revoke(c, r.session_id)),
        limit="groups",
        summary="Sign a device out; its token is refused from then on.",
    ),
    _me(
        "find_users",
        rest=Rest("GET", "/directory/users"),
        request=p.FindUsers,
        reply=p.Users,
        answer=lambda s, c, r: s.identity.find_users(c, r),
        limit="search",
        tag="groups",
        summary="Users whose name begins so.",
    ),
)

EVENTS: dict[str, type[Shape]] = {
    "authentication_success": p.AuthenticationSuccess,
    "user_groups": g.UserGroups,
    "token_expiring": p.TokenExpiring,
    "new_message": m.Message,
    "message_updated": m.MessageUpdated,
    "message_deleted": m.MessageDeleted,
    "message_read": m.MessageRead,
    "messages_read": m.MessagesRead,
    "reaction_changed": m.ReactionChanged,
    "pins_changed": m.PinsChanged,
    "report_created": m.ReportCreated,
    "member_joined": g.MemberJoined,
    "member_left": g.MemberLeft,
    "member_role_changed": g.MemberRoleChanged,
    "group_updated": g.GroupUpdated,
    "group_deleted": g.GroupDeleted,
    "user_typing": pr.UserTyping,
    "user_stopped_typing": pr.UserStoppedTyping,
    "user_online": pr.UserOnline,
    "user_offline": pr.UserOffline,
    "user_status_changed": pr.UserStatusChanged,
    "server_draining": ServerDraining,
}
"""What the server pushes unasked; reply events and error events come from the commands."""

BY_EVENT: dict[str, Command] = {command.event: command for command in COMMANDS if command.event}
