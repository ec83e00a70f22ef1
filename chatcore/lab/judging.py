"""Judges: the provider's, or without one the embedded scorer that knows likeness alone, through the same functions."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from chatcore.ai.calls import Purpose, Served
from chatcore.ai.prompts.versions import PromptVersion
from chatcore.lab import endpoint
from chatcore.lab.datasets.vocabulary import Sample
from chatcore.lab.replies import NotAsAsked
from chatcore.lab.versions import LIVE, find_version

Winner = Literal["first", "second", "tie"]
PATIENCE: Final = Purpose("judge", deadline_seconds=60.0)
TURNS: Final = 12
WINNERS: Final[Mapping[str, Winner]] = {"First": "first", "Second": "second", "Tie": "tie"}


@dataclass(frozen=True, slots=True)
class Opinion:
    """Of a pair: who is better, and who said so."""

    winner: Winner
    reason: str
    served: Served


@dataclass(frozen=True, slots=True)
class Grade:
    """Of one reply: 0 nobody would send it, 1 anybody would."""

    score: float
    faults: tuple[str, ...]
    served: Served


class Judge:
    """Raises NotAsAsked where something below the first choice answered, and what Models raises."""

    def __init__(self, *, shows_reference: bool, pair: str = LIVE, single: str = LIVE):
        self.shows_reference = shows_reference
        self._pair: PromptVersion = find_version("JudgePair", pair)
        self._single: PromptVersion = find_version("JudgeReply", single)

    async def prefers(self, sample: Sample, first: str, second: str) -> Opinion:
        """Ask again with the two changed over: judges favour a place."""
        value, served = await self._ask(self._pair, sample, {"first": first, "second": second})
        return Opinion(WINNERS[str(value["winner"])], str(value["reason"]), served)

    async def grades(self, sample: Sample, reply: str) -> Grade:
        value, served = await self._ask(self._single, sample, {"reply": reply})
        return Grade(float(value["score"]), tuple(map(str, value["faults"])), served)

    async def _ask(
        self, version: PromptVersion, sample: Sample, told: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], Served]:
        reference = {"reference": str(sample.target)} if self.shows_reference else {}
        arguments = {"messages": turns_of(sample), **told, **reference}
        called = await endpoint.elsewhere(_call(version, arguments))
        if called.served.fallback:
            raise NotAsAsked(f"the first choice did not answer: {called.served.fallback}")
        return called.value, called.served


def judge(*, shows_reference: bool = False) -> Judge:
    """`shows_reference`: it is told what was really said. The embedded one can do little without."""
    return Judge(shows_reference=shows_reference)


def turns_of(sample: Sample) -> list[dict[str, str]]:
    """As prompts get messages, at most the newest twelve."""
    if isinstance(sample.input, str):
        return [{"id": "1", "sender": "somebody", "text": sample.input}]
    newest = list(enumerate(sample.input, start=1))[-TURNS:]
    return [{"id": str(place), "sender": turn.sender, "text": turn.text} for place, turn in newest]


async def _call(version: PromptVersion, arguments: Mapping[str, Any]) -> Any:
    return await endpoint.models().call(version.function, arguments, PATIENCE, version=version)


async def gathered(work: "list[Any]", *, at_once: int) -> list[Any]:
    """In their order, at most so many side by side; what one raises stands in its place."""
    slots = asyncio.Semaphore(at_once)

    async def one(each: Any) -> Any:
        async with slots:
            return await each

    return await asyncio.gather(*(one(each) for each in work), return_exceptions=True)
