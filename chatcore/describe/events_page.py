"""The page of socket events: plain HTML without scripts, so that the browser's own search finds everything."""

import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any, Final

from chatcore import __version__
from chatcore.describe.asyncapi import asyncapi
from chatcore.describe.responses import COMPONENTS
from chatcore.describe.shapes import Schema
from chatcore.describe.words import VOLATILE

GROUPS: Final = (
    ("Commands", "commands", "A client emits these, each with one object and a callback."),
    ("Pushes", "pushes", "The server emits these unasked."),
    ("Replies", "replies", "The server emits these to the caller, beside the acknowledgement."),
    ("Refusals", "refusals", "The server emits these to the caller, beside the acknowledgement. All carry a Failure."),
)
PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Socket events - chatcore</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/pages.css">
</head>
<body class="events">
<header class="bar">
<strong>chatcore</strong> <span class="version">{version}</span>
<nav aria-label="References">
<a href="/docs">HTTP API</a>
<a href="/docs/events" aria-current="page">Socket events</a>
<a href="/openapi.json">openapi.json</a>
<a href="/asyncapi.json">asyncapi.json</a>
<a href="/docs/schema.json">schema.json</a>
<a href="/docs/chatcore.d.ts">chatcore.d.ts</a>
</nav>
</header>
<div class="columns">
<nav class="contents" aria-label="Contents">
{contents}
</nav>
<main>
<h1>Socket events</h1>
{introduction}
{body}
</main>
</div>
</body>
</html>
"""


def events_page() -> str:
    page = _Page(asyncapi())
    return PAGE.format(
        version=escape(__version__),
        contents="\n".join(page.contents()),
        introduction="\n".join(page.introduction()),
        body="\n".join(page.body()),
    )


class _Page:
    def __init__(self, described: Schema):
        self._described = described
        self._schemas: dict[str, Schema] = described["components"]["schemas"]
        self._messages: dict[str, Schema] = described["components"]["messages"]
        self._codes: dict[str, Schema] = described["x-error-codes"]
        self._groups = _grouped(described)
        self._shapes = self._used_shapes()

    # --- parts of the page

    def contents(self) -> Iterator[str]:
        sections: list[tuple[str, str, Iterable[str]]] = [
            (title, place, self._groups[place]) for title, place, _ in GROUPS
        ]
        sections += [("Shapes", "shapes", self._shapes)]
        for title, place, names in sections:
            prefix = "shape-" if place == "shapes" else ""
            yield f'<h2><a href="#{place}">{title}</a></h2>\n<ul>'
            yield from (f'<li><a href="#{prefix}{name}">{name}</a></li>' for name in names)
            yield "</ul>"
        yield '<h2><a href="#codes">Error codes</a></h2>'

    def introduction(self) -> Iterator[str]:
        yield "<p>Every event of the connection, made from the server's own table of commands.</p>"
        for paragraph in self._described["info"]["description"].strip().split("\n\n"):
            yield f"<p>{marked(paragraph)}</p>"
        yield '<figure><figcaption>With <code>socket.io-client</code> and <a href="/docs/chatcore.d.ts">the types</a>'
        yield f"</figcaption><pre><code>{escape(SAMPLE)}</code></pre></figure>"

    def body(self) -> Iterator[str]:
        for title, place, words in GROUPS:
            yield f'<section id="{place}"><h2>{title}</h2><p>{marked(words)}</p>'
            for event in self._groups[place]:
                yield from self._command(event) if place == "commands" else self._push(event)
            yield "</section>"
        yield '<section id="shapes"><h2>Shapes</h2><p>What the events above are made of.</p>'
        for shape in self._shapes:
            yield f'<article id="shape-{shape}"><h3>{_anchor("shape-" + shape, shape)}</h3>'
            yield from self._shape(shape)
            yield "</article>"
        yield "</section>"
        yield from self._error_codes()

    # --- one event

    def _command(self, event: str) -> Iterator[str]:
        operation = self._described["operations"][event]
        message, ack = self._messages[event], self._messages[f"{event}.ack"]
        yield from self._heading(event, "client to server", message["summary"])
        yield from self._payload("Payload", message["payload"])
        answer = f"<code>data</code> is {self._kind(ack['payload']['properties']['data'])}"
        how = "at once; the answer follows as" if "x-slow" in operation else "also emitted as"
        reply = f", {how} {_link(operation['x-reply-event'])}" if "x-reply-event" in operation else ""
        refusal = f"A refusal is also emitted as {_link(operation['x-error-event'])}."
        yield f"<p><b>Acknowledgement:</b> {answer}{reply}. {refusal}</p>"
        codes = ", ".join(f'<a href="#code-{code}"><code>{code}</code></a>' for code in operation["x-error-codes"])
        yield f"<p><b>Refusals:</b> {codes}</p>"
        yield f"<p><b>Rate:</b> {_rate(operation['x-rate'])}</p>"
        shown, answered = message["examples"][0]["payload"], ack["examples"][0]["payload"]
        yield from self._examples(("Emit", shown), ("Acknowledgement", answered))
        yield "</article>"

    def _push(self, event: str) -> Iterator[str]:
        message = self._messages[event]
        volatile = " Never queued, and the first dropped for a slow reader." if event in VOLATILE else ""
        yield from self._heading(event, "server to client", message["summary"] + volatile)
        yield from self._payload("Data", message["payload"])
        yield from self._examples(("Example", message["examples"][0]["payload"]))
        yield "</article>"

    def _heading(self, event: str, direction: str, words: str) -> Iterator[str]:
        yield f'<article id="{event}"><h3>{_anchor(event, event)} <span class="direction">{direction}</span></h3>'
        yield f"<p>{marked(words)}</p>"

    def _payload(self, title: str, schema: Schema) -> Iterator[str]:
        name = _name(schema)
        yield f"<p><b>{title}:</b> {self._kind(schema)}</p>"
        if name != "Failure":
            yield from self._shape(name)

    def _examples(self, *named: tuple[str, Any]) -> Iterator[str]:
        yield f"<details><summary>{'Examples' if len(named) > 1 else 'Example'}</summary>"
        for title, value in named:
            text = json.dumps(value, indent=2, ensure_ascii=False)
            yield f"<figure><figcaption>{title}</figcaption><pre><code>{escape(text)}</code></pre></figure>"
        yield "</details>"

    # --- shapes

    def _used_shapes(self) -> list[str]:
        """Every shape that an event reaches, those of the events themselves included."""
        waiting = [reference for message in self._messages.values() for reference in _references(message["payload"])]
        found: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += _references(self._schemas[name])
        return sorted(found)

    def _shape(self, name: str) -> Iterator[str]:
        schema = self._schemas[name]
        if "description" in schema:
            yield f'<p class="about">{marked(schema["description"])}</p>'
        if "oneOf" in schema:
            yield "<ul>"
            for form in schema["oneOf"]:
                parts = form["properties"]
                yield f"<li>{self._kind(parts['event'])} with <code>data</code> {self._kind(parts['data'])}</li>"
            yield "</ul>"
        elif schema.get("properties"):
            yield '<div class="wide"><table><thead><tr><th>field</th><th>type</th><th>meaning</th></tr></thead><tbody>'
            for field, inner in schema["properties"].items():
                yield self._row(field, inner, required=field in schema.get("required", []))
            yield "</tbody></table></div>"

    def _row(self, field: str, schema: Schema, *, required: bool) -> str:
        optional = "" if required else '<span class="optional">optional</span>'
        words = [marked(schema.get("description", "")), *_bounds(schema)]
        told = " ".join(word for word in words if word)
        return f"<tr><td><code>{field}</code> {optional}</td><td>{self._kind(schema)}</td><td>{told}</td></tr>"

    def _kind(self, schema: Schema) -> str:  # noqa: PLR0911 - one return for each kind of schema
        if "$ref" in schema:
            name = _name(schema)
            return f'<a href="#shape-{name}"><code>{name}</code></a>'
        if "const" in schema:
            return f"<code>{escape(json.dumps(schema['const']))}</code>"
        if "enum" in schema:
            return " ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
        if "anyOf" in schema:
            return " or ".join(self._kind(choice) for choice in schema["anyOf"] if choice != {"type": "null"})
        if schema["type"] == "array":
            return f"list of {self._kind(schema['items'])}"
        if schema["type"] == "object" and isinstance(schema.get("additionalProperties"), dict):
            return f"object of {self._kind(schema['additionalProperties'])}"
        return "time" if schema.get("format") == "date-time" else str(schema["type"])

    def _error_codes(self) -> Iterator[str]:
        yield '<section id="codes"><h2>Error codes</h2><div class="wide"><table><thead><tr>'
        yield "<th>code</th><th>HTTP status</th><th>try again</th><th>meaning</th></tr></thead><tbody>"
        for code, about in self._codes.items():
            again = "yes" if about["retryable"] else "no"
            yield f'<tr id="code-{code}"><td><code>{code}</code></td><td>{about["status"]}</td><td>{again}</td>'
            yield f"<td>{marked(about['meaning'])}</td></tr>"
        yield "</tbody></table></div></section>"


SAMPLE: Final = """\
const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, { auth: { token } });
socket.on("new_message", (message) => show(message));

