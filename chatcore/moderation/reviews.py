"""The queue, and what the people who review do. Every deed stands in the audit, written with what it tells of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from chatcore.ai.ledger.service import Ledger
from chatcore.audit.chain import Deed
from chatcore.audit.service import Audit
from chatcore.contract import moderation as m
from chatcore.contract.people import User
from chatcore.errors import Conflict, Forbidden, NotFound
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Mark
from chatcore.moderation.records import Appeal, Review, Sanction
from chatcore.moderation.sanctions import Sanctions
from chatcore.moderation.scene import Change, Scene, Seen
from chatcore.moderation.service import Moderation
from chatcore.moderation.store import RESOLVED, ModerationStore
from chatcore.ports import Caller, Fanout

UNKNOWN: Final = "somebody"
NO_SUCH_REVIEW: Final = "There is no such review"
NO_SUCH_APPEAL: Final = "There is no such appeal"
ATTEMPTS: Final = 5


class Reviews:
    """For people with the server role `reviewer`; the audit also for `operator`."""

    def __init__(
        self,
        *,
        moderation: Moderation,
        store: ModerationStore,
        sanctions: Sanctions,
        scene: Scene,
        ledger: Ledger,
        audit: Audit,
        fanout: Fanout,
        clock: Callable[[], datetime],
    ):
        self._moderation = moderation
        self._store = store
        self._sanctions = sanctions
        self._scene = scene
        self._ledger = ledger
        self._audit = audit
        self._fanout = fanout
        self._clock = clock

    # --- the queue

    async def reported(self, group_id: str, message_id: str, author_id: str) -> None:
        """Somebody reported this message."""
        now = self._clock()
        await self._store.add_review(Review(new_id(now), message_id, group_id, author_id, "report", now, reports=1))

    async def find(self, caller: Caller, request: m.FindReviews) -> m.Reviews:
        caller.require_role("reviewer")
        found = await self._store.reviews(request.state, request.limit + 1, request.cursor or "")
        shown, more = found[: request.limit], len(found) > request.limit
        shapes = [await self._shape(review) for review in shown]
        return m.Reviews(reviews=shapes, has_more=more, next=shown[-1].order if more else None)

    async def assign(self, caller: Caller, request: m.AssignReview) -> m.Review:
        """To oneself, to somebody else, or back to nobody. What another has in hand must be given back first."""
        caller.require_role("reviewer")
        review = await self._review(request.review_id)
        assignee = caller.user_id if request.assignee is None else request.assignee
        if review.assignee == assignee and review.state != "resolved":
            return await self._shape(review)
        if review.assignee not in ("", caller.user_id):
            raise Conflict("Somebody else has this review in hand")
        changed = await self._store.assign(review.id, assignee, held_by=review.assignee)
        if changed is None:
            raise Conflict(RESOLVED)
        return await self._shape(changed)

    async def resolve(self, caller: Caller, request: m.ResolveReview) -> m.Review:
        caller.require_role("reviewer")
        review = await self._review(request.review_id)
        if review.state == "resolved":
            raise Conflict(RESOLVED)
        if review.assignee not in ("", caller.user_id):
            raise Conflict("Somebody else has this review in hand")
        if review.user_id == caller.user_id:
            raise Forbidden("Nobody resolves a review of their own message")
        done = replace(
            review,
            state="resolved",
            resolution=request.resolution,
            resolved_by=caller.user_id,
            resolved_at=self._clock(),
            note=request.note,
        )
        await self._do(caller, done)
        return await self._shape(done)

    async def _do(self, caller: Caller, done: Review) -> None:
        facts = {"resolution": str(done.resolution), "message": done.message_id, "group": done.group_id}
        closing = [self._store.review_resolved(done), *await self._told_ledger(done)]
        writes = [*closing, self._audited(caller, "review.resolve", done.id, facts)]
        if done.resolution == "restore":
            await self._restore(done, writes)
            return
        if done.resolution in ("kick", "ban"):
            ban = done.resolution == "ban"
            await self._scene.expel(done.group_id, done.user_id, caller.user, ban=ban, reason=done.note)
        removes = done.resolution in ("remove", "kick", "ban")
        if not (removes and await self._remove(done, writes)):
            await self._together(writes)
        if done.resolution == "warn":
            warning = m.ModerationWarning(group_id=done.group_id, message_id=done.message_id, note=done.note or None)
            self._fanout.tell(done.user_id, "moderation_warning", warning)

    async def _remove(self, done: Review, writes: Sequence[Change]) -> bool:
        """By a person, so the author can appeal against it as against a model. False where it is gone already."""
        seen = await self._scene.find(done.message_id)
        if seen is None or seen.is_deleted:
            return False
        decision_id = self._ledger.new_id()
        sanction = await self._sanctions.by_hand(seen, decision_id, done.category or "reported")
        mark = Mark("block", sanction.category, decision_id)
        return await self._scene.remove(done.message_id, mark, [self._store.sanction_added(sanction), *writes])

    async def _restore(self, done: Review, writes: Sequence[Change]) -> None:
        seen = await self._scene.find(done.message_id)
        mark = seen.mark if seen is not None else None
        sanction = await self._store.find_sanction(mark.decision_id) if mark is not None else None
        if sanction is None:
            raise Conflict("Moderation has not changed this message, so there is nothing to restore")
        await self._undo(sanction, writes)

    async def _told_ledger(self, done: Review) -> list[Change]:
        if not done.decision_id:
            return []
        human = {
            "resolution": done.resolution,
            "by": self._ledger.person(done.resolved_by),
            "at": done.resolved_at,
            "agrees": done.resolution not in ("dismiss", "restore"),
        }
        return [await self._ledger.outcome(done.decision_id, human=human)]

    # --- appeals

    async def appeals(self, caller: Caller, request: m.FindAppeals) -> m.Appeals:
        caller.require_role("reviewer")
        found = await self._store.appeals(request.state, request.limit + 1, request.cursor or "")
        return await self._moderation.page(found, request.limit)

    async def resolve_appeal(self, caller: Caller, request: m.ResolveAppeal) -> m.Appeal:
        """An upheld one puts a masked or removed message back as it was; a refused text may be sent again."""
        caller.require_role("reviewer")
        appeal = await self._store.find_appeal(request.appeal_id)
        sanction = await self._store.find_sanction(appeal.decision_id) if appeal is not None else None
        if appeal is None or sanction is None:
            raise NotFound(NO_SUCH_APPEAL)
        if appeal.state != "open":
            raise Conflict(RESOLVED)
        if appeal.user_id == caller.user_id:
            raise Forbidden("Nobody resolves an appeal of their own")
        done = replace(
            appeal,
            state=request.outcome,
            resolved_by=caller.user_id,
            resolved_at=self._clock(),
            note=request.note,
        )
        outcome = {"outcome": done.state, "by": self._ledger.person(done.resolved_by), "at": done.resolved_at}
        writes = [
            self._store.appeal_resolved(done),
            await self._ledger.outcome(done.decision_id, appeal=outcome),
            self._audited(caller, "appeal.resolve", done.id, {"outcome": done.state, "decision": done.decision_id}),
        ]
        await (self._undo(sanction, writes) if done.state == "upheld" else self._together(writes))
        self._tell_author(done, sanction)
        return await self._moderation.shape(done, sanction)

    def _tell_author(self, done: Appeal, sanction: Sanction) -> None:
        told = m.AppealResolved(
            appeal_id=done.id,
            decision_id=done.decision_id,
            group_id=done.group_id,
            outcome="upheld" if done.state == "upheld" else "denied",
            resend=done.state == "upheld" and sanction.deed == "rejected",
            note=done.note or None,
        )
        self._fanout.tell(done.user_id, "appeal_resolved", told)

    async def _undo(self, sanction: Sanction, writes: Sequence[Change]) -> None:
        """Message, sanction, pass, review or appeal, ledger and audit in one transaction."""
        text = await self._sanctions.text_of(sanction)
        changes = [self._store.sanction_undone(sanction.decision_id), *writes]
        if text is not None:
            changes.insert(0, self._sanctions.let_stand(sanction, text))
        if sanction.deed != "rejected":
            if text is None:
                raise Conflict("The message's text was erased, as its retention has passed")
            if await self._scene.restore(sanction.message_id, sanction.decision_id, text, changes):
                return
        await self._together(changes)  # refused before it was stored; or its author has changed or deleted it since

    # --- the audit

    async def audit(self, caller: Caller, request: m.ReadAudit) -> m.AuditPage:
        caller.require_role("operator", "reviewer")
        links = await self._audit.newest(request.limit + 1, before=request.before)
        shown, more = links[: request.limit], len(links) > request.limit
        entries = [
            m.AuditEntry(
                n=link.n,
                actor=link.deed.actor,
                action=link.deed.action,
                target=link.deed.target,
                facts=dict(link.deed.facts),
                hash=link.hash,
                created_at=link.deed.at,
            )
            for link in shown
        ]
        return m.AuditPage(entries=entries, has_more=more, next=shown[-1].n if more else None)

    def _audited(self, caller: Caller, action: str, target: str, facts: Mapping[str, str]) -> Change:
        return self._audit.appended(Deed(caller.user_id, action, target, self._clock(), facts))

    # --- shared

    async def _together(self, changes: Sequence[Change]) -> None:
        """Again where another deed took the next place in the audit."""
        for attempt in range(ATTEMPTS):
            try:
                await self._scene.transact(changes)
                return
            except Conflict as error:
                if str(error) == RESOLVED or attempt == ATTEMPTS - 1:
                    raise

    async def _review(self, review_id: str) -> Review:
        review = await self._store.find_review(review_id)
        if review is None:
            raise NotFound(NO_SUCH_REVIEW)
        return review

    async def _shape(self, review: Review) -> m.Review:
        seen = await self._scene.find(review.message_id)
        return m.Review(
            id=review.id,
            message_id=review.message_id,
            group_id=review.group_id,
            group_name=seen.group_name if seen else "",
            author=seen.author if seen else User(user_id=review.user_id, name=UNKNOWN),
            content=await self._written(seen) if seen else "",
            is_deleted=seen.is_deleted if seen else True,
            source=review.source,
            action=review.action,
            category=review.category or None,
            score=review.score,
            decision_id=review.decision_id or None,
            reports=review.reports,
            state=review.state,
            assignee=review.assignee or None,
            resolution=review.resolution,
            resolved_by=review.resolved_by or None,
            resolved_at=review.resolved_at,
            note=review.note or None,
            created_at=review.created_at,
        )

    async def _written(self, seen: Seen) -> str:
        """As the author wrote it, where moderation put something else in its place."""
        if seen.mark is not None and seen.mark.action == "mask":
            sanction = await self._store.find_sanction(seen.mark.decision_id)
            text = await self._sanctions.text_of(sanction) if sanction is not None else None
            if text is not None:
                return text
        return seen.text
