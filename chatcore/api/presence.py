"""Commands on presence and typing."""

from chatcore.api.command import Command
from chatcore.contract import groups as g
from chatcore.contract import presence as pr
from chatcore.contract.base import Empty, Shape
from chatcore.errors import NotFound

COMMANDS: tuple[Command, ...] = (
    Command(
        name="typing_start",
        refuses=(NotFound,),
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
        refuses=(NotFound,),
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
        refuses=(NotFound,),
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
)

EVENTS: dict[str, type[Shape]] = {
    "user_typing": pr.UserTyping,
    "user_stopped_typing": pr.UserStoppedTyping,
    "user_online": pr.UserOnline,
    "user_offline": pr.UserOffline,
    "user_status_changed": pr.UserStatusChanged,
}
