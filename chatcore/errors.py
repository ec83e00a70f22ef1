"""Every way in which chatcore refuses, with a stable code that clients may rely on.

ChatError
├── Invalid                 invalid_payload     400  a field is missing, of the wrong type or out of bounds
│   ├── UnknownField        unknown_field       400  a field that the command does not have
│   ├── UnknownEvent        unknown_event       400  an event that the server does not have
│   ├── MessageEmpty        message_empty       400
│   ├── MessageTooLong      message_too_long    400
│   ├── PayloadTooLarge     payload_too_large   413
│   ├── UnsupportedMedia    unsupported_media   415
│   ├── RangeNotSatisfiable range_not_satisfiable 416  the range lies behind the end
│   └── HeadersTooLarge     headers_too_large   431
├── Unauthenticated         token_invalid       401
│   ├── TokenMissing        token_missing       401
│   ├── TokenExpired        token_expired       401
│   └── BadCredentials      bad_credentials     401  name or password of a local account
├── Forbidden               access_denied       403  one sees the thing but may not do this to it
│   ├── UserInactive        user_inactive       403  the account was closed or suspended
│   ├── Banned              banned              403  from this group
│   └── InviteInvalid       invite_invalid      403  unknown, used up or expired
├── NotFound                not_found           404  also for what one may not see
├── MethodNotAllowed        method_not_allowed  405
├── Conflict                conflict            409  the state of the thing does not allow it
│   └── LimitReached        limit_reached       409  a fixed bound, such as members of a group
├── RateLimited             rate_limited        429  retryable, with retryAfterMs
│   └── SlowMode            slow_mode           429  the group's pause between two messages
├── MessageRejected         message_rejected    422  by moderation
├── Unavailable             unavailable         503  retryable: the database or another part does not answer
│   └── Draining            draining            503  the server is about to stop; connect again
├── CapabilityUnavailable   capability_unavailable 501  nothing on this server can do it
└── Internal                internal            500  a fault of ours; the correlation id finds it in the log
"""

from typing import ClassVar

from chatcore.contract.messages import MessageRejectedNotice


class ChatError(Exception):
    """A refusal that is told to the client: `code` for programs, the message for people.

    `field` names the wire name of the field at fault; `retry_after_ms` says when a repeat may succeed.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    title: ClassVar[str] = "The server failed"

    def __init__(self, message: str | None = None, *, field: str | None = None, retry_after_ms: int | None = None):
        super().__init__(message or self.title)
        self.field = field
        self.retry_after_ms = retry_after_ms

    @property
    def message(self) -> str:
        return str(self.args[0])


class Invalid(ChatError):
    code, status, title = "invalid_payload", 400, "The request is not of the form this command takes"


class UnknownField(Invalid):
    code, title = "unknown_field", "The request has a field that this command does not have"


class UnknownEvent(Invalid):
    code, title = "unknown_event", "The server has no such event"


class MessageEmpty(Invalid):
    code, title = "message_empty", "A message needs some text"


class MessageTooLong(Invalid):
    code, title = "message_too_long", "A message holds at most 4096 bytes of UTF-8"


class PayloadTooLarge(Invalid):
    code, status, title = "payload_too_large", 413, "The request is larger than the server takes"


class UnsupportedMedia(Invalid):
    code, status, title = "unsupported_media", 415, "The server does not take this content type"


class RangeNotSatisfiable(Invalid):
    code, status, title = "range_not_satisfiable", 416, "The range lies behind the end of the file"


class HeadersTooLarge(Invalid):
    code, status, title = "headers_too_large", 431, "The request's headers are larger than the server takes"


class Unauthenticated(ChatError):
    code, status, title = "token_invalid", 401, "The token is not valid here"


class TokenMissing(Unauthenticated):
    code, title = (
        "token_missing",
        "A token is needed: send it in the handshake, by `authenticate` or as a Bearer header",
    )


class TokenExpired(Unauthenticated):
    code, title = "token_expired", "The token has expired; get a new one"


class BadCredentials(Unauthenticated):
    code, title = "bad_credentials", "The name or the password is wrong"


class Forbidden(ChatError):
    code, status, title = "access_denied", 403, "You may not do this"


class UserInactive(Forbidden):
    code, title = "user_inactive", "This account is closed"


class Banned(Forbidden):
    code, title = "banned", "You are banned from this group"


class InviteInvalid(Forbidden):
    code, title = "invite_invalid", "The invitation is unknown, used up or expired; ask for a new one"


class NotFound(ChatError):
    code, status, title = "not_found", 404, "There is no such thing, or you may not see it"


class MethodNotAllowed(ChatError):
    code, status, title = "method_not_allowed", 405, "This path does not take that method"


class Conflict(ChatError):
    code, status, title = "conflict", 409, "The present state does not allow this"


class LimitReached(Conflict):
    code, title = "limit_reached", "A fixed bound is reached"


class RateLimited(ChatError):
    code, status, retryable, title = "rate_limited", 429, True, "Too many requests; wait and try again"


class SlowMode(RateLimited):
    code, title = "slow_mode", "This group asks for a pause between two messages"


class MessageRejected(ChatError):
    """`notice` is what the sender is told: by which decision, in which category, and whether it can be appealed."""

    code, status, title = "message_rejected", 422, "Moderation refused this text"

    def __init__(
        self,
        message: str | None = None,
        *,
        field: str | None = None,
        retry_after_ms: int | None = None,
        notice: MessageRejectedNotice | None = None,
    ):
        super().__init__(message, field=field, retry_after_ms=retry_after_ms)
        self.notice = notice


class Unavailable(ChatError):
    code, status, retryable, title = (
        "unavailable",
        503,
        True,
        "The server cannot answer this right now; try again (a tempId makes that safe)",
    )


class Draining(Unavailable):
    code, title = "draining", "The server is about to stop; connect again in a moment"


class CapabilityUnavailable(ChatError):
    code, status, title = "capability_unavailable", 501, "Nothing on this server can do this"


class Internal(ChatError):
    title = "The server failed; the correlation id finds the cause in its log"


def catalogue() -> dict[str, type[ChatError]]:
    """Every code and its class, in the order of definition."""
    found: dict[str, type[ChatError]] = {}

    def walk(kind: type[ChatError]) -> None:
        for child in kind.__subclasses__():
            found.setdefault(child.code, child)
            walk(child)

    walk(ChatError)
    return found
