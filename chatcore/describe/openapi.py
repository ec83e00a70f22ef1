"""OpenAPI 3.1: the REST form of every command, and the few routes that are no command."""

import re
from string import Formatter
from typing import Any, Final

from chatcore import __version__
from chatcore.api import COMMANDS, Command
from chatcore.describe.examples import Examples
from chatcore.describe.refusals import over_http
from chatcore.describe.responses import COMPONENTS, content, error_codes, problems, rate, rate_words, shared_responses
from chatcore.describe.routes import plain_routes
from chatcore.describe.shapes import Schema, definitions, replies_of

PREFIX: Final = "/api"
PARAMETER: Final = re.compile(r"\{\w+\}")
TAGS: Final = {
    "messages": "Sending, reading and answering messages.",
    "media": "Images and files: upload first, then send a message that names the upload.",
    "groups": "Groups, their members and invitations, and the directory.",
    "me": "Oneself: profile, settings, devices, one's data.",
    "admin": "For people with a role on the server: `operator`, `reviewer` or `analyst`.",
    "sign-in": "Tokens of accounts that this server keeps itself.",
    "operation": "Probes, numbers, webhooks and these references.",
}
DESCRIPTION: Final = """\
Chat over HTTP. Everything under `/api` also answers under `/api/v1`, and what is sent here reaches the connected
sockets; [the socket events](/docs/events) are the other half.

**Signing in.** Send a token as `Authorization: Bearer ...`. It comes from the identity provider that this server
trusts, or from `POST /api/auth/login` where the server keeps its own accounts.

**Refusals** are `application/problem+json` (RFC 9457). Decide by `code`, which is stable; `correlationId` finds the
request in the server's log. What you may not see is `not_found`, not `access_denied`. A path that does not exist, a
wrong method (`method_not_allowed`) and headers over 16 KiB (`headers_too_large`) are answered in the same form.

**Unknown fields** in a request are refused (`unknown_field`). Replies may gain fields in later versions: ignore
those you do not know.

**Rates.** Each signed-in person has 20 requests a second with bursts of 40, and each operation names its own rate
beside that. Over it the answer is 429 with `Retry-After`.
"""


def openapi() -> Schema:
    shapes = definitions(COMPONENTS)
    examples = Examples(definitions())
    paths: dict[str, dict[str, Schema]] = {}
    for command in COMMANDS:
        if command.rest is not None:
            operation = _Operation(command, shapes, examples)
            paths.setdefault(operation.path, {})[command.rest.method.lower()] = operation.described()
            shapes.update(operation.bodies)
    for path, method, described in plain_routes(examples):
        paths.setdefault(path, {})[method] = described
    responses = shared_responses(paths)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "chatcore HTTP API",
            "version": __version__,
            "summary": "Groups, messages and people over HTTP.",
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "security": [{"bearer": []}],
        "tags": [{"name": name, "description": words} for name, words in TAGS.items()],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A token of the trusted identity provider, or of this server's own accounts.",
                },
                "metricsToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The value of `METRICS_TOKEN`.",
                },
            },
            "responses": responses,
            "schemas": {name: _local(shape) for name, shape in sorted(shapes.items())},
        },
        "x-error-codes": error_codes(),
    }


