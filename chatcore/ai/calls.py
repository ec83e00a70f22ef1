"""What every call to a model is asked with, and what every answer says of who gave it."""

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

T = TypeVar("T")

Feature = Literal[
    "moderation", "smart_reply", "typing", "summary", "topics", "sentiment", "action_items", "search", "ask",
    "translate", "language", "embedding", "judge",
]  # fmt: skip
Provider = Literal["openai", "compatible", "embedded", "rules"]
"""`openai` is the OpenAI API itself, `compatible` whatever else OPENAI_BASE_URL names."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """On whose behalf and how urgent: what the switches, the budgets and the ledger need.

    `user_id` is "" for the server itself. `user_ai` and `group_ai` are the two lower switches; the third is the
    setting AI. `deadline_seconds` bounds all rungs together; None takes AI_TIMEOUT_SECONDS.
    """

    feature: Feature
    user_id: str = ""
    group_id: str = ""
    user_ai: bool = True
    group_ai: bool = True
    deadline_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """Who answered. `degraded` says that it was not the provider; `fallback` why not, "" where the first rung did.

    `request_id` is the endpoint's own name for the request. `cost_usd` is an estimate by
    `provider/costs.py`, None where the price of the model is not known.
    """

    provider: Provider
    model: str
    degraded: bool
    request_id: str
    latency_ms: float
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    fallback: str = ""


@dataclass(frozen=True, slots=True)
class Called(Generic[T]):
    """An answer with its origin."""

    value: T
    served: Served
