"""The routes that are no command: probes, numbers, sign-in, webhooks and the references themselves."""

from collections.abc import Iterator
from typing import Final

from chatcore import __version__
from chatcore.describe.examples import Examples
from chatcore.describe.media import media_routes
from chatcore.describe.refusals import SHARED, SIGN_IN, WITH_BODY, Refusal, ordered
from chatcore.describe.responses import content, problems, rate, rate_words
from chatcore.describe.shapes import Schema
from chatcore.describe.words import MOMENT
from chatcore.errors import (
    BadCredentials,
    CapabilityUnavailable,
    Forbidden,
    Internal,
    Invalid,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from chatcore.limits import Bucket

Route = tuple[str, str, Schema]
_ASKING: tuple[Refusal, ...] = (*SHARED, *WITH_BODY)
_TEXT: Final = {"type": "string"}
_STATES: Final = {"type": "string", "enum": ["ok", "failed"]}
# A Clerk event as Svix signs it; the server reads users and sessions from it and passes the rest over.
_CLERK_EVENT: Final = {
    "type": "object",
    "properties": {"type": {"type": "string"}, "data": {"type": "object"}},
    "required": ["type", "data"],
}


def plain_routes(examples: Examples) -> Iterator[Route]:
    yield from _operation(examples)
    yield from _sign_in(examples)
    yield from media_routes(examples)
    yield "/api/admin/metrics", "get", _numbers(examples)
    yield "/api/webhooks/clerk", "post", _webhook(examples)
    for path, name, media, words in _REFERENCES:
        yield path, "get", _open(name, words, {"200": _answer(media, _TEXT if "html" in media else {"type": "object"})})


_REFERENCES = (
    ("/openapi.json", "openapi", "application/json", "This reference."),
    ("/asyncapi.json", "asyncapi", "application/json", "The reference of the socket events (AsyncAPI 3.0)."),
    ("/docs", "docs", "text/html", "This reference as a page."),
    ("/docs/events", "docs_events", "text/html", "The socket events as a page."),
)


def _operation(examples: Examples) -> Iterator[Route]:
    health = _object(status={"const": "ok", "type": "string"}, timestamp={"type": "string", "format": "date-time"})
    alive = {"200": _answer("application/json", health, {"status": "ok", "timestamp": MOMENT})}
    yield "/health", "get", _open("health", "The server runs.", alive)
    yield "/health/live", "get", _open("health_live", "Liveness: the server runs.", alive)
    yield "/health/ready", "get", _ready()
    uptime = {"type": "integer", "description": "Seconds."}
    state = {"type": "string", "enum": ["ready", "loading", "resting"]}
    models = {"type": "object", "additionalProperties": state, "description": "Whom AI features ask, best first."}
    info = _object(service=_TEXT, version=_TEXT, uptime=uptime, models=models)
    example = {"service": "chatcore", "version": __version__, "uptime": 86_400, "models": {"embedded": "ready"}}
    says = "Name, version, uptime, and the state of the models."
    yield "/info", "get", _open("info", says, {"200": _answer("application/json", info, example)})
    yield "/metrics", "get", _metrics(examples)


def _ready() -> Schema:
    state = {"type": "string", "enum": ["ok", "draining", "unavailable"]}
    schema = _object(status=state, checks={"type": "object", "additionalProperties": _STATES})
    answers = {
        "200": _answer("application/json", schema, {"status": "ok", "checks": {"database": "ok"}}),
        "503": _answer("application/json", schema, {"status": "unavailable", "checks": {"database": "failed"}}),
    }
    answers["503"]["description"] = "A part fails, or the server is about to stop"
    return _open("health_ready", "Readiness: requests can be served.", answers)


def _metrics(examples: Examples) -> Schema:
    refused: list[Refusal] = [Forbidden, NotFound, Internal]
    described = _open(
        "metrics",
        "Numbers for Prometheus; only where `METRICS_TOKEN` is set.",
        {"200": _answer("text/plain", _TEXT, "chatcore_sessions 3.0\n")} | problems(ordered(refused), examples),
    )
    return {**described, "security": [{"metricsToken": []}]}


def _numbers(examples: Examples) -> Schema:
    sample = _object(labels={"type": "object", "additionalProperties": _TEXT}, value={"type": "number"})
    series = {"type": "object", "additionalProperties": {"type": "array", "items": sample}}
    moment = {"type": "string", "format": "date-time"}
    schema = _object(at=moment, version=_TEXT, process={"type": "integer"}, series=series)
    example = {
        "at": MOMENT,
        "version": __version__,
        "process": 4711,
        "series": {"sessions": [{"labels": {}, "value": 3}]},
    }
    answers = {"200": _answer("application/json", schema, example)}
    words = "The numbers of `/metrics` as JSON. For the roles operator and analyst."
    described = _open(
        "operations_metrics", words, answers | problems(ordered([*SIGN_IN, Forbidden]), examples), tag="admin"
    )
    del described["security"]
    return {**described, "description": f"Rate: {rate_words('read')}.", "x-rate": rate("read")}


def _sign_in(examples: Examples) -> Iterator[Route]:
    login: list[Refusal] = [*_ASKING, BadCredentials, CapabilityUnavailable]
    words = "Sign in with name and password, where this server keeps accounts itself."
    yield "/api/auth/login", "post", _token("login", words, "Login", login, examples)
    dev: list[Refusal] = [*_ASKING, NotFound]
    words = "A token for the asking: in development on loopback only; elsewhere this route does not exist."
    yield "/api/auth/dev-token", "post", _token("dev_token", words, "DevTokenRequest", dev, examples)


def _token(name: str, words: str, shape: str, refused: list[Refusal], examples: Examples) -> Schema:
    answers = {"200": {"description": "The token", "content": _json("TokenIssued", examples)}}
    bucket: Bucket = "login" if name == "login" else "dev_token"
    described = _open(name, words, answers | problems(ordered(refused), examples), tag="sign-in")
    described["description"] = f"Rate: {rate_words(bucket)}, for each address."
    described["requestBody"] = {"required": True, "content": _json(shape, examples)}
    return {**described, "x-rate": rate(bucket)}


def _webhook(examples: Examples) -> Schema:
    refused: list[Refusal] = [Invalid, Unauthenticated, NotFound, RateLimited, Internal, Unavailable]
    described = _open(
        "clerk_webhook",
        "Events of Clerk about users and sessions; only where `CLERK_WEBHOOK_SECRET` is set.",
        {"204": {"description": "Applied, or of no concern here"}} | problems(ordered(refused), examples),
    )
    described["description"] = "Signed by Svix: the signature covers id, time stamp and body, and is 5 minutes good."
    described["parameters"] = [
        {"name": name, "in": "header", "required": True, "schema": _TEXT, "description": words}
        for name, words in (
            ("svix-id", "The event's id; a repeat is applied once."),
            ("svix-timestamp", "Seconds since 1970."),
            ("svix-signature", "`v1,` and the HMAC-SHA256 in base64; several are separated by spaces."),
        )
    ]
    event = {"type": "user.updated", "data": {"id": "user_ada", "first_name": "Ada"}}
    described["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": _CLERK_EVENT, "example": event}},
    }
    return {**described, "x-rate": rate("webhook")}


def _open(name: str, words: str, answers: Schema, *, tag: str = "operation") -> Schema:
    """A route that takes no bearer token."""
    return {"operationId": name, "tags": [tag], "summary": words, "security": [], "responses": answers}


def _answer(media: str, schema: Schema, example: object = None) -> Schema:
    described: Schema = {"schema": schema}
    if example is not None:
        described["example"] = example
    return {"description": "The answer", "content": {media: described}}


def _json(shape: str, examples: Examples) -> Schema:
    return {"application/json": content(shape, examples.of(shape))}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}
