"""What every text passes on its way in. In a `fast` group nothing here waits for a model."""

import asyncio
from dataclasses import dataclass, replace
from typing import Final, Protocol

from chatcore.contract.messages import MessageRejectedNotice
from chatcore.errors import MessageRejected
from chatcore.journal.rows import Mark
from chatcore.metrics import Metrics
from chatcore.moderation.decide import masked
from chatcore.moderation.judge import Judge, Judged, Place
from chatcore.moderation.later import Later, Waiting
from chatcore.moderation.records import Mode, Subject
from chatcore.moderation.sanctions import Sanctions
from chatcore.moderation.scene import Change
from chatcore.moderation.store import ModerationStore

STRICT_SECONDS: Final = 1.5


@dataclass(frozen=True, slots=True)
class Admission:
    """A text that may be stored: perhaps masked, then with its mark and with `change` for the same transaction."""

    text: str
    mark: Mark | None = None
    change: Change | None = None
    original: str = ""
    subject: Subject | None = None
    judged: Judged | None = None
    finished: bool = False


class Door(Protocol):
    async def admit(self, text: str, subject: Subject) -> Admission:
        """Raises MessageRejected."""
        ...

    def stored(self, admission: Admission, message_id: str, seq: int, rev: int) -> None:
        """Told once the text is stored: whatever was not decided yet is decided now. Never waits."""
        ...


class OpenDoor:
    """Moderation is off."""

    async def admit(self, text: str, subject: Subject) -> Admission:
        return Admission(text)

    def stored(self, admission: Admission, message_id: str, seq: int, rev: int) -> None:
        return None


class GuardedDoor:
    """`policy` is the server's; a group's wish can only make it stricter."""

    def __init__(
        self,
        *,
        judge: Judge,
        later: Later,
        store: ModerationStore,
        sanctions: Sanctions,
        metrics: Metrics,
        policy: Mode,
        strict_seconds: float = STRICT_SECONDS,
    ):
        self._judge = judge
        self._later = later
        self._store = store
        self._sanctions = sanctions
        self._metrics = metrics
        self._policy: Mode = policy
        self._strict_seconds = strict_seconds

    def mode(self, subject: Subject) -> Mode:
        if subject.mode == "strict" or self._policy == "strict":
            return "strict"
        return self._policy

    async def admit(self, text: str, subject: Subject) -> Admission:
        mode = self.mode(subject)
        if mode == "off" or not text:
            return Admission(text)
        subject = replace(subject, mode=mode)
        judged, finished = await self._judge.judge_soon(text, subject), False
        if mode == "strict" and judged.ruling.action != "block":
            judged, finished = await self._wait(text, subject, judged)
        action = judged.ruling.action
        if action in ("block", "mask") and await self._sanctions.may_stand(text, subject):
            action = "allow"
        if action == "block":
            raise await self._rejected(text, subject, judged)
        if action == "mask":
            return await self._masked(text, subject, judged, finished=finished)
        return Admission(text, original=text, subject=subject, judged=judged, finished=finished)

    async def _wait(self, text: str, subject: Subject, known: Judged) -> tuple[Judged, bool]:
        """The whole decision, as long as a strict group may wait for it; then it goes in, and is decided later."""
        try:
            async with asyncio.timeout(self._strict_seconds):
                judged = await self._judge.judge(text, subject, known, deadline_seconds=self._strict_seconds)
        except TimeoutError:
            self._metrics.moderation_unchecked.labels("late").inc()
            return known, False
        return judged, judged.model_spoke

    async def _rejected(self, text: str, subject: Subject, judged: Judged) -> MessageRejected:
        """Durable before it is told, as it can be appealed against from then on."""
        appealable = subject.kind in ("message", "edit")
        message_id = subject.message_id if subject.kind == "edit" else ""  # a new message does not come to be
        if appealable:
            sanction = await self._sanctions.make(text, subject, judged, "rejected", message_id)
            await self._store.add_sanction(sanction)
        await self._judge.record(judged, text, subject, Place(message_id), action="block")
        self._metrics.moderation_decisions.labels(subject.kind, "block").inc()
        if not appealable:
            return MessageRejected("Moderation refused this name; take another one")
        notice = MessageRejectedNotice(
            temp_id=subject.temp_id,
            group_id=subject.group_id,
            category=judged.ruling.category,
            decision_id=judged.decision_id,
            appealable=appealable,
        )
        return MessageRejected(notice=notice)

    async def _masked(self, text: str, subject: Subject, judged: Judged, *, finished: bool) -> Admission:
        if subject.kind not in ("message", "edit"):  # a name is not covered but refused
            raise await self._rejected(text, subject, judged)
        mark = Mark("mask", judged.ruling.category, judged.decision_id)
        sanction = await self._sanctions.make(text, subject, judged, "masked", subject.message_id)
        return Admission(
            masked(text, judged.ruling),
            mark,
            self._store.sanction_added(sanction),
            original=text,
            subject=subject,
            judged=judged,
            finished=finished,
        )

    def stored(self, admission: Admission, message_id: str, seq: int, rev: int) -> None:
        if admission.judged is None or admission.subject is None:
            return
        self._later.add(
            Waiting(
                text=admission.original,
                subject=admission.subject,
                place=Place(message_id, seq, rev),
                judged=admission.judged,
                finished=admission.finished,
                masked=admission.mark is not None,
            )
        )
