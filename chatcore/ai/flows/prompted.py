"""Asking a prompt: the version that answers this person, the call, its row in the ledger, and the shadows beside it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from chatcore.ai.calls import Purpose, Served
from chatcore.ai.ledger.records import Decision
from chatcore.ai.prompts.versions import Choice, PromptVersion
from chatcore.ai.provider.models import Models
from chatcore.background import Background

SHADOWS_AT_ONCE: Final = 2
SHADOWS_WAITING: Final = 20
BY_RULES: Final = Served("rules", "rules", False, "", 0.0, 0, 0, 0.0)
Arguments = Mapping[str, Any]


class Choices(Protocol):
    """Which version answers whom: Prompts, or a workbench that tries one version on everybody."""

    async def choose(self, function: str, user_id: str) -> Choice: ...


class Records(Protocol):
    """Where decisions go: the Ledger, or a workbench that keeps none."""

    def new_id(self) -> str: ...
    async def record(self, decision: Decision) -> None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a prompt answered. `value` fits the function's type and is not checked against anything yet."""

    decision_id: str
    value: Mapping[str, Any]
    served: Served
    choice: Choice
    arguments: Arguments
    purpose: Purpose


class Prompted:
    """Raises what Models raises. Nothing is recorded of a call that nobody answered."""

    def __init__(self, *, models: Models, prompts: Choices, ledger: Records, background: Background):
        self._models, self._prompts, self._ledger = models, prompts, ledger
        self._background = background
        self._shadows = asyncio.Semaphore(SHADOWS_AT_ONCE)
        self._waiting = 0

    async def ask(
        self,
        function: str,
        arguments: Arguments,
        purpose: Purpose,
        *,
        parameters: Mapping[str, Any] | None = None,
        rules: Callable[[], Arguments] | None = None,
    ) -> Answer:
        """`parameters` of the request go over those of the version."""
        choice = await self._choice(function, purpose, parameters)
        called = await self._models.call(function, arguments, purpose, version=choice.version, rules=rules)
        answer = Answer(self._ledger.new_id(), called.value, called.served, choice, arguments, purpose)
        self._start_shadows(answer, parameters)
        return answer

    async def version(
        self, function: str, purpose: Purpose, parameters: Mapping[str, Any] | None = None
    ) -> PromptVersion:
        """The one that `ask` would send now. Raises CapabilityUnavailable where a switch is off."""
        self._models.require_switched_on(purpose)
        return (await self._choice(function, purpose, parameters)).version

    async def without_asking(self, function: str, purpose: Purpose, value: Mapping[str, Any]) -> Answer:
        """For a question that needs no model, as the summary of nothing. Raises like `version`."""
        self._models.require_switched_on(purpose)
        choice = await self._choice(function, purpose, None)
        return Answer(self._ledger.new_id(), value, BY_RULES, choice, {}, purpose)

    async def record(
        self,
        answer: Answer,
        *,
        used: Mapping[str, Any],
        action: str,
        message_id: str = "",
        seq: int | None = None,
        scores: Mapping[str, float] | None = None,
    ) -> None:
        """`used` is what became of the answer after the checks: it stands in the row beside the answer itself."""
        decision = _decision(answer, answer.choice.version)
        await self._ledger.record(
            replace(
                decision,
                output={"answer": dict(answer.value), "used": dict(used)},
                action=action,
                message_id=message_id,
                seq=seq,
                scores=dict(scores or {}),
            )
        )

    async def _choice(self, function: str, purpose: Purpose, parameters: Mapping[str, Any] | None) -> Choice:
        choice = await self._prompts.choose(function, purpose.user_id)
        return replace(choice, version=_with(choice.version, parameters))

    def _start_shadows(self, answer: Answer, parameters: Mapping[str, Any] | None) -> None:
        """Beside the answer and never in its way; more than a few that wait are left out."""
        for version in answer.choice.shadows:
            if self._waiting >= SHADOWS_WAITING:
                return
            self._waiting += 1
            if not self._background.spawn("shadow", self._shadow(answer, _with(version, parameters))):
                self._waiting -= 1

    async def _shadow(self, answer: Answer, version: PromptVersion) -> None:
        try:
            async with self._shadows:
                function = answer.choice.version.function
                called = await self._models.call(function, answer.arguments, answer.purpose, version=version)
        finally:
            self._waiting -= 1
        shadow = _decision(replace(answer, served=called.served, value=called.value), version)
        shadow = replace(shadow, decision_id=self._ledger.new_id(), mode="shadow", arm="shadow", action="none")
        await self._ledger.record(replace(shadow, shadow_of=answer.decision_id))


def _with(version: PromptVersion, parameters: Mapping[str, Any] | None) -> PromptVersion:
    return replace(version, parameters={**version.parameters, **parameters}) if parameters else version


def _decision(answer: Answer, version: PromptVersion) -> Decision:
    return Decision(
        decision_id=answer.decision_id,
        feature=answer.purpose.feature,
        served=answer.served,
        input=dict(answer.arguments),
        output={"answer": dict(answer.value)},
        group_id=answer.purpose.group_id,
        user_id=answer.purpose.user_id,
        prompt=version.version_id,
        parameters=dict(version.parameters),
        arm=answer.choice.arm,
    )
