"""Summaries, topics and insights of a group; tone, language and translation of one text."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from chatcore.ai.analysis.cache import AnalysisCache
from chatcore.ai.analysis.looks import QUESTIONS, signed, tone_of
from chatcore.ai.analysis.records import Look
from chatcore.ai.analysis.window import Window, load_window
from chatcore.ai.calls import Feature, Purpose, Served
from chatcore.ai.context import Conversations
from chatcore.ai.flows.graph import START, Fault, Flow, Progress, Step, Update
from chatcore.ai.flows.prompted import Answer, Prompted
from chatcore.ai.flows.reply import share
from chatcore.ai.flows.safety import Safety, without_unknown_links
from chatcore.ai.suggestions.service import UsesAi
from chatcore.contract import ai
from chatcore.errors import CapabilityUnavailable, RateLimited, Unavailable
from chatcore.ports import Caller

LOAD_SECONDS, MERGE_SECONDS, RISK_SECONDS = 5.0, 2.0, 5.0
MODEL_LOOKS: Final[tuple[Look, ...]] = ("summary", "topics", "action_items", "mood")
INSIGHT_TOPICS: Final = 5
RAISED, HIGH = 0.02, 0.1  # shares of rough messages


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found, checked against the messages."""

    value: Mapping[str, Any]
    decision_id: str
    served: Served
    cached: bool


class InsightState(Progress, total=False):
    caller: Caller
    request: ai.AskInsights
    user_ai: bool
    window: Window
    summary: Seen
    topics: Seen
    action_items: Seen
    mood: Seen
    risk: ai.Risk
    insights: ai.Insights


