"""Asking for a decision, and objecting to one."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from chatcore.contract import moderation as m
from chatcore.errors import CapabilityUnavailable, Conflict, NotFound, Unavailable
from chatcore.journal.ids import new_id
from chatcore.moderation.judge import Judge, Place
from chatcore.moderation.records import Appeal, Sanction, Subject
from chatcore.moderation.sanctions import Sanctions
from chatcore.moderation.store import ModerationStore
from chatcore.ports import Caller

NO_SUCH_DECISION: Final = "There is no such decision about a text of yours"


class Moderation:
    """What everybody may do. `disabled` says why nothing is decided on this server, "" where it is."""

    def __init__(
        self,
        *,
        judge: Judge,
        store: ModerationStore,
        sanctions: Sanctions,
        clock: Callable[[], datetime],
        disabled: str = "",
    ):
        self._judge = judge
        self._store = store
        self._sanctions = sanctions
        self._clock = clock
        self._disabled = disabled

    async def moderate(self, caller: Caller, request: m.ModerateContent) -> m.ModeratedContent:
        """The whole decision on a text that stands nowhere. Nothing follows from it."""
        if self._disabled:
            raise CapabilityUnavailable(self._disabled)
        subject = Subject("content", caller.user_id)
        judged = await self._judge.judge(request.content, subject)
        if not judged.evidence:
            raise Unavailable("The models are still being loaded; try again in a moment", retry_after_ms=2_000)
        await self._judge.record(judged, request.content, subject, Place())
        ruling, served = judged.ruling, judged.served
        return m.ModeratedContent(
            flagged=ruling.action != "allow",
            action=ruling.action,
            category=ruling.category or None,
            categories={name: name in ruling.flags for name in sorted({*ruling.scores, *ruling.flags})},
            scores=dict(ruling.scores),
            decision_id=judged.decision_id,
            provider=served.provider,
            model=served.model,
            degraded=served.degraded,
        )

    async def appeal(self, caller: Caller, request: m.MakeAppeal) -> m.Appeal:
        """Once against each decision; a repeat gives the first."""
        sanction = await self._store.find_sanction(request.decision_id)
        if sanction is None or sanction.user_id != caller.user_id:
            raise NotFound(NO_SUCH_DECISION, field="decisionId")
        if sanction.state != "standing":
            raise Conflict("This decision was undone already", field="decisionId")
        now = self._clock()
        appeal = Appeal(new_id(now), sanction.decision_id, sanction.group_id, caller.user_id, request.reason, now)
        return await self.shape(await self._store.add_appeal(appeal), sanction)

    async def my_appeals(self, caller: Caller, request: m.MyAppeals) -> m.Appeals:
        found = await self._store.appeals_of(caller.user_id, request.limit + 1, request.cursor or "")
        return await self.page(found, request.limit)

    async def page(self, found: list[Appeal], limit: int) -> m.Appeals:
        """One more than `limit` tells that there is more."""
        shown, more = found[:limit], len(found) > limit
        shapes = [await self.shape(appeal, await self._store.find_sanction(appeal.decision_id)) for appeal in shown]
        return m.Appeals(appeals=shapes, has_more=more, next=shown[-1].order if more else None)

    async def shape(self, appeal: Appeal, sanction: Sanction | None) -> m.Appeal:
        return m.Appeal(
            id=appeal.id,
            decision_id=appeal.decision_id,
            group_id=appeal.group_id,
            user_id=appeal.user_id,
            message_id=sanction.message_id or None if sanction else None,
            category=sanction.category if sanction else "",
            content=await self._sanctions.text_of(sanction) if sanction else None,
            reason=appeal.reason,
            state=appeal.state,
            resend=appeal.state == "upheld" and sanction is not None and sanction.deed == "rejected",
            note=appeal.note or None,
            resolved_by=appeal.resolved_by or None,
            resolved_at=appeal.resolved_at,
            created_at=appeal.created_at,
        )
