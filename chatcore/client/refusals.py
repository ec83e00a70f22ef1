"""From the error payload on the wire back to the classes of `chatcore.errors`."""

from collections.abc import Mapping
from typing import Any

from chatcore.errors import ChatError, Internal, catalogue


def refusal(failure: object, *, fallback: str = "The server refused without saying why") -> ChatError:
    """The ChatError that an ack, a `connect_error`, an error event or a problem document describes.

    A code that this version does not know becomes Internal with the code in its message.
    """
    if not isinstance(failure, Mapping):
        return Internal(fallback)
    code = str(failure.get("code", ""))
    message = str(failure.get("detail") or failure.get("message") or failure.get("error") or fallback)
    known = catalogue().get(code)
    if known is None:
        return Internal(f"{message} ({code})" if code else message)
    return known(message, field=_text(failure.get("field")), retry_after_ms=_milliseconds(failure.get("retryAfterMs")))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _milliseconds(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None
