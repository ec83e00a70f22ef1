"""`python -m chatcore ...`: one file for each group of commands.

Only signatures stand here. What a command needs is imported when it runs, so that `--help` is quick.
"""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from chatcore.cli import audit, decisions, models, prompts, users, web

app = typer.Typer(
    name="chatcore",
    help="A self-hosted real-time chat server: its terminal client and its tools.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(users.app, name="users")
app.add_typer(models.app, name="models")
app.add_typer(prompts.app, name="prompts")
app.add_typer(decisions.app, name="decisions")
app.add_typer(audit.app, name="audit")
app.add_typer(web.app, name="web")

Url = Annotated[str, typer.Option("--url", help="The server. Default: CHATCORE_URL.", show_default=False)]


@app.command()
def chat(
    name: Annotated[str, typer.Option("--as", help="Who you are. Default: CHATCORE_TOKEN, else your login name.")] = "",
    group: Annotated[str, typer.Option("--group", "-g", help="Entered by name; made if there is none.")] = "general",
    url: Url = "",
    password: Annotated[bool, typer.Option("--password", "-p", help="Sign in with a password, asked for.")] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Lines in, lines out; the default where no terminal is.")
    ] = False,
) -> None:
    """Chat in the terminal."""
    from chatcore.cli.chat import run  # noqa: PLC0415

    run(name=name, group=group, url=url, with_password=password, plain=plain)


@app.command()
def demo(
    url: Url = "",
    live: Annotated[bool, typer.Option("--live", help="Then keep people talking until Ctrl-C.")] = False,
) -> None:
    """Fill four groups with eight people and their talk. Safe to repeat. The server must be in development."""
    from chatcore.cli.demo import run  # noqa: PLC0415

    run(url=url, live=live)


@app.command()
def token(
    name: Annotated[str, typer.Argument(help="For whom.")],
    url: Url = "",
    password: Annotated[bool, typer.Option("--password", "-p", help="Sign in with a password, asked for.")] = False,
) -> None:
    """Print a token for scripts: a dev token, or with --password one of a local account."""
    from chatcore.cli.token import run  # noqa: PLC0415

    run(name=name, url=url, with_password=password)


@app.command()
def doctor() -> None:
    """Check settings, folders, database, keys, port and clock; say what to do."""
    from chatcore.cli.doctor import run  # noqa: PLC0415

    run()


@app.command()
def loadtest(  # noqa: PLR0917 - options, all given by name
    url: Url = "",
    clients: Annotated[int, typer.Option(min=2, help="How many clients.")] = 200,
    groups: Annotated[int, typer.Option(min=1, help="In how many groups; each client is in one.")] = 20,
    rate: Annotated[float, typer.Option(help="Messages a second in all, whatever the server does.")] = 100.0,
    closed: Annotated[bool, typer.Option("--closed", help="Instead: each sends when its last is answered.")] = False,
    seconds: Annotated[float, typer.Option(help="For how long, 600 at most.")] = 15.0,
    warmup: Annotated[float, typer.Option(min=0, help="Seconds before, not timed.")] = 2.0,
    message_bytes: Annotated[int, typer.Option(help="Size of a message.")] = 120,
    storm: Annotated[bool, typer.Option("--storm", help="Half-way, cut all clients at once.")] = False,
    slow_readers: Annotated[int, typer.Option(min=0, help="Clients that stop reading.")] = 0,
    processes: Annotated[int, typer.Option(min=1, help="Processes that hold the clients.")] = 1,
    token_file: Annotated[Path | None, typer.Option(help="One token a line, for each client one.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the result here as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots here.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the test's groups there.")] = False,
    own: Annotated[bool, typer.Option("--i-own-this-server", help="Needed for any address but loopback.")] = False,
) -> None:
    """Put load on a server, measure it, and check that nobody missed anything."""
    from chatcore.cli.loadtest import run  # noqa: PLC0415
    from chatcore.loadtest.plan import Plan  # noqa: PLC0415

    plan = Plan(
        url=url.rstrip("/"),
        clients=clients,
        groups=groups,
        mode="closed" if closed else "open",
        rate=rate,
        seconds=seconds,
        warmup_seconds=warmup,
        message_bytes=message_bytes,
        storm=storm,
        slow_readers=slow_readers,
        processes=processes,
    )
    run(plan, token_file=token_file, own=own, keep=keep, json=json, html=html)


@app.command()
def describe(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail where a file is stale.")] = False,
) -> None:
    """Write the references: OpenAPI, AsyncAPI, JSON Schema, TypeScript, events page, .env.example, README table."""
    from chatcore.cli.describe import run  # noqa: PLC0415

    run(check=check)


@app.command(name="migrate-original")
def migrate_original(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and count only; write nothing.")] = False,
    accept_unreadable: Annotated[
        bool, typer.Option("--accept-unreadable", help="Take messages that cannot be opened over without their text.")
    ] = False,
    json: Annotated[Path | None, typer.Option(help="Write the report here as JSON.")] = None,
) -> None:
    """Take over users, groups and messages of the original service. Safe to repeat. The server must be stopped."""
    from chatcore.cli.migrate import run  # noqa: PLC0415

    run(dry_run=dry_run, accept_unreadable=accept_unreadable, json_file=json)


# Parsed by the app of their own module, which reads archives and the database's format and takes long to import.
_FORWARDED = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def _forward(module: str, context: typer.Context) -> None:
    own: typer.Typer = import_module(module).app
    own([context.info_name or "", *context.args], prog_name="python -m chatcore")


@app.command(context_settings=_FORWARDED)
def backup(context: typer.Context) -> None:
    """Write all data, local media and local keys to a file. The server may run."""
    _forward("chatcore.cli.backup", context)


@app.command(context_settings=_FORWARDED)
def restore(context: typer.Context) -> None:
    """Read a backup into an empty database. The server must be stopped."""
    _forward("chatcore.cli.backup", context)


@app.command(context_settings=_FORWARDED)
def verify(context: typer.Context) -> None:
    """Check a backup file: every hash and every count."""
    _forward("chatcore.cli.backup", context)
