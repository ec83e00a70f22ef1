"""The decision ledger as a table, through the admin API of a server: never through its database.

from chatcore import lab
rows = lab.ledger(since="7d")                     # the server of CHATCORE_URL, with an analyst's CHATCORE_TOKEN
rows = lab.ledger(chat)                           # or a chat that this notebook started
"""

import asyncio
import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import pandas as pd

from chatcore.client.link import LinkLost
from chatcore.client.rest import Rest, calls_for_many
from chatcore.contract.base import iso_milliseconds
from chatcore.errors import ChatError
from chatcore.lab.live import LiveChat
from chatcore.lab.loops import run_apart
from chatcore.lab.surroundings import settings

PAGE: Final = 200  # as many as the server gives at once
MOST_ROWS: Final = 20_000
AT_ONCE: Final = 8
COLUMNS: Final = (
    "decision_id", "at", "feature", "mode", "arm", "action", "group", "message", "seq", "person", "prompt",
    "provider", "model", "degraded", "fallback", "latency_ms", "prompt_tokens", "completion_tokens", "cost_usd",
    "thresholds", "scores", "parameters", "input_sha256", "shadow_of", "replay_of", "human", "appeal", "exposure",
)  # fmt: skip
CONTENT: Final = ("content_gone", "input", "output")
TEXTS: Final = ("mode", "arm", "action", "group", "message", "person", "prompt", "fallback", "thresholds", "shadow_of",
                "replay_of")  # fmt: skip
SPAN: Final = re.compile(r"(\d+)\s*([mhdw])")
UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class LedgerNotThere(Exception):
    """No ledger can be read from here; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of the server; `since <= at < until`."""

    since: datetime | None
    until: datetime
    filters: Mapping[str, str]
    limit: int
    content: bool


def ledger(
    chat: LiveChat | None = None,
    *,
    since: str | datetime | None = None,
    until: datetime | None = None,
    feature: str = "",
    prompt: str = "",
    mode: str = "",
    group: str = "",
    limit: int = MOST_ROWS,
    content: bool = False,
) -> pd.DataFrame:
    """Decisions, oldest first, of the chat given or of the server at CHATCORE_URL; at most `limit`, the newest ones.

    `since` is a moment or a span such as "36h", "7d" or "4w". Columns as in COLUMNS: outcomes (`human`, `appeal`,
    `exposure`) are dicts or None, a price that nobody knows is NaN, `person` a keyed hash. Only `content=True` asks
    for what was asked and answered, one request a row, and each such look is for the role that the token has.
    `attrs`: `dataset` (name and hash, for `run.uses`), `truncated` where there are more rows. Raises LedgerNotThere.
    """
    if not 1 <= limit <= MOST_ROWS:
        raise ValueError(f"between 1 and {MOST_ROWS:,} rows at once; narrow `since` and `until`")
    ends = until or datetime.now(UTC) + timedelta(seconds=1)
    given = {"feature": feature, "prompt": prompt, "mode": mode, "groupId": group}
    asked = Asked(_moment(since, ends), ends, {name: one for name, one in given.items() if one}, limit, content)
    url, token = door(chat)
    try:
        rows, more = run_apart(_read(url, token, asked))
    except LinkLost as lost:
        raise LedgerNotThere(f"the server at {url} does not answer: {lost}") from None
    except ChatError as refused:
        raise LedgerNotThere(f"the server gives no decisions for this token: {refused.message}") from None
    found = frame(rows, content=content)
    found.attrs["truncated"] = more
    return found


def has_server() -> bool:
    """Whether CHATCORE_TOKEN is set, so that `ledger()` reads the server of CHATCORE_URL."""
    return bool(settings().chatcore_token.get_secret_value())


def frame(rows: Iterable[Mapping[str, Any]], *, content: bool = False) -> pd.DataFrame:
    """From decisions as they are on the wire, oldest first and pinned by a hash of what they say."""
    names = [*COLUMNS, *(CONTENT if content else ())]
    found = pd.DataFrame([_row(one) for one in rows], columns=names)
    found["at"] = pd.to_datetime(found["at"], utc=True, format="ISO8601")
    found["cost_usd"] = found["cost_usd"].astype(float)
    found = found.sort_values(["at", "decision_id"], kind="stable").reset_index(drop=True)
    found.attrs["dataset"] = pinned("ledger", found)
    return found


