"""`python -m chatcore decisions ...`: the ledger of AI decisions."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The ledger of AI decisions.", no_args_is_help=True)


@app.command()
def replay(
    since: Annotated[
        str, typer.Option(help="How far back: 90m, 24h, 7d, or a moment such as 2026-01-31T12:00.")
    ] = "24h",
    prompt: Annotated[
        str, typer.Option(help="With this version. Default: each with its own.", show_default=False)
    ] = "",
    feature: Annotated[str, typer.Option(help="Only of this feature.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many.")] = 100,
    json: Annotated[Path | None, typer.Option(help="Write the result here as JSON; - for standard output.")] = None,
) -> None:
    """Make past decisions again and show how far the answers lie apart. Nobody sees the new ones."""
    from chatcore.cli.replay import run  # noqa: PLC0415

    run(since=since, prompt=prompt, feature=feature, limit=limit, json_file=json)


@app.callback()
def decisions() -> None:
    """Keeps `replay` a command of its own beside those that come."""
