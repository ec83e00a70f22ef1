"""Routes that are no command: health, information, metrics, reference documents, sign-in, webhooks."""

import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from chatcore import __version__
from chatcore.contract.base import iso_milliseconds
from chatcore.contract.people import DevTokenRequest, Login, TokenIssued
from chatcore.errors import CapabilityUnavailable, Forbidden, NotFound
from chatcore.identity.accounts import LocalAccounts
from chatcore.identity.webhooks import ClerkWebhooks
from chatcore.metrics import Metrics

SERVICE = "chatcore"
Check = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Document:
    """A file, read when somebody asks for it. `headers` may widen the strict content-security policy for a page."""

    path: Path
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Ops:
    """What operators and probes ask for. Liveness says that the loop runs, readiness that requests can be served."""

    socket_path = "/socket.io/"

    def __init__(
        self,
        *,
        metrics: Metrics,
        accounts: LocalAccounts | None,
        dev_tokens: bool,
        webhooks: ClerkWebhooks | None,
        ready_checks: Mapping[str, Check],
        metrics_token: str = "",
        documents: Mapping[str, Document] | None = None,
        models: Callable[[], Mapping[str, str]] = dict,
    ):
        self._metrics = metrics
        self._accounts = accounts
        self.dev_tokens = dev_tokens and accounts is not None
        self._webhooks = webhooks
        self._ready_checks = ready_checks
        self._metrics_token = metrics_token
        self._documents = documents or {}
        self._models = models
        self._started = time.monotonic()
        self.draining = False

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/health", self._health)
        app.router.add_get("/health/live", self._health)
        app.router.add_get("/health/ready", self._ready)
        app.router.add_get("/info", self._info)
        app.router.add_get("/metrics", self._scrape)
        for path in self._documents:
            app.router.add_get(path, self._document)

    async def login(self, login: Login, address: str) -> TokenIssued:
        if self._accounts is None:
            raise CapabilityUnavailable("This server keeps no passwords; sign in with its identity provider")
        return await self._accounts.login(login, address)

    async def dev_token(self, request: DevTokenRequest) -> TokenIssued:
        if self._accounts is None:
            raise NotFound
        return self._accounts.dev_token(request)

    async def webhook(self, headers: Mapping[str, str], body: bytes) -> None:
        if self._webhooks is None:
            raise NotFound("This server takes no webhooks: CLERK_WEBHOOK_SECRET is not set")
        await self._webhooks.receive(headers, body)

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "timestamp": iso_milliseconds(datetime.now(UTC))})

    async def _ready(self, request: web.Request) -> web.Response:
        """200 or 503, with the state of each part and no detail that helps an attacker."""
        states = {name: await _state(check) for name, check in self._ready_checks.items()}
        good = all(state == "ok" for state in states.values()) and not self.draining
        status = "ok" if good else "draining" if self.draining else "unavailable"
        return web.json_response({"status": status, "checks": states}, status=200 if good else 503)

    async def _info(self, request: web.Request) -> web.Response:
        uptime = int(time.monotonic() - self._started)
        info = {"service": SERVICE, "version": __version__, "uptime": uptime, "models": dict(self._models())}
        return web.json_response(info)

    async def _scrape(self, request: web.Request) -> web.Response:
        """On the main port only to the bearer of METRICS_TOKEN; METRICS_PORT serves it on loopback without one."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not self._metrics_token:
            raise NotFound("Set METRICS_PORT or METRICS_TOKEN to have metrics")
        if not hmac.compare_digest(given.encode(), self._metrics_token.encode()):
            raise Forbidden("The metrics token is wrong")
        return await self.scrape_here(request)

    async def scrape_here(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": self._metrics.content_type})

    async def _document(self, request: web.Request) -> web.FileResponse:
        """With ETag and ranges; a browser that has it already gets 304."""
        document = self._documents[request.path]
        headers = {"Content-Type": f"{document.content_type}; charset=utf-8", **document.headers}
        return web.FileResponse(document.path, headers=headers)


async def _state(check: Check) -> str:
    try:
        await check()
    except Exception:  # noqa: BLE001 - whatever is wrong, the part is not ready
        return "failed"
    return "ok"
