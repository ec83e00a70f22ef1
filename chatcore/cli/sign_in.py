"""How command-line tools find the server and a token for it."""

import getpass
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import typer
from pydantic import ValidationError
from rich.console import Console

from chatcore.client import LinkLost
from chatcore.client.rest import dev_token, log_in
from chatcore.errors import BadCredentials, ChatError, Forbidden, NotFound
from chatcore.settings import Settings

errors = Console(stderr=True, highlight=False)


class CannotStart(Exception):
    """Told to the person at the terminal as it is; the command ends with status 1."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """`renew` gets a further token in the same way, or is None where there is none."""

    url: str
    token: str
    renew: Callable[[], Awaitable[str]] | None = None


def client_settings() -> Settings:
    """Settings without the server's own rules: a client needs neither keys nor issuers."""
    try:
        return Settings()
    except ValidationError as error:
        fields = ", ".join(str(item["loc"][0]).upper() for item in error.errors() if item["loc"])
        raise CannotStart(f"These settings cannot be read: {fields}") from None


async def sign_in(*, name: str, url: str, with_password: bool) -> SignIn:
    """Raises CannotStart in words for people."""
    settings = client_settings()
    url = (url or settings.chatcore_url).rstrip("/")
    token = settings.chatcore_token.get_secret_value()
    if token and not name:
        return SignIn(url, token)
    name = name or getpass.getuser()
    secret = read_secret(f"Password of {name}: ") if with_password else ""

    async def fetch() -> str:
        return (await (log_in(url, name, secret) if with_password else dev_token(url, name))).token

    try:
        return SignIn(url, await fetch(), fetch)
    except (LinkLost, ChatError) as error:
        raise CannotStart(explain(error, url, with_password=with_password)) from None


def read_secret(prompt: str) -> str:
    """Asked for without echo; the first line of standard input where that is no terminal."""
    return getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")


def explain(error: LinkLost | ChatError, url: str, *, with_password: bool = False) -> str:
    """What went wrong and what to do."""
    if isinstance(error, LinkLost):
        return f"No chatcore server answers at {url}. Start one with `make serve`, or name another with --url."
    if isinstance(error, NotFound | Forbidden) and not with_password:
        return f"{url} gives no tokens for the asking. Use --password, or set CHATCORE_TOKEN."
    if isinstance(error, BadCredentials):
        return "The name or the password is wrong."
    return f"{url} refuses: {error.message}"


def stop(message: str) -> typer.Exit:
    """`raise stop("...")`: the message on standard error, status 1."""
    errors.print(message, style="red", markup=False)
    return typer.Exit(1)
