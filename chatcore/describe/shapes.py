"""Every shape of the wire as JSON Schema 2020-12, by name, as clients see it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, get_args

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema

from chatcore.api import COMMANDS, EVENTS, Command
from chatcore.contract.base import Shape
from chatcore.contract.failures import Accepted, AckFailed, Failure, Problem
from chatcore.contract.messages import LogEvent, LogEventName
from chatcore.contract.people import Authenticate, DevTokenRequest, Login, TokenIssued
from chatcore.describe.words import FIELDS

Schema = dict[str, Any]
REF = "#/$defs/"
_FAILURES: tuple[type[Shape], ...] = (Failure, AckFailed, Problem, Accepted)
# None of these is a command, but clients send or receive them.
_SIGN_IN_REQUESTS: tuple[type[Shape], ...] = (Authenticate, Login, DevTokenRequest)
_SIGN_IN_REPLIES: tuple[type[Shape], ...] = (TokenIssued,)


def replies_of(command: Command) -> tuple[type[Shape], ...]:
    return command.reply if isinstance(command.reply, tuple) else (command.reply,)


def acks_of(command: Command) -> tuple[type[Shape], ...]:
    """What its acknowledgement carries."""
    return (Accepted,) if command.slow else replies_of(command)


class WireSchema(GenerateJsonSchema):
    """As `Shape.wire` writes: a field that is None is left out, a field with any other default is always there.

    Requests refuse fields they do not know. Replies may gain fields in later versions, so they are left open.
    """

    def field_is_required(self, field: Any, total: bool) -> bool:
        if self.mode == "serialization" and field["schema"]["type"] == "default":
            return field["schema"].get("default") is not None or "default_factory" in field["schema"]
        return super().field_is_required(field, total)

    def nullable_schema(self, schema: Any) -> JsonSchemaValue:
        if self.mode == "serialization":
            return self.generate_inner(schema["schema"])
        return super().nullable_schema(schema)

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        made = super().default_schema(schema)
        if self.mode == "serialization" or made.get("default", ...) is None:
            made.pop("default", None)
        return made

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def str_schema(self, schema: Any) -> JsonSchemaValue:
        """Python ends a pattern with `\\z`, ECMAScript (the dialect of JSON Schema) with `$`."""
        made = super().str_schema(schema)
        if "pattern" in made:
            made["pattern"] = made["pattern"].replace(r"\z", "$")
        return made

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        made = super().model_schema(schema)
        made.pop("title", None)
        if self.mode == "serialization":
            made.pop("additionalProperties", None)
        if "description" in made:
            made["description"] = " ".join(made["description"].split())
        return made


def requests() -> list[type[Shape]]:
    return list(dict.fromkeys([*(command.request for command in COMMANDS), *_SIGN_IN_REQUESTS]))


def replies() -> list[type[Shape]]:
    shapes = [shape for command in COMMANDS for shape in replies_of(command)]
    return list(dict.fromkeys([*shapes, *EVENTS.values(), *_SIGN_IN_REPLIES, *_FAILURES]))


def definitions(ref: str = REF) -> dict[str, Schema]:
    """Name to schema, in alphabetical order; references between them begin with `ref`."""
    wanted: list[tuple[type[Shape], JsonSchemaMode]] = [(shape, "validation") for shape in requests()]
    wanted += [(shape, "serialization") for shape in replies() if shape not in requests()]
    _, made = models_json_schema(wanted, by_alias=True, ref_template=ref + "{model}", schema_generator=WireSchema)
    found: dict[str, Schema] = made["$defs"]
    found["LogEvent"] = _log_event(found["LogEvent"], ref)
    moments = _moments()
    for shape_name, shape in found.items():
        for name, schema in shape.get("properties", {}).items():
            if (shape_name, name) in moments:
                schema["format"] = "date-time"
            if name in FIELDS and "description" not in schema:
                schema["description"] = FIELDS[name]
    return dict(sorted(found.items()))


def _moments() -> set[tuple[str, str]]:
    """(shape, wire field) of every moment: their serializer tells pydantic only that it makes text."""
    return {
        (shape.__name__, field.serialization_alias or field.alias or name)
        for shape in _shapes(Shape)
        for name, field in shape.model_fields.items()
        if datetime in (field.annotation, *get_args(field.annotation))
    }


def _shapes(parent: type[Shape]) -> Iterator[type[Shape]]:
    for shape in parent.__subclasses__():
        yield shape
        yield from _shapes(shape)


def _log_event(plain: Schema, ref: str) -> Schema:
    """One form for each event of the log, each with the data that is pushed under the same name."""
    seq = plain["properties"]["seq"]
    forms = [
        {
            "type": "object",
            "properties": {
                "seq": dict(seq),
                "event": {"const": event, "type": "string"},
                "data": {"$ref": ref + EVENTS[event].__name__},
            },
            "required": ["seq", "event", "data"],
        }
        for event in get_args(LogEventName)
    ]
    return {"description": LogEvent.__doc__ or "One entry of a group's log, as `sync` gives it.", "oneOf": forms}
