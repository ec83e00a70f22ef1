"""Names of people. They come with a token or from its issuer, so there is nobody to refuse them to: what the first tier
would refuse or cover in a message is not taken over, and the account keeps the name it had, or goes by its number."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from chatcore.metrics import Metrics
from chatcore.moderation.judge import Judge, Place
from chatcore.moderation.records import Subject

Spawn = Callable[[str, Coroutine[Any, Any, object]], bool]


class NameDoor(Protocol):
    def admits(self, user_id: str, name: str) -> bool:
        """Never waits."""
        ...


class GuardedNames:
    """Each refusal is a decision in the ledger. Until the first tier is loaded, a second after somebody came, names
    pass; they are looked at again whenever they change."""

    def __init__(self, judge: Judge, metrics: Metrics, spawn: Spawn):
        self._judge, self._metrics, self._spawn = judge, metrics, spawn

    def admits(self, user_id: str, name: str) -> bool:
        subject = Subject("display_name", user_id)
        judged = self._judge.judge_now(name, subject)
        if judged.ruling.action not in ("block", "mask"):
            return True
        self._spawn("record-name", self._judge.record(judged, name, subject, Place(), action="block"))
        self._metrics.moderation_decisions.labels(subject.kind, "block").inc()
        return False
