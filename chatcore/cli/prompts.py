"""`python -m chatcore prompts ...`: prompt versions, and who gets which."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Prompt versions: draft, shadow, canary, live, retired.", no_args_is_help=True)
Version = Annotated[
    str, typer.Argument(help="Function@hash, the beginning of one, or a function's name for what is live.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command("list")
def list_all(function: Annotated[str, typer.Argument(help="Only this function's.")] = "", json: AsJson = False) -> None:
    """All versions and their states."""
    from chatcore.cli.prompt_commands import list_versions  # noqa: PLC0415

    list_versions(function, as_json=json)


@app.command()
def show(version: Version, json: AsJson = False) -> None:
    """Text, parameters and history."""
    from chatcore.cli.prompt_commands import show_version  # noqa: PLC0415

    show_version(version, as_json=json)


@app.command()
def diff(
    version: Version,
    other: Annotated[str, typer.Argument(help="Against this one. Default: what is live.", show_default=False)] = "",
) -> None:
    """What differs between two versions."""
    from chatcore.cli.prompt_commands import diff_versions  # noqa: PLC0415

    diff_versions(version, other)


@app.command()
def add(
    function: Annotated[str, typer.Argument(help="The function that the text defines.")],
    file: Annotated[Path | None, typer.Option("--file", help="BAML. Default: the live version's text.")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--set", help="name=JSON, over the live version's; may be repeated.")
    ] = None,
) -> None:
    """Store a draft."""
    from chatcore.cli.prompt_commands import add_version  # noqa: PLC0415

    add_version(function, file, parameter or [])


@app.command()
def shadow(version: Version) -> None:
    """Run it beside the live version, seen by nobody."""
    from chatcore.cli.prompt_commands import move  # noqa: PLC0415

    move(lambda prompts: prompts.shadow(version))


@app.command()
def canary(
    version: Version, share: Annotated[float, typer.Option(help="Of the people; above 0 and at most 0.5.")] = 0.05
) -> None:
    """Let it answer a share of the people; also to change the share."""
    from chatcore.cli.prompt_commands import move  # noqa: PLC0415

    move(lambda prompts: prompts.canary(version, share))


@app.command()
def promote(
    version: Version, report: Annotated[str, typer.Option("--report", help="Id of a passing evaluation report.")]
) -> None:
    """Make the canary live."""
    from chatcore.cli.prompt_commands import promote_version  # noqa: PLC0415

    promote_version(version, report)


@app.command()
def rollback(version: Version) -> None:
    """Take it out of use; the live version makes room for the one before it."""
    from chatcore.cli.prompt_commands import move  # noqa: PLC0415

    move(lambda prompts: prompts.rollback(version))
