"""`backup`, `restore` and `verify`: all data in one file, for safety, for an upgrade, and to move to another server.

A backup of a running server reads one collection after another, so it is not of one instant; stop the server first
where that matters. The archive holds the local keys: who has the file can read the messages.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, cast

import pymongo
import typer
from bson import json_util
from bson.raw_bson import RawBSONDocument

from chatcore import __version__
from chatcore.cli.archive import (
    ArchiveReader,
    ArchiveWriter,
    BackupRefused,
    Content,
    Counter,
    Manifest,
    collection_member,
    home_files,
    require_same,
    split_documents,
)
from chatcore.embedded.database import EmbeddedDatabase
from chatcore.embedded.home import EmbeddedRefused, find_running_database
from chatcore.embedded.supervisor import ProcessFailed
from chatcore.errors import Unavailable
from chatcore.mongo import Mongo, open_mongo, translating_errors
from chatcore.settings import BadSettings, Settings, load_settings

READ_DOCUMENTS = 500  # in one answer of the one cursor; a second cursor, a range of ids or a skip would scan again
WRITE_DOCUMENTS, WRITE_BYTES = 500, 4 * 1024 * 1024
LIMIT_SECONDS = 12 * 3600.0  # instead of the 2.5 s of a single operation
LAST = ("messages",)  # the log is read last, so that nothing points behind its end

app = typer.Typer(no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="The archive (zip).", dir_okay=False)]


@app.command()
def backup(file: File) -> None:
    """Write all data, local media and local keys to FILE. The server may run."""
    manifest = _run(_backup_here(file))
    typer.echo(f"{file}: {_summary(manifest)}")
    if _keys_in_environment(load_settings()):
        typer.echo("The encryption keys are set in the environment and are NOT in the file; keep them apart from it.")


@app.command()
def restore(
    file: File,
    verify: Annotated[bool, typer.Option("--verify", help="Read everything back afterwards and compare.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what the database and the folder hold.")] = False,
) -> None:
    """Read FILE into an empty database. The server must be stopped."""
    manifest = _run(_restore_here(file, verify=verify, force=force))
    typer.echo(f"restored from {file}: {_summary(manifest)}{', read back and compared' if verify else ''}")


@app.command()
def verify(file: File) -> None:
    """Check FILE alone: every hash and every count."""
    with _told():
        reader = ArchiveReader(file)
        reader.verify()
    typer.echo(f"{file} is whole: {_summary(reader.manifest)}")


async def write_backup(mongo: Mongo, home: Path, file: Path) -> Manifest:
    """Everything in the database and, without the engine's own folder, in `home`. Raises BackupRefused, Unavailable."""
    writer = ArchiveWriter(file)
    try:
        with translating_errors(), pymongo.timeout(LIMIT_SECONDS):
            manifest = await _describe(mongo)
            for name in await _collections(mongo):
                manifest.collections[name] = await _copy_out(mongo, name, writer)
        manifest.files = writer.add_home(home)
        writer.finish(manifest)
    finally:
        writer.discard()
    return manifest


async def read_backup(mongo: Mongo, home: Path, file: Path, *, force: bool = False, verify: bool = False) -> Manifest:
    """The whole archive is checked before the first write; a target that holds anything is refused without `force`.

    An interrupted restore leaves a part: run it again with `force`. Raises BackupRefused, Unavailable.
    """
    reader = ArchiveReader(file)
    try:
        reader.verify()
        with translating_errors(), pymongo.timeout(LIMIT_SECONDS):
            await _require_empty(mongo, home, force=force)
            reader.restore_files(home)
            for name in reader.manifest.collections:
                await _copy_in(mongo, name, reader)
            if verify:
                await _compare(mongo, reader.manifest)
        return reader.manifest
    finally:
        reader.close()


async def _describe(mongo: Mongo) -> Manifest:
    build = await mongo.client.admin.command("buildInfo")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Manifest(mongo.database.name, f"MongoDB {build['version']}", __version__, now)


async def _collections(mongo: Mongo) -> list[str]:
    found = [
        row["name"] for row in await (await mongo.database.list_collections()).to_list() if row["type"] == "collection"
    ]
    return sorted((name for name in found if not name.startswith("system.")), key=lambda name: (name in LAST, name))


async def _copy_out(mongo: Mongo, name: str, writer: ArchiveWriter) -> dict[str, Any]:
    counter = Counter()
    with writer.member(collection_member(name)) as output:
        async for document in _documents(mongo, name):
            counter.add(document)
            output.write(document)
    return {**_plain(counter.content()), "indexes": await _indexes(mongo, name)}


async def _documents(mongo: Mongo, name: str) -> AsyncIterator[memoryview]:
    cursor = mongo.database[name].find_raw_batches({}, batch_size=READ_DOCUMENTS, comment="scan: backup")
    async for batch in cursor:
        for document in split_documents(cast(bytes, batch)):  # the driver's annotation is of its other cursors
            yield document


