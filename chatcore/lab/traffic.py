"""People who chat, ask the AI and say what became of its suggestions: simulated people, real server, real prompts.

What they write is recorded conversation. What they do with a suggestion is drawn from a `Taste`, which is a model of
people and no measurement of any: a notebook that uses it must say so.
"""

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from chatcore.client import Client
from chatcore.client.link import LinkLost
from chatcore.client.rest import dev_token
from chatcore.errors import ChatError
from chatcore.lab.live import LiveChat
from chatcore.lab.pages import Table, facts

AT_ONCE: Final = 6
CONNECTS_AT_ONCE: Final = 16
MOST_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Taste:
    """What a simulated person does with suggestions that were shown, as probabilities.

    The server's own confidence says how well a suggestion fits, so `accepts` and `edits` grow with it, from their
    value at confidence 0 by `pull` at confidence 1. Whoever does none of the three ignores it. `rates`: how often the
    thumb goes up after taking one, or down after dismissing it.
    """

    accepts: float = 0.08
    edits: float = 0.04
    dismisses: float = 0.15
    pull: float = 0.5
    rates: float = 0.4

    def draw(self, confidence: float, dice: random.Random) -> list[str]:
        """The ratings in their order; none for who ignores what was shown."""
        accepts = self.accepts + self.pull * 0.7 * confidence
        edits = self.edits + self.pull * 0.3 * confidence
        point = dice.random()
        told = [("accepted", accepts), ("edited", accepts + edits), ("dismissed", accepts + edits + self.dismisses)]
        done = next((name for name, upto in told if point < upto), "")
        if not done or dice.random() >= self.rates:
            return [done] if done else []
        return [done, "negative" if done == "dismissed" else "positive"]


@dataclass(frozen=True)
class Traffic:
    """What was done, counted where it was done; the ledger has its own view of it."""

    people: int
    sent: int
    asked: dict[str, int]
    cached: int
    outcomes: dict[str, int]
    refused: dict[str, int]
    seconds: float

    def _repr_html_(self) -> str:
        told = {"people": f"{self.people:,}", "messages": f"{self.sent:,}", "took": f"{self.seconds:.1f} s"}
        rows = [[f"asked: {name}", f"{count:,}"] for name, count in sorted(self.asked.items())]
        rows += [["answered from a cache", f"{self.cached:,}"]]
        rows += [[f"outcome: {name}", f"{count:,}"] for name, count in sorted(self.outcomes.items())]
        rows += [[f"refused: {code}", f"{count:,}"] for code, count in sorted(self.refused.items())]
        return (
            facts("Simulated people on the real server", told) + Table(["what", "times"], rows, frozenset({1})).html()
        )


@dataclass
class _Count:
    sent: int = 0
    people: int = 0
    cached: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


def simulate(
    talks: pd.DataFrame,
    into: LiveChat,
    *,
    copies: int = 1,
    asks_each: int = 2,
    typing: bool = True,
    summaries: bool = True,
    taste: Taste | None = None,
    seed: int = 0,
) -> Traffic:
    """Every conversation `copies` times, each with people of its own; returns once moderation has seen everything.

    Whoever speaks next asks for smart replies first, `asks_each` times at most; with `typing` for a completion of the
    first words too; with `summaries` two people of each group ask for the same summary at the end.
    """
    scenes = [
        _Scene(f"{name} {copy}", part["sender"].tolist(), part["text"].tolist(), random.Random(f"{seed}/{name}/{copy}"))  # noqa: S311
        for copy in range(copies)
        for name, part in talks.sort_values(["conversation", "seq"]).groupby("conversation", sort=False)
    ]
    count = _Count()
    plan = _Plan(into.url, asks_each, typing, summaries, taste or Taste())
    started = time.monotonic()
    into.run(_play(scenes, plan, count), timeout_seconds=MOST_SECONDS)
    seconds = time.monotonic() - started
    into.settles()
    return Traffic(
        count.people, count.sent, dict(count.asked), count.cached, dict(count.outcomes), dict(count.refused), seconds
    )


@dataclass(frozen=True, slots=True)
class _Scene:
    name: str
    senders: Sequence[str]
    texts: Sequence[str]
    dice: random.Random


