"""The ladder: provider, embedded endpoint, the feature's own rules, and then a refusal."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from chatcore.ai.calls import Called, Purpose, Served
from chatcore.ai.prompts.runtime import NotReadable, Runtime, Runtimes, as_input
from chatcore.ai.prompts.versions import PromptVersion
from chatcore.ai.provider import answers
from chatcore.ai.provider.budget import Budget, Reservation
from chatcore.ai.provider.costs import cost_usd
from chatcore.ai.provider.failures import ALIVE, NOT_ASKED, FailureKind, RungFailed
from chatcore.ai.provider.rungs import Rung
from chatcore.ai.provider.wire import Answer, Wire
from chatcore.errors import CapabilityUnavailable, RateLimited, Unavailable
from chatcore.logs import get_logger
from chatcore.metrics import Metrics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
log = get_logger("ai")

SHARE_OF_A_RUNG: Final = 0.75
"""Of the time that is left, while there is a rung below that could still answer."""
EMBED_BATCH: Final = 64
READ_AT_ONCE: Final = 4
"""Vectors that are read faster, about 20 us each, than a thread is asked to; once numpy is there."""
SECONDS_FOR_EACH_MORE: Final = 0.25
"""For each text but the first: the embedded models need 5 to 20 ms for one, where cores are short ten times as much,
and a call that was given up is work for nothing."""
MAX_OUTPUT_TOKENS: Final = 1_024
TOKENS_OF_A_MESSAGE: Final = 16  # what a chat format adds around each, generously
LOADING_RETRY_MS: Final = 2_000
BUDGET_RETRY_MS: Final = 3_600_000
PATIENCE_SECONDS: Final = 1.0
Ask = Callable[[Rung, Wire], Awaitable[tuple[T, Answer]]]
Reserve = Callable[[], Awaitable[Reservation | None]]


class Models:
    """Raises CapabilityUnavailable (nothing can do it, or switched off), Unavailable (every rung failed) and
    RateLimited (the budget of the day is used up and nothing below the provider can do it).

    `disabled` says why no model may be asked at all, "" where they may. No rung is asked twice for one call.
    """

    def __init__(
        self,
        rungs: Sequence[Rung],
        *,
        disabled: str = "",
        timeout_seconds: float,
        budget: Budget,
        metrics: Metrics,
        shipped: Mapping[str, PromptVersion],
        runtimes: Runtimes | None = None,
    ):
        self._rungs = () if disabled else tuple(rungs)
        self._disabled, self._timeout_seconds = disabled, timeout_seconds
        self._budget, self._metrics, self._shipped = budget, metrics, shipped
        self._runtimes = runtimes or Runtimes()

    @property
    def embedding_space(self) -> str:
        """What `embed` serves when all is well: the space to fill a search index with. "" without any model."""
        return self._rungs[0].models.embedding if self._rungs else ""

    @property
    def states(self) -> dict[str, str]:
        """Of each rung, best first: `ready`, `loading`, or `resting` while its breaker keeps calls away."""
        words = {"closed": "ready", "open": "resting", "half_open": "resting"}
        return {
            rung.provider: "loading" if rung.endpoint.url is None else words[rung.breaker.state] for rung in self._rungs
        }

    async def close(self) -> None:
        for rung in self._rungs:
            await rung.close()

    async def embed(self, texts: Sequence[str], purpose: Purpose, *, space: str = "") -> "Called[NDArray[np.float32]]":
        """(n, d) float32, rows of length 1. `served.model` names the space; vectors of two spaces never compare.

        With `space` only an endpoint that serves that space is asked: a query must not fall into another one.
        Any number of texts; they go in batches of 64 to one endpoint.
        """
        if not texts:
            raise ValueError("there is nothing to embed")

        async def ask(rung: Rung, wire: Wire) -> "tuple[NDArray[np.float32], Answer]":
            parts, told = [], []
            for start in range(0, len(texts), EMBED_BATCH):
                batch = texts[start : start + EMBED_BATCH]
                answer = await wire.embed(rung.models.embedding, batch)
                read = partial(answers.vectors, answer.body, len(batch))
                at_once = len(batch) <= READ_AT_ONCE and "numpy" in sys.modules
                parts.append(read() if at_once else await asyncio.to_thread(read))
                told.append(answer)
            matrix = parts[0] if len(parts) == 1 else await asyncio.to_thread(_stacked, parts)
            return matrix, _together(told, rung.models.embedding)

        rungs = [rung for rung in self._rungs if not space or rung.models.embedding == space]
        purpose = self._with_time_for(len(texts), purpose)
        return await self._climb("embeddings", ask, purpose, rungs, most_tokens=sum(map(_bytes, texts)))

    async def moderate(self, texts: Sequence[str], purpose: Purpose) -> Called[list[dict[str, float]]]:
        """Scores by category for each text; a category that the model does not cover is left out."""

        async def ask(rung: Rung, wire: Wire) -> tuple[list[dict[str, float]], Answer]:
            answer = await wire.moderate(rung.models.moderation, texts)
            return answers.category_scores(answer.body, len(texts)), answer

        return await self._climb("moderations", ask, self._with_time_for(len(texts), purpose), self._rungs)

    async def call(
        self,
        function: str,
        arguments: Mapping[str, Any],
        purpose: Purpose,
        *,
        version: PromptVersion | None = None,
        rules: Callable[[], Mapping[str, Any]] | None = None,
    ) -> Called[dict[str, Any]]:
        """A BAML function with `arguments` as its input; the validated output as a JSON object, enums as their names.

        `arguments` and the version's parameters become one JSON object, the function's only argument `input`, which
        the prompt puts between `<input>` and `</input>` at the end of its last user message. Without a version the
        shipped one answers. `rules` are the rung below the models, if the feature has one.
        """
        chosen = version or self._shipped[function]
        told = {**arguments, "parameters": dict(chosen.parameters)} if chosen.parameters else dict(arguments)
        most_tokens = 0

        async def prepare() -> None:
            await asyncio.to_thread(self._runtimes.get, chosen)

        async def ask(rung: Rung, wire: Wire) -> tuple[dict[str, Any], Answer]:
            runtime = self._runtimes.get(chosen)
            messages = await runtime.messages(told)
            answer = await wire.chat(rung.models.chat, messages, function, _options(rung, chosen))
            return await asyncio.to_thread(_read, runtime, answer), answer

        if any(rung.metered for rung in self._rungs):
            most_tokens = _bytes(chosen.text) + _bytes(as_input(told)) + 4 * TOKENS_OF_A_MESSAGE + _most_out(chosen)
        climb = partial(self._climb, f"chat:{function}", ask, purpose, self._rungs, most_tokens=most_tokens)
        return await climb(prepare=prepare, rules=rules)

    async def _climb(
        self,
        capability: str,
        ask: Ask[T],
        purpose: Purpose,
        rungs: Sequence[Rung],
        *,
        most_tokens: int = 0,
        prepare: Callable[[], Awaitable[None]] | None = None,
        rules: Callable[[], Mapping[str, Any]] | None = None,
    ) -> Called[Any]:
        self.require_switched_on(purpose)
        started = time.monotonic()
        deadline = started + (purpose.deadline_seconds or self._timeout_seconds)
        failures: list[FailureKind] = []
        if prepare is not None and rungs and not await _in_time(prepare(), deadline):
            failures, rungs = ["loading"], ()
        for index, rung in enumerate(rungs):
            below = any(other.endpoint.url is not None and other.can(capability) for other in rungs[index + 1 :])
            left = deadline - time.monotonic()
            began = time.monotonic()
            try:
                if left <= 0:
                    raise RungFailed("timeout")
                seconds = left * (SHARE_OF_A_RUNG if below else 1.0)
                reserve = partial(self._reserve, rung, purpose, most_tokens)
                value, answer = await self._try(rung, capability, ask, reserve, seconds)
            except RungFailed as failed:
                failures.append(failed.kind)
                self._count(purpose, failed.kind, time.monotonic() - began)
                log.info("ai_rung_failed", component=rung.provider, reason=failed.kind, command=purpose.feature)
                continue
            self._count(purpose, rung.provider, time.monotonic() - began)
            served = self._served(rung, capability, answer, began)
            self._count_tokens(purpose, served)
            return Called(value, replace(served, fallback=failures[0] if failures else ""))
        if rules is not None:
            self._count(purpose, "rules", 0.0)
            took = (time.monotonic() - started) * 1_000
            why = failures[0] if failures else "unsupported"
            return Called(dict(rules()), Served("rules", "rules", True, "", took, 0, 0, 0.0, why))
        raise _refusal(failures) from (RungFailed(failures[0]) if failures else None)

    async def _try(
        self, rung: Rung, capability: str, ask: Ask[T], reserve: Reserve, seconds: float
    ) -> tuple[T, Answer]:
        """One rung, once. Whatever goes wrong is RungFailed, and its breaker has heard of it."""
        if not rung.can(capability):
            raise RungFailed("unsupported")
        if rung.endpoint.url is None:
            raise RungFailed("loading")
        if not rung.breaker.try_enter():
            raise RungFailed("breaker_open")
        began, reservation, wire = time.monotonic(), None, None
        try:
            async with asyncio.timeout(seconds):
                reservation = await reserve()
                wire = await rung.wire()
                value, answer = await ask(rung, wire)
        except TimeoutError:
            if wire is None:  # nothing went out yet
                rung.breaker.abandoned()
                await self._settle(reservation, 0)
                raise RungFailed("loading") from None
            rung.breaker.failed()
            raise RungFailed("timeout") from None
        except RungFailed as failed:
            self._tell_breaker(rung, capability, failed.kind)
            await self._settle(reservation, failed.tokens)
            raise
        except BaseException:
            waited_long = time.monotonic() - began > PATIENCE_SECONDS  # the caller has a deadline of its own
            (rung.breaker.failed if waited_long else rung.breaker.abandoned)()
            raise
        rung.breaker.succeeded()
        await self._settle(reservation, answer.used)
        return value, answer

    async def _reserve(self, rung: Rung, purpose: Purpose, most_tokens: int) -> Reservation | None:
        if not rung.metered or not most_tokens:
            return None
        return await self._budget.reserve(purpose.user_id, most_tokens)

    async def _settle(self, reservation: Reservation | None, used: int | None) -> None:
        """What does not tell its use keeps the whole reservation."""
        if reservation is not None and used is not None:
            await self._budget.settle(reservation, used)

    def _tell_breaker(self, rung: Rung, capability: str, kind: FailureKind) -> None:
        if kind in NOT_ASKED:
            rung.breaker.abandoned()
        elif kind in ALIVE:
            rung.breaker.succeeded()
            if kind == "unsupported" and rung.metered:  # the embedded endpoint says it at no cost
                rung.cannot(capability)
        else:
            rung.breaker.failed()

    def _with_time_for(self, texts: int, purpose: Purpose) -> Purpose:
        seconds = purpose.deadline_seconds or self._timeout_seconds
        return replace(purpose, deadline_seconds=seconds + SECONDS_FOR_EACH_MORE * (texts - 1))

    def require_switched_on(self, purpose: Purpose) -> None:
        """Raises CapabilityUnavailable. Every call asks this first; a feature may, before it reads anything."""
        if self._disabled:
            raise CapabilityUnavailable(self._disabled)
        if not purpose.group_ai:
            raise CapabilityUnavailable("AI is switched off in this group")
        if not purpose.user_ai:
            raise CapabilityUnavailable("You have switched AI off in your settings")

    def _served(self, rung: Rung, capability: str, answer: Answer, began: float) -> Served:
        prompt, completion = answer.tokens("prompt_tokens"), answer.tokens("completion_tokens")
        own = {"embeddings": rung.models.embedding, "moderations": rung.models.moderation}
        # An embedding space is named by what was asked for; elsewhere the dated name in the answer says more.
        model = (
            own["embeddings"] if capability == "embeddings" else answer.model or own.get(capability, rung.models.chat)
        )
        cost = cost_usd(model, prompt, completion) if rung.provider == "openai" else 0.0 if rung.degraded else None
        took = (time.monotonic() - began) * 1_000
        return Served(rung.provider, model, rung.degraded, answer.request_id, took, prompt, completion, cost)

    def _count(self, purpose: Purpose, outcome: str, seconds: float) -> None:
        self._metrics.ai_calls.labels(purpose.feature, outcome).inc()
        self._metrics.ai_seconds.labels(purpose.feature).observe(seconds)

    def _count_tokens(self, purpose: Purpose, served: Served) -> None:
        for direction, tokens in (("in", served.prompt_tokens), ("out", served.completion_tokens)):
            self._metrics.ai_tokens.labels(purpose.feature, direction).inc(tokens)


async def _in_time(work: Awaitable[None], deadline: float) -> bool:
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            await work
    except TimeoutError:
        return False
    return True


def _read(runtime: Runtime, answer: Answer) -> dict[str, Any]:
    try:
        return runtime.read(answers.chat_content(answer.body))
    except NotReadable:
        raise RungFailed("schema", tokens=answer.used) from None
    except RungFailed as failed:
        raise RungFailed(failed.kind, tokens=answer.used) from None


def _refusal(failures: Sequence[FailureKind]) -> Exception:
    told = frozenset(failures)
    if not told - {"unsupported"}:
        return CapabilityUnavailable("Nothing on this server can do this; it needs a model provider")
    if told <= {"unsupported", "budget", "budget_unknown"}:
        return RateLimited("The budget of tokens for today is used up", retry_after_ms=BUDGET_RETRY_MS)
    if "loading" in told:
        return Unavailable("The models are being loaded; try again in a moment", retry_after_ms=LOADING_RETRY_MS)
    return Unavailable("No model answers right now; try again in a moment")


def _options(rung: Rung, version: PromptVersion) -> dict[str, Any]:
    """Only what every endpoint takes; the OpenAI API has renamed the limit."""
    limit = "max_completion_tokens" if rung.provider == "openai" else "max_tokens"
    options: dict[str, Any] = {limit: _most_out(version)}
    temperature = version.parameters.get("temperature")
    if isinstance(temperature, int | float):
        options["temperature"] = temperature
    return options


def _most_out(version: PromptVersion) -> int:
    wanted = version.parameters.get("max_output_tokens")
    return min(wanted, MAX_OUTPUT_TOKENS) if isinstance(wanted, int) and wanted > 0 else MAX_OUTPUT_TOKENS


def _bytes(text: str) -> int:
    """An upper bound of its tokens: byte-pair encodings merge bytes and never split one."""
    return len(text.encode("utf-8", "replace"))


def _stacked(parts: "Sequence[NDArray[np.float32]]") -> "NDArray[np.float32]":
    import numpy as np  # noqa: PLC0415 - 25 MB that a server without AI calls does not need

    if len({part.shape[1] for part in parts}) != 1:
        raise RungFailed("schema")
    return np.concatenate(parts)


def _together(told: Sequence[Answer], model: str) -> Answer:
    prompt = sum(answer.tokens("prompt_tokens") for answer in told)
    return Answer({"model": model, "usage": {"prompt_tokens": prompt}}, told[0].request_id)
