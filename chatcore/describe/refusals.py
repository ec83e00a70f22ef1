"""Which refusals a command can answer with, beyond those that every command shares."""

from collections.abc import Iterable

from chatcore.api import COMMANDS, Command
from chatcore.errors import (
    Banned,
    CapabilityUnavailable,
    ChatError,
    Conflict,
    Forbidden,
    Internal,
    Invalid,
    InviteInvalid,
    LimitReached,
    MessageEmpty,
    MessageTooLong,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    SlowMode,
    TokenExpired,
    TokenMissing,
    Unauthenticated,
    Unavailable,
    UnknownField,
    UnsupportedMedia,
    UserInactive,
)

Refusal = type[ChatError]
SHARED: tuple[Refusal, ...] = (Invalid, UnknownField, RateLimited, Unavailable, Internal)
# Over HTTP each request brings its token; a socket has shown it before.
WITH_TOKEN: tuple[Refusal, ...] = (TokenMissing, Unauthenticated, TokenExpired, UserInactive)
WITH_BODY: tuple[Refusal, ...] = (PayloadTooLarge, UnsupportedMedia)
SIGN_IN: tuple[Refusal, ...] = (*SHARED, *WITH_TOKEN)

_TEXT: tuple[Refusal, ...] = (MessageEmpty, MessageTooLong)
_SEND: tuple[Refusal, ...] = (NotFound, *_TEXT, Conflict, SlowMode, CapabilityUnavailable)
_CHANGE: tuple[Refusal, ...] = (NotFound, Forbidden, Conflict)
OWN: dict[str, tuple[Refusal, ...]] = {
    "send_message": _SEND,
    "post_message": _SEND,
    "edit_message": (*_CHANGE, *_TEXT),
    "patch_message": (*_CHANGE, *_TEXT),
    "delete_message": _CHANGE,
    "delete_message_by_id": _CHANGE,
    "message_history": (NotFound,),
    "mark_message_read": (NotFound,),
    "mark_messages_read": (NotFound,),
    "message_receipts": (NotFound,),
    "sync": (),
    "add_reaction": (NotFound, Conflict, LimitReached),
    "remove_reaction": (NotFound, Conflict),
    "pin_message": (*_CHANGE, LimitReached),
    "unpin_message": _CHANGE,
    "group_pins": (NotFound,),
    "report_message": (NotFound, Forbidden),
    "join_group": (NotFound, Banned, Conflict, LimitReached),
    "leave_group": (NotFound, Conflict),
    "leave_membership": (NotFound, Conflict),
    "get_group_members": (NotFound,),
    "my_groups": (),
    "create_group": (),
    "get_group": (NotFound,),
    "update_group": (NotFound, Forbidden),
    "delete_group": (NotFound, Forbidden),
    "create_invite": _CHANGE,
    "accept_invite": (NotFound, InviteInvalid, Banned, Conflict, LimitReached),
    "transfer_ownership": (NotFound, Forbidden),
    "add_member": (*_CHANGE, Banned, LimitReached),
    "change_role": (NotFound, Forbidden),
    "kick_member": (NotFound, Forbidden),
    "group_bans": (NotFound, Forbidden),
    "ban_user": (NotFound, Forbidden),
    "unban_user": (NotFound, Forbidden),
    "direct_message": (NotFound, Conflict),
    "find_groups": (),
    "typing_start": (NotFound,),
    "typing_stop": (NotFound,),
    "get_online_users": (NotFound,),
    "change_status": (),
    "me": (NotFound,),
    "update_me": (NotFound,),
    "erase_me": (Conflict,),
    "export_me": (NotFound,),
    "my_devices": (),
    "revoke_device": (NotFound,),
    "find_users": (),
}


def over_socket(command: Command) -> list[Refusal]:
    return ordered((*SHARED, *OWN[command.name]))


def over_http(command: Command, *, with_body: bool) -> list[Refusal]:
    return ordered((*SHARED, *WITH_TOKEN, *OWN[command.name], *(WITH_BODY if with_body else ())))


def ordered(refusals: Iterable[Refusal]) -> list[Refusal]:
    return sorted(dict.fromkeys(refusals), key=lambda refusal: (refusal.status, refusal.code))


def missing() -> set[str]:
    """Commands without a row here, and rows without a command."""
    return {command.name for command in COMMANDS} ^ OWN.keys()
