"""The services on memory stores, composed as `app` does it: for what sockets and a database add nothing to."""

import tempfile
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chatcore.ai.admin import AiAdmin
from chatcore.ai.analysis.store import MemoryAnalysisStore
from chatcore.ai.flows.prompted import Prompted
from chatcore.ai.ledger.service import Ledger
from chatcore.ai.ledger.store import MemoryLedgerStore
from chatcore.ai.prompts.runtime import Runtimes
from chatcore.ai.prompts.service import Prompts
from chatcore.ai.prompts.shipped import shipped
from chatcore.ai.prompts.store import MemoryPromptStore
from chatcore.ai.provider.budget import Budget
from chatcore.ai.provider.models import Models
from chatcore.ai.provider.store import MemoryBudgetStore
from chatcore.ai.search.records import Space
from chatcore.ai.search.store import MemorySearchStore
from chatcore.ai.suggestions.store import MemorySuggestionStore
from chatcore.api import Services
from chatcore.app.exporting import export_notices_and_decisions
from chatcore.app.flows import compose_flows
from chatcore.app.moderation import compose_moderation
from chatcore.app.push import Present, telling
from chatcore.app.search import Switches, compose_search
from chatcore.audit.service import Audit
from chatcore.audit.store import MemoryAuditStore
from chatcore.background import Background
from chatcore.contract import groups as g
from chatcore.contract import messages as m
from chatcore.contract.base import Shape
from chatcore.errors import ChatError, Unavailable
from chatcore.exports.service import Exports
from chatcore.exports.store import MemoryExportStore
from chatcore.groups.attendance import Attendance
from chatcore.groups.members import Members
from chatcore.groups.membership import Membership
from chatcore.groups.rendering import Rendering
from chatcore.groups.rooms import Rooms
from chatcore.groups.service import Groups
from chatcore.groups.store import MemoryGroupStore
from chatcore.identity.memory import MemoryIdentityStore
from chatcore.identity.records import Profile, UserRecord
from chatcore.identity.service import Identity
from chatcore.identity.tokens import OneOf
from chatcore.journal.recent import RecentRows
from chatcore.journal.rows import Row
from chatcore.journal.store import MemoryJournalStore
from chatcore.journal.writer import Writer
from chatcore.limits import SlowModeGate
from chatcore.media.folder import FolderObjects
from chatcore.media.service import Media
from chatcore.media.store import MemoryMediaStore
from chatcore.messages.attachments import Attachments
from chatcore.messages.changes import Changes
from chatcore.messages.context import MemberView
from chatcore.messages.log import MessageLog
from chatcore.messages.missed import MissedRows
from chatcore.messages.moderated import Moderated
from chatcore.messages.reading import Reading
from chatcore.messages.responses import Responses
from chatcore.messages.service import Messages
from chatcore.messages.store import MemoryMessageStore
from chatcore.metrics import Metrics
from chatcore.moderation.records import Mode
from chatcore.moderation.store import MemoryModerationStore
from chatcore.moderation.tiers import FirstLook
from chatcore.ports import Caller, SilentFanout
from chatcore.presence.service import Presence
from chatcore.presence.typing import Typing
from chatcore.push.courier import Courier
from chatcore.push.service import Push
from chatcore.push.store import MemoryPushStore
from chatcore.push.vapid import Vapid
from chatcore.vault.master import MasterKeys
from chatcore.vault.service import Vault
from chatcore.vault.store import MemoryKeyStore

START = datetime(2026, 6, 1, 12, tzinfo=UTC)


@dataclass
class WrittenDown(SilentFanout):
    """What would have been pushed to whole groups, in order."""

    pushed: list[tuple[str, Shape]] = field(default_factory=list)
    rooms: list[tuple[str, str]] = field(default_factory=list)
    told: list[tuple[str, str, Shape]] = field(default_factory=list)

    def publish(
        self, event: str, payload: Shape, *, group_id: str, skip_connection: str | None = None, volatile: bool = False
    ) -> None:
        self.pushed.append((event, payload))
        self.rooms.append((event, group_id))

    def tell(self, user_id: str, event: str, payload: Shape, *, volatile: bool = False) -> None:
        self.told.append((user_id, event, payload))


