"""A listening server: transports on a core, drained at the end."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from pydantic import SecretStr

from chatcore import logs
from chatcore.app.core import COMMIT_DEADLINE_SECONDS, Core
from chatcore.app.opening import open_core
from chatcore.app.page import pages
from chatcore.describe.documents import documents
from chatcore.identity.service import Identity
from chatcore.identity.webhooks import ClerkWebhooks
from chatcore.limits import RateLimits
from chatcore.settings import Settings
from chatcore.transport.addresses import PeerAddresses
from chatcore.transport.fanout import SocketFanout
from chatcore.transport.http import HttpApi
from chatcore.transport.listener import Listener
from chatcore.transport.ops import Ops
from chatcore.transport.options import SocketOptions
from chatcore.transport.server import SocketServer, tune_garbage_collector
from chatcore.transport.socket import SocketHandlers

DRAIN_NOTICE_MS = 1_000
MAX_HEADER_BYTES = 16_384
THREADS_GIVE_WAY_SECONDS = 0.0005
"""How long a thread that computes may keep the loop waiting for the interpreter. With Python's own 5 ms, a loop beside
one busy thread was late by 16 ms at the 99th percentile, with this by 1.5."""


@dataclass(frozen=True)
class Worker:
    """What one of several server processes on a port gets of their supervisor. `database_uri` is empty where
    MONGODB_URI says it; it holds a password. The supervisor runs the embedded models for all of them."""

    database_uri: str = ""


@dataclass
class Chat:
    """A server that listens."""

    core: Core
    sockets: SocketServer
    ops: Ops
    url: str
    metrics_url: str = ""

    async def drain(self) -> None:
        """Readiness red, no new connections, clients told, commits finished, connections closed."""
        self.ops.draining = True
        await self.sockets.drain(retry_after_ms=DRAIN_NOTICE_MS)
        async with asyncio.timeout(COMMIT_DEADLINE_SECONDS):
            await self.core.writer.idle()
        await self.sockets.close()


@asynccontextmanager
async def open_chat(settings: Settings, worker: Worker | None = None) -> AsyncIterator[Chat]:
    """A listening server; `port=0` takes a free one, told by `Chat.url`. Drained at the end."""
    database_uri = worker.database_uri if worker is not None else ""
    logs.set_up(settings.log_level, as_json={"json": True, "console": False}.get(settings.log_format))
    fanout = SocketFanout()
    async with (
        open_core(settings, fanout, database_uri=database_uri, shared_models=worker is not None) as core,
        AsyncExitStack() as stack,
    ):
        limits = RateLimits(enabled=settings.rate_limits)
        handlers = SocketHandlers(core.services, fanout, limits, core.metrics)
        fanout.server = SocketServer(_socket_options(settings), handlers, core.metrics)
        ops = Ops(
            metrics=core.metrics,
            accounts=core.accounts,
            dev_tokens=settings.dev_tokens,
            webhooks=_webhooks(settings, core.services.identity),
            ready_checks={"database": core.mongo.ping} | ({"broker": core.relay.check} if core.relay else {}),
            metrics_token=settings.metrics_token.get_secret_value(),
            documents=documents(),
            models=lambda: core.ai.models.states,
        )
        http = HttpApi(
            core.services,
            limits,
            core.metrics,
            ops,
            addresses=PeerAddresses(settings.trusted_proxies),
            origins=settings.allowed_origins,
            production=settings.production,
        )
        routes = http.application()
        (await pages(settings, core.services.attachments.media)).add_routes(routes)
        url = await _listen(settings, routes, fanout.server, stack, shared_port=worker is not None)
        metrics_url = await _listen_for_scrapes(settings, ops, stack)
        core.start_chores()
        await core.ai.start_models()
        tune_garbage_collector()
        sys.setswitchinterval(THREADS_GIVE_WAY_SECONDS)
        chat = Chat(core=core, sockets=fanout.server, ops=ops, url=url, metrics_url=metrics_url)
        try:
            yield chat
        finally:
            await chat.drain()


async def _listen_for_scrapes(settings: Settings, ops: Ops, stack: AsyncExitStack) -> str:
    """`/metrics` without a token on a port of its own, which only this machine reaches; "" where none is set."""
    if settings.metrics_port is None:
        return ""
    app = web.Application()
    app.router.add_get("/metrics", ops.scrape_here)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", settings.metrics_port).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"


def _socket_options(settings: Settings) -> SocketOptions:
    return SocketOptions(
        ping_interval_ms=settings.socket_io_ping_interval,
        ping_timeout_ms=settings.socket_io_ping_timeout,
        # The page of this very server stays welcome where other origins are listed.
        allowed_origins=(*settings.socket_origins, settings.origin) if settings.socket_origins else None,
        trusted_proxies=settings.trusted_proxies,
    )


def _webhooks(settings: Settings, identity: Identity) -> ClerkWebhooks | None:
    secret: SecretStr = settings.clerk_webhook_secret
    if not secret.get_secret_value() or not settings.clerk_jwt_issuer:
        return None
    return ClerkWebhooks(secret.get_secret_value(), settings.clerk_jwt_issuer.rstrip("/"), identity)


async def _listen(
    settings: Settings, app: web.Application, sockets: SocketServer, stack: AsyncExitStack, *, shared_port: bool
) -> str:
    sockets.attach(app)
    runner = Listener(
        app,
        access_log=None,
        handle_signals=False,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        auto_decompress=False,  # what is compressed is refused, unread
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(
        runner, settings.listen_host, settings.port, backlog=1024, reuse_port=True if shared_port else None
    )
    await site.start()
    host = settings.listen_host if settings.listen_host != "0.0.0.0" else "127.0.0.1"  # noqa: S104 - compared, not bound
    return f"http://{host}:{runner.addresses[0][1]}"
