"""The composition root: the only file that chooses real or embedded parts and wires them together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web
from pydantic import SecretStr

from chatcore import logs
from chatcore.api import COMMANDS, Services
from chatcore.background import Background
from chatcore.describe.documents import documents
from chatcore.embedded.database import EmbeddedDatabase
from chatcore.groups import store as group_store
from chatcore.groups.attendance import Attendance
from chatcore.groups.follower import FOLLOW_SECONDS, Follower
from chatcore.groups.members import Members
from chatcore.groups.membership import Membership
from chatcore.groups.rendering import Rendering
from chatcore.groups.rooms import Rooms
from chatcore.groups.service import Groups
from chatcore.groups.store import MongoGroupStore
from chatcore.identity import store as identity_store
from chatcore.identity.accounts import LocalAccounts
from chatcore.identity.records import IdentityStore
from chatcore.identity.service import Identity
from chatcore.identity.store import MongoIdentityStore
from chatcore.identity.tokens import JwksVerifier, LocalIssuer, OneOf, TokenVerifier
from chatcore.identity.webhooks import ClerkWebhooks
from chatcore.journal import store as journal_store
from chatcore.journal.store import MongoJournalStore
from chatcore.journal.writer import Writer
from chatcore.limits import RateLimits, SlowModeGate
from chatcore.messages import store as message_store
from chatcore.messages.log import MessageLog
from chatcore.messages.missed import MissedRows
from chatcore.messages.reading import Reading
from chatcore.messages.responses import Responses
from chatcore.messages.service import Messages
from chatcore.messages.store import MongoMessageStore
from chatcore.metrics import Metrics
from chatcore.mongo import Mongo, open_mongo
from chatcore.ports import Fanout, SilentFanout
from chatcore.presence.service import TICK_SECONDS, Presence
from chatcore.presence.typing import SWEEP_SECONDS, Typing
from chatcore.relay.fanout import RelayFanout
from chatcore.relay.service import TICK_SECONDS as RELAY_SECONDS
from chatcore.relay.service import Relay
from chatcore.settings import DEVELOPMENT_ISSUER, Settings
from chatcore.transport.addresses import PeerAddresses
from chatcore.transport.fanout import SocketFanout
from chatcore.transport.http import PREFIXES, HttpApi
from chatcore.transport.listener import Listener
from chatcore.transport.ops import Ops
from chatcore.transport.options import SocketOptions
from chatcore.transport.server import SocketServer, tune_garbage_collector
from chatcore.transport.socket import SocketHandlers
from chatcore.vault import store as vault_store
from chatcore.vault.local import local_master_key
from chatcore.vault.master import MasterKeys, ring_from
from chatcore.vault.service import Vault
from chatcore.vault.store import MongoKeyStore, MongoSecrets

INDEXES = (
    *identity_store.INDEXES,
    *group_store.INDEXES,
    *journal_store.INDEXES,
    *message_store.INDEXES,
    *vault_store.INDEXES,
)
CHECKPOINT_SECONDS = 2.0
RECHECK_SECONDS = 1.0
BROKEN_SECONDS = 2.0
ERASE_SECONDS = 3_600.0
COMMIT_DEADLINE_SECONDS = 10.0
DRAIN_NOTICE_MS = 1_000
MAX_HEADER_BYTES = 16_384


@dataclass(frozen=True)
class Keys:
    """Everything secret that a running server holds."""

    masters: MasterKeys
    local_issuer: bytes
    ids: bytes
    relay: bytes


@dataclass(frozen=True)
class Worker:
    """What one of several server processes on a port gets of their supervisor. `database_uri` is empty where
    MONGODB_URI says it; it holds a password."""

    database_uri: str = ""


@dataclass
class Core:
    """The services on one database, without a transport: for command-line tools and for tests."""

    settings: Settings
    mongo: Mongo
    services: Services
    accounts: LocalAccounts | None
    writer: Writer
    rooms: Rooms
    follower: Follower
    rendering: Rendering
    presence: Presence
    typing: Typing
    background: Background
    metrics: Metrics
    database: EmbeddedDatabase | None
    relay: Relay | None

    async def settle(self) -> None:
        """Commit what is queued, store read state and sessions."""
        async with asyncio.timeout(COMMIT_DEADLINE_SECONDS):
            await self.writer.idle()
            await self.rooms.checkpoint(datetime.now(UTC), everything=True)
            await self.services.identity.stop()
        if self.relay is not None:
            await self.relay.leave()

    async def restart_broken_database(self) -> None:
        if self.database is not None and await self.mongo.is_broken():
            self.database.end_child()

    def start_chores(self) -> None:
        background, services = self.background, self.services
        for seconds, name, chore in services.identity.chores():
            background.every(seconds, name, chore)
        background.every(TICK_SECONDS, "presence", self.presence.tick)
        background.every(SWEEP_SECONDS, "typing", self.typing.sweep)
        background.every(CHECKPOINT_SECONDS, "checkpoint", lambda: self.rooms.checkpoint(datetime.now(UTC)))
        background.every(RECHECK_SECONDS, "recheck", self.writer.recheck)
        if self.database is None:  # others may share it
            self.follower.start()
            background.every(FOLLOW_SECONDS, "follower", self.follower.tick)
        if self.relay is not None:
            for name, loop in self.relay.loops():
                background.watch(name, loop())
            background.every(RELAY_SECONDS, "relay", self.relay.tick)
            background.every(RELAY_SECONDS, "relay-look", self.relay.look)
        if self.database is not None:
            background.every(BROKEN_SECONDS, "database-check", self.restart_broken_database)
        background.every(ERASE_SECONDS, "erase-deleted", services.messages.erase_deleted)
        background.watch("finish-deletions", services.groups.finish_deletions())
        background.watch("loop-lag", self.metrics.watch_loop())


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
async def open_core(settings: Settings, fanout: Fanout | None = None, *, database_uri: str = "") -> AsyncIterator[Core]:
    """Database, keys and services. Raises EmbeddedRefused, Unavailable, IndexDiffers or SealBroken with what to do."""
    async with AsyncExitStack() as stack:
        database, mongo = await _open_database(settings, stack, database_uri)
        await mongo.ensure_indexes(INDEXES)
        keys = await _open_keys(settings, mongo)
        core = _compose(settings, mongo, keys, SilentFanout() if fanout is None else fanout, database)
        if core.accounts is not None:
            stack.callback(core.accounts.close)
        stack.push_async_callback(core.background.drain, COMMIT_DEADLINE_SECONDS)
        await core.services.identity.start()
        yield core
        await core.settle()


async def _open_database(
    settings: Settings, stack: AsyncExitStack, shared_uri: str
) -> tuple[EmbeddedDatabase | None, Mongo]:
    """`shared_uri` names an embedded database that somebody else supervises."""
    database: EmbeddedDatabase | None = None
    uri = shared_uri or settings.mongodb_uri.get_secret_value()
    if not uri:
        database = EmbeddedDatabase(settings.chatcore_home)
        uri = await database.start()
        stack.push_async_callback(database.stop)
    mongo = await open_mongo(
        uri,
        database=settings.database_name,
        password=settings.database_password.get_secret_value(),
        max_pool_size=settings.mongodb_max_pool_size,
        embedded=settings.embedded_database,
    )
    stack.push_async_callback(mongo.close)
    return database, mongo


async def _open_keys(settings: Settings, mongo: Mongo) -> Keys:
    store = MongoSecrets(mongo.database)
    key, ring = settings.encryption_secret_key.get_secret_value(), settings.master_keys.get_secret_value()
    if not key and not ring:
        key = local_master_key(settings.chatcore_home)
    masters = await asyncio.to_thread(ring_from, key, ring, await store.salt())
    local_issuer, ids, relay = [await store.secret(name, masters) for name in ("local-issuer", "ids", "relay")]
    return Keys(masters, local_issuer, ids, relay)


def _compose(settings: Settings, mongo: Mongo, keys: Keys, local: Fanout, database: EmbeddedDatabase | None) -> Core:
    db = mongo.database
    metrics = Metrics(_metric_names())
    relay = Relay(url, keys.relay, metrics) if (url := settings.redis_url.get_secret_value()) else None
    fanout = RelayFanout(local, relay) if relay is not None else local
    background = Background()
    vault = Vault(keys.masters, MongoKeyStore(db))
    people = MongoIdentityStore(db)
    issuer = _local_issuer(settings, keys)
    identity = Identity(people, _verifier(settings, issuer), fanout, policy=settings.socket_auth_policy)
    presence, typing = Presence(local, peers=relay), Typing(local, peers=relay)
    journal, groups_db = MongoJournalStore(db), MongoGroupStore(db)
    rooms = Rooms(groups_db, journal)
    rendering = Rendering(vault, identity, journal)
    membership = Membership(
        store=groups_db,
        rooms=rooms,
        vault=vault,
        fanout=fanout,
        presence=presence,
        typing=typing,
        clock=_now,
        max_members=settings.max_group_members,
    )
    groups = Groups(
        store=groups_db,
        journal=journal,
        rooms=rooms,
        membership=membership,
        rendering=rendering,
        identity=identity,
        presence=presence,
        vault=vault,
        fanout=fanout,
        background=background,
        clock=_now,
        secret=keys.ids,
    )
    members = Members(
        store=groups_db,
        groups=groups,
        membership=membership,
        identity=identity,
        presence=presence,
        clock=_now,
        public_url=settings.origin,
    )
    log = MessageLog(journal=journal, rooms=rooms, fanout=fanout, clock=_now)
    messages = Messages(
        journal=journal,
        groups=groups,
        rendering=rendering,
        log=log,
        identity=identity,
        typing=typing,
        vault=vault,
        fanout=fanout,
        clock=_now,
        secret=keys.ids,
        slow_mode=SlowModeGate(),
        deleted_retention_days=settings.deleted_retention_days,
        duplicate=metrics.duplicates.inc,
    )
    reading = Reading(
        journal=journal,
        groups=groups,
        rendering=rendering,
        log=log,
        identity=identity,
        fanout=fanout,
        clock=_now,
    )
    messages_db = MongoMessageStore(db)
    groups.on_erase(messages_db.erase)
    responses = Responses(
        store=messages_db,
        journal=journal,
        groups=groups,
        rendering=rendering,
        log=log,
        fanout=fanout,
        clock=_now,
    )
    missed = MissedRows(rooms=rooms, rendering=rendering, presence=presence, typing=typing, fanout=fanout)
    writer = Writer(
        journal,
        load_head=rooms.load_head,
        missed=missed.deliver,
        committed=lambda rows, seconds: metrics.commit_seconds.observe(seconds),
        peers=relay,
    )
    rooms.writer = writer
    accounts = _accounts(people, issuer, identity)
    identity.on_erase(groups.erase_user)
    if accounts is not None:
        identity.on_erase(accounts.forget_user)
    identity.on_export(reading.export)
    attendance = Attendance(groups=groups, identity=identity, presence=presence, typing=typing, fanout=fanout)
    if relay is not None:
        relay.attach(
            rooms=rooms,
            presence=presence,
            typing=typing,
            fanout=local,
            poll_revocations=identity.revocations.poll,
            take_in=attendance.take_in,
        )
        identity.revocations.added = relay.revoked
    services = Services(
        identity=identity,
        groups=groups,
        members=members,
        attendance=attendance,
        messages=messages,
        reading=reading,
        responses=responses,
    )
    return Core(
        settings=settings,
        mongo=mongo,
        services=services,
        accounts=accounts,
        writer=writer,
        rooms=rooms,
        follower=Follower(groups_db, rooms),
        rendering=rendering,
        presence=presence,
        typing=typing,
        background=background,
        metrics=metrics,
        database=database,
        relay=relay,
    )


def _metric_names() -> list[str]:
    """What a command is counted as: its event, or its route."""
    names = ["connect", "authenticate"]
    for command in COMMANDS:
        if command.event is not None:
            names.append(command.event)
        if command.rest is not None:
            names += [f"{command.rest.method} {prefix}{command.rest.path}" for prefix in PREFIXES]
    return names


def _now() -> datetime:
    """Milliseconds, as the database keeps them: what is pushed equals what is read later."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _local_issuer(settings: Settings, keys: Keys) -> LocalIssuer | None:
    if not settings.has_local_accounts:
        return None
    return LocalIssuer(keys.local_issuer, issuer=DEVELOPMENT_ISSUER, development_tokens=settings.dev_tokens)


