"""REST from the same table of commands, and the few routes that are no command: health, sign-in, metrics, documents."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from chatcore.api import COMMANDS, Command, Services
from chatcore.contract.base import Shape
from chatcore.contract.people import DevTokenRequest, Login
from chatcore.errors import (
    ChatError,
    Conflict,
    HeadersTooLarge,
    Invalid,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    TokenMissing,
    UnsupportedMedia,
)
from chatcore.identity.sessions import Connection as Sign
from chatcore.limits import Bucket, RateLimits, address_key
from chatcore.logs import bind_correlation, caller_hash, get_logger
from chatcore.metrics import Metrics
from chatcore.ports import Caller
from chatcore.transport.addresses import PeerAddresses, asked_on_this_machine
from chatcore.transport.failures import as_refusal, new_correlation_id, parse, problem
from chatcore.transport.media import MediaRoutes
from chatcore.transport.operations import OperationsRoute
from chatcore.transport.ops import Ops

log = get_logger("http")
CORRELATION: Final = web.RequestKey("correlation", str)
CALLER: Final = web.RequestKey("caller", Caller)
MAX_BODY_BYTES = 65_536
PREFIXES = ("/api", "/api/v1")
FRAMEWORK_REFUSALS: dict[int, type[ChatError]] = {
    404: NotFound,
    405: MethodNotAllowed,
    413: PayloadTooLarge,
    415: UnsupportedMedia,
    431: HeadersTooLarge,
}
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Server": "chatcore",
}
ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-None-Match, If-Range, Range"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpApi:
    """aiohttp routes made from COMMANDS. Refusals are `application/problem+json` (RFC 9457), whoever made them."""

    def __init__(
        self,
        services: Services,
        limits: RateLimits,
        metrics: Metrics,
        ops: Ops,
        *,
        addresses: PeerAddresses,
        origins: tuple[str, ...],
        production: bool,
    ):
        self._services = services
        self._limits = limits
        self._metrics = metrics
        self._ops = ops
        self._addresses = addresses
        self._origins = origins
        self._production = production
        self._media = MediaRoutes(services, admit=self._admit, add_headers=self._add_headers)

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._funnel], client_max_size=MAX_BODY_BYTES)
        for prefix in PREFIXES:
            for command in COMMANDS:
                if command.rest is not None:
                    app.router.add_route(command.rest.method, prefix + command.rest.path, self._answering(command))
            app.router.add_post(f"{prefix}/auth/login", self._login)
            app.router.add_post(f"{prefix}/auth/dev-token", self._dev_token)
            app.router.add_post(f"{prefix}/webhooks/clerk", self._clerk)
            self._media.add_routes(app, prefix)
            OperationsRoute(self._metrics, admit=self._admit).add_routes(app, prefix)
        self._ops.add_routes(app)
        return app

    # --- one command

    def _answering(self, command: Command) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            return await self._answer(command, request)

        return answer

    async def _answer(self, command: Command, request: web.Request) -> web.StreamResponse:
        assert command.rest is not None
        caller = await self._admit(request, command.limit)
        shape = parse(command.request, await _payload(request, command))
        reply = await command.answer(self._services, caller, shape)
        return _json(reply, command.rest.status)

    async def _admit(self, request: web.Request, bucket: Bucket) -> Caller:
        """Who asks, where the token is good and the rate allows it."""
        signed = await self._services.identity.authenticate(_bearer(request), self._sign(request))
        caller = signed.caller(address=self._addresses.of(request), correlation_id=request[CORRELATION])
        request[CALLER] = caller
        self._limits.require("rest", caller.user_id)
        self._limits.require(bucket, caller.user_id)
        return caller

    def _sign(self, request: web.Request) -> Sign:
        return Sign(address=self._addresses.of(request), user_agent=request.headers.get("User-Agent", "")[:256])

    # --- signing in

    async def _login(self, request: web.Request) -> web.StreamResponse:
        login = parse(Login, await _body(request))
        address = self._addresses.of(request)
        self._limits.require("login", f"{address_key(address)}|{login.name.casefold()}")
        return _json(await self._ops.login(login, address))

    async def _dev_token(self, request: web.Request) -> web.StreamResponse:
        """Only in development, to whoever asks on this machine; elsewhere the route does not exist."""
        if not (self._ops.dev_tokens and asked_on_this_machine(request)):
            raise NotFound("This server gives tokens to signed-in people only")
        self._limits.require("dev_token", address_key(self._addresses.of(request)))
        return _json(await self._ops.dev_token(parse(DevTokenRequest, await _body(request))))

    async def _clerk(self, request: web.Request) -> web.StreamResponse:
        self._limits.require("webhook", address_key(self._addresses.of(request)))
        await self._ops.webhook(request.headers, await request.read())
        return web.Response(status=204)

    # --- every request

    @web.middleware
    async def _funnel(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Correlation id, refusals as problems, security headers and CORS, one log line."""
        correlation_id = request[CORRELATION] = new_correlation_id()
        if request.path.startswith(self._ops.socket_path):
            return await handler(request)
        started, code = time.monotonic(), "ok"
        with bind_correlation(correlation_id):
            try:
                _require_plain(request)
                response = self._preflight(request) or await handler(request)
            except Exception as error:  # noqa: BLE001 - the one funnel of this transport
                refusal = _refusal(error)
                code, response = refusal.code, _problem(refusal, correlation_id, error)
                self._count(request, refusal)
            self._finish(request, response, code, time.monotonic() - started)
        return response

    def _preflight(self, request: web.Request) -> web.StreamResponse | None:
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return None
        return web.Response(
            status=204,
            headers={
                "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE",
                "Access-Control-Allow-Headers": ALLOWED_HEADERS,
                "Access-Control-Max-Age": "600",
            },
        )

    def _finish(self, request: web.Request, response: web.StreamResponse, code: str, seconds: float) -> None:
        route = request.match_info.route.resource
        name = route.canonical if route is not None else "other"
        if not response.prepared:
            self._add_headers(request, response)
        self._metrics.command_done(f"{request.method} {name}", code, seconds)
        caller = request.get(CALLER)
        log.info(
            "request",
            code=code,
            status=response.status,
            caller=caller_hash(caller.user_id) if caller else None,
            milliseconds=round(seconds * 1000, 2),
        )

    def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers["X-Correlation-Id"] = request[CORRELATION]
        if self._production:
            response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
        origin = request.headers.get("Origin")
        if origin and ("*" in self._origins or origin in self._origins):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = (
                "Content-Disposition, Content-Range, ETag, Retry-After, X-Correlation-Id"
            )
        response.headers.add("Vary", "Origin")

    def _count(self, request: web.Request, refusal: ChatError) -> None:
        if isinstance(refusal, RateLimited):
            self._metrics.rate_limits.labels("rest").inc()
        elif refusal.status in (401, 403, 404):
            self._metrics.denials.labels(refusal.code).inc()


