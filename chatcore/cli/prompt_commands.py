"""What `python -m chatcore prompts ...` does: on the running server's database, or on one started for the moment.

A running server hears of a change within two seconds.
"""

import asyncio
import difflib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from chatcore.ai.prompts import store as prompt_store
from chatcore.ai.prompts.service import POLL_SECONDS, Prompts
from chatcore.ai.prompts.versions import PromptVersion
from chatcore.app.ai import make_prompts
from chatcore.app.keys import open_keys
from chatcore.audit import store as audit_store
from chatcore.cli.database import open_database
from chatcore.cli.sign_in import stop
from chatcore.embedded.home import EmbeddedRefused
from chatcore.embedded.supervisor import ProcessFailed
from chatcore.errors import ChatError
from chatcore.lab.runs.store import JsonlRuns, MongoRuns
from chatcore.mongo import Mongo
from chatcore.settings import BadSettings, Settings, load_settings
from chatcore.vault.envelope import SealBroken

SHORT = 12
STYLES = {"live": "green", "canary": "yellow", "shadow": "cyan", "draft": "dim", "retired": "dim"}
console = Console(highlight=False, soft_wrap=True)
Work = Callable[[Prompts], Awaitable[PromptVersion]]


def list_versions(function: str, *, as_json: bool) -> None:
    async def work(prompts: Prompts) -> None:
        versions = await prompts.list(function)
        if as_json:
            print(json.dumps([_as_json(version) for version in versions], indent=2))
            return
        table = Table("version", "state", "origin", "parameters", box=None, pad_edge=False)
        for version in versions:
            state = f"{version.state} {version.share:.0%}" if version.state == "canary" else version.state
            parameters = json.dumps(dict(version.parameters)) if version.parameters else "-"
            table.add_row(_short(version), f"[{STYLES[version.state]}]{state}[/]", version.origin, parameters)
        console.print(table)

    _with_prompts(work)


def show_version(version_id: str, *, as_json: bool) -> None:
    async def work(prompts: Prompts) -> None:
        version = await prompts.get(version_id)
        standing = await prompts.standing(version.function)
        moves = [move for move in standing.history if move.version_id == version.version_id]
        if as_json:
            history = [
                {"action": move.action, "at": move.at.isoformat(), "by": move.by, "report": move.report}
                for move in moves
            ]
            print(json.dumps(_as_json(version) | {"text": version.text, "history": history}, indent=2))
            return
        console.print(f"[bold]{version.version_id}[/]  {version.state}")
        for move in moves:
            told = f"{move.at:%Y-%m-%d %H:%M} {move.action} by {move.by or 'the command line'} {move.report}"
            console.print(told.rstrip(), markup=False)
        console.print(json.dumps(dict(version.parameters), indent=2), markup=False)
        console.print(version.text, markup=False)

    _with_prompts(work)


def diff_versions(version_id: str, other_id: str) -> None:
    async def work(prompts: Prompts) -> None:
        version = await prompts.get(version_id)
        other = await prompts.get(other_id or version.function)
        lines = difflib.unified_diff(_lines(other), _lines(version), _short(other), _short(version), lineterm="")
        console.print("\n".join(lines) or "They are the same.", markup=False)

    _with_prompts(work)


def add_version(function: str, file: Path | None, settings: list[str]) -> None:
    async def work(prompts: Prompts) -> None:
        live = await prompts.get(function)
        try:
            text = live.text if file is None else await asyncio.to_thread(file.read_text, "utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise stop(f"{file} cannot be read: {error}") from None
        _tell(await prompts.add(function, text, {**live.parameters, **_parameters(settings)}))

    _with_prompts(work)


def move(work: Work) -> None:
    async def moved(prompts: Prompts) -> None:
        _tell(await work(prompts))
        console.print(f"Running servers follow within {POLL_SECONDS:g} s.")

    _with_prompts(moved)


def promote_version(version_id: str, report_id: str) -> None:
    async def work(settings: Settings, mongo: Mongo, prompts: Prompts) -> None:
        await _bring_report(settings, mongo, report_id)
        _tell(await prompts.promote(version_id, report_id))
        console.print(f"Running servers follow within {POLL_SECONDS:g} s.")

    _run(work)


async def _bring_report(settings: Settings, mongo: Mongo, report_id: str) -> None:
    """Without MONGODB_URI the workbench keeps its reports in a file; this brings the one into the server's database."""
    if not settings.embedded_database:
        return
    found = await JsonlRuns(settings.chatcore_runs / "registry.jsonl").find(report_id)
    if found is not None:
        await MongoRuns(mongo.database).save(found)


def _parameters(settings: list[str]) -> dict[str, Any]:
    """`name=JSON`; what is no JSON is taken as text."""
    found: dict[str, Any] = {}
    for setting in settings:
        name, given, value = setting.partition("=")
        if not name or not given:
            raise stop(f"{setting} does not read name=value")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _lines(version: PromptVersion) -> list[str]:
    parameters = json.dumps(dict(version.parameters), indent=2, sort_keys=True)
    return [*version.text.splitlines(), "", "// parameters", *parameters.splitlines()]


def _short(version: PromptVersion) -> str:
    return f"{version.function}@{version.sha256[:SHORT]}"


def _tell(version: PromptVersion) -> None:
    console.print(f"{_short(version)} is {version.state}.", markup=False)


def _as_json(version: PromptVersion) -> dict[str, Any]:
    return {
        "versionId": version.version_id,
        "function": version.function,
        "state": version.state,
        "origin": version.origin,
        "share": version.share,
        "parameters": dict(version.parameters),
    }


def _with_prompts(work: Callable[[Prompts], Awaitable[None]]) -> None:
    _run(lambda settings, mongo, prompts: work(prompts))


def _run(work: Callable[[Settings, Mongo, Prompts], Awaitable[None]]) -> None:
    async def run() -> None:
        settings = load_settings()
        async with _prompts(settings) as (mongo, prompts):
            await work(settings, mongo, prompts)

    try:
        asyncio.run(run())
    except BadSettings as problems:
        raise stop(f"The settings are wrong:\n{problems}") from None
    except ChatError as refused:
        raise stop(f"Not done: {refused.message}") from None
    except (EmbeddedRefused, ProcessFailed, SealBroken) as refused:
        raise stop(str(refused)) from None


@asynccontextmanager
async def _prompts(settings: Settings) -> AsyncIterator[tuple[Mongo, Prompts]]:
    async with open_database(settings) as mongo:
        await mongo.ensure_indexes((*prompt_store.INDEXES, *audit_store.INDEXES))
        prompts = make_prompts(mongo, await open_keys(settings, mongo))
        await prompts.start()
        yield mongo, prompts
