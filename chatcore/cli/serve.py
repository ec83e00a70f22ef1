"""Runs the server until it is told to stop: what it prints, how it ends."""

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chatcore import __version__
from chatcore.app import open_chat
from chatcore.app.ai import describe_models
from chatcore.cli.invocation import typed
from chatcore.embedded.home import EmbeddedRefused
from chatcore.embedded.supervisor import ProcessFailed
from chatcore.errors import ChatError
from chatcore.mongo import IndexDiffers
from chatcore.settings import Settings
from chatcore.vault.envelope import SealBroken
from chatcore.web.libraries import are_installed

CANNOT_START = (EmbeddedRefused, ProcessFailed, ChatError, IndexDiffers, SealBroken, OSError, ValueError)
STOPPING = "stopping: telling clients, finishing commits (again to stop at once)"
PIPE_COLUMNS = 400  # beyond any line of ours


def serve(settings: Settings) -> int:
    """Exit status: 0 after an ordered stop, 1 where the server could not start or serve."""
    stop = asyncio.Event()
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve_many(settings, stop) if settings.workers > 1 else _serve(settings, stop))
    except CANNOT_START as error:
        what = "did not stop in order" if stop.is_set() else "did not start"
        why = str(error) or type(error).__name__
        Console(stderr=True).print(f"[bold red]chatcore {what}:[/] {why}", highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def _serve(settings: Settings, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop_or_leave, stop, number)
    async with open_chat(settings) as chat:
        _banner(settings, chat.url)
        await stop.wait()
        print(STOPPING, flush=True)


async def _serve_many(settings: Settings, stop: asyncio.Event) -> None:
    from chatcore.cli.workers import supervise  # noqa: PLC0415 - a server alone needs none of it

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop_or_leave, stop, number)

    def ready(url: str, with_broker: bool) -> None:
        between = "over a broker" if with_broker else "over the database alone: within 2 s; set REDIS_URL for at once"
        workers = f"{settings.workers}, which hear of each other {between}"
        notice = "websocket only, or a balancer that keeps a client at its worker"
        _banner(settings, url, [("workers", workers), ("", notice)])

    async def told() -> None:
        await stop.wait()
        print(STOPPING, flush=True)

    await supervise(settings, told(), ready)


def stop_or_leave(stop: asyncio.Event, number: signal.Signals) -> None:
    """The first signal drains; a second one, from somebody who cannot wait, ends the process."""
    if stop.is_set():
        sys.exit(128 + number)
    stop.set()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


def _banner(settings: Settings, url: str, more: Sequence[tuple[str, str]] = ()) -> None:
    """Address, what is embedded and its limits, and how to get in. In a file or a pipe no line is broken."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPE_COLUMNS)
    console.print(f"\n[bold]chatcore {__version__}[/] on [bold cyan]{url}[/]  ({settings.chatcore_env})")
    table = Table.grid(padding=(0, 2))
    for name, text in [*_facts(settings, url), *more]:
        table.add_row(f"  [dim]{name}[/]", text)
    console.print(table)
    console.print()


def _facts(settings: Settings, url: str) -> list[tuple[str, str]]:
    home = _tilde(settings.chatcore_home)
    page = url if are_installed(settings.web_libraries) else f"not there yet: {typed()} web install"
    facts = [("page", page), ("sockets", f"Socket.IO 4 clients: {url}/socket.io/"), ("reference", f"{url}/docs")]
    if settings.embedded_database:
        facts.append(("database", f"embedded, in {home}: for evaluation, development and small installs"))
        facts.append(("", "production: set MONGODB_URI to a MongoDB 7+ replica set or Atlas"))
    else:
        facts.append(("database", f"MONGODB_URI, database {settings.database_name}"))
    facts.append(("messages", f"encrypted at rest; this server holds the keys{_where_key(settings, home)}"))
    facts.append(("models", describe_models(settings)))
    facts.append(("sign-in", _sign_in(settings)))
    if settings.dev_tokens:
        there = "" if url == settings.chatcore_url else f" --url {url}"
        facts.append(("try it", f"[bold]{typed()} chat{there} --as ana[/], and in a second terminal [bold]--as ben[/]"))
        facts.append(("a token", f"{typed()} token{there} ana"))
    return facts


def _where_key(settings: Settings, home: str) -> str:
    given = settings.encryption_secret_key.get_secret_value() or settings.master_keys.get_secret_value()
    return "" if given else f" ({home}/master.key: back it up)"


def _sign_in(settings: Settings) -> str:
    ways = []
    if settings.clerk_jwt_issuer or settings.oidc_issuer:
        ways.append(f"tokens of {settings.clerk_jwt_issuer or settings.oidc_issuer}")
    if settings.has_local_accounts:
        ways.append(f"local accounts ({typed()} users add NAME)")
    if settings.dev_tokens:
        ways.append("development tokens, on this machine only")
    return "; ".join(ways)


def _tilde(path: Path) -> str:
    try:
        return f"~/{path.relative_to(Path.home())}"
    except ValueError:
        return str(path)
