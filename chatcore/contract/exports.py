"""Shapes of research exports: conversations of people who agreed, under pseudonyms, for the role analyst."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from chatcore.contract.base import Clean, Moment, ObjectIdText, Shape, ToldMoment

Purpose = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500), Clean]
Position = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}:[0-9]{1,15}\z", max_length=24)]


class CreateExport(Shape):
    """Without `groupIds`: every group that takes part. `days` until it can be read no more."""

    purpose: Purpose
    group_ids: Annotated[list[ObjectIdText], Field(max_length=1_000)] | None = None
    since: ToldMoment | None = None
    until: ToldMoment | None = None
    days: Annotated[int, Field(ge=1, le=30)] = 30


class Export(Shape):
    """`groups` take part as long as they agree, `leftOut` of those asked for did not when it was made."""

    export_id: ObjectIdText
    purpose: str
    created_by: str
    created_at: Moment
    expires_at: Moment
    since: Moment | None = None
    until: Moment | None = None
    groups: int
    left_out: int


class Exports(Shape):
    exports: list[Export]


class ExportPath(Shape):
    export_id: ObjectIdText


class ReadExport(ExportPath):
    """`position` is the `next` of the page before. Each page that is read stands in the audit."""

    position: Position = "0:0"


class ExportedMessage(Shape):
    """Every id is a pseudonym, the same all through one export and of no meaning in another. `text` has no addresses,
    numbers or names of members; `n` counts the conversation's messages, also those that are left out."""

    conversation: str
    message: str
    n: int
    sender: str
    type: Literal["text", "image", "file"]
    text: str
    at: Moment
    edited: bool
    reply_to: str | None = None
    mentions: list[str] = Field(default_factory=list)
    reactions: dict[str, int] = Field(default_factory=dict)
    people: int
    moderated: str | None = None


class ExportedPage(Shape):
    """`leftOut` and `redacted` count, by reason and by kind, what this page does not show. Without `next` it is the
    last one."""

    export: Export
    messages: list[ExportedMessage]
    left_out: dict[str, int]
    redacted: dict[str, int]
    next: str | None = None
