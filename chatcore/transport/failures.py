"""One funnel from anything raised to what the client is told, the same for acks, error events and HTTP."""

import os
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from chatcore.contract.base import Shape
from chatcore.contract.failures import Failure, Problem
from chatcore.errors import ChatError, Internal, Invalid, MessageRejected, UnknownField
from chatcore.logs import get_logger

log = get_logger("transport")
S = TypeVar("S", bound=Shape)


def new_correlation_id() -> str:
    return os.urandom(8).hex()


def parse(shape: type[S], payload: object) -> S:
    """A wire object as its shape. Raises Invalid or UnknownField that names the first field at fault."""
    if not isinstance(payload, dict):
        raise Invalid("The payload must be one JSON object")
    try:
        return shape.model_validate(payload, by_alias=True, by_name=False)
    except ValidationError as error:
        raise _plain(error) from None


def _plain(error: ValidationError) -> Invalid:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or None
    if first["type"] == "extra_forbidden":
        return UnknownField(f"There is no field {_shown(field)} in this command", field=_shown(field))
    reason = first["msg"].removeprefix("Value error, ")
    where = f"{field}: " if field else ""
    return Invalid(f"{where}{reason[:1].lower()}{reason[1:]}", field=field)


def _shown(field: str | None) -> str:
    """A field's name comes from the client here: short and printable."""
    return "".join(character for character in (field or "")[:64] if character.isprintable())


def as_refusal(error: Exception) -> ChatError:
    """Anything that is no ChatError is a fault of ours: told as `internal`, and kept in the log with its frames."""
    if isinstance(error, ChatError):
        return error
    log.error("internal_error", exc_info=error)
    return Internal()


def failure(
    refusal: ChatError, correlation_id: str, *, temp_id: str | None = None, request_id: str | None = None
) -> Failure:
    return Failure(
        code=refusal.code,
        message=refusal.message,
        error=refusal.message,
        timestamp=datetime.now(UTC),
        retryable=refusal.retryable,
        retry_after_ms=refusal.retry_after_ms,
        temp_id=temp_id,
        field=refusal.field,
        request_id=request_id,
        correlation_id=correlation_id,
        **_decision(refusal),
    )


def problem(refusal: ChatError, correlation_id: str) -> Problem:
    return Problem(
        title=refusal.title,
        status=refusal.status,
        detail=refusal.message,
        code=refusal.code,
        retryable=refusal.retryable,
        retry_after_ms=refusal.retry_after_ms,
        field=refusal.field,
        correlation_id=correlation_id,
        **_decision(refusal),
    )


def _decision(refusal: ChatError) -> dict[str, Any]:
    """What an appeal has to name."""
    if not isinstance(refusal, MessageRejected) or refusal.notice is None:
        return {}
    return refusal.notice.model_dump(include={"category", "decision_id", "appealable"})


def temp_id_of(payload: Any) -> str | None:
    """So that a client finds the message a refusal is about, even where the rest of the payload is unreadable."""
    value = payload.get("tempId") if isinstance(payload, dict) else None
    return value if isinstance(value, str) and len(value) <= 64 else None