class _Operation:
    """One command's REST form; `bodies` are shapes without the fields that stand in the path."""

    def __init__(self, command: Command, shapes: dict[str, Schema], examples: Examples):
        assert command.rest is not None
        self._command = command
        self._rest = command.rest
        self._shape = command.request.__name__
        self._fields: dict[str, Schema] = shapes[self._shape].get("properties", {})
        self._required: list[str] = shapes[self._shape].get("required", [])
        self._whole = shapes[self._shape]
        self._example: dict[str, Any] = examples.of(self._shape)
        self._examples = examples
        self._in_path = _names(self._rest.path)
        self._shown_path = _names(_template(self._rest.path))
        self.path = PREFIX + _template(self._rest.path)
        self._others = [name for name in self._fields if name not in self._in_path]
        self._with_body = self._rest.method in ("POST", "PATCH") and bool(self._others)
        self.bodies: dict[str, Schema] = {}

    def described(self) -> Schema:
        described: Schema = {
            "operationId": self._command.name,
            "tags": [self._command.tag],
            "summary": self._command.summary,
            "description": self._words(),
        }
        if parameters := self._parameters():
            described["parameters"] = parameters
        if self._with_body:
            described["requestBody"] = self._body()
        described["responses"] = {str(self._rest.status): self._success()} | problems(
            over_http(self._command, with_body=self._with_body), self._examples
        )
        described["x-rate"] = rate(self._command.limit)
        if self._command.event is not None:
            described["x-event"] = self._command.event
        return described

    def _words(self) -> str:
        words = [self._whole.get("description", "") if self._shape != "Empty" else ""]
        if self._command.event is not None:
            words.append(f"The same as [`{self._command.event}`](/docs/events#{self._command.event}) over the socket.")
        words.append(f"Rate: {rate_words(self._command.limit)}.")
        return " ".join(word for word in words if word)

    def _parameters(self) -> list[Schema]:
        found = [
            {**self._parameter(name, "path"), "name": shown}
            for name, shown in zip(self._in_path, self._shown_path, strict=True)
        ]
        if not self._with_body:
            found += [self._parameter(name, "query") for name in self._others]
        if "tempId" in self._fields:
            found.append(
                {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "description": "Stands for `tempId` where the body has none: a repeat never sends twice.",
                    "schema": {"type": "string", "minLength": 1, "maxLength": 64},
                }
            )
        return found

    def _parameter(self, name: str, place: str) -> Schema:
        schema = _without_null(self._fields[name])
        described: Schema = {"name": name, "in": place, "required": place == "path" or name in self._required}
        if words := schema.pop("description", None):
            described["description"] = words
        described["schema"] = schema
        if name in self._example:
            described["example"] = self._example[name]
        return described

    def _body(self) -> Schema:
        if self._in_path:
            name = f"{self._shape}Body"
            self.bodies[name] = {
                **self._whole,
                "properties": {field: self._fields[field] for field in self._others},
                "required": [field for field in self._required if field not in self._in_path],
            }
            if not self.bodies[name]["required"]:
                del self.bodies[name]["required"]
        else:
            name = self._shape
        example = {field: value for field, value in self._example.items() if field in self._others}
        needed = any(field in self._others for field in self._required)
        return {"required": needed, "content": {"application/json": content(name, example)}}

    def _success(self) -> Schema:
        kinds = [reply.__name__ for reply in replies_of(self._command)]
        described: Schema = {
            "description": "Created" if self._rest.status == 201 else "Done" if kinds == ["Empty"] else "The answer"
        }
        if len(kinds) == 1:
            described["content"] = {"application/json": content(kinds[0], self._examples.of(kinds[0]))}
        else:
            described["content"] = {
                "application/json": {
                    "schema": {"anyOf": [{"$ref": COMPONENTS + kind} for kind in kinds]},
                    "examples": {kind: {"value": self._examples.of(kind)} for kind in kinds},
                }
            }
        return described


def _names(path: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(path) if name]


def _template(path: str) -> str:
    """OpenAPI knows `/x/{a}` and `/x/{b}` as one path, so fields of different names at one place are shown as `id`."""
    form = PARAMETER.sub("{}", path)
    paths = [command.rest.path for command in COMMANDS if command.rest is not None]
    same = [_names(other) for other in paths if PARAMETER.sub("{}", other) == form]
    shown = [names[0] if len(set(names)) == 1 else "id" for names in zip(*same, strict=True)]
    return form.format(*("{" + name + "}" for name in shown))


def _without_null(schema: Schema) -> Schema:
    """A query says nothing instead of null."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) == 1:
        return {**{key: value for key, value in schema.items() if key != "anyOf"}, **kinds[0]}
    return dict(schema)


def _local(shape: Schema) -> Schema:
    return {key: value for key, value in shape.items() if value != {}} | (
        {"properties": {}} if shape.get("properties") == {} else {}
    )
