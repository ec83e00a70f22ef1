"""What all shapes share: camelCase on the wire, no unknown fields, closed text."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints
from pydantic.alias_generators import to_camel


class Shape(BaseModel):
    """A frozen value on the wire. Unknown fields are refused, so nothing can be smuggled in."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        serialize_by_alias=True,
    )

    def wire(self) -> dict[str, Any]:
        """The JSON object that clients see; fields that are None are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def wire_json(self) -> bytes:
        """The same as UTF-8 JSON, made once however many receive it."""
        return self.__pydantic_serializer__.to_json(self, by_alias=True, exclude_none=True)


class Empty(Shape):
    """A command without fields, or a reply without news."""


def _clean(text: str) -> str:
    """Refuses what JSON lets through but BSON and people do not: NUL and lone surrogates."""
    if "\x00" in text:
        raise ValueError("must not contain a NUL character")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("must not contain half a surrogate pair") from None
    return text


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("must say its offset from UTC, as Z or +01:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie within the years 1 and 9999 in UTC") from None


def iso_milliseconds(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, as `2026-01-31T12:00:00.000Z`."""
    text = (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat(timespec="milliseconds")
    return f"{text[:-6]}Z"  # half the cost of strftime


Clean = AfterValidator(_clean)  # after StringConstraints: behind a validator those would count before they strip
Text = Annotated[str, Clean]
ObjectIdText = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{24}\z", min_length=24, max_length=24)]
UserId = Annotated[str, StringConstraints(min_length=1, max_length=255), Clean]
Moment = Annotated[datetime, PlainSerializer(iso_milliseconds, return_type=str)]
ToldMoment = Annotated[Moment, AfterValidator(_in_utc)]
"""A moment that a client chose: where it says no offset nobody knows when it is, and it cannot be compared."""
Seq = Annotated[int, Field(ge=0, le=2**53 - 1, strict=True)]
