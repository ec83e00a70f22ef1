"""What several references say in the same way: refusals, rates, contents."""

from itertools import groupby
from typing import Final

from chatcore.describe.examples import Examples
from chatcore.describe.refusals import Refusal
from chatcore.describe.shapes import Schema
from chatcore.errors import catalogue
from chatcore.limits import RATES, Bucket

COMPONENTS: Final = "#/components/schemas/"


def problems(refusals: list[Refusal], examples: Examples) -> dict[str, Schema]:
    """One response for each status, with an example for each code."""
    found: dict[str, Schema] = {}
    for status, kinds in groupby(refusals, key=lambda refusal: refusal.status):
        same = list(kinds)
        found[str(status)] = {
            "description": "; ".join(f"`{kind.code}`: {kind.title}" for kind in same),
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": COMPONENTS + "Problem"},
                    "examples": {kind.code: {"value": _problem(kind, examples)} for kind in same},
                }
            },
        }
        if status == 429:
            found["429"]["headers"] = {
                "Retry-After": {"description": "Whole seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
            }
    return found


def shared_responses(paths: dict[str, dict[str, Schema]]) -> dict[str, Schema]:
    """Takes refusals that are the same in several operations out of them, and gives them by name."""
    found: dict[str, Schema] = {}
    for operation in (operation for path in paths.values() for operation in path.values()):
        for status, response in operation["responses"].items():
            problem = response["content"].get("application/problem+json") if "content" in response else None
            if problem is not None:
                name = "_".join([status, *problem["examples"]])
                found[name] = response
                operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(found.items()))


def _problem(kind: Refusal, examples: Examples) -> Schema:
    words = {"title": kind.title, "status": kind.status, "detail": kind.title, "code": kind.code}
    problem: Schema = {**examples.of("Problem"), **words, "retryable": kind.retryable}
    return {**problem, "retryAfterMs": 1000} if kind.status == 429 else problem


def rate(bucket: Bucket) -> Schema:
    limit = RATES[bucket]
    return {"bucket": bucket, "perSecond": round(limit.per_second, 4), "burst": limit.burst}


def rate_words(bucket: Bucket) -> str:
    """As `10 a second, 20 at once`; slow ones by the minute."""
    limit = RATES[bucket]
    many = f"{limit.per_second:g} a second" if limit.per_second >= 1 else f"{limit.per_second * 60:g} a minute"
    return f"{many}, {limit.burst} at once"


def content(shape: str, example: object) -> Schema:
    return {"schema": {"$ref": COMPONENTS + shape}, "example": example}


def error_codes() -> dict[str, Schema]:
    return {
        code: {"status": kind.status, "retryable": kind.retryable, "meaning": kind.title}
        for code, kind in catalogue().items()
    }