def pinned(name: str, rows: pd.DataFrame) -> str:
    """Equal rows with equal outcomes have equal names, wherever they were read."""
    digest = hashlib.sha256()
    for values in rows.astype(object).itertuples(index=False):
        digest.update(repr(values).encode("utf-8", "replace"))
    return f"{name}@sha256:{digest.hexdigest()[:12]}"


def door(chat: LiveChat | None) -> tuple[str, str]:
    if chat is not None:
        return chat.url, chat.token_of("analyst")
    ours = settings()
    token = ours.chatcore_token.get_secret_value()
    if not token:
        raise LedgerNotThere(
            "set CHATCORE_URL and an analyst's CHATCORE_TOKEN, or give the chat that this notebook started"
        )
    return ours.chatcore_url, token


def _moment(since: str | datetime | None, until: datetime) -> datetime | None:
    if not isinstance(since, str):
        return since
    found = SPAN.fullmatch(since.strip())
    if found is None:
        raise ValueError(f'since is a moment or reads like "90m", "36h", "7d" or "4w", and not {since!r}')
    return until - timedelta(**{UNITS[found[2]]: int(found[1])})


async def _read(url: str, token: str, asked: Asked) -> tuple[list[dict[str, Any]], bool]:
    async with calls_for_many(url, at_once=AT_ONCE) as rest_of:
        rest = rest_of(token)
        rows, more = await _pages(rest, asked)
        return (await _with_content(rest, rows) if asked.content else rows), more


async def _pages(rest: Rest, asked: Asked) -> tuple[list[dict[str, Any]], bool]:
    """A page begins with the millisecond at which the one before ended, since rows that share it may lie on both."""
    found: dict[str, dict[str, Any]] = {}
    until = asked.until
    while True:
        query = {**asked.filters, "until": iso_milliseconds(until), "limit": PAGE}
        if asked.since is not None:
            query["since"] = iso_milliseconds(asked.since)
        told = await rest.request("GET", "/api/admin/decisions", query=query)
        fresh = {one["decisionId"]: one for one in told["decisions"] if one["decisionId"] not in found}
        found |= fresh
        if not told["hasMore"] or len(found) >= asked.limit:
            return list(found.values())[: asked.limit], bool(told["hasMore"]) or len(found) > asked.limit
        if not fresh:
            raise LedgerNotThere(f"more than {PAGE} decisions were made in one millisecond, {until}; filter them")
        until = datetime.fromisoformat(told["decisions"][-1]["at"]) + timedelta(milliseconds=1)


async def _with_content(rest: Rest, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(row: Mapping[str, Any]) -> dict[str, Any]:
        async with gate:
            path = f"/api/admin/decisions/{quote(row['decisionId'], safe='')}"
            told: dict[str, Any] = await rest.request("GET", path, query={"include": "content"})
            return told

    return list(await asyncio.gather(*(one(row) for row in rows)))


def _row(told: Mapping[str, Any]) -> dict[str, Any]:
    served = told["served"]
    cost = served.get("costUsd")
    row = {
        "decision_id": told["decisionId"],
        "at": told["at"],
        "feature": told["feature"],
        "group": told.get("groupId"),
        "message": told.get("messageId"),
        "seq": told.get("messageSeq"),
        "provider": served["provider"],
        "model": served["model"],
        "degraded": served["degraded"],
        "fallback": served.get("fallback"),
        "latency_ms": float(served["latencyMs"]),
        "prompt_tokens": served["promptTokens"],
        "completion_tokens": served["completionTokens"],
        "cost_usd": math.nan if cost is None else cost,
        "thresholds": told.get("thresholdsVersion"),
        "scores": dict(told.get("scores") or {}),
        "parameters": dict(told.get("parameters") or {}),
        "input_sha256": told["inputSha256"],
        "shadow_of": told.get("shadowOf"),
        "replay_of": told.get("replayOf"),
        "content_gone": told.get("contentGone"),
    }
    plain = {name: told.get(name) for name in ("mode", "arm", "action", "person", "prompt")}
    outcomes = {name: told.get(name) for name in ("human", "appeal", "exposure", "input", "output")}
    return {**row, **plain, **outcomes} | {name: ({**row, **plain}[name] or "") for name in TEXTS}
