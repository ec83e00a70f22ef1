"""Bodies of OpenAI's API read into values: whatever is not of the expected form raises RungFailed("schema")."""

import base64
import binascii
import importlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from chatcore.ai.provider.failures import RungFailed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_DIMENSIONS: Final = 8_192


def chat_content(body: Mapping[str, Any]) -> str:
    """What the model wrote. Raises RungFailed also where it declined, or was cut off at its limit of tokens."""
    try:
        choice = body["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        content, refusal = message.get("content"), message.get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise RungFailed("schema") from None
    if refusal or finish == "content_filter":
        raise RungFailed("refusal")
    if finish == "length":
        raise RungFailed("cut_off")
    if not isinstance(content, str):
        raise RungFailed("schema")
    return content


def category_scores(body: Mapping[str, Any], count: int) -> list[dict[str, float]]:
    """For each text its score by category. What the embedded model does not cover is left out; its two summary
    scores, `toxic` and `any`, stand among the others."""
    results = body.get("results")
    if not isinstance(results, list) or len(results) != count:
        raise RungFailed("schema")
    return [_scores(result) for result in results]


def _scores(result: Any) -> dict[str, float]:
    try:
        scores, own = dict(result["category_scores"]), result.get("chatcore") or {}
        missing = frozenset(own.get("not_covered", ()))
        scores |= {name: own[name] for name in ("toxic", "any") if name in own}
        found = {str(name): float(score) for name, score in scores.items() if name not in missing}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RungFailed("schema") from None
    if not found or not all(0.0 <= score <= 1.0 for score in found.values()):
        raise RungFailed("schema")
    return found


def vectors(body: Mapping[str, Any], count: int) -> "NDArray[np.float32]":
    """(count, d) float32, rows of length 1, in the order of the texts. For a thread: it imports numpy."""
    numpy: Any = importlib.import_module("numpy")
    data = body.get("data")
    if not isinstance(data, list) or len(data) != count:
        raise RungFailed("schema")
    try:
        rows = [_row(numpy, item["embedding"]) for item in sorted(data, key=lambda item: int(item["index"]))]
        matrix: NDArray[np.float32] = numpy.stack(rows)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise RungFailed("schema") from None
    lengths = numpy.linalg.norm(matrix, axis=1, keepdims=True)
    usable = matrix.ndim == 2 and 0 < matrix.shape[1] <= MAX_DIMENSIONS
    if not usable or not numpy.isfinite(lengths).all() or not (lengths > 0).all():
        raise RungFailed("schema")
    unit: NDArray[np.float32] = (matrix / lengths).astype(numpy.float32)
    return unit


def _row(numpy: Any, given: Any) -> Any:
    """Endpoints that do not know `encoding_format` send numbers."""
    if isinstance(given, str):
        return numpy.frombuffer(base64.b64decode(given, validate=True), "<f4")
    if isinstance(given, list) and all(isinstance(number, int | float) and math.isfinite(number) for number in given):
        return numpy.asarray(given, "<f4")
    raise RungFailed("schema")
