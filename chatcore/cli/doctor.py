"""`python -m chatcore doctor`: is everything here that a server needs? Never prints a secret."""

import asyncio
import importlib.util
import os
import re
import resource
import shutil
import socket
import stat
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.table import Table

from chatcore import __version__
from chatcore.ai.provider.failures import RungFailed
from chatcore.ai.provider.wire import Wire
from chatcore.app.ai import has_embedded_models, has_provider, provider_url, why_disabled
from chatcore.app.media import make_objects
from chatcore.cli.database import open_database
from chatcore.cli.invocation import typed
from chatcore.client import LinkLost
from chatcore.client.rest import fetch_info
from chatcore.embedded.home import ENGINE, EmbeddedRefused, find_running_database
from chatcore.embedded.supervisor import ProcessFailed
from chatcore.errors import ChatError, Unavailable
from chatcore.media.clamd import Clamd
from chatcore.media.objects import ObjectMissing, StoreDown
from chatcore.models.files import check_files
from chatcore.settings import BadSettings, Settings, load_settings
from chatcore.vault.master import decoded_key
from chatcore.web.libraries import are_installed

Status = Literal["ok", "warn", "fail"]
# Room for a week of a small install's journal; below the second figure the database's next checkpoint may not fit.
DISK_WARN_BYTES, DISK_FAIL_BYTES = 2 * 2**30, 200 * 2**20
# One connection is one descriptor; the original's target is 1,000 people a process.
DESCRIPTORS_WANTED = 4_096
PROVIDER_SECONDS = 5.0
CLOCK_WARN_SECONDS, CLOCK_FAIL_SECONDS = 2.0, 30.0
STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice` says what to do, and is empty where nothing is to be done."""

    status: Status
    subject: str
    says: str
    advice: str = ""


Check = Callable[[Settings], Awaitable[list[Finding]]]


def run() -> None:
    findings = asyncio.run(examine())
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        advice = f"\n[dim]{finding.advice}[/dim]" if finding.advice else ""
        style = STYLES[finding.status]
        table.add_row(f"[{style}]{finding.status}[/{style}]", f"[bold]{finding.subject}[/bold]", finding.says + advice)
    Console(highlight=False).print(table)
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(1)


async def examine() -> list[Finding]:
    """All checks, in the order in which a start needs them. Wrong settings end it: nothing after them has a meaning."""
    findings = check_python()
    try:
        settings = load_settings()
    except BadSettings as bad:
        return findings + [Finding("fail", "settings", problem, "See .env.example") for problem in bad.problems]
    findings.append(Finding("ok", "settings", f"{settings.chatcore_env}, {sign_in_of(settings)}"))
    parts = (check_home, check_keys, check_database, check_models, check_media, check_page)
    for check in (*parts, check_port, check_descriptors):
        findings += await check(settings)
    return findings


def sign_in_of(settings: Settings) -> str:
    ways = [("local accounts", settings.has_local_accounts), ("dev tokens", settings.dev_tokens)]
    ways += [("Clerk", bool(settings.clerk_jwt_issuer)), ("OpenID Connect", bool(settings.oidc_issuer))]
    return f"sign-in by {', '.join(name for name, on in ways if on)}"


def check_python() -> list[Finding]:
    running = ".".join(map(str, sys.version_info[:3]))
    try:
        declared = requires("chatcore") or []
    except PackageNotFoundError:
        return [Finding("warn", "python", f"{running}; chatcore is not installed as a package", "Run `make setup`")]
    if wrong := [problem for text in declared if (problem := _unmet(text))]:
        return [Finding("fail", "python", f"{running}; {'; '.join(wrong)}", "Run `make setup`")]
    return [Finding("ok", "python", f"{running}, chatcore {__version__}, every requirement there")]


def _unmet(requirement: str) -> str:
    """Presence, and the version of what is pinned exactly; ranges are the installer's business."""
    wanted, _, condition = requirement.partition(";")
    name = re.match(r"[A-Za-z0-9._-]+", wanted)
    if name is None or "extra ==" in condition or "sys_platform" in condition:
        return ""
    try:
        installed = version(name[0])
    except PackageNotFoundError:
        return f"{name[0]} is missing"
    pinned = re.search(r"==([^,\s]+)", wanted)
    return f"{name[0]} is {installed}, not {pinned[1]}" if pinned and pinned[1] != installed else ""


async def check_home(settings: Settings) -> list[Finding]:
    home = settings.chatcore_home
    existing = next(folder for folder in (home, *home.absolute().parents) if folder.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        return [Finding("fail", "home", f"{existing} cannot be written", "Set CHATCORE_HOME to a folder of your own")]
    findings = []
    if home.exists() and stat.S_IMODE(home.stat().st_mode) & 0o022:
        findings.append(Finding("fail", "home", f"others may write into {home}", f"chmod go-w {home}"))
    free = shutil.disk_usage(existing).free
    status: Status = "ok" if free > DISK_WARN_BYTES else "warn" if free > DISK_FAIL_BYTES else "fail"
    made = "" if home.exists() else ", made at the first start"
    advice = "" if status == "ok" else "Make room, or set CHATCORE_HOME to another disk"
    return [*findings, Finding(status, "home", f"{home}{made}; {free / 2**30:.1f} GB free", advice)]


async def check_keys(settings: Settings) -> list[Finding]:
    key, ring = settings.encryption_secret_key.get_secret_value(), settings.master_keys.get_secret_value()
    if ring:
        broken = [part for part in ring.split(",") if decoded_key(part.strip().partition(":")[2]) is None]
        if broken:
            advice = "Each entry reads name:base64 of 32 bytes; make one with `openssl rand -base64 32`"
            return [Finding("fail", "keys", f"{len(broken)} entries of MASTER_KEYS cannot be read", advice)]
        return [Finding("ok", "keys", f"a ring of {len(ring.split(','))} master keys")]
    if key:
        kind = "a key of 32 bytes" if decoded_key(key) else "a passphrase"
        return [Finding("ok", "keys", f"ENCRYPTION_SECRET_KEY is {kind}; keep a copy outside this machine")]
    return _exposed_files(settings.chatcore_home) or [
        Finding("ok", "keys", "kept in the home folder, for development; a backup needs them too")
    ]


def _exposed_files(home: Path) -> list[Finding]:
    """Files of the home folder that others could read, although each is a secret or holds one."""
    names = ("runtime.json", "database/password", "master.key", "keys.json")
    open_files = [home / name for name in names if (home / name).exists() and (home / name).stat().st_mode & 0o077]
    return [Finding("fail", "keys", f"others may read {path}", f"chmod 600 {path}") for path in open_files]


async def check_database(settings: Settings) -> list[Finding]:
    if settings.embedded_database and not find_running_database(settings.chatcore_home):
        if importlib.util.find_spec("secantus") is None and shutil.which("secantusd-py") is None and not _beside():
            return [Finding("fail", "database", f"{ENGINE} is not installed", "Run `make setup`, or set MONGODB_URI")]
        if not (settings.chatcore_home / "database" / "stamp.json").exists():
            return [Finding("ok", "database", "embedded; made at the first start")]
    kind = "embedded" if settings.embedded_database else "MONGODB_URI"
    try:
        async with open_database(settings) as mongo:
            clock = _clock(await mongo.database.command("hello"))
            journaled = bool(mongo.database.write_concern.document.get("j"))
            probe = {"_id": "doctor", "at": datetime.now(UTC)}
            await mongo.database["meta"].replace_one({"_id": "doctor"}, probe, upsert=True)
            stored = await mongo.database["meta"].find_one({"_id": "doctor"})
            await mongo.database["meta"].delete_one({"_id": "doctor"})
            abilities = mongo.abilities
    except (ChatError, EmbeddedRefused, ProcessFailed) as failure:
        advice = "Look at MONGODB_URI, the network and the access list" if kind == "MONGODB_URI" else ""
        return [Finding("fail", "database", f"{kind}: {failure}", advice)]
    if not journaled or stored is None:
        return [
            Finding("fail", "database", f"{kind}: writes are not durable", "Do not set `w` or `journal` in the URI")
        ]
    able = [
        name
        for name, there in (("transactions", abilities.transactions), ("vector search", abilities.vector_search))
        if there
    ]
    says = f"{kind}, answers; a journaled write was stored and read; {', '.join(able) or 'no transactions'}"
    status: Status = "ok" if abilities.transactions else "fail"
    advice = "" if abilities.transactions else "chatcore needs a replica set; one member is enough"
    return [Finding(status, "database", says, advice), *clock]


async def check_media(settings: Settings) -> list[Finding]:
    where = f"S3 bucket {settings.s3_bucket_name}" if settings.s3_bucket_name else "in the home folder"
    if importlib.util.find_spec("PIL") is None:
        return [Finding("warn", "media", "Pillow is not installed: images are refused", "Install the extra `media`")]
    if settings.s3_bucket_name and importlib.util.find_spec("boto3") is None:
        return [
            Finding("fail", "media", "boto3 is not installed, but S3_BUCKET_NAME is set", "Install the extra `media`")
        ]
    objects = make_objects(settings)
    try:
        if settings.s3_bucket_name:  # the folder is made at the first start, and its disk is looked at above
            await objects.check()
        if settings.clamd_socket:
            await Clamd(settings.clamd_socket).check()
    except (StoreDown, ObjectMissing):
        advice = "Look at S3_BUCKET_NAME, AWS_ENDPOINT_URL, the role or keys, and the network"
        return [Finding("fail", "media", f"{where} does not answer", advice)]
    except Unavailable:
        return [Finding("fail", "media", "the virus scanner does not answer", "Look at CLAMD_SOCKET")]
    finally:
        await objects.close()
    scanned = ", scanned by ClamAV" if settings.clamd_socket else ""
    return [Finding("ok", "media", f"images and files are kept {where}{scanned}")]


async def check_page(settings: Settings) -> list[Finding]:
    if not are_installed(settings.web_libraries):
        return [Finding("warn", "page", "its libraries are not installed", f"{typed()} web install")]
    return [Finding("ok", "page", f"its libraries are in {settings.web_libraries}")]


async def check_models(settings: Settings) -> list[Finding]:
    """AI is no condition of the chat, so nothing here fails; a provider is asked for its list of models, once."""
    if not settings.ai:
        return [Finding("ok", "models", "AI is off")]
    if why := why_disabled(settings):
        return [Finding("warn", "models", why, "Run `make setup`")]
    findings = [await _embedded_models()]
    return [await _provider(settings), *findings] if has_provider(settings) else findings


async def _embedded_models() -> Finding:
    if not has_embedded_models():
        return Finding("warn", "models", "the embedded models are not installed", "Run `make setup`")
    wrong = [file.name for file in await asyncio.to_thread(check_files) if file.problem]
    if wrong:
        advice = f"Run `make setup`, and `{typed()} models check` for more"
        return Finding("warn", "models", f"embedded: {', '.join(wrong)} missing or changed", advice)
    return Finding("ok", "models", "embedded, every file as shipped; degraded beside a provider's")


async def _provider(settings: Settings) -> Finding:
    url = provider_url(settings)
    host = urlsplit(url).hostname
    wire = await asyncio.to_thread(Wire, url, settings.openai_api_key.get_secret_value(), on_this_machine=False)
    try:
        async with asyncio.timeout(PROVIDER_SECONDS):
            listed = (await wire.list_models()).body.get("data")
    except TimeoutError:
        return Finding(
            "warn", "provider", f"{host} does not answer within {PROVIDER_SECONDS:g} s", "Look at the network"
        )
    except RungFailed as failed:
        advice = "Look at OPENAI_API_KEY" if failed.kind == "unauthorized" else "Look at OPENAI_BASE_URL"
        return Finding("warn", "provider", f"{host}: {failed.kind.replace('_', ' ')}", advice)
    finally:
        await wire.close()
    names = {str(one.get("id")) for one in listed if isinstance(one, dict)} if isinstance(listed, list) else set()
    if names and settings.ai_model not in names:
        return Finding("warn", "provider", f"{host} answers, but lists no model {settings.ai_model}", "Set AI_MODEL")
    return Finding("ok", "provider", f"{host} answers and takes the key; {settings.ai_model}")


def _beside() -> bool:
    return Path(sys.executable).with_name("secantusd-py").exists()


def _clock(hello: dict[str, Any]) -> list[Finding]:
    there = hello.get("localTime")
    if not isinstance(there, datetime):
        return []
    seconds = abs((datetime.now(UTC) - there.astimezone(UTC)).total_seconds())
    status: Status = "ok" if seconds < CLOCK_WARN_SECONDS else "warn" if seconds < CLOCK_FAIL_SECONDS else "fail"
    advice = "" if status == "ok" else "Switch on time synchronisation (NTP): tokens and sessions expire by the clock"
    return [Finding(status, "clock", f"{seconds:.1f} s from the database's", advice)]


async def check_port(settings: Settings) -> list[Finding]:
    host, port = settings.listen_host, settings.port
    if port == 0:
        return [Finding("ok", "port", "a free one at each start")]
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return [await _holder_of_port(host, port, error)]
    return [Finding("ok", "port", f"{host}:{port} is free")]


async def _holder_of_port(host: str, port: int, error: OSError) -> Finding:
    near = "127.0.0.1" if host in ("0.0.0.0", "") else host  # noqa: S104
    try:
        info = await fetch_info(f"http://{near}:{port}")
    except (LinkLost, ChatError):
        info = {}
    if info.get("service") == "chatcore":
        return Finding("ok", "port", f"{host}:{port}: chatcore {info.get('version', '')} is running")
    return Finding("fail", "port", f"{host}:{port}: {error.strerror}", "End what uses it, or set PORT")


async def check_descriptors(_settings: Settings) -> list[Finding]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < DESCRIPTORS_WANTED:
        says = f"{soft} open files, so about {max(soft - 100, 0)} connections"
        return [
            Finding("warn", "open files", says, f"ulimit -n {DESCRIPTORS_WANTED}, or LimitNOFILE= in the unit file")
        ]
    return [Finding("ok", "open files", f"up to {soft}")]
