"""What tokens cost at the OpenAI API, in US dollars a million: an estimate for accounting, not a bill.

Prices as published by OpenAI for standard processing (platform.openai.com/docs/pricing), seen in June 2026. Cached
input and batches are cheaper there and are counted in full here. Any other endpoint has no known price.
"""

from typing import Final, NamedTuple

PRICES_SEEN: Final = "2026-06"
_A_MILLION: Final = 1_000_000


class Price(NamedTuple):
    prompt: float
    completion: float


PRICES: Final[dict[str, Price]] = {
    "gpt-4o-mini": Price(0.15, 0.60),
    "gpt-4o": Price(2.50, 10.00),
    "gpt-4.1": Price(2.00, 8.00),
    "gpt-4.1-mini": Price(0.40, 1.60),
    "gpt-4.1-nano": Price(0.10, 0.40),
    "text-embedding-3-small": Price(0.02, 0.0),
    "text-embedding-3-large": Price(0.13, 0.0),
    "text-embedding-ada-002": Price(0.10, 0.0),
    "omni-moderation": Price(0.0, 0.0),
}


def cost_usd(model: str, prompt_tokens: int, completion_tokens: int) -> float | None:
    """None where the price is not known. A dated name such as `gpt-4o-mini-2024-07-18` costs as its family."""
    price = PRICES.get(_family(model))
    if price is None:
        return None
    return (prompt_tokens * price.prompt + completion_tokens * price.completion) / _A_MILLION


def _family(model: str) -> str:
    """The longest known name that this one is, or continues with a date or `-latest`."""
    known = [name for name in PRICES if model == name or _continues(model, name)]
    return max(known, key=len, default="")


def _continues(model: str, name: str) -> bool:
    rest = model.removeprefix(f"{name}-")
    return rest != model and (rest == "latest" or rest.replace("-", "").isdigit())
