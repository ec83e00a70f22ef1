"""`python -m chatcore chat`: the terminal client."""

import asyncio
import sys

from chatcore.cli.lines import run_lines
from chatcore.cli.sign_in import CannotStart, explain, sign_in, stop
from chatcore.client import Backoff, Client, LinkLost
from chatcore.errors import ChatError

# Somebody sits and waits.
IMPATIENT = Backoff(longest_seconds=5.0)


def run(*, name: str, group: str, url: str, with_password: bool, plain: bool) -> None:
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty() and not plain
    try:
        asyncio.run(_chat(name, group, url, with_password=with_password, on_terminal=on_terminal))
    except CannotStart as reason:
        raise stop(str(reason)) from None
    except KeyboardInterrupt:
        raise stop("") from None


async def _chat(name: str, group: str, url: str, *, with_password: bool, on_terminal: bool) -> None:
    signed_in = await sign_in(name=name, url=url, with_password=with_password)
    try:
        async with Client(signed_in.url, signed_in.token, renew=signed_in.renew, backoff=IMPATIENT) as client:
            if on_terminal:
                from chatcore.cli.screen import Screen  # noqa: PLC0415  prompt_toolkit is needed on terminals only

                await Screen(client).run(group)
            else:
                await run_lines(client, group)
    except (LinkLost, ChatError) as error:
        raise CannotStart(explain(error, signed_in.url, with_password=with_password)) from None
