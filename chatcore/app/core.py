"""What a process has of chatcore without a transport."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from chatcore.api import Services
from chatcore.app.ai import Ai, why_disabled
from chatcore.app.flows import Flows
from chatcore.app.moderation import ModerationParts
from chatcore.app.search import SearchParts
from chatcore.background import Background
from chatcore.embedded.database import EmbeddedDatabase
from chatcore.errors import Unavailable
from chatcore.groups.follower import FOLLOW_SECONDS, Follower
from chatcore.groups.rendering import Rendering
from chatcore.groups.rooms import Rooms
from chatcore.identity.accounts import LocalAccounts
from chatcore.journal.writer import Writer
from chatcore.logs import get_logger
from chatcore.media.service import SWEEP_SECONDS as MEDIA_SWEEP_SECONDS
from chatcore.messages.retention import Retention
from chatcore.metrics import Metrics
from chatcore.mongo import Mongo
from chatcore.presence.service import TICK_SECONDS, Presence
from chatcore.presence.typing import SWEEP_SECONDS, Typing
from chatcore.push.service import TICK_SECONDS as PUSH_SECONDS
from chatcore.relay.service import TICK_SECONDS as RELAY_SECONDS
from chatcore.relay.service import Relay
from chatcore.settings import Settings

log = get_logger("app")
CHECKPOINT_SECONDS = 2.0
RECHECK_SECONDS = 1.0
BROKEN_SECONDS = 2.0
ERASE_SECONDS = 3_600.0
COMMIT_DEADLINE_SECONDS = 10.0
SESSIONS_DEADLINE_SECONDS = 5.0


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
    retention: Retention
    ai: Ai
    flows: Flows
    search: SearchParts
    moderation: ModerationParts
    flows_warmed: bool = False

    async def settle(self) -> None:
        """Commit what is queued, store read state and sessions. Raises TimeoutError where messages may be lost; a list
        of devices that is not up to date is only logged."""
        async with asyncio.timeout(COMMIT_DEADLINE_SECONDS):
            await self.writer.idle()
            await self.rooms.checkpoint(datetime.now(UTC), everything=True)
        await self.search.settle()
        try:
            async with asyncio.timeout(SESSIONS_DEADLINE_SECONDS):
                await self.services.identity.stop()
        except (TimeoutError, Unavailable) as error:
            log.warning("sessions_not_saved", error=type(error).__name__)
        if self.relay is not None:
            await self.relay.leave()

    async def restart_broken_database(self) -> None:
        if self.database is not None and await self.mongo.is_broken():
            self.database.end_child()

    def _warm_flows(self, _: object) -> None:
        """With the first message that is written here: a server where nobody talks stays 100 MB smaller."""
        if not self.flows_warmed:
            self.flows_warmed = True
            self.background.spawn("warm-flows", self.flows.warm())

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
        self.ai.start_chores(background)
        self.search.start(background)
        self.moderation.start_chores(background, services.identity.somebody_came)
        if not why_disabled(self.settings):
            services.messages.changes.listen(self._warm_flows)
        background.every(ERASE_SECONDS, "retention", self.retention.sweep)
        background.every(ERASE_SECONDS, "erase-deleted", services.messages.erase_deleted)
        background.watch("push", services.push.run())
        background.every(PUSH_SECONDS, "push-held", services.push.tick)
        media = services.attachments.media
        background.every(MEDIA_SWEEP_SECONDS, "media-sweep", media.sweep)
        background.spawn("media-check", media.check())
        background.watch("finish-deletions", services.groups.finish_deletions())
        background.watch("loop-lag", self.metrics.watch_loop())