@dataclass(frozen=True, slots=True)
class _Plan:
    url: str
    asks_each: int
    typing: bool
    summaries: bool
    taste: Taste


async def _play(scenes: Sequence[_Scene], plan: _Plan, count: _Count) -> None:
    gate, doors = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(CONNECTS_AT_ONCE)

    async def one(scene: _Scene) -> None:
        async with gate, AsyncExitStack() as stack:
            people = {name: await _person(plan.url, name, stack, doors) for name in dict.fromkeys(scene.senders)}
            count.people += len(people)
            await _Stage(scene, plan, count, people).play()

    async with asyncio.TaskGroup() as group:
        for scene in scenes:
            group.create_task(one(scene))


async def _person(url: str, name: str, stack: AsyncExitStack, doors: asyncio.Semaphore) -> Client:
    async with doors:
        issued = await dev_token(url, f"{name[:40]}-{secrets.token_hex(4)}")
        return await stack.enter_async_context(Client(url, issued.token))


class _Stage:
    """One conversation on its way."""

    def __init__(self, scene: _Scene, plan: _Plan, count: _Count, people: dict[str, Client]):
        self._scene, self._plan, self._count, self._people = scene, plan, count, people
        self._asked: Counter[str] = Counter()
        self._group = ""

    async def play(self) -> None:
        names = list(self._people)
        group = await self._people[names[0]].create_group(self._scene.name[:60], join_policy="open")
        self._group = group.id
        for name in names[1:]:
            await self._people[name].join(self._group)
        for place, (name, text) in enumerate(zip(self._scene.senders, self._scene.texts, strict=True)):
            if place and self._asked[name] < self._plan.asks_each:
                self._asked[name] += 1
                await self._ask_for_replies(name)
                if self._plan.typing:
                    await self._type(name, text)
            await self._try(lambda name=name, text=text: self._people[name].send(self._group, text))  # type: ignore[misc]
            self._count.sent += 1
        if self._plan.summaries:
            for name in names[:2]:
                await self._summarize(name)

    async def _ask_for_replies(self, name: str) -> None:
        answer = await self._asks(name, "smart_reply", "/api/ai/smart-replies", {"groupId": self._group})
        items = answer.get("items") or []
        for item in items:
            await self._rate(name, item["suggestionId"], "shown")
        if items:
            done = self._plan.taste.draw(float(answer["confidence"]), self._scene.dice)
            for rating in done:
                await self._rate(name, items[0]["suggestionId"], rating)
            self._count.outcomes[done[0] if done else "ignored"] += 1

    async def _type(self, name: str, text: str) -> None:
        words = text.split()
        body = {"groupId": self._group, "currentText": " ".join(words[: max(2, len(words) // 2)])}
        answer = await self._asks(name, "typing", "/api/ai/typing-suggestions", body)
        if answer.get("suggestionId") and answer.get("suggestion"):
            await self._rate(name, answer["suggestionId"], "shown")
            taken = text.startswith(body["currentText"] + answer["suggestion"])
            await self._rate(name, answer["suggestionId"], "accepted" if taken else "dismissed")

    async def _summarize(self, name: str) -> None:
        body = {"groupId": self._group, "timeRange": "24h"}
        answer = await self._asks(name, "summary", "/api/ai/summarize", body)
        self._count.cached += bool(answer.get("cached"))

    async def _asks(self, name: str, feature: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._count.asked[feature] += 1
        rest = self._people[name].rest
        return dict(await self._try(lambda: rest.request("POST", path, body=body)) or {})

    async def _rate(self, name: str, suggestion_id: str, rating: str) -> None:
        payload = {"suggestionId": suggestion_id, "rating": rating}
        await self._try(lambda: self._people[name].command("rate_ai_suggestion", payload))

    async def _try(self, call: Callable[[], Any]) -> Any:
        """A refusal is counted and the talk goes on, as among people."""
        try:
            return await call()
        except ChatError as refused:
            self._count.refused[refused.code] += 1
        except LinkLost:
            self._count.refused["link_lost"] += 1
        return None