def _accounts(people: IdentityStore, issuer: LocalIssuer | None, identity: Identity) -> LocalAccounts | None:
    if issuer is None:
        return None
    return LocalAccounts(people, issuer, ended=identity.end_all_sessions, closed=identity.deactivate)


def _verifier(settings: Settings, local: LocalIssuer | None) -> TokenVerifier:
    """The local issuer, Clerk or another OpenID Connect provider; several are told apart by `iss`."""
    verifiers: dict[str, TokenVerifier] = {local.issuer: local} if local is not None else {}
    outside = settings.clerk_jwt_issuer or settings.oidc_issuer
    if outside:
        issuer = outside.rstrip("/") if settings.clerk_jwt_issuer else outside
        verifiers[issuer] = JwksVerifier(
            issuer,
            audience="" if settings.clerk_jwt_issuer else settings.oidc_audience,
            authorized_parties=settings.authorized_parties or settings.allowed_origins or (settings.origin,),
            roles_claim=settings.roles_claim,
            jwks_url=f"{issuer}/.well-known/jwks.json" if settings.clerk_jwt_issuer else None,
            allow_http=not settings.production,
        )
    return OneOf(verifiers)


@asynccontextmanager
async def open_chat(settings: Settings, worker: Worker | None = None) -> AsyncIterator[Chat]:
    """A listening server; `port=0` takes a free one, told by `Chat.url`. Drained at the end."""
    database_uri = worker.database_uri if worker is not None else ""
    logs.set_up(settings.log_level, as_json={"json": True, "console": False}.get(settings.log_format))
    fanout = SocketFanout()
    async with open_core(settings, fanout, database_uri=database_uri) as core, AsyncExitStack() as stack:
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
        url = await _listen(settings, http.application(), fanout.server, stack, shared_port=worker is not None)
        metrics_url = await _listen_for_scrapes(settings, ops, stack)
        core.start_chores()
        tune_garbage_collector()
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
        allowed_origins=settings.socket_origins or None,
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
        app, access_log=None, handle_signals=False, max_line_size=MAX_HEADER_BYTES, max_field_size=MAX_HEADER_BYTES
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(
        runner, settings.listen_host, settings.port, backlog=1024, reuse_port=True if shared_port else None
    )
    await site.start()
    host = settings.listen_host if settings.listen_host != "0.0.0.0" else "127.0.0.1"  # noqa: S104 - compared, not bound
    return f"http://{host}:{runner.addresses[0][1]}"