def _require_plain(request: web.Request) -> None:
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise UnsupportedMedia("Send the body as it is, without an encoding")


def _refusal(error: Exception) -> ChatError:
    if isinstance(error, web.HTTPException):
        kind = FRAMEWORK_REFUSALS.get(error.status)
        return kind() if kind else Invalid(f"The request was refused: {error.reason}")
    if isinstance(error, LineTooLong):
        return HeadersTooLarge()
    return as_refusal(error)


def _problem(refusal: ChatError, correlation_id: str, error: Exception) -> web.Response:
    headers = {}
    if refusal.retry_after_ms is not None:
        headers["Retry-After"] = str(max(1, -(-refusal.retry_after_ms // 1000)))
    if isinstance(error, web.HTTPMethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.allowed_methods))
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.Response(
        body=problem(refusal, correlation_id).wire_json(),
        status=refusal.status,
        headers=headers,
        content_type="application/problem+json",
    )


def _json(reply: Shape, status: int = 200) -> web.Response:
    return web.Response(body=reply.wire_json(), status=status, content_type="application/json")


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenMissing("Send the token as `Authorization: Bearer ...`")
    return token.strip()


async def _payload(request: web.Request, command: Command) -> dict[str, Any]:
    """Path, query and body as one object; a field said twice with different values is refused."""
    fields: dict[str, Any] = {}
    for source in (dict(request.match_info), _query(request), await _body(request) if request.can_read_body else {}):
        for name, value in source.items():
            if name in fields and fields[name] != value:
                raise Conflict(f"{name} is given twice with different values", field=name)
            fields[name] = value
    key = request.headers.get("Idempotency-Key")
    if key and "tempId" not in fields and "temp_id" in command.request.model_fields:
        fields["tempId"] = key
    return fields


def _query(request: web.Request) -> dict[str, Any]:
    if len(set(request.query)) != len(request.query):
        raise Invalid("A query parameter is given more than once")
    return dict(request.query)


async def _body(request: web.Request) -> dict[str, Any]:
    raw = await request.read()
    if not raw:
        return {}
    if request.content_type != "application/json":
        raise UnsupportedMedia("Send JSON with Content-Type: application/json")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise Invalid("The body is not valid JSON") from None
    if not isinstance(body, dict):
        raise Invalid("The body must be one JSON object")
    return body
