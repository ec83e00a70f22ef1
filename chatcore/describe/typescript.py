"""TypeScript types for the generics of `socket.io-client`: `Socket<ServerToClientEvents, ClientToServerEvents>`."""

import json
from collections.abc import Iterator
from typing import Final

from chatcore import __version__
from chatcore.api import BY_EVENT, EVENTS
from chatcore.contract.failures import Failure
from chatcore.contract.people import Authenticate, AuthenticationSuccess
from chatcore.describe.asyncapi import ERROR_EVENTS
from chatcore.describe.shapes import REF, Schema, acks_of, definitions, replies_of
from chatcore.describe.words import EVENT_WORDS
from chatcore.errors import catalogue

HEAD: Final = """\
// Types of the chatcore wire contract, version {version}. Made by `python -m chatcore describe`; do not edit.
//
//   import {{ io, type Socket }} from "socket.io-client";
//   import type {{ ClientToServerEvents, HandshakeAuth, ServerToClientEvents }} from "./chatcore";
//
//   const auth: HandshakeAuth = {{ token }};
//   const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, {{ auth }});
//   const answer = await socket.timeout(10_000).emitWithAck("send_message", {{ groupId, content: "Hello" }});
//   if (answer.ok) console.log(answer.data.seq);
//   else console.warn(answer.error.code);

/** Stable codes of refusals; a later version may have more. */
export type ErrorCode =
{codes}
  | (string & {{}});

/** The handshake's `auth`; without a token, emit `authenticate` within 10 s. */
export interface HandshakeAuth {{
  token?: string;
  deviceType?: "mobile" | "web" | "desktop";
}}

export interface AckOk<Data> {{
  ok: true;
  data: Data;
}}

/** What the callback of an emit gets. */
export type Ack<Data> = AckOk<Data> | AckFailed;
"""


def typescript() -> str:
    codes = "\n".join(f'  | "{code}"' for code in catalogue())
    shapes = definitions()
    parts = [HEAD.format(version=__version__, codes=codes)]
    parts += [_shape(name, schema) for name, schema in shapes.items()]
    parts += ["".join(_commands()), "".join(_pushes())]
    return "\n".join(parts)


def _shape(name: str, schema: Schema) -> str:
    if "oneOf" in schema:
        forms = "\n".join(f"  | {_inline(form)}" for form in schema["oneOf"])
        return f"{_comment(schema)}export type {name} =\n{forms};\n"
    if not schema.get("properties"):
        return f"{_comment(schema)}export type {name} = Record<string, never>;\n"
    fields = "".join(_field(name, field, inner, schema) for field, inner in schema["properties"].items())
    return f"{_comment(schema)}export interface {name} {{\n{fields}}}\n"


def _field(shape: str, field: str, schema: Schema, whole: Schema) -> str:
    optional = "" if field in whole.get("required", []) else "?"
    kind = "ErrorCode" if (shape, field) in {("Failure", "code"), ("Problem", "code")} else _type(schema)
    return f"{_comment(schema, '  ')}  {field}{optional}: {kind};\n"


def _inline(schema: Schema) -> str:
    fields = (f"{field}: {_type(inner)}" for field, inner in schema["properties"].items())
    return "{ " + "; ".join(fields) + " }"


def _type(schema: Schema) -> str:  # noqa: PLR0911 - one return for each kind of schema
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(REF)
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_type(choice) for choice in schema["anyOf"])
    match schema["type"]:
        case "array":
            inner = _type(schema["items"])
            return f"({inner})[]" if " " in inner else f"{inner}[]"
        case "object":
            values = schema.get("additionalProperties", True)
            return f"Record<string, {_type(values) if isinstance(values, dict) else 'unknown'}>"
        case "integer" | "number":
            return "number"
        case kind:
            return str(kind)


def _comment(schema: Schema, indent: str = "") -> str:
    return f"{indent}/** {schema['description']} */\n" if "description" in schema else ""


def _commands() -> Iterator[str]:
    yield "/** What a client may emit. Every command answers through its callback; `emitWithAck` waits for it. */\n"
    yield "export interface ClientToServerEvents {\n"
    yield _command("authenticate", "Show a token, or a new one.", Authenticate.__name__, AuthenticationSuccess.__name__)
    for event, command in BY_EVENT.items():
        reply = " | ".join(shape.__name__ for shape in acks_of(command))
        yield _command(event, command.summary, command.request.__name__, reply)
    yield "}\n"


def _command(event: str, words: str, request: str, reply: str) -> str:
    return f"  /** {words} */\n  {event}: (payload: {request}, ack: (answer: Ack<{reply}>) => void) => void;\n"


def _pushes() -> Iterator[str]:
    yield "/** What the server emits: pushes, replies to the caller, refusals. */\n"
    yield "export interface ServerToClientEvents {\n"
    for event, shape in EVENTS.items():
        yield _push(event, EVENT_WORDS[event], shape.__name__)
    for event, command in BY_EVENT.items():
        if command.reply_event is not None:
            (reply,) = replies_of(command)
            yield _push(command.reply_event, f"The reply to `{event}`.", reply.__name__)
    for event, words in ERROR_EVENTS.items():
        yield _push(event, words, Failure.__name__)
    yield "}\n"


def _push(event: str, words: str, shape: str) -> str:
    return f"  /** {words} */\n  {event}: (data: {shape}) => void;\n"
