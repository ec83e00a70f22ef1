"""What `python -m chatcore users ...` does: on the running server's database, or on one started for the moment."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import get_args

from rich.console import Console
from rich.table import Table

from chatcore.app.keys import open_keys
from chatcore.audit import store as audit_store
from chatcore.audit.chain import COMMAND_LINE, Deed
from chatcore.audit.service import Audit
from chatcore.cli.database import open_database
from chatcore.cli.invocation import typed
from chatcore.cli.sign_in import read_secret, stop
from chatcore.contract.people import ServerRole
from chatcore.embedded.home import EmbeddedRefused
from chatcore.embedded.supervisor import ProcessFailed
from chatcore.errors import ChatError
from chatcore.identity.accounts import LocalAccounts
from chatcore.identity.service import Identity
from chatcore.identity.store import INDEXES, MongoIdentityStore
from chatcore.identity.tokens import LocalIssuer
from chatcore.ports import SilentFanout
from chatcore.settings import DEVELOPMENT_ISSUER, BadSettings, load_settings

console = Console(highlight=False)
Audited = Callable[[str, Sequence[ServerRole]], Awaitable[None]]
"""Of a user id and the roles it has now."""


def add_account(name: str, given_roles: list[str]) -> None:
    roles, password = _roles(given_roles), _new_password(name)

    async def work(accounts: LocalAccounts, audited: Audited) -> None:
        account = await accounts.add_account(name, password, roles)
        if roles:
            await audited(account.user_id, roles)
        console.print(f"{account.name} can sign in now.", markup=False)

    _with_accounts(work)


def list_accounts() -> None:
    async def work(accounts: LocalAccounts, _: Audited) -> None:
        found = await accounts.list_accounts()
        table = Table("name", "roles", "since", box=None, pad_edge=False)
        for account in sorted(found, key=lambda account: account.name_key):
            table.add_row(account.name, ", ".join(sorted(account.roles)) or "-", f"{account.created_at:%Y-%m-%d}")
        console.print(table if found else f"No accounts yet; make one with: {typed()} users add NAME")

    _with_accounts(work)


def remove_account(name: str) -> None:
    async def work(accounts: LocalAccounts, _: Audited) -> None:
        await accounts.remove_account(name)
        console.print(f"The account of {name} is closed.", markup=False)

    _with_accounts(work)


def set_password(name: str) -> None:
    password = _new_password(name)

    async def work(accounts: LocalAccounts, _: Audited) -> None:
        await accounts.set_password(name, password)
        console.print(f"{name} has a new password.", markup=False)

    _with_accounts(work)


def set_roles(name: str, given_roles: list[str]) -> None:
    roles = _roles(given_roles)

    async def work(accounts: LocalAccounts, audited: Audited) -> None:
        await audited(await accounts.set_roles(name, roles), roles)
        console.print(f"{name}: {', '.join(roles) or 'no roles'}", markup=False)

    _with_accounts(work)


def _roles(given: list[str]) -> list[ServerRole]:
    known: dict[str, ServerRole] = {role: role for role in get_args(ServerRole)}
    if unknown := [role for role in given if role not in known]:
        raise stop(f"There is no role {unknown[0]}. Roles: {', '.join(known)}")
    return [known[role] for role in given]


def _new_password(name: str) -> str:
    first = read_secret(f"New password of {name}: ")
    if sys.stdin.isatty() and read_secret("Again: ") != first:
        raise stop("The two differ; nothing was changed.")
    return first


def _with_accounts(work: Callable[[LocalAccounts, Audited], Awaitable[None]]) -> None:
    async def run() -> None:
        async with _accounts() as (accounts, audited):
            await work(accounts, audited)

    try:
        asyncio.run(run())
    except BadSettings as problems:
        raise stop(f"The settings are wrong:\n{problems}") from None
    except ChatError as refused:
        raise stop(f"Not done: {refused.message}") from None
    except (EmbeddedRefused, ProcessFailed) as refused:
        raise stop(str(refused)) from None


@asynccontextmanager
async def _accounts() -> AsyncIterator[tuple[LocalAccounts, Audited]]:
    settings = load_settings()
    async with open_database(settings) as mongo:
        await mongo.ensure_indexes((*INDEXES, *audit_store.INDEXES))

        async def audited(user_id: str, roles: Sequence[ServerRole]) -> None:
            keys = await open_keys(settings, mongo)
            audit = Audit(audit_store.MongoAuditStore(mongo.database), keys.audit)
            facts = {"roles": ", ".join(sorted(roles)) or "none"}
            await audit.record(Deed(COMMAND_LINE, "account.roles", user_id, datetime.now(UTC), facts))

        store = MongoIdentityStore(mongo.database)
        # Signs nothing here: a key of its own keeps the server's out of this process.
        issuer = LocalIssuer(secrets.token_bytes(32), issuer=DEVELOPMENT_ISSUER)
        identity = Identity(store, issuer, SilentFanout())
        accounts = LocalAccounts(store, issuer, ended=identity.end_all_sessions, closed=identity.deactivate)
        try:
            yield accounts, audited
        finally:
            accounts.close()
