"""AsyncAPI 3.0: every socket event, seen from the server: it receives commands and sends acks, replies and pushes."""

from typing import Any, Final

from chatcore import __version__
from chatcore.api import COMMANDS, EVENTS, Command
from chatcore.contract.failures import Failure
from chatcore.contract.people import Authenticate, AuthenticationSuccess
from chatcore.describe.examples import Examples
from chatcore.describe.refusals import SIGN_IN, Refusal, ordered, over_socket
from chatcore.describe.responses import COMPONENTS, error_codes, rate
from chatcore.describe.shapes import Schema, acks_of, definitions, replies_of
from chatcore.describe.words import EVENT_WORDS, VOLATILE
from chatcore.limits import Bucket

SOCKET: Final = "#/channels/socket"
ACKS: Final = "#/channels/acks"
ERROR_EVENTS: Final = {
    "authentication_error": "`authenticate` was refused, or no token came within 10 s; then the connection is closed.",
    "message_error": "A command on messages or receipts was refused.",
    "group_error": "A command on groups or membership was refused.",
    "ai_error": "A request to the AI features was refused or failed.",
    "error": "Any other command was refused.",
}
DESCRIPTION: Final = """\
Socket.IO (protocol 5, Engine.IO 4), namespace `/`, path `/socket.io/`, transports websocket and polling.

**Connecting.** Put the token into the handshake's `auth.token`, or connect without one and send `authenticate`
within 10 s. After it come `authentication_success` and `user_groups`, and the connection is in the rooms of all its
groups. A refused handshake is a `connect_error` whose `data` is a `Failure`. Send `authenticate` again before the
token expires to stay.

**Commands** carry one JSON object and answer through Socket.IO's acknowledgement: `{ok: true, data}` or `{ok:
false, error}`. Many also emit a named reply to the caller with the same data; a refusal also emits an error event
with the same `error`.

**Delivery.** What was acked is stored. Log events carry `seq`, which is 1, 2, 3, ... in each group: apply `seq ==
last + 1`, ask `sync` where one is missing, drop what is past. A repeat with the same `tempId` never sends twice.

**Unknown fields** in a command are refused. Pushes and replies may gain fields in later versions: ignore those you
do not know.
"""


def asyncapi() -> Schema:
    shapes = definitions(COMPONENTS)
    socket = _Socket(Examples(definitions()))
    socket.add_everything()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "chatcore socket events",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "here": {
                "host": "127.0.0.1:3001",
                "pathname": "/socket.io/",
                "protocol": "socketio",
                "protocolVersion": "5",
                "description": "A server with default settings.",
                "security": [{"$ref": "#/components/securitySchemes/token"}],
            }
        },
        "channels": {
            "socket": {
                "address": "/",
                "title": "The namespace /",
                "description": "All events of one connection.",
                "messages": {name: _ref("messages", name) for name in socket.events},
            },
            "acks": {
                "address": None,
                "title": "Acknowledgements",
                "description": "The answer to one command, given to the callback of its emit.",
                "messages": {name: _ref("messages", name) for name in socket.acks},
            },
        },
        "operations": socket.operations,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "In the handshake as `auth.token` or in `authenticate`; never in a query string.",
                }
            },
            "schemas": shapes,
            "messages": socket.events | socket.acks,
        },
        "x-error-codes": error_codes(),
    }


class _Socket:
    """Collects messages and operations; `events` go over the namespace, `acks` answer commands."""

    def __init__(self, examples: Examples):
        self._examples = examples
        self.events: dict[str, Schema] = {}
        self.acks: dict[str, Schema] = {}
        self.operations: dict[str, Schema] = {}

    def add_everything(self) -> None:
        self.acks["refused"] = self._message("refused", "AckFailed", "A refusal.")
        self._add_command(
            "authenticate",
            "Show a token: within 10 s after connecting without one, and again before it expires.",
            Authenticate.__name__,
            AuthenticationSuccess.__name__,
            bucket="authenticate",
            refusals=ordered(SIGN_IN),
            reply_event="authentication_success",
            error_event="authentication_error",
        )
        for command in COMMANDS:
            if command.event is not None:
                self._add(command, command.event)
        for event, shape in EVENTS.items():
            self._push(event, shape.__name__, EVENT_WORDS[event])
        for event, words in ERROR_EVENTS.items():
            self._push(event, Failure.__name__, words)

    def _add(self, command: Command, event: str) -> None:
        (reply,), (ack,) = replies_of(command), acks_of(command)
        self._add_command(
            event,
            command.summary,
            command.request.__name__,
            ack.__name__,
            bucket=command.limit,
            refusals=over_socket(command),
            reply_event=command.reply_event,
            error_event=command.error_event,
        )
        if command.slow:
            self.operations[event]["x-slow"] = True
        if command.reply_event is not None:
            self._push(command.reply_event, reply.__name__, f"The reply to `{event}`, to the caller alone.")

    def _add_command(
        self,
        event: str,
        words: str,
        request: str,
        reply: str,
        *,
        bucket: Bucket,
        refusals: list[Refusal],
        reply_event: str | None,
        error_event: str,
    ) -> None:
        self.events[event] = self._message(event, request, words)
        ack = f"{event}.ack"
        self.acks[ack] = self._ack(ack, event, reply)
        operation: Schema = {
            "action": "receive",
            "channel": {"$ref": SOCKET},
            "summary": words,
            "messages": [{"$ref": f"{SOCKET}/messages/{event}"}],
            "reply": {
                "channel": {"$ref": ACKS},
                "messages": [{"$ref": f"{ACKS}/messages/{name}"} for name in (ack, "refused")],
            },
            "x-rate": rate(bucket),
            "x-error-event": error_event,
            "x-error-codes": [refusal.code for refusal in refusals],
        }
        if reply_event is not None:
            operation["x-reply-event"] = reply_event
        self.operations[event] = operation

    def _push(self, event: str, shape: str, words: str) -> None:
        self.events[event] = self._message(event, shape, words)
        self.operations[event] = {
            "action": "send",
            "channel": {"$ref": SOCKET},
            "summary": words,
            "messages": [{"$ref": f"{SOCKET}/messages/{event}"}],
        }
        if event in VOLATILE:
            self.operations[event]["x-volatile"] = True

    def _message(self, event: str, shape: str, words: str) -> Schema:
        return {
            "name": event,
            "summary": words,
            "payload": {"$ref": COMPONENTS + shape},
            "examples": [{"payload": self._examples.of(shape)}],
        }

    def _ack(self, name: str, event: str, reply: str) -> Schema:
        example: dict[str, Any] = {"ok": True, "data": self._examples.of(reply)}
        return {
            "name": name,
            "summary": f"`{event}` was done.",
            "payload": {
                "type": "object",
                "properties": {"ok": {"const": True, "type": "boolean"}, "data": {"$ref": COMPONENTS + reply}},
                "required": ["ok", "data"],
            },
            "examples": [{"payload": example}],
        }


def _ref(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}