class Analysis:
    """Raises NotFound for a group that the caller may not read, and what Models raises.

    Every look is made of messages that the caller may read now, and an answer from the cache of exactly the same ones.
    """

    def __init__(
        self,
        *,
        conversations: Conversations,
        prompted: Prompted,
        safety: Safety,
        cache: AnalysisCache,
        uses_ai: UsesAi,
        timeout_seconds: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        self._conversations, self._prompted, self._safety = conversations, prompted, safety
        self._cache, self._uses_ai, self._clock = cache, uses_ai, clock
        self._timeout_seconds = timeout_seconds
        looks = [Step(look, self._looker(look), ["load"], timeout_seconds + 2) for look in MODEL_LOOKS]
        self._flow: Flow[InsightState] = Flow(
            "insights",
            InsightState,
            [
                Step("load", self._load, [START], LOAD_SECONDS, needed=True),
                *looks,
                Step("risk", self._risk, ["load"], RISK_SECONDS),
                Step("merge", self._merge, [*MODEL_LOOKS, "risk"], MERGE_SECONDS, needed=True),
            ],
        )

    async def warm(self) -> None:
        await self._flow.warm()
        await self._safety.warm()

    # --- a conversation

    async def summarize(self, caller: Caller, request: ai.Summarize) -> ai.Summary:
        window, seen = await self._one("summary", caller, request.group_id, request.time_range)
        return ai.Summary(**_head(window, [seen]), **seen.value)

    async def topics(self, caller: Caller, request: ai.FindTopics) -> ai.Topics:
        more = {"max_topics": request.count}
        window, seen = await self._one("topics", caller, request.group_id, request.time_range, more)
        topics = [ai.Topic(**topic) for topic in seen.value["topics"][: request.count]]
        return ai.Topics(**_head(window, [seen]), topics=topics)

    async def insights(self, caller: Caller, request: ai.AskInsights) -> ai.Insights:
        """Several looks at once. Raises the first refusal where no model answered any of them."""
        start = InsightState(caller=caller, request=request, user_ai=await self._uses_ai(caller.user_id))
        return (await self._flow.run(start))["insights"]

    async def _one(
        self,
        look: Look,
        caller: Caller,
        group_id: str,
        time_range: ai.TimeRange,
        parameters: Mapping[str, Any] | None = None,
    ) -> tuple[Window, Seen]:
        window = await load_window(self._conversations, caller, group_id, time_range, self._clock)
        user_ai = await self._uses_ai(caller.user_id)
        return window, await self._look(look, window, caller, user_ai, parameters)

    async def _look(
        self, look: Look, window: Window, caller: Caller, user_ai: bool, parameters: Mapping[str, Any] | None = None
    ) -> Seen:
        question = QUESTIONS[look]
        purpose = self._purpose(question.feature, caller, user_ai, window)
        if not window.lines:
            return await self._seen(
                await self._prompted.without_asking(question.function, purpose, question.nothing), look, window
            )
        looking = self._cache.begin(window.group_id)
        try:
            key = self._cache.key(look, window, await self._prompted.version(question.function, purpose, parameters))
            if kept := await self._cache.find(key, window.group_id):
                return Seen(kept["value"], kept["decision_id"], Served(**kept["served"]), cached=True)
            arguments = {"messages": window.turns()}
            answer = await self._prompted.ask(question.function, arguments, purpose, parameters=parameters)
            seen = await self._seen(answer, look, window)
            if not seen.served.fallback:  # what stood in for a model that failed is not kept in its place
                told = {"value": seen.value, "decision_id": seen.decision_id, "served": asdict(seen.served)}
                await self._cache.keep(key, look, window, looking, told)
            return seen
        finally:
            self._cache.end(looking)

    async def _seen(self, answer: Answer, look: Look, window: Window) -> Seen:
        value = QUESTIONS[look].check(answer.value, window.lines)
        last = window.lines[-1].seq if window.lines else None
        await self._prompted.record(answer, used=value, action="told", seq=last)
        return Seen(value, answer.decision_id, answer.served, cached=False)

    # --- insights, as steps

    async def _load(self, state: InsightState) -> Update:
        request = state["request"]
        window = await load_window(
            self._conversations, state["caller"], request.group_id, request.time_range, self._clock
        )
        return {"window": window}

    def _looker(self, look: Look) -> Callable[[InsightState], Awaitable[Update]]:
        parameters = {"max_topics": INSIGHT_TOPICS} if look == "topics" else None

        async def run(state: InsightState) -> Update:
            return {look: await self._look(look, state["window"], state["caller"], state["user_ai"], parameters)}

        return run

    async def _risk(self, state: InsightState) -> Update:
        """Of the first tier alone: it costs no call, and says nothing of a single message."""
        lines = state["window"].lines
        await self._safety.warm()
        rough = await asyncio.to_thread(lambda: sum(self._safety.is_rough(line.text) for line in lines))
        part = rough / len(lines) if lines else 0.0
        level = "high" if part >= HIGH else "raised" if part >= RAISED else "low"
        return {"risk": ai.Risk(level=level, share=share(part))}

    async def _merge(self, state: InsightState) -> Update:
        seen: dict[Look, Seen] = {look: state[look] for look in MODEL_LOOKS if look in state}
        if not seen:
            raise _refusal(state.get("faults", []))
        window = state["window"]
        missing = [look for look in (*MODEL_LOOKS, "risk") if look not in state]
        told = {look: found.value for look, found in seen.items()}
        return {
            "insights": ai.Insights(
                **_head(window, list(seen.values())),
                summary=told["summary"]["summary"] if "summary" in told else None,
                topics=[ai.Topic(**topic) for topic in told["topics"]["topics"]] if "topics" in told else None,
                action_items=[ai.ActionItem(**item) for item in told["action_items"]["items"]]
                if "action_items" in told
                else None,
                mood=ai.Mood(**told["mood"]) if "mood" in told else None,
                risk=state.get("risk"),
                activity=_activity(window),
                missing=missing,
            )
        }

    # --- one text

    async def sentiment(self, caller: Caller, request: ai.AnalyzeSentiment) -> ai.Sentiment:
        arguments = {"messages": [{"id": "text", "sender": "", "text": request.content}]}
        answer = await self._ask_text("AnalyzeSentiment", "sentiment", caller, arguments)
        used = {"sentiment": tone_of(answer.value.get("label")), "score": signed(answer.value.get("score"))}
        await self._prompted.record(answer, used=used, action="told")
        return ai.Sentiment(**_served(answer.decision_id, answer.served), **used)

    async def translate(self, caller: Caller, request: ai.Translate) -> ai.Translation:
        """Raises CapabilityUnavailable without a provider: nothing that ships translates."""
        arguments = {"text": request.content, "target_language": request.target_language}
        if request.source_language:
            arguments["source_language"] = request.source_language
        answer = await self._ask_text("Translate", "translate", caller, arguments)
        text = without_unknown_links(str(answer.value.get("translated_text", "")).strip(), [request.content])
        source = request.source_language or _language(answer.value.get("source_language"))
        used = {"translated_text": text, "source_language": source}
        await self._prompted.record(answer, used=used, action="told" if text else "nothing")
        if not text:
            raise Unavailable("No translation came back; try again")
        return ai.Translation(**_served(answer.decision_id, answer.served), **used)

    async def detect_language(self, caller: Caller, request: ai.DetectLanguage) -> ai.Language:
        answer = await self._ask_text("DetectLanguage", "language", caller, {"text": request.content})
        used = {
            "language": _language(answer.value.get("language")),
            "confidence": share(answer.value.get("confidence")),
        }
        await self._prompted.record(answer, used=used, action="told")
        return ai.Language(**_served(answer.decision_id, answer.served), **used)

    async def _ask_text(self, function: str, feature: Feature, caller: Caller, arguments: Mapping[str, Any]) -> Answer:
        purpose = self._purpose(feature, caller, await self._uses_ai(caller.user_id), None)
        return await self._prompted.ask(function, arguments, purpose)

    def _purpose(self, feature: Feature, caller: Caller, user_ai: bool, window: Window | None) -> Purpose:
        return Purpose(
            feature,
            user_id=caller.user_id,
            group_id=window.group_id if window else "",
            user_ai=user_ai,
            group_ai=window.facts.ai if window else True,
            deadline_seconds=self._timeout_seconds,
        )


def _head(window: Window, seen: Sequence[Seen]) -> dict[str, Any]:
    """Who answered: of several looks the first, `degraded` where any of them was."""
    return {
        **_served(seen[0].decision_id, seen[0].served),
        "degraded": any(each.served.degraded for each in seen),
        "group_id": window.group_id,
        "time_range": window.time_range,
        "message_count": len(window.lines),
        "truncated": window.truncated,
        "cached": all(each.cached for each in seen),
    }


def _served(decision_id: str, served: Served) -> dict[str, Any]:
    return {
        "decision_id": decision_id,
        "provider": served.provider,
        "model": served.model,
        "degraded": served.degraded,
    }


def _activity(window: Window) -> ai.Activity:
    lines = window.lines
    return ai.Activity(
        participants=len({line.sender_id for line in lines}),
        first_at=lines[0].at if lines else None,
        last_at=lines[-1].at if lines else None,
    )


def _refusal(faults: Sequence[Fault]) -> Exception:
    told = [fault for fault in faults if fault.step in MODEL_LOOKS]
    codes = {fault.code: fault.message for fault in told}
    for kind in (CapabilityUnavailable, RateLimited):
        if set(codes) == {kind.code}:
            return kind(codes[kind.code])
    return Unavailable(next((fault.message for fault in told if fault.code == Unavailable.code), None))


def _language(code: object) -> str:
    told = str(code).strip().lower()
    return told if 2 <= len(told) <= 3 and told.isalpha() and told.isascii() else "und"
