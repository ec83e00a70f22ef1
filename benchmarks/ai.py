"""What AI costs the chat: the same load on servers with AI off, on, and with providers that go wrong, by turns.

All servers run at once and only one of them has people at a time, so that each is compared with AI off some seconds
before. What a slice leaves to be done in the background is waited for before the next one begins.
"""

import asyncio
import json
import secrets
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks.history import _post
from benchmarks.live import CORES, METRICS_TOKEN, OTHER_CORE, Live, pin, serving
from benchmarks.provider import failing_provider
from benchmarks.rows import Row
from chatcore.client import Client
from chatcore.loadtest.conductor import conducting
from chatcore.loadtest.people import Cast, gather_people
from chatcore.loadtest.plan import Plan

CLIENTS, GROUPS, RATE = 100, 10, 40.0
MOST_TIMES = 1.2
STRICT_MS = 1_500 + 50  # what it may wait for models, and what the send itself may take
REPLIES, TEXTS, STRICT_SENDS = 30, 100, 6
MODELS_SECONDS, QUIET_SECONDS, QUIET_CPU_SECONDS = 60, 20, 0.05
PROVIDERS = ("hangs", "wavers", "fails")
ROUNDS = (("hangs", "wavers"), ("fails", "hangs"), ("wavers", "fails"))
LINES = (
    "Are we still on for Thursday?", "The train leaves at nine, so let us meet at the station a little before.",
    "I have put the slides into the shared folder.", "Could somebody bring the blue tent and the long rope?",
    "No idea, ask Maria, she was there yesterday.", "That was the best soup I have had in weeks!",
)  # fmt: skip
Say = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """One server with its people; `cast` is used again in each round."""

    live: Live
    cast: Cast


