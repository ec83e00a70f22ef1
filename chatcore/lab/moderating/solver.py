"""Moderation as a solver: the server's own judge on each text, with the version that is to be tried."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from chatcore.ai.calls import Called, Purpose
from chatcore.ai.ledger.records import Decision
from chatcore.ai.prompts.versions import Choice, PromptVersion
from chatcore.ai.provider.models import Models
from chatcore.app.ai import has_provider
from chatcore.lab import endpoint
from chatcore.lab.datasets.vocabulary import Dataset, Sample
from chatcore.lab.evaluation.tasks import Output, Report
from chatcore.lab.moderating.judgements import Judgements, judgements
from chatcore.lab.surroundings import settings
from chatcore.lab.versions import LIVE, find_version, named
from chatcore.moderation.decide import Policy
from chatcore.moderation.judge import Judge, Judged, evidence_as_json, limits_of
from chatcore.moderation.records import Evidence, Kind, Overrides, Subject
from chatcore.moderation.thresholds import DEFAULT, NO_WISHES, Thresholds
from chatcore.moderation.tiers import FUNCTION, FirstLook, ModelTier

PATIENCE_SECONDS: Final = 60.0
"""Nobody waits for an evaluation; a slow answer is an answer."""
GATHER_SECONDS: Final = 0.002
MOST_TEXTS: Final = 32
MOST_CHARACTERS: Final = 6_000
Answer = asyncio.Future[Called[list[dict[str, float]]]]


class NotDecided(Exception):
    """A tier could not answer, or a weaker one did in its place: missing data, not a harmless text."""


def moderate(
    version: PromptVersion | str = LIVE,
    *,
    thresholds: Thresholds = DEFAULT,
    limits: Overrides = NO_WISHES,
    kind: Kind = "message",
) -> "Moderator":
    """A solver for `lab.Task`: its answers are the flagged categories, none for a text that may pass.

    `version` as in `find_version`: its `thresholds` parameter holds flag limits by category. `thresholds` is the
    server's table, `limits` a group's stricter wishes, `kind` where the text stands (a name is not a message).
    """
    chosen = version if isinstance(version, PromptVersion) else find_version(FUNCTION, version)
    return Moderator(chosen, thresholds, limits, kind)


class Moderator:
    """Asks what the server would ask: first tier, model, and the prompt only where a provider stands behind it.

    The model is also asked where the first tier alone refuses, so that its scores are known for every text; the ruling
    stays what the server would have done.
    """

    def __init__(self, version: PromptVersion, thresholds: Thresholds, limits: Overrides, kind: Kind):
        self.version = version
        self.thresholds = thresholds
        self._subject = Subject(kind, "workbench", "workbench", overrides=limits)
        self._judge: Judge | None = None
        self._models: InBatches | None = None
        self._making = asyncio.Lock()

    @property
    def name(self) -> str:
        """What makes its answers what they are, for the version of a task."""
        return (
            f"{self.version.version_id} {self.thresholds.version} {self._subject.kind} {dict(self._subject.overrides)}"
        )

    @property
    def title(self) -> str:
        return f"{named(self.version)}, limits {self.thresholds.version}"

    @property
    def policy(self) -> Policy:
        return Policy(self.thresholds, self._subject.overrides, limits_of(self.version))

    def judgements(self, report: Report, dataset: Dataset) -> Judgements:
        """Of an evaluation with this solver, under its own limits."""
        return judgements(report, dataset, self.policy)

    async def __call__(self, sample: Sample, epoch: int) -> Output:
        """Raises NotDecided."""
        return await endpoint.elsewhere(self._answer(sample.text))

    async def _answer(self, text: str) -> Output:
        judged = await (await self._ready()).judge(text, self._subject, deadline_seconds=PATIENCE_SECONDS)
        ruling, seen = judged.ruling, list(judged.evidence)
        if ruling.missing:
            raise NotDecided(f"a tier could not answer: {ruling.missing}")
        if judged.served.fallback:
            raise NotDecided(f"{judged.served.model} stood in for the provider: {judged.served.fallback}")
        if not judged.model_spoke:
            seen.append(await self._model_too(text))
        return Output(
            list(ruling.flags),
            model=judged.served.model,
            degraded=all(each.tier in ("first", "embedded") for each in seen),
            tokens=judged.served.prompt_tokens + judged.served.completion_tokens,
            cost_usd=judged.served.cost_usd or 0.0,
            evidence=_told(judged, seen),
        )

    async def _model_too(self, text: str) -> Evidence:
        assert self._models is not None
        return await ModelTier(self._models, deadline_seconds=PATIENCE_SECONDS).look(text, self._subject)

    async def _ready(self) -> Judge:
        async with self._making:
            if self._judge is None:
                first = FirstLook()
                await first.prepare()
                self._models = InBatches(endpoint.models())
                self._judge = Judge(
                    first=first, models=self._models, prompts=Always(self.version), ledger=NoLedger(),
                    clock=lambda: datetime.now(UTC), asks_prompt=has_provider(settings()), thresholds=self.thresholds,
                )  # fmt: skip
        return self._judge


def _told(judged: Judged, seen: Sequence[Evidence]) -> dict[str, Any]:
    """What `Judgements` reads, as JSON."""
    return {
        "action": judged.ruling.action,
        "category": judged.ruling.category,
        "tiers": [evidence_as_json(each) for each in seen],
    }


class Always:
    """Gives everybody the version that is tried."""

    def __init__(self, version: PromptVersion):
        self._choice = Choice(version, "live")

    async def choose(self, function: str, user_id: str) -> Choice:
        return self._choice


class NoLedger:
    """An evaluation is kept by its run, not by the ledger."""

    def new_id(self) -> str:
        return ""

    async def record(self, decision: Decision) -> None:
        return None


class InBatches:
    """Models whose moderation calls of one moment go out as one request, as bulk work that people need not wait for."""

    def __init__(self, models: Models):
        self._models = models
        self._waiting: list[tuple[str, Answer]] = []
        self._sender: asyncio.Task[None] | None = None
        self.requests = 0

    async def moderate(self, texts: Sequence[str], purpose: Purpose) -> Called[list[dict[str, float]]]:
        """Texts of one evaluation, so the first one's purpose is everybody's."""
        if len(texts) != 1:
            return await self._models.moderate(texts, purpose)
        answer: Answer = asyncio.get_running_loop().create_future()
        self._waiting.append((texts[0], answer))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_all(purpose))
        return await answer

    async def call(
        self,
        function: str,
        arguments: Mapping[str, Any],
        purpose: Purpose,
        *,
        version: PromptVersion | None = None,
    ) -> Called[dict[str, Any]]:
        return await self._models.call(function, arguments, purpose, version=version)

    async def _send_all(self, purpose: Purpose) -> None:
        """One request after another, so that none waits for the others within its own time."""
        await asyncio.sleep(GATHER_SECONDS)
        while self._waiting:
            size = 0
            for count, (text, _) in enumerate(self._waiting, start=1):
                size += len(text)
                if size >= MOST_CHARACTERS or count == MOST_TEXTS:
                    break
            batch, self._waiting = self._waiting[:count], self._waiting[count:]
            await self._send(batch, purpose)

    async def _send(self, batch: list[tuple[str, Answer]], purpose: Purpose) -> None:
        self.requests += 1
        try:
            called = await self._models.moderate([text for text, _ in batch], purpose)
        except Exception as error:  # noqa: BLE001 - each asker gets it, whatever it is
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), scores in zip(batch, called.value, strict=True):
            if not answer.done():
                answer.set_result(Called([scores], called.served))
