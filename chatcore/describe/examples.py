"""An example value for any schema: the agreed example of a field's name, else what the schema itself suggests."""

from typing import Any

from chatcore.describe.shapes import REF, Schema
from chatcore.describe.words import EXAMPLES, MEDIA, MESSAGE, MOMENT, OTHER_MESSAGE

# Where one name means different things in different shapes, or a shape has a rule between its fields.
BY_SHAPE: dict[tuple[str, str], object] = {
    ("AckFailed", "ok"): False,
    ("CreateGroup", "name"): "Engineering",
    ("DevTokenRequest", "name"): "ada",
    ("Failure", "code"): "not_found",
    ("FindGroups", "query"): "eng",
    ("Group", "_id"): EXAMPLES["groupId"],
    ("Group", "name"): "Engineering",
    ("LastMessage", "_id"): MESSAGE,
    ("Login", "name"): "ada",
    ("Media", "_id"): MEDIA,
    ("Message", "replyTo"): OTHER_MESSAGE,
    ("MessageRejectedNotice", "decisionId"): "65f1a2b3c4d5e6f708192a3f",
    ("Problem", "code"): "not_found",
    ("Problem", "status"): 404,
    ("Problem", "type"): "about:blank",
    ("UpdateGroup", "name"): "Engineering",
    ("Suggestion", "text"): "Yes, ten is fine.",
    ("User", "name"): "Grace Hopper",
    ("User", "firstName"): "Grace",
    ("User", "lastName"): "Hopper",
    ("User", "username"): "grace",
    ("User", "imageUrl"): "https://images.example.org/grace.png",
    ("User", "userId"): "user_grace",
    ("Me", "userId"): "user_ada",
    ("Message", "senderId"): "user_grace",
    ("LastMessage", "senderId"): "user_grace",
    ("LeaveGroup", "membership"): False,
}
# Optional fields that an example leaves out: rare ones, and those that exclude a field it shows.
LEFT_OUT: set[tuple[str, str]] = {
    ("CreateExport", "since"),
    ("CreateExport", "until"),
    ("CreateGroup", "settings"),
    ("Export", "since"),
    ("Export", "until"),
    ("Failure", "field"),
    ("Failure", "requestId"),
    ("Failure", "retryAfterMs"),
    ("Failure", "tempId"),
    ("History", "after"),
    ("History", "include"),
    ("History", "page"),
    ("MarkMessagesRead", "messageIds"),
    ("Media", "messageId"),
    ("Message", "mediaMetadata"),
    ("Message", "mediaUrl"),
    ("Message", "mentions"),
    ("Message", "moderation"),
    ("Message", "readBy"),
    ("Message", "unavailable"),
    ("Problem", "field"),
    ("Problem", "retryAfterMs"),
    ("RequestSmartReplies", "context"),
    ("RequestSmartReplies", "contextMessages"),
    ("RequestSmartReplies", "messageContent"),
    ("RequestSmartReplies", "messageHistory"),
    ("RequestTypingSuggestion", "context"),
    ("RequestTypingSuggestion", "cursorPosition"),
    ("RequestTypingSuggestion", "partialText"),
    ("Activity", "firstAt"),
    ("Activity", "lastAt"),
    ("SendMessage", "mediaId"),
    ("SendMessage", "replyTo"),
    ("SyncedGroup", "error"),
    ("UpdateGroup", "settings"),
}


class Examples:
    """`definitions` as made by shapes.definitions()."""

    def __init__(self, definitions: dict[str, Schema]):
        self._definitions = definitions

    def of(self, shape: str) -> Any:
        return self._value(shape, "", {"$ref": REF + shape})

    def _value(self, shape: str, field: str, schema: Schema) -> Any:  # noqa: PLR0911 - one for each kind
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(REF)
            return self._object(name, self._definitions[name])
        if (shape, field) in BY_SHAPE:
            return BY_SHAPE[shape, field]
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema.get("default", schema["enum"][0])
        if choices := schema.get("oneOf") or schema.get("anyOf"):
            return self._value(shape, field, choices[0])
        if field in EXAMPLES and self._fits(EXAMPLES[field], schema):
            return EXAMPLES[field]
        return self._plain(shape, field, schema)

    @staticmethod
    def _fits(value: object, schema: Schema) -> bool:
        kinds: dict[str, Any] = {
            "string": str,
            "integer": int,
            "number": (int, float),
            "boolean": bool,
            "array": list,
            "object": dict,
        }
        return isinstance(value, kinds[schema["type"]]) and (
            schema["type"] != "array" or schema["items"].get("type") == "string"
        )

    def _plain(self, shape: str, field: str, schema: Schema) -> Any:
        match schema["type"]:
            case "object":
                return self._object(shape, schema)
            case "array":
                return [self._value(shape, "", schema["items"])]
            case "boolean":
                return schema.get("default", False)
            case "integer" | "number":
                return schema.get("default", max(1, schema.get("minimum", 1)))
            case _:
                return MOMENT if schema.get("format") == "date-time" else schema.get("default") or field or "text"

    def _object(self, shape: str, schema: Schema) -> Any:
        if "oneOf" in schema:
            return self._object(shape, schema["oneOf"][0])
        return {
            name: self._value(shape, name, inner)
            for name, inner in schema.get("properties", {}).items()
            if (shape, name) not in LEFT_OUT
        }
