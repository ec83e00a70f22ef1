"""Why one rung of the ladder did not answer. Stays inside the provider layer; callers see refusals of `errors`."""

from typing import Final, Literal

FailureKind = Literal[
    "timeout", "connection", "rate_limited", "server_error", "refused_request", "unauthorized", "not_json", "schema",
    "too_large", "cut_off", "refusal", "unsupported", "loading", "breaker_open", "budget", "budget_unknown",
]  # fmt: skip
NOT_ASKED: Final[frozenset[FailureKind]] = frozenset({"loading", "breaker_open", "budget", "budget_unknown"})
"""No call went out, so the breaker learns nothing."""
ALIVE: Final[frozenset[FailureKind]] = frozenset({"refusal", "unsupported"})
"""The endpoint answered in good order, only not with what was wanted."""


FREE: Final[frozenset[FailureKind]] = frozenset(
    {"rate_limited", "unauthorized", "refused_request", "unsupported", "server_error"}
)
"""Turned away by a status before any model ran, so no tokens were used."""


class RungFailed(Exception):
    """Holds no content: neither the prompt nor what came back. `tokens` is what the answer said it used, if it did."""

    def __init__(self, kind: FailureKind, *, tokens: int | None = None):
        super().__init__(kind)
        self.kind = kind
        self.tokens = 0 if tokens is None and kind in FREE else tokens
