"""What `python -m chatcore decisions replay` does."""

import asyncio
import json
import re
import socket
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from chatcore import logs
from chatcore.ai.ledger.records import Query
from chatcore.ai.replay import NO_PROMPT, UNREADABLE, Divergence, Summary, summarize
from chatcore.app import Core, open_core
from chatcore.cli.sign_in import stop
from chatcore.embedded.home import EmbeddedRefused, find_running_database
from chatcore.embedded.models import EmbeddedModels, SharedModels
from chatcore.embedded.supervisor import ProcessFailed
from chatcore.errors import CapabilityUnavailable, ChatError, Conflict, Invalid, NotFound, Unavailable, catalogue
from chatcore.settings import BadSettings, Settings, load_settings
from chatcore.vault.envelope import SealBroken

READY_SECONDS: Final = 60.0
SHOWN: Final = 20
WHY: Final = {
    UNREADABLE: "the text is kept nowhere any more: deleted, erased with its author, or older than the ledger keeps it",
    NO_PROMPT: "they rest on no prompt, such as a search; only what a prompt answered can be asked again",
    Conflict.code: "the message was edited since, and the edit has a decision of its own: nothing to do",
    NotFound.code: "the prompt version or the group is not in this database any more; ask with --prompt VERSION, "
    "and `prompts list` shows those there are",
    Invalid.code: "this release cannot use that prompt version; name another with --prompt",
    Unavailable.code: "the database or a model did not answer; look at `doctor`, then replay again",
    CapabilityUnavailable.code: "no model may or can answer here; look at AI and the provider in the settings",
}
UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
console = Console(highlight=False)


def run(*, since: str, prompt: str, feature: str, limit: int, json_file: Path | None) -> None:
    try:
        found = asyncio.run(_replay(_moment(since), prompt, feature, limit))
    except BadSettings as problems:
        raise stop(f"The settings are wrong:\n{problems}") from None
    except ChatError as refused:
        raise stop(f"Not done: {refused.message}") from None
    except (EmbeddedRefused, ProcessFailed, SealBroken) as refused:
        raise stop(str(refused)) from None
    summary = summarize(found)
    if json_file is not None:
        told = {"summary": asdict(summary), "decisions": [asdict(one) | {"at": one.at.isoformat()} for one in found]}
        text = json.dumps(told, indent=2)
        if str(json_file) == "-":
            print(text)
            return
        json_file.write_text(text + "\n", "utf-8")
    _show(found, summary)


async def _replay(since: datetime, prompt: str, feature: str, limit: int) -> list[Divergence]:
    settings = load_settings()
    logs.set_up("error")
    running = find_running_database(settings.chatcore_home) if settings.embedded_database else None
    shared = await asyncio.to_thread(_models_serve, settings)
    async with open_core(settings, database_uri=running or "", shared_models=shared) as core:
        if isinstance(core.ai.embedded, EmbeddedModels):
            await core.ai.start_models()
            await core.ai.embedded.wait_ready(READY_SECONDS)
        return await _all(core, Query(since, datetime.now(UTC), feature=feature, limit=limit), prompt)


async def _all(core: Core, query: Query, prompt: str) -> list[Divergence]:
    version = await core.ai.prompts.get(prompt) if prompt else None
    return [one async for one in core.ai.replay.run(query, version)]


def _models_serve(settings: Settings) -> bool:
    """Whether the running server's models answer on this machine; else they are started for the moment."""
    url = SharedModels(settings.chatcore_home).url
    if url is None:
        return False
    place = urlsplit(url)
    try:
        with socket.create_connection((place.hostname or "", place.port or 0), timeout=1):
            return True
    except OSError:
        return False


def _moment(since: str) -> datetime:
    if found := re.fullmatch(r"(\d{1,5})([mhd])", since):
        return datetime.now(UTC) - timedelta(**{UNITS[found[2]]: int(found[1])})
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        raise stop(f"{since} is neither a time such as 24h or 7d nor a moment such as 2026-01-31T12:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _show(found: list[Divergence], summary: Summary) -> None:
    table = Table("decision", "feature", "at", "words", "scores", "action", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    apart = sorted(found, key=lambda one: (one.error == "", not one.action, -one.words, -(one.scores or 0.0)))
    for one in apart[:SHOWN]:
        told = ("-", "-", one.error) if one.error else (f"{one.words:.2f}", _score(one), one.action or "same")
        table.add_row(one.decision_id, one.feature, f"{one.at:%m-%d %H:%M}", *told)
    if found:
        console.print(table)
    console.print(
        f"{summary.replayed} of {summary.decisions} decisions were made again"
        f" ({summary.failed} refused, {summary.unreadable} whose text is not kept,"
        f" {summary.without_prompt} that rest on no prompt):"
        f" {summary.identical} identical, {summary.actions_changed} with another action,"
        f" words apart {summary.mean_words:.2f} on average, scores at most {summary.largest_score:.3f}."
    )
    for line in _why(found):
        console.print(line, soft_wrap=True, markup=False)


def _why(found: list[Divergence]) -> list[str]:
    """A line for each reason, the most frequent first: what it means, and what to do."""
    counts = Counter(one.error for one in found if one.error)
    return [f"{count} x {code}: {WHY.get(code) or catalogue()[code].title}" for code, count in counts.most_common()]


def _score(one: Divergence) -> str:
    return "-" if one.scores is None else f"{one.scores:.3f}"
