"""The error payload, the same on acks, on error events and (as problem+json) over HTTP."""

from typing import Literal

from pydantic import Field

from chatcore.contract.base import Moment, Shape


class Failure(Shape):
    """`error` repeats `message`, as older clients read it."""

    code: str
    message: str
    error: str
    timestamp: Moment
    retryable: bool
    retry_after_ms: int | None = None
    temp_id: str | None = None
    field: str | None = None
    request_id: str | None = None
    category: str | None = None
    decision_id: str | None = None
    appealable: bool | None = None
    correlation_id: str


class AckFailed(Shape):
    ok: Literal[False] = False
    error: Failure


class Accepted(Shape):
    """A slow command is under way; its reply event, or its error event, bears this id."""

    request_id: str


class Problem(Shape):
    """RFC 9457, `application/problem+json`."""

    type: str = "about:blank"
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    code: str
    retryable: bool
    retry_after_ms: int | None = None
    field: str | None = None
    category: str | None = None
    decision_id: str | None = None
    appealable: bool | None = None
    correlation_id: str


class ServerDraining(Shape):
    retry_after_ms: int
