"""What `python -m chatcore audit verify` does: on the running server's database, or on one started for the moment."""

import asyncio

import typer
from rich.console import Console

from chatcore.app.keys import open_keys
from chatcore.audit import store as audit_store
from chatcore.audit.chain import Fault, Head
from chatcore.audit.service import Audit
from chatcore.cli.database import open_database
from chatcore.cli.sign_in import stop
from chatcore.embedded.home import EmbeddedRefused
from chatcore.embedded.supervisor import ProcessFailed
from chatcore.errors import ChatError
from chatcore.settings import BadSettings, Settings, load_settings
from chatcore.vault.envelope import SealBroken

SHOWN = 20
console = Console(highlight=False, soft_wrap=True)


def verify_chain() -> None:
    """Exit status 1 where the chain does not hold."""
    try:
        head, found = asyncio.run(_verify(load_settings()))
    except BadSettings as problems:
        raise stop(f"The settings are wrong:\n{problems}") from None
    except ChatError as refused:
        raise stop(f"Not done: {refused.message}") from None
    except (EmbeddedRefused, ProcessFailed, SealBroken) as refused:
        raise stop(str(refused)) from None
    _tell(head, found)
    if found:
        raise typer.Exit(1)


async def _verify(settings: Settings) -> tuple[Head, list[Fault]]:
    async with open_database(settings) as mongo:
        await mongo.ensure_indexes(audit_store.INDEXES)
        keys = await open_keys(settings, mongo)
        return await Audit(audit_store.MongoAuditStore(mongo.database), keys.audit).verify()


def _tell(head: Head, found: list[Fault]) -> None:
    for fault in found[:SHOWN]:
        console.print(f"link {fault.n}: {fault.reason}")
    if len(found) > SHOWN:
        console.print(f"and {len(found) - SHOWN} more")
    if not found:
        console.print(f"The chain holds: {head.n} links, the last one {head.hash}")
        console.print("Keep that line elsewhere: it tells whether the chain was ever made shorter.")