class Journal(MemoryJournalStore):
    """One that can stop in the middle of an erasure, as a process does that is killed."""

    erasures_until_stop: int | None = None
    rows_read: int = 0

    async def window(self, group_id: str, after: int, up_to: int) -> list[Row]:
        rows = await super().window(group_id, after, up_to)
        self.rows_read += len(rows)
        return rows

    async def erase_group(self, group_id: str, after: int, up_to: int) -> None:
        if self.erasures_until_stop == 0:
            raise Unavailable
        if self.erasures_until_stop is not None:
            self.erasures_until_stop -= 1
        await super().erase_group(group_id, after, up_to)


class Household:
    """People, groups and messages in memory, on a clock that moves when told."""

    def __init__(
        self,
        *,
        max_members: int = 1_000,
        retention_days: int = 30,
        models: Models | None = None,
        ai_seconds: float = 8.0,
        moderation: Mode = "off",
        sample_share: float = 0.0,
        first: FirstLook | None = None,
    ):
        self.now = START
        self.models, self.ai_seconds = models or _no_models(), ai_seconds
        self._policy, self._sample_share, self._first = moderation, sample_share, first
        self.fanout = WrittenDown()
        self.people_store = MemoryIdentityStore()
        self.journal, self.group_store = Journal(), MemoryGroupStore()
        self.message_store, self.key_store = MemoryMessageStore(), MemoryKeyStore()
        self.vault = Vault(MasterKeys({"k1": b"m" * 32}), self.key_store)
        self.background = Background()
        self.slow_mode = SlowModeGate(lambda: self._clock().timestamp())
        self._compose(max_members, retention_days)

    def _clock(self) -> datetime:
        return self.now

    def _compose(self, max_members: int, retention_days: int) -> None:
        clock, fanout, journal, secret = self._clock, self.fanout, RecentRows(self.journal), b"s" * 32
        self.identity = identity = Identity(self.people_store, OneOf({}), fanout)
        presence, typing = Presence(fanout), Typing(fanout)
        self.rooms = rooms = Rooms(self.group_store, self.journal)
        self.media_folder = tempfile.TemporaryDirectory(prefix="chatcore-media-")
        folder, self.media_store = Path(self.media_folder.name), MemoryMediaStore()
        self.media = Media(
            store=self.media_store, objects=FolderObjects(folder / "objects"), vault=self.vault, clock=clock,
            spool_folder=folder / "spool", max_bytes=1024 * 1024,
        )  # fmt: skip
        rendering = Rendering(self.vault, identity, journal, self.media)
        membership = Membership(
            store=self.group_store, rooms=rooms, vault=self.vault, fanout=fanout, presence=presence, typing=typing,
            clock=clock, max_members=max_members,
        )  # fmt: skip
        groups = Groups(
            store=self.group_store, journal=journal, rooms=rooms, membership=membership, rendering=rendering,
            identity=identity, presence=presence, vault=self.vault, fanout=fanout, background=self.background,
            clock=clock, secret=secret,
        )  # fmt: skip
        members = Members(
            store=self.group_store, groups=groups, membership=membership, identity=identity, presence=presence,
            clock=clock, public_url="http://chat.example",
        )  # fmt: skip
        groups.on_erase(self.message_store.erase)
        log = MessageLog(journal=journal, rooms=rooms, fanout=fanout, clock=clock)
        attachments = Attachments(media=self.media, groups=groups, log=log)
        groups.on_erase(self.media.erase_group)
        self.ledger_store, self.prompt_store = MemoryLedgerStore(), MemoryPromptStore()
        self.ledger = Ledger(self.ledger_store, self.vault, secret=secret, retention_days=30)
        self.moderation_store, self.audit_store = MemoryModerationStore(), MemoryAuditStore()
        audit = Audit(self.audit_store, secret)
        self.prompts = Prompts(self.prompt_store, shipped(), runtimes=Runtimes(), audit=audit, clock=clock)
        self.metrics, changes = Metrics(), Changes()
        self.moderated = Moderated(
            journal=journal, rooms=rooms, members=members, rendering=rendering, log=log, vault=self.vault,
            media=self.media, fanout=fanout, changes=changes, clock=clock, deleted_retention_days=retention_days,
        )  # fmt: skip
        self.moderation = compose_moderation(
            store=self.moderation_store, scene=self.moderated, changes=changes, models=self.models,
            prompts=self.prompts, ledger=self.ledger, audit=Audit(self.audit_store, secret), vault=self.vault,
            fanout=fanout, metrics=self.metrics, clock=clock, secret=secret, policy=self._policy, first=self._first,
            sample_share=self._sample_share, retention_days=retention_days, background=self.background,
        )  # fmt: skip
        groups.door = self.moderation.door
        if self.moderation.names is not None:
            identity.admits_name = self.moderation.names.admits
        groups.on_erase(self.moderation_store.erase_group)
        identity.on_erase(self.moderation_store.erase_user)
        messages = Messages(
            journal=journal, groups=groups, rendering=rendering, log=log, identity=identity, typing=typing,
            vault=self.vault, fanout=fanout, clock=clock, secret=secret, attachments=attachments,
            slow_mode=self.slow_mode, deleted_retention_days=retention_days, door=self.moderation.door,
            changes=changes,
        )  # fmt: skip
        reading = Reading(
            journal=journal, groups=groups, rendering=rendering, log=log, identity=identity, fanout=fanout, clock=clock
        )
        responses = Responses(
            store=self.message_store, journal=journal, groups=groups, rendering=rendering, log=log, fanout=fanout,
            clock=clock, reported=self.moderation.reviews.reported,
        )  # fmt: skip
        missed = MissedRows(rooms=rooms, rendering=rendering, presence=presence, typing=typing, fanout=fanout)
        rooms.writer = Writer(journal, load_head=rooms.load_head, missed=missed.deliver)
        groups.on_erase(self.ledger.erase_group)
        identity.on_erase(self.ledger.erase_user)
        self.conversations = MemberView(journal=journal, groups=groups, rendering=rendering)
        self.suggestion_store, self.analysis_store = MemorySuggestionStore(), MemoryAnalysisStore()
        self.prompted = Prompted(
            models=self.models, prompts=self.prompts, ledger=self.ledger, background=self.background
        )  # fmt: skip
        self.flows = compose_flows(
            conversations=self.conversations, prompted=self.prompted,
            ledger=self.ledger, suggestion_store=self.suggestion_store, vault=self.vault, fanout=fanout,
            groups=groups, identity=identity, uses_ai=Switches(rooms, identity).person, clock=clock,
            timeout_seconds=self.ai_seconds, analysis_store=self.analysis_store, background=self.background,
            messages=messages, missed=missed, secret=secret, models="models of the test",
        )  # fmt: skip
        self.search_store = MemorySearchStore(self.journal)
        self.search = compose_search(
            store=self.search_store, space=Space(self.models.embedding_space), vault=self.vault, rooms=rooms,
            identity=identity, groups=groups, messages=messages, conversations=self.conversations,
            models=self.models, prompted=self.prompted, ledger=self.ledger,
        )  # fmt: skip
        vapid, self.push_store = Vapid(secret), MemoryPushStore()
        self.push = Push(
            store=self.push_store, courier=Courier(vapid, loopback=True), vapid=vapid,
            whereabouts=Present(rooms, presence, identity), clock=clock, payload="titles", loopback=True,
        )  # fmt: skip
        changes.listen(telling(self.push))
        identity.on_erase(self.push.erase_user)
        identity.on_sign_out(self.push.signed_out)
        identity.on_export(reading.export)
        export_notices_and_decisions(identity, self.push, self.ledger)
        attendance = Attendance(groups=groups, identity=identity, presence=presence, typing=typing, fanout=fanout)
        self.export_store = MemoryExportStore()
        self.exports = Exports(
            store=self.export_store, audit=audit, groups=self.group_store, journal=journal, rooms=rooms,
            rendering=rendering, identity=identity, secret=secret, clock=clock,
        )  # fmt: skip
        self.services = Services(
            identity=identity, groups=groups, members=members, attendance=attendance, messages=messages,
            reading=reading, responses=responses, attachments=attachments,
            moderation=self.moderation.moderation, reviews=self.moderation.reviews,
            ai_admin=AiAdmin(self.ledger, self.prompts, audit),
            suggestions=self.flows.suggestions, analysis=self.flows.analysis, search=self.search.search,
            push=self.push, exports=self.exports,
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.background.drain(5)
        await self.search.close()
        await self.push.close()
        self.media_folder.cleanup()

    def pass_hours(self, hours: float) -> None:
        self.now += timedelta(hours=hours)

    def people(self, *names: str) -> list[Caller]:
        return [self._person(name) for name in names]

    def _person(self, name: str) -> Caller:
        record = UserRecord(name, Profile(name=name.title(), username=name), START, START)
        self.people_store._users[name] = record
        return Caller(user_id=name, session_id=f"s-{name}", user=record.card())

    async def group(self, owner: Caller, *members: Caller, name: str = "Garden", **fields: Any) -> str:
        created = await self.services.groups.create(owner, g.CreateGroup(name=name, **fields))
        for member in members:
            await self.services.members.add(owner, g.MemberPath(group_id=created.id, user_id=member.user_id))
        return created.id

    async def joins(self, caller: Caller, group_id: str) -> g.GroupJoined:
        return await self.services.groups.join(caller, g.GroupPath(group_id=group_id))

    async def invites(self, caller: Caller, group_id: str, **fields: Any) -> str:
        return (await self.services.members.invite(caller, g.CreateInvite(group_id=group_id, **fields))).code

    async def accepts(self, caller: Caller, code: str) -> g.GroupJoined:
        return await self.services.members.accept_invite(caller, g.AcceptInvite(code=code))

    async def sends(self, caller: Caller, group_id: str, content: str = "hello", **fields: Any) -> m.MessageSent:
        return await self.services.messages.send(caller, m.SendMessage(group_id=group_id, content=content, **fields))

    async def reads(self, caller: Caller, group_id: str) -> list[m.Message]:
        return (await self.services.reading.history(caller, m.History(group_id=group_id))).messages

    async def members(self, group_id: str) -> set[str]:
        return {member.user_id for member in await self.group_store.members_of(group_id)}

    async def roles(self, group_id: str) -> dict[str, str]:
        return {member.user_id: member.role for member in await self.group_store.members_of(group_id)}

    @staticmethod
    async def refusal(work: Awaitable[object]) -> str:
        """The code with which this is refused."""
        try:
            await work
        except ChatError as error:
            return error.code
        raise AssertionError("this was not refused")


def _no_models() -> Models:
    budget = Budget(MemoryBudgetStore(), daily=None, daily_per_user=None, person=str)
    return Models((), disabled="no models here", timeout_seconds=8, budget=budget, metrics=Metrics(), shipped=shipped())


def codes(outcomes: Iterable[object]) -> list[str]:
    """Of `gather(return_exceptions=True)`: "ok" or the refusal's code, sorted."""
    return sorted(outcome.code if isinstance(outcome, ChatError) else "ok" for outcome in outcomes)
