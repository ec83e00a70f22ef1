"""Replays of moderation: the same text through the same `decide`, for `python -m chatcore decisions replay`."""

from hashlib import sha256

from chatcore.ai.ledger.records import Decision
from chatcore.ai.prompts.versions import PromptVersion
from chatcore.ai.replay import DEADLINE_SECONDS, ContentGone, Redone
from chatcore.errors import Conflict
from chatcore.moderation.judge import Judge
from chatcore.moderation.records import Subject
from chatcore.moderation.sanctions import Sanctions
from chatcore.moderation.scene import Scene
from chatcore.moderation.store import ModerationStore


class ModerationReplay:
    """The ledger keeps no copy of what was let through, so the text is read where it stands: in the message, or sealed
    beside the sanction. A text that was edited or erased since, or stood nowhere, cannot be judged again."""

    def __init__(self, *, judge: Judge, scene: Scene, store: ModerationStore, sanctions: Sanctions):
        self._judge, self._scene, self._store, self._sanctions = judge, scene, store, sanctions

    async def redo(self, decision: Decision, version: PromptVersion | None) -> Redone:
        """Raises ContentGone where the text is gone, Conflict where it is another one now."""
        text = await self._text(decision)
        if decision.input_sha256 != sha256(text.encode("utf-8", "replace")).hexdigest():
            raise Conflict("The text was changed since")
        if not self._judge.first.ready:
            await self._judge.first.prepare()
        subject = Subject(
            kind=decision.input.get("kind", "message"),
            group_id=decision.group_id,
            message_id=decision.message_id,
            overrides=decision.parameters.get("overrides", {}),
        )
        if version is not None:
            tried = await self._judge.again(decision, text, subject, version)
            told = {name: tried.output[name] for name in ("category", "flags")}
            return Redone(told, tried.served, tried.action, tried.scores)
        judged = await self._judge.judge(text, subject, deadline_seconds=DEADLINE_SECONDS)
        told = {"category": judged.ruling.category, "flags": list(judged.ruling.flags)}
        return Redone(told, judged.served, judged.ruling.action, judged.ruling.scores)

    async def _text(self, decision: Decision) -> str:
        sanction = await self._store.find_sanction(decision.decision_id)
        if sanction is not None and (kept := await self._sanctions.text_of(sanction)) is not None:
            return kept
        seen = await self._scene.find(decision.message_id) if decision.message_id else None
        if seen is None or seen.is_deleted or not seen.text:
            raise ContentGone("The text is kept nowhere any more")
        return seen.text
