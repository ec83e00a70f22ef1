"""`python -m chatcore users ...`: accounts that this server keeps itself."""

from typing import Annotated

import typer

app = typer.Typer(help="Accounts with name and password, kept by this server.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The person's name; case does not count.")]
Roles = Annotated[list[str] | None, typer.Option("--role", help="operator, reviewer or analyst; may be repeated.")]


@app.command()
def add(name: Name, role: Roles = None) -> None:
    """Make an account. The password is asked for, or read from a pipe."""
    from chatcore.cli.accounts import add_account  # noqa: PLC0415

    add_account(name, role or [])


@app.command("list")
def list_all() -> None:
    """All accounts and their roles."""
    from chatcore.cli.accounts import list_accounts  # noqa: PLC0415

    list_accounts()


@app.command()
def remove(
    name: Name, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether this is meant.")] = False
) -> None:
    """Close an account and sign the person out everywhere. Messages stay."""
    from chatcore.cli.accounts import remove_account  # noqa: PLC0415

    if not yes:
        typer.confirm(f"Close the account of {name}?", abort=True)
    remove_account(name)


@app.command()
def password(name: Name) -> None:
    """Set a new password and sign the person out everywhere."""
    from chatcore.cli.accounts import set_password  # noqa: PLC0415

    set_password(name)


@app.command()
def roles(
    name: Name,
    given: Annotated[list[str] | None, typer.Argument(help="None takes all roles away.", metavar="[ROLE]...")] = None,
) -> None:
    """Set the server roles of an account to exactly these."""
    from chatcore.cli.accounts import set_roles  # noqa: PLC0415

    set_roles(name, given or [])