class AiBesideChat:
    def __init__(self) -> None:
        where = f"{CORES}, models too; {RATE:g} messages/s of {CLIENTS} clients in {GROUPS} groups"

        def beside(name: str) -> Row:
            return Row(f"acknowledged after, p99, {name}", "x AI off", "less", where, MOST_TIMES)

        self.times = {
            "on": beside("AI on"),
            "hangs": beside("the provider hangs"),
            "wavers": beside("the provider fails, its breaker closed"),
            "fails": beside("the provider fails, its breaker open"),
        }
        self.p99 = {
            "off": Row("acknowledged after, p99, AI off", "ms", "less", where),
            "on": Row("acknowledged after, p99, AI on", "ms", "less", where),
        }
        self.cpu = {
            "off": Row("server's CPU for a message, AI off", "ms", "less", where),
            "on": Row("server's CPU for a message, AI on", "ms", "less", where),
        }
        self.unread = Row("messages that no model came to read, AI on", "%", "less", where, 0)
        self.reply = Row("first smart reply, p95", "ms", "less", f"{CORES}, models too; one at a time", 150)
        self.moderation = Row("moderation of a text, p95", "ms", "less", f"{CORES}, models too; one at a time", 30)
        self.strict = Row("a send in a strict group while the provider hangs, slowest", "ms", "less", CORES, STRICT_MS)
        self.rows = [
            *self.times.values(), *self.p99.values(), *self.cpu.values(), self.unread, self.reply, self.moderation,
            self.strict
        ]  # fmt: skip

    def measure(self, home: Path, rounds: int, seconds: float, say: Say) -> None:
        with ExitStack() as stack:
            say("AI: starting five servers")
            places = _start(home, stack)
            for name in ("on", *PROVIDERS):
                _wait_for_models(places[name].live)
            say("AI: replies and moderation, one at a time")
            asyncio.run(self._alone(places))
            for number in range(rounds):
                chosen = ROUNDS[number % len(ROUNDS)] if rounds > 1 else PROVIDERS
                for name in ("off", "on", *chosen):
                    say(f"AI, {number + 1} of {rounds}: {name}")
                    self._slice(name, places[name], seconds)

    def _slice(self, name: str, place: Place, seconds: float) -> None:
        plan = Plan(
            place.live.url, CLIENTS, GROUPS, rate=RATE, seconds=seconds, warmup_seconds=1.0, load_cores=(OTHER_CORE,)
        )
        unread = _metric(place.live, "chatcore_moderation_unchecked_total")
        result = asyncio.run(_perform(plan, place.cast))
        if not result["verdict"]["clean"] or result["messages"]["refused"] or result["messages"]["unanswered"]:
            raise RuntimeError(f"{name}: {result['verdict']}, refused {result['messages']['refused']}")
        if name in self.p99:
            self.p99[name].samples.append(result["acks"]["p99"])
            self.cpu[name].samples.append(result["usage"]["server"]["cpu_seconds"] / (RATE * seconds) * 1_000)
        if name in self.times:
            self.times[name].samples.append(result["acks"]["p99"])
            self.times[name].baseline.append(self.p99["off"].samples[-1])
        _wait_until_quiet(place.live)
        if name == "on":
            unread = _metric(place.live, "chatcore_moderation_unchecked_total") - unread
            self.unread.samples.append(unread / result["messages"]["sent"] * 100)

    async def _alone(self, places: Mapping[str, Place]) -> None:
        # The first of each waits for libraries that load with the first message.
        await asyncio.gather(*(_first_replies(places[name], 1) for name in ("on", *PROVIDERS)))
        self.reply.samples.append(quantiles(await _first_replies(places["on"], REPLIES), n=20)[-1])
        self.moderation.samples.append(quantiles(_moderated(places["on"], TEXTS)[TEXTS // 10 :], n=20)[-1])
        self.strict.samples.append(max(await _strict_sends(places["hangs"], STRICT_SENDS)))


def _start(home: Path, stack: ExitStack) -> dict[str, Place]:
    """One after the other: their databases share a core."""
    urls = {mode: stack.enter_context(failing_provider(mode)) for mode in PROVIDERS}
    settings: dict[str, dict[str, str]] = {"off": {"AI": "off"}, "on": {}}
    settings |= {mode: {"OPENAI_BASE_URL": url} for mode, url in urls.items()}
    return {name: stack.enter_context(_place(home / name, chosen)) for name, chosen in settings.items()}


@contextmanager
def _place(folder: Path, settings: Mapping[str, str]) -> Iterator[Place]:
    with serving(folder / "home", settings) as live:
        plan = Plan(live.url, CLIENTS, GROUPS)
        yield Place(live, asyncio.run(gather_people(plan, (), secrets.token_hex(3), lambda what, done, total: None)))


async def _perform(plan: Plan, cast: Cast) -> dict[str, Any]:
    async with conducting(plan, cast, secrets.token_hex(3), lambda step, counts: None) as conductor:
        await conductor.connect()
        return await conductor.perform()


async def _first_replies(place: Place, count: int) -> list[float]:
    """Milliseconds from the request to the first suggestion, each to a message that was just sent."""
    asker, other = place.cast.people[0], place.cast.people[GROUPS]
    times = []
    async with (
        Client(place.live.url, asker.token) as ann,
        Client(place.live.url, other.token) as bob,
    ):
        events = ann.events()
        for number in range(count):
            sent = await bob.send(asker.group_id, LINES[number % len(LINES)])
            request = {"groupId": asker.group_id, "messageId": sent.message_id, "stream": True}
            began = time.monotonic()
            await ann.command("request_smart_replies", request)
            async with asyncio.timeout(MODELS_SECONDS):
                while (await anext(events)).name not in ("smart_reply_stream", "smart_replies_complete"):
                    pass
            times.append((time.monotonic() - began) * 1_000)
            await asyncio.sleep(0.1)
    return times


def _moderated(place: Place, count: int) -> list[float]:
    token = place.cast.people[0].token
    times = []
    for number in range(count):
        began = time.monotonic()
        answer = _post(place.live.url, "/api/ai/moderate-content", {"content": f"{number}. {LINES[number % 6]}"}, token)
        times.append((time.monotonic() - began) * 1_000)
        if answer["provider"] != "embedded":
            raise RuntimeError("moderation was not asked of the model")
    return times


async def _strict_sends(place: Place, count: int) -> list[float]:
    """Milliseconds until each ack, while the provider's breaker is closed for the first ones and open afterwards."""
    token = place.cast.people[0].token
    group = _post(place.live.url, "/api/groups", {"name": "strict", "settings": {"moderation": "strict"}}, token)
    times = []
    async with Client(place.live.url, token) as ann:
        for number in range(count):
            began = time.monotonic()
            await ann.send(group["_id"], LINES[number % len(LINES)])
            times.append((time.monotonic() - began) * 1_000)
    return times


def _wait_for_models(live: Live) -> None:
    until = time.monotonic() + MODELS_SECONDS
    while _info(live)["models"].get("embedded") != "ready":
        if time.monotonic() > until:
            raise RuntimeError("the models do not come up")
        time.sleep(0.2)
    pin(live.process)


def _info(live: Live) -> dict[str, Any]:
    with urllib.request.urlopen(f"{live.url}/info", timeout=10) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
        return found


def _wait_until_quiet(live: Live) -> None:
    """Until moderation has nothing left to decide and the models rest: the next slice is another server's."""
    until = time.monotonic() + QUIET_SECONDS
    used = _cpu_seconds(live)
    while time.monotonic() < until:
        time.sleep(0.5)
        before, used = used, _cpu_seconds(live)
        if used - before < QUIET_CPU_SECONDS and not _metric(live, 'chatcore_queue_depth{queue="moderation"}'):
            return


def _cpu_seconds(live: Live) -> float:
    return sum(
        times.user + times.system
        for times in (each.cpu_times() for each in (live.process, *live.process.children(recursive=True)))
    )


def _metric(live: Live, name: str) -> float:
    """Of all its series together; 0.0 where there is none yet."""
    request = urllib.request.Request(f"{live.url}/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))
