"""Which refusals a command can answer with, beyond those that every command shares."""

from collections.abc import Iterable

from chatcore.api import Command
from chatcore.errors import (
    ChatError,
    Internal,
    Invalid,
    PayloadTooLarge,
    RateLimited,
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


def over_socket(command: Command) -> list[Refusal]:
    return ordered((*SHARED, *command.refuses))


def over_http(command: Command, *, with_body: bool) -> list[Refusal]:
    return ordered((*SHARED, *WITH_TOKEN, *command.refuses, *(WITH_BODY if with_body else ())))


def ordered(refusals: Iterable[Refusal]) -> list[Refusal]:
    return sorted(dict.fromkeys(refusals), key=lambda refusal: (refusal.status, refusal.code))
