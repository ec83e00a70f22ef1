"""`python -m chatcore audit ...`: the chain of what people with power over others did."""

import typer

app = typer.Typer(help="What people with power over others did.", no_args_is_help=True)


@app.command()
def verify() -> None:
    """Check every link of the chain, and print its end to be kept elsewhere. The server may run."""
    from chatcore.cli.auditing import verify_chain  # noqa: PLC0415

    verify_chain()


@app.callback()
def audit() -> None:
    """Keeps `verify` a command of its own beside those that come."""
