"""What every service stands on: settings, database, keys, people, and the ways to reach them."""

from dataclasses import dataclass
from datetime import UTC, datetime

from chatcore.api import COMMANDS
from chatcore.app.keys import Keys
from chatcore.app.sign_in import local_issuer, verifier
from chatcore.background import Background
from chatcore.embedded.database import EmbeddedDatabase
from chatcore.identity.service import Identity
from chatcore.identity.store import MongoIdentityStore
from chatcore.identity.tokens import LocalIssuer
from chatcore.journal.recent import RecentRows
from chatcore.journal.store import JournalStore, MongoJournalStore
from chatcore.metrics import Metrics
from chatcore.mongo import Mongo
from chatcore.ports import Fanout
from chatcore.presence.service import Presence
from chatcore.presence.typing import Typing
from chatcore.relay.fanout import RelayFanout
from chatcore.relay.service import Relay
from chatcore.settings import Settings
from chatcore.transport.http import PREFIXES
from chatcore.vault.service import Vault
from chatcore.vault.store import MongoKeyStore


@dataclass(frozen=True)
class Base:
    """`local` reaches this process's connections, `fanout` those of all processes. `stored` is the database itself,
    `journal` what is read through: the newest rows are kept in memory where nobody else writes."""

    settings: Settings
    mongo: Mongo
    keys: Keys
    database: EmbeddedDatabase | None
    metrics: Metrics
    background: Background
    relay: Relay | None
    local: Fanout
    fanout: Fanout
    vault: Vault
    stored: MongoJournalStore
    journal: JournalStore
    people: MongoIdentityStore
    issuer: LocalIssuer | None
    identity: Identity
    presence: Presence
    typing: Typing


def lay_base(settings: Settings, mongo: Mongo, keys: Keys, local: Fanout, database: EmbeddedDatabase | None) -> Base:
    metrics = Metrics(metric_names())
    relay = Relay(url, keys.relay, metrics) if (url := settings.redis_url.get_secret_value()) else None
    fanout = RelayFanout(local, relay) if relay is not None else local
    people, issuer = MongoIdentityStore(mongo.database), local_issuer(settings, keys)
    stored = MongoJournalStore(mongo.database)
    return Base(
        settings=settings,
        mongo=mongo,
        keys=keys,
        database=database,
        metrics=metrics,
        background=Background(),
        relay=relay,
        local=local,
        fanout=fanout,
        vault=Vault(keys.masters, MongoKeyStore(mongo.database)),
        stored=stored,
        journal=RecentRows(stored) if database is not None else stored,
        people=people,
        issuer=issuer,
        identity=Identity(people, verifier(settings, issuer), fanout, policy=settings.socket_auth_policy),
        presence=Presence(local, peers=relay),
        typing=Typing(local, peers=relay),
    )


def metric_names() -> list[str]:
    """What a command is counted as: its event, or its route."""
    names = ["connect", "authenticate"]
    for command in COMMANDS:
        if command.event is not None:
            names.append(command.event)
        if command.rest is not None:
            names += [f"{command.rest.method} {prefix}{command.rest.path}" for prefix in PREFIXES]
    return names


def now_in_milliseconds() -> datetime:
    """As the database keeps moments: what is pushed equals what is read later."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
