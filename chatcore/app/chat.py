"""The services of live chat, wired together."""

from datetime import UTC, datetime

from chatcore.ai.admin import AiAdmin
from chatcore.ai.analysis.store import MongoAnalysisStore
from chatcore.ai.flows.prompted import Prompted
from chatcore.ai.suggestions.store import MongoSuggestionStore
from chatcore.api import COMMANDS, Services
from chatcore.app.ai import compose_ai, describe_models, has_provider
from chatcore.app.core import Core
from chatcore.app.flows import SimilarMessages, compose_flows
from chatcore.app.keys import Keys
from chatcore.app.media import make_media
from chatcore.app.moderation import live_moderation
from chatcore.app.push import make_push
from chatcore.app.search import Switches, live_search
from chatcore.app.sign_in import local_accounts, local_issuer, verifier
from chatcore.audit.service import Audit
from chatcore.audit.store import MongoAuditStore
from chatcore.background import Background
from chatcore.embedded.database import EmbeddedDatabase
from chatcore.exports.service import Exports
from chatcore.exports.store import MongoExportStore
from chatcore.groups.attendance import Attendance
from chatcore.groups.follower import Follower
from chatcore.groups.members import Members
from chatcore.groups.membership import Membership
from chatcore.groups.rendering import Rendering
from chatcore.groups.rooms import Rooms
from chatcore.groups.service import Groups
from chatcore.groups.store import MongoGroupStore
from chatcore.identity.service import Identity
from chatcore.identity.store import MongoIdentityStore
from chatcore.journal.recent import RecentRows
from chatcore.journal.store import JournalStore, MongoJournalStore
from chatcore.journal.writer import Writer
from chatcore.limits import SlowModeGate
from chatcore.messages.attachments import Attachments
from chatcore.messages.context import MemberView
from chatcore.messages.log import MessageLog
from chatcore.messages.missed import MissedRows
from chatcore.messages.reading import Reading
from chatcore.messages.responses import Responses
from chatcore.messages.retention import Retention
from chatcore.messages.service import Messages
from chatcore.messages.store import MongoMessageStore
from chatcore.metrics import Metrics
from chatcore.mongo import Mongo
from chatcore.ports import Fanout
from chatcore.presence.service import Presence
from chatcore.presence.typing import Typing
from chatcore.push.store import MongoPushStore
from chatcore.relay.fanout import RelayFanout
from chatcore.relay.service import Relay
from chatcore.settings import Settings
from chatcore.transport.http import PREFIXES
from chatcore.vault.service import Vault
from chatcore.vault.store import MongoKeyStore


def compose(
    settings: Settings,
    mongo: Mongo,
    keys: Keys,
    local: Fanout,
    database: EmbeddedDatabase | None,
    *,
    shared_models: bool = False,
) -> Core:
    db = mongo.database
    metrics = Metrics(metric_names())
    relay = Relay(url, keys.relay, metrics) if (url := settings.redis_url.get_secret_value()) else None
    fanout = RelayFanout(local, relay) if relay is not None else local
    background = Background()
    vault = Vault(keys.masters, MongoKeyStore(db))
    ai = compose_ai(settings, mongo, vault, keys, metrics, shared_models=shared_models)
    people = MongoIdentityStore(db)
    issuer = local_issuer(settings, keys)
    identity = Identity(people, verifier(settings, issuer), fanout, policy=settings.socket_auth_policy)
    presence, typing = Presence(local, peers=relay), Typing(local, peers=relay)
    stored, groups_db = MongoJournalStore(db), MongoGroupStore(db)
    journal: JournalStore = RecentRows(stored) if database is not None else stored  # else others write to it as well
    rooms = Rooms(groups_db, stored)
    media = make_media(settings, mongo, vault, _now)
    rendering = Rendering(vault, identity, journal, media)
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
    attachments = Attachments(media=media, groups=groups, log=log)
    groups.on_erase(media.erase_group)
    moderation = live_moderation(
        settings,
        mongo,
        keys,
        ai,
        journal=journal,
        groups=groups,
        members=members,
        identity=identity,
        log=log,
        media=media,
        vault=vault,
        fanout=fanout,
        metrics=metrics,
        background=background,
        clock=_now,
    )
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
        attachments=attachments,
        slow_mode=SlowModeGate(),
        deleted_retention_days=settings.deleted_retention_days,
        duplicate=metrics.duplicates.inc,
        door=moderation.door,
        changes=moderation.changes,
    )
    retention = Retention(
        store=groups_db,
        journal=journal,
        rooms=rooms,
        log=log,
        media=media,
        fanout=fanout,
        changes=moderation.changes,
        clock=_now,
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
    groups.on_erase(ai.ledger.erase_group)
    responses = Responses(
        store=messages_db,
        journal=journal,
        groups=groups,
        rendering=rendering,
        log=log,
        fanout=fanout,
        clock=_now,
        reported=moderation.reviews.reported,
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
    accounts = local_accounts(people, issuer, identity)
    identity.on_erase(groups.erase_user)
    identity.on_erase(ai.ledger.erase_user)
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
    conversations = MemberView(journal=journal, groups=groups, rendering=rendering)
    prompted = Prompted(models=ai.models, prompts=ai.prompts, ledger=ai.ledger, background=background)
    search = live_search(
        settings,
        mongo,
        ai.models,
        vault=vault,
        rooms=rooms,
        identity=identity,
        groups=groups,
        messages=messages,
        conversations=conversations,
        prompted=prompted,
        ledger=ai.ledger,
    )
    flows = compose_flows(
        conversations=conversations,
        prompted=prompted,
        ledger=ai.ledger,
        suggestion_store=MongoSuggestionStore(db),
        analysis_store=MongoAnalysisStore(db),
        background=background,
        messages=messages,
        missed=missed,
        secret=keys.ids,
        models=describe_models(settings),
        vault=vault,
        fanout=fanout,
        groups=groups,
        identity=identity,
        uses_ai=Switches(rooms, identity).person,
        clock=_now,
        timeout_seconds=settings.ai_timeout_seconds,
        # The models that ship make nothing of examples.
        similar=SimilarMessages(conversations, search.retrieval) if has_provider(settings) else None,
    )
    push = make_push(
        settings,
        keys,
        MongoPushStore(db),
        rooms=rooms,
        presence=presence,
        identity=identity,
        changes=moderation.changes,
        metrics=metrics,
        clock=_now,
    )
    audit = Audit(MongoAuditStore(db), keys.audit)
    services = Services(
        identity=identity,
        groups=groups,
        members=members,
        attendance=attendance,
        messages=messages,
        reading=reading,
        responses=responses,
        attachments=attachments,
        moderation=moderation.moderation,
        reviews=moderation.reviews,
        ai_admin=AiAdmin(ai.ledger, ai.prompts, audit),
        suggestions=flows.suggestions,
        analysis=flows.analysis,
        search=search.search,
        push=push,
        exports=Exports(
            store=MongoExportStore(db),
            audit=audit,
            groups=groups_db,
            journal=journal,
            rooms=rooms,
            rendering=rendering,
            identity=identity,
            secret=keys.ids,
            clock=_now,
        ),
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
        retention=retention,
        ai=ai,
        flows=flows,
        search=search,
        moderation=moderation,
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


def _now() -> datetime:
    """Milliseconds, as the database keeps them: what is pushed equals what is read later."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