async def _indexes(mongo: Mongo, name: str) -> list[dict[str, Any]]:
    """As extended JSON, with the keys as a list: their order matters."""
    found = await (await mongo.database[name].list_indexes()).to_list()
    kept = [{key: value for key, value in index.items() if key not in ("v", "ns")} for index in found]
    as_json = [index | {"key": list(index["key"].items())} for index in kept if index["name"] != "_id_"]
    extended: list[dict[str, Any]] = json.loads(json_util.dumps(as_json))
    return sorted(extended, key=lambda index: str(index["name"]))


async def _require_empty(mongo: Mongo, home: Path, *, force: bool) -> None:
    names = await _collections(mongo)
    if force:
        for name in names:
            # To drop a full collection the embedded server commits row by row, 2 ms each; a deletion is one commit.
            await mongo.database[name].delete_many({}, comment="scan: restore --force")
            await mongo.database.drop_collection(name)
        return
    for name in names:
        if await mongo.database[name].find_one({}, {"_id": 1}, comment="scan: is there anything") is not None:
            raise BackupRefused(
                f"database {mongo.database.name} is not empty ({name} holds documents); --force replaces it"
            )
    if kept := home_files(home):
        raise BackupRefused(f"{home} is not empty (it holds {kept[0]}); --force replaces what the backup holds too")


async def _copy_in(mongo: Mongo, name: str, reader: ArchiveReader) -> None:
    collection = mongo.database[name]
    if name not in await mongo.database.list_collection_names():
        await mongo.database.create_collection(name)
    # Before the rows: the embedded server builds an index over existing rows with one commit for each.
    for index in json_util.loads(json.dumps(reader.manifest.collections[name]["indexes"])):
        options = {key: value for key, value in index.items() if key != "key"}
        await collection.create_index([(field, order) for field, order in index["key"]], **options)
    for batch in _batches(reader.documents(name)):
        await collection.insert_many(batch, ordered=True)


def _batches(documents: Iterator[bytes]) -> Iterator[list[RawBSONDocument]]:
    batch: list[RawBSONDocument] = []
    size = 0
    for document in documents:
        batch.append(RawBSONDocument(document))
        size += len(document)
        if len(batch) == WRITE_DOCUMENTS or size >= WRITE_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _compare(mongo: Mongo, manifest: Manifest) -> None:
    """By count, size and fingerprint: another server may give the documents in another order."""
    for name, told in manifest.collections.items():
        counter = Counter()
        async for document in _documents(mongo, name):
            counter.add(document)
        require_same(name, {**told, "sha256": ""}, _without_order(counter.content()))
        if await _indexes(mongo, name) != told["indexes"]:
            raise BackupRefused(f"collection {name} has other indexes than the manifest says")


def _without_order(content: Content) -> Content:
    content.sha256 = ""
    return content


def _plain(content: Content) -> dict[str, Any]:
    return {name: getattr(content, name) for name in Content.__slots__}


async def _backup_here(file: Path) -> Manifest:
    settings = load_settings()
    async with _open(settings, to_write=False) as mongo:
        return await write_backup(mongo, settings.chatcore_home, file)


async def _restore_here(file: Path, *, verify: bool, force: bool) -> Manifest:
    settings = load_settings()
    ArchiveReader(file).close()
    async with _open(settings, to_write=True) as mongo:
        return await read_backup(mongo, settings.chatcore_home, file, force=force, verify=verify)


@asynccontextmanager
async def _open(settings: Settings, *, to_write: bool) -> AsyncIterator[Mongo]:
    """MONGODB_URI, else the embedded database of a running server, else one that runs for as long as this takes."""
    if not settings.embedded_database:
        async with _connected(settings, settings.mongodb_uri.get_secret_value()) as mongo:
            yield mongo
        return
    home = settings.chatcore_home
    if running := find_running_database(home):
        if to_write:
            raise BackupRefused(f"a server runs on {home}; stop it before a restore")
        async with _connected(settings, running) as mongo:
            yield mongo
        return
    if not to_write and not (home / "database").is_dir():
        raise BackupRefused(f"there is no database in {home}; look at CHATCORE_HOME")
    database = EmbeddedDatabase(home)
    try:
        async with _connected(settings, await database.start()) as mongo:
            yield mongo
    finally:
        await database.stop()


@asynccontextmanager
async def _connected(settings: Settings, uri: str) -> AsyncIterator[Mongo]:
    mongo = await open_mongo(
        uri,
        database=settings.database_name,
        password=settings.database_password.get_secret_value(),
        embedded=settings.embedded_database,
    )
    try:
        yield mongo
    finally:
        await mongo.close()


def _keys_in_environment(settings: Settings) -> bool:
    return bool(settings.encryption_secret_key.get_secret_value() or settings.master_keys.get_secret_value())


def _summary(manifest: Manifest) -> str:
    documents = sum(row["documents"] for row in manifest.collections.values())
    return f"{documents} documents in {len(manifest.collections)} collections, {len(manifest.files)} files"


def _run(work: Coroutine[Any, Any, Manifest]) -> Manifest:
    with _told():
        return asyncio.run(work)


class _told:  # noqa: N801 - read as a phrase: `with _told():`
    """A refusal ends the command with its sentence, without a traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, BackupRefused | EmbeddedRefused | ProcessFailed | Unavailable | BadSettings | OSError):
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from error
