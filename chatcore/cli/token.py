"""`python -m chatcore token NAME`: a token for scripts and other clients."""

import asyncio

import typer

from chatcore.cli.sign_in import CannotStart, sign_in, stop


def run(*, name: str, url: str, with_password: bool) -> None:
    """The token alone on standard output, so that `CHATCORE_TOKEN=$(...)` works."""
    try:
        typer.echo(asyncio.run(sign_in(name=name, url=url, with_password=with_password)).token)
    except CannotStart as reason:
        raise stop(str(reason)) from None
