"""The services of live chat, wired together: what all stand on, groups, moderation, messages, then what thinks."""

from chatcore.ai.admin import AiAdmin
from chatcore.ai.analysis.store import MongoAnalysisStore
from chatcore.ai.flows.prompted import Prompted
from chatcore.ai.suggestions.store import MongoSuggestionStore
from chatcore.api import Services
from chatcore.app.ai import Ai, compose_ai, describe_models, has_provider
from chatcore.app.base import Base, lay_base
from chatcore.app.base import now_in_milliseconds as clock
from chatcore.app.core import Core
from chatcore.app.exporting import export_notices_and_decisions
from chatcore.app.flows import Flows, SimilarMessages, compose_flows
from chatcore.app.groups import GroupParts, make_groups
from chatcore.app.keys import Keys
from chatcore.app.messages import MessageParts, make_messages
from chatcore.app.moderation import ModerationParts, live_moderation
from chatcore.app.push import make_push
from chatcore.app.search import SearchParts, Switches, live_search
from chatcore.app.sign_in import local_accounts
from chatcore.audit.service import Audit
from chatcore.audit.store import MongoAuditStore
from chatcore.embedded.database import EmbeddedDatabase
from chatcore.exports.service import Exports
from chatcore.exports.store import MongoExportStore
from chatcore.groups.follower import Follower
from chatcore.identity.accounts import LocalAccounts
from chatcore.messages.context import MemberView
from chatcore.mongo import Mongo
from chatcore.ports import Fanout
from chatcore.push.service import Push
from chatcore.push.store import MongoPushStore
from chatcore.settings import Settings


def compose(
    settings: Settings,
    mongo: Mongo,
    keys: Keys,
    local: Fanout,
    database: EmbeddedDatabase | None,
    *,
    shared_models: bool = False,
) -> Core:
    base = lay_base(settings, mongo, keys, local, database)
    ai = compose_ai(settings, mongo, base.vault, keys, base.metrics, shared_models=shared_models)
    groups = make_groups(base)
    moderation = _moderation(base, groups, ai)
    messages = make_messages(base, groups, moderation)
    accounts = _accounts(base, groups, ai)
    _hear_of_other_processes(base, groups)
    search, flows = _thinking(base, groups, messages, ai)
    return Core(
        settings=settings,
        mongo=mongo,
        services=_services(base, groups, messages, moderation=moderation, ai=ai, search=search, flows=flows),
        accounts=accounts,
        writer=messages.writer,
        rooms=groups.rooms,
        follower=Follower(groups.store, groups.rooms),
        rendering=groups.rendering,
        presence=base.presence,
        typing=base.typing,
        background=base.background,
        metrics=base.metrics,
        database=database,
        relay=base.relay,
        retention=messages.retention,
        ai=ai,
        flows=flows,
        search=search,
        moderation=moderation,
    )


def _moderation(base: Base, groups: GroupParts, ai: Ai) -> ModerationParts:
    return live_moderation(
        base.settings,
        base.mongo,
        base.keys,
        ai,
        journal=base.journal,
        groups=groups.groups,
        members=groups.members,
        identity=base.identity,
        log=groups.log,
        media=groups.media,
        vault=base.vault,
        fanout=base.fanout,
        metrics=base.metrics,
        background=base.background,
        clock=clock,
    )


def _accounts(base: Base, groups: GroupParts, ai: Ai) -> LocalAccounts | None:
    """Passwords, where this server keeps them; and what else is forgotten with a person or a group."""
    groups.groups.on_erase(ai.ledger.erase_group)
    base.identity.on_erase(groups.groups.erase_user)
    base.identity.on_erase(ai.ledger.erase_user)
    accounts = local_accounts(base.people, base.issuer, base.identity)
    if accounts is not None:
        base.identity.on_erase(accounts.forget_user)
    return accounts


def _hear_of_other_processes(base: Base, groups: GroupParts) -> None:
    if base.relay is not None:
        base.relay.attach(
            rooms=groups.rooms,
            presence=base.presence,
            typing=base.typing,
            fanout=base.local,
            poll_revocations=base.identity.revocations.poll,
            take_in=groups.attendance.take_in,
        )
        base.identity.revocations.added = base.relay.revoked


def _thinking(base: Base, groups: GroupParts, messages: MessageParts, ai: Ai) -> tuple[SearchParts, Flows]:
    """Search, suggestions and analysis. The models that ship make nothing of examples, so only a provider gets them."""
    settings, database = base.settings, base.mongo.database
    conversations = MemberView(journal=base.journal, groups=groups.groups, rendering=groups.rendering)
    prompted = Prompted(models=ai.models, prompts=ai.prompts, ledger=ai.ledger, background=base.background)
    search = live_search(
        settings,
        base.mongo,
        ai.models,
        vault=base.vault,
        rooms=groups.rooms,
        identity=base.identity,
        groups=groups.groups,
        messages=messages.messages,
        conversations=conversations,
        prompted=prompted,
        ledger=ai.ledger,
        missed=messages.missed,
        alone=base.database is not None,
    )
    flows = compose_flows(
        conversations=conversations,
        prompted=prompted,
        ledger=ai.ledger,
        suggestion_store=MongoSuggestionStore(database),
        analysis_store=MongoAnalysisStore(database),
        background=base.background,
        messages=messages.messages,
        missed=messages.missed,
        secret=base.keys.ids,
        models=describe_models(settings),
        vault=base.vault,
        fanout=base.fanout,
        groups=groups.groups,
        identity=base.identity,
        uses_ai=Switches(groups.rooms, base.identity).person,
        clock=clock,
        timeout_seconds=settings.ai_timeout_seconds,
        similar=SimilarMessages(conversations, search.retrieval) if has_provider(settings) else None,
    )
    return search, flows


def _push(base: Base, groups: GroupParts, moderation: ModerationParts) -> Push:
    return make_push(
        base.settings,
        base.keys,
        MongoPushStore(base.mongo.database),
        rooms=groups.rooms,
        presence=base.presence,
        identity=base.identity,
        changes=moderation.changes,
        metrics=base.metrics,
        clock=clock,
    )


def _services(
    base: Base,
    groups: GroupParts,
    messages: MessageParts,
    *,
    moderation: ModerationParts,
    ai: Ai,
    search: SearchParts,
    flows: Flows,
) -> Services:
    audit = Audit(MongoAuditStore(base.mongo.database), base.keys.audit)
    exports = Exports(
        store=MongoExportStore(base.mongo.database),
        audit=audit,
        groups=groups.store,
        journal=base.journal,
        rooms=groups.rooms,
        rendering=groups.rendering,
        identity=base.identity,
        secret=base.keys.ids,
        clock=clock,
    )
    push = _push(base, groups, moderation)
    export_notices_and_decisions(base.identity, push, ai.ledger)
    return Services(
        identity=base.identity,
        groups=groups.groups,
        members=groups.members,
        attendance=groups.attendance,
        messages=messages.messages,
        reading=messages.reading,
        responses=messages.responses,
        attachments=groups.attachments,
        moderation=moderation.moderation,
        reviews=moderation.reviews,
        ai_admin=AiAdmin(ai.ledger, ai.prompts, audit),
        suggestions=flows.suggestions,
        analysis=flows.analysis,
        search=search.search,
        push=push,
        exports=exports,
    )