const answer = await socket.timeout(10_000).emitWithAck("send_message", {
  groupId, content: "Shall we meet at ten?", tempId: crypto.randomUUID(),
});
if (!answer.ok) console.warn(answer.error.code, answer.error.message);"""


def _grouped(described: Schema) -> dict[str, list[str]]:
    operations: dict[str, Schema] = described["operations"]
    commands = [name for name, operation in operations.items() if operation["action"] == "receive"]
    answered = {operation.get("x-reply-event") for operation in operations.values()}
    sent = [name for name, operation in operations.items() if operation["action"] == "send"]
    messages = described["components"]["messages"]
    refusals = [name for name in sent if _name(messages[name]["payload"]) == "Failure"]
    replies = [name for name in sent if name in answered and name != "authentication_success"]
    pushes = [name for name in sent if name not in refusals and name not in replies]
    return {"commands": commands, "pushes": pushes, "replies": replies, "refusals": refusals}


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield _name(schema)
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _bounds(schema: Schema) -> Iterator[str]:
    """Limits and default of one field in words; the pattern of ids is told by their description."""
    bounds = {**schema, **next((kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}), {})}
    least, most = bounds.get("minimum"), bounds.get("maximum")
    if least is not None and most is not None:
        yield f"{least} to {most}." if most < 2**53 - 1 else f"{least} or more."
    if "maxLength" in bounds and bounds["maxLength"] != bounds.get("minLength"):
        yield f"{bounds.get('minLength', 0)} to {bounds['maxLength']} characters."
    if "maxItems" in bounds:
        yield f"{bounds.get('minItems', 0)} to {bounds['maxItems']} entries."
    if schema.get("default") not in (None, ""):
        yield f"Default <code>{escape(json.dumps(schema['default']))}</code>."


def marked(text: str) -> str:
    """The little Markdown that our own texts use: code, bold, links."""
    text = escape(text, quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)
    return re.sub(r"\[([^\]]+)\]\(([^)]+)\)", r'<a href="\2">\1</a>', text)


def _rate(told: Schema) -> str:
    per_second = told["perSecond"]
    many = f"{per_second:g} a second" if per_second >= 1 else f"{per_second * 60:.3g} a minute"
    return f"{many}, {told['burst']} at once"


def _name(schema: Schema) -> str:
    return str(schema["$ref"]).removeprefix(COMPONENTS)


def _anchor(place: str, text: str) -> str:
    return f'<a href="#{place}"><code>{text}</code></a>'


def _link(event: str) -> str:
    return f'<a href="#{event}"><code>{event}</code></a>'
