"""`python -m chatcore migrate-original`: the original service's data, read from its database and written to ours."""

import asyncio
import sys
from pathlib import Path

import orjson
from rich.console import Console

from chatcore.app.keys import open_keys
from chatcore.app.opening import INDEXES
from chatcore.cli.database import open_database
from chatcore.embedded.home import find_running_database
from chatcore.embedded.supervisor import ProcessFailed
from chatcore.errors import ChatError
from chatcore.groups.store import MongoGroupStore
from chatcore.identity.store import MongoIdentityStore
from chatcore.journal.store import MongoJournalStore
from chatcore.migration.cipher import OriginalCipher
from chatcore.migration.report import Report
from chatcore.migration.service import Migration, Target
from chatcore.migration.store import OriginalStore, open_original
from chatcore.settings import BadSettings, Settings, load_settings
from chatcore.vault.envelope import SealBroken
from chatcore.vault.service import Vault
from chatcore.vault.store import MongoKeyStore

SHOWN = 10
err = Console(stderr=True)


class Refused(Exception):
    """Nothing was written; the message says what to do."""


def run(*, dry_run: bool, accept_unreadable: bool, json_file: Path | None) -> None:
    try:
        settings = load_settings()
        report = asyncio.run(_migrate(settings, dry_run=dry_run, accept_unreadable=accept_unreadable))
    except BadSettings as problems:
        sys.exit(f"Nothing was read. Put these right:\n{problems}")
    except (Refused, ChatError, SealBroken, ProcessFailed, OSError) as refusal:
        sys.exit(str(refusal))
    for line in report.lines():
        print(line)
    for message_id in report.unreadable[:SHOWN]:
        print(f"             {message_id}")
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2))
        print(f"The whole report is in {json_file}.")


async def _migrate(settings: Settings, *, dry_run: bool, accept_unreadable: bool) -> Report:
    uri, secret = settings.original_mongodb_uri.get_secret_value(), settings.original_encryption_secret_key
    if not uri or not secret.get_secret_value():
        raise Refused("Set ORIGINAL_MONGODB_URI and ORIGINAL_ENCRYPTION_SECRET_KEY, in .env or the environment.")
    if settings.embedded_database and find_running_database(settings.chatcore_home):
        raise Refused("The server is running. Stop it: nobody else may write to the database meanwhile.")
    async with open_original(uri, settings.original_database_name) as original:
        if await original.is_chatcore():
            raise Refused("ORIGINAL_MONGODB_URI names a database of chatcore, not one of the original service.")
        cipher = OriginalCipher(secret.get_secret_value())
        return await _between(settings, original, cipher, dry_run=dry_run, accept_unreadable=accept_unreadable)


async def _between(
    settings: Settings, original: OriginalStore, cipher: OriginalCipher, *, dry_run: bool, accept_unreadable: bool
) -> Report:
    async with open_database(settings) as mongo:
        await mongo.ensure_indexes(INDEXES)
        keys = await open_keys(settings, mongo)
        database = mongo.database
        target = Target(
            people=MongoIdentityStore(database),
            groups=MongoGroupStore(database),
            journal=MongoJournalStore(database),
            vault=Vault(keys.masters, MongoKeyStore(database)),
        )
        with err.status("Reading the original's messages ...") as status:
            done = 0

            def progress(group: str, messages: int) -> None:
                nonlocal done
                done += messages
                status.update(f"{done:,} messages, now in {group}")

            migration = Migration(original, target, cipher, progress)
            found = await migration.survey()
            if dry_run:
                return found
            if found.unreadable and not accept_unreadable:
                raise Refused(
                    f"{len(found.unreadable):,} of {found.messages + found.messages_known:,} messages are not opened "
                    "by ORIGINAL_ENCRYPTION_SECRET_KEY. Nothing was written. Look at them with --dry-run --json, set "
                    "the right key, or take them over without their text by --accept-unreadable."
                )
            done = 0
            return await migration.run()
