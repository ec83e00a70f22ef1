"""Moderation, wired between models below it and messages above it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from chatcore.ai.ledger.service import Ledger
from chatcore.ai.prompts.service import Prompts
from chatcore.ai.provider.models import Models
from chatcore.app.ai import Ai, has_provider, why_disabled
from chatcore.app.keys import Keys
from chatcore.audit.service import Audit
from chatcore.audit.store import MongoAuditStore
from chatcore.background import Background
from chatcore.groups.members import Members
from chatcore.groups.membership import Clock
from chatcore.groups.service import Groups
from chatcore.identity.service import Identity
from chatcore.journal.store import JournalStore
from chatcore.media.service import Media
from chatcore.messages.changes import Changes
from chatcore.messages.log import MessageLog
from chatcore.messages.moderated import Moderated
from chatcore.metrics import Metrics
from chatcore.moderation.door import Door, GuardedDoor, OpenDoor
from chatcore.moderation.judge import Judge
from chatcore.moderation.later import Later
from chatcore.moderation.names import GuardedNames
from chatcore.moderation.records import Mode
from chatcore.moderation.replaying import ModerationReplay
from chatcore.moderation.reviews import Reviews
from chatcore.moderation.sanctions import Sanctions
from chatcore.moderation.scene import Scene
from chatcore.moderation.service import Moderation
from chatcore.moderation.store import ModerationStore, MongoModerationStore
from chatcore.moderation.tiers import FirstLook
from chatcore.mongo import Mongo
from chatcore.ports import Fanout
from chatcore.settings import Settings
from chatcore.vault.service import Vault

ERASE_SECONDS = 3_600.0


@dataclass(frozen=True)
class ModerationParts:
    """`enabled` says that texts are looked at; reviews and appeals are there in any case."""

    door: Door
    moderation: Moderation
    reviews: Reviews
    later: Later
    first: FirstLook
    sanctions: Sanctions
    changes: Changes
    replay: ModerationReplay
    names: GuardedNames | None
    enabled: bool

    def start_chores(self, background: Background, somebody_came: asyncio.Event) -> None:
        """The first tier is loaded when somebody signs in, in a thread: until then a server is 20 MB smaller. As long
        as it is not there, the decision comes after the message."""

        async def load() -> None:
            await somebody_came.wait()
            await self.first.prepare()

        if self.enabled:
            background.watch("moderation-load", load())
            background.watch("moderation", self.later.run())
        background.every(ERASE_SECONDS, "erase-sanctions", self.sanctions.erase_due)


def live_moderation(
    settings: Settings,
    mongo: Mongo,
    keys: Keys,
    ai: Ai,
    *,
    journal: JournalStore,
    groups: Groups,
    members: Members,
    identity: Identity,
    log: MessageLog,
    media: Media,
    vault: Vault,
    fanout: Fanout,
    metrics: Metrics,
    background: Background,
    clock: Clock,
) -> ModerationParts:
    """On the database, as the settings say. Groups get their door, and what is kept goes with groups and people."""
    store, changes = MongoModerationStore(mongo.database), Changes()
    scene = Moderated(
        journal=journal,
        rooms=groups.rooms,
        members=members,
        rendering=groups.rendering,
        log=log,
        vault=vault,
        media=media,
        fanout=fanout,
        changes=changes,
        clock=clock,
        deleted_retention_days=settings.deleted_retention_days,
    )
    parts = compose_moderation(
        store=store,
        scene=scene,
        changes=changes,
        models=ai.models,
        prompts=ai.prompts,
        ledger=ai.ledger,
        audit=Audit(MongoAuditStore(mongo.database), keys.audit),
        vault=vault,
        fanout=fanout,
        metrics=metrics,
        background=background,
        clock=clock,
        secret=keys.ids,
        policy=settings.moderation_policy,
        disabled=why_disabled(settings),
        has_provider=has_provider(settings),
        sample_share=settings.moderation_sample_share,
        retention_days=settings.deleted_retention_days,
    )
    groups.door = parts.door
    if parts.names is not None:
        identity.admits_name = parts.names.admits
    ai.replay.use("moderation", parts.replay)
    groups.on_erase(store.erase_group)
    identity.on_erase(store.erase_user)
    return parts


def compose_moderation(
    *,
    store: ModerationStore,
    scene: Scene,
    changes: Changes,
    models: Models,
    prompts: Prompts,
    ledger: Ledger,
    audit: Audit,
    vault: Vault,
    fanout: Fanout,
    metrics: Metrics,
    background: Background,
    clock: Callable[[], datetime],
    secret: bytes,
    policy: Mode,
    disabled: str = "",
    has_provider: bool = False,
    sample_share: float = 0.0,
    retention_days: int = 30,
    first: FirstLook | None = None,
) -> ModerationParts:
    """`disabled` says why no model is asked on this server: nothing is moderated then but by people."""
    first = FirstLook() if first is None else first
    sanctions = Sanctions(store=store, vault=vault, clock=clock, secret=secret, retention_days=retention_days)
    judge = Judge(first=first, models=models, prompts=prompts, ledger=ledger, clock=clock, asks_prompt=has_provider)
    later = Later(
        judge=judge,
        scene=scene,
        sanctions=sanctions,
        store=store,
        metrics=metrics,
        clock=clock,
        sample_share=sample_share,
    )
    door: Door = OpenDoor()
    if not disabled:
        door = GuardedDoor(judge=judge, later=later, store=store, sanctions=sanctions, metrics=metrics, policy=policy)
    moderation = Moderation(judge=judge, store=store, sanctions=sanctions, clock=clock, disabled=disabled)
    reviews = Reviews(
        moderation=moderation,
        store=store,
        sanctions=sanctions,
        scene=scene,
        ledger=ledger,
        audit=audit,
        fanout=fanout,
        clock=clock,
    )
    replay = ModerationReplay(judge=judge, scene=scene, store=store, sanctions=sanctions)
    names = None if disabled or policy == "off" else GuardedNames(judge, metrics, background.spawn)
    return ModerationParts(door, moderation, reviews, later, first, sanctions, changes, replay, names, not disabled)
