"""A backup holds everything, says so itself, and comes back the same; what does not fit is refused before any write."""

import asyncio
import json
import stat
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from bson import Binary, Decimal128, Int64, ObjectId
from typer.testing import CliRunner

from chatcore.cli import archive as archive_module
from chatcore.cli.archive import ArchiveReader, ArchiveWriter, BackupRefused, require_same
from chatcore.cli.backup import app, read_backup, write_backup
from chatcore.embedded.database import EmbeddedDatabase
from chatcore.mongo import Index, Mongo, open_mongo

GROUP = ObjectId()
INDEXES = [
    Index("messages", (("groupId", 1), ("seq", 1)), unique=True),
    Index("sessions", (("expiresAt", 1),), expire_after_seconds=0),
    Index(
        "invites",
        (("code", 1), ("at", -1)),
        unique=True,
        partial={"groupId": GROUP, "at": {"$gt": datetime(2026, 1, 1, tzinfo=UTC)}},
    ),
]
MESSAGES = 1_203  # more than two answers of the cursor and not a multiple of one


def message(seq: int) -> dict[str, object]:
    sealed = {"v": 1, "kv": 1, "n": b"n" * 12, "ct": Binary(bytes([seq % 256]) * (seq % 300))}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return {
        "_id": ObjectId(),
        "groupId": GROUP,
        "seq": seq,
        "sealed": sealed,
        "createdAt": at,
        "isDeleted": seq % 2 == 0,
    }


ODD = {
    "_id": 1,
    "long": Int64(5),
    "dec": Decimal128("1.50"),
    "uuid": uuid4(),
    "none": None,
    "nested": [{"ünï": "✓ 😀"}],
    "": "empty",
}


@pytest.fixture
async def filled(mongo: Mongo) -> Mongo:
    await mongo.ensure_indexes(INDEXES)
    await mongo.database.messages.insert_many([message(seq) for seq in range(1, MESSAGES + 1)])
    await mongo.database.settings.insert_one(ODD)
    return mongo


@pytest.fixture
async def empty(database_uri: str, database_is_embedded: bool) -> AsyncIterator[Mongo]:
    name = f"test-{uuid4().hex[:16]}"
    opened = await open_mongo(database_uri, database=name, embedded=database_is_embedded)
    yield opened
    if not database_is_embedded:
        await opened.client.drop_database(name)
    await opened.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


@pytest.fixture(scope="module")
def whole(database_uri: str, database_is_embedded: bool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup that nobody changed."""
    folder = tmp_path_factory.mktemp("whole")

    async def write() -> None:
        mongo = await open_mongo(database_uri, database=f"test-{uuid4().hex[:16]}", embedded=database_is_embedded)
        await mongo.database.messages.insert_many([message(seq) for seq in range(1, 6)])
        await mongo.database.settings.insert_one(ODD)
        await write_backup(mongo, make_home(folder / "home"), folder / "whole.zip")
        if not database_is_embedded:
            await mongo.client.drop_database(mongo.database.name)
        await mongo.close()

    asyncio.run(write())
    return folder / "whole.zip"


def make_home(home: Path) -> Path:
    (home / "keys").mkdir(parents=True)
    (home / "keys" / "master").write_bytes(b"\x00\x01key")
    (home / "keys" / "master").chmod(0o600)
    (home / "media" / "aa").mkdir(parents=True)
    (home / "media" / "aa" / "ein Bild.png").write_bytes(b"x" * 3_000_000)
    (home / "database" / "data").mkdir(parents=True)
    (home / "database" / "password").write_text("never in a backup")
    (home / "runtime.json").write_text("{}")
    (home / "link").symlink_to("/etc/hostname")
    return home


async def everything(mongo: Mongo) -> dict[str, object]:
    names = sorted(await mongo.database.list_collection_names())
    found = {name: await mongo.database[name].find({}, comment="scan: compare").to_list() for name in names}
    rows = {name: sorted(documents, key=lambda row: repr(row["_id"])) for name, documents in found.items()}
    indexes = {name: await mongo.database[name].index_information() for name in names}
    return {"rows": rows, "indexes": indexes}


async def test_a_restored_database_is_the_same(filled: Mongo, empty: Mongo, home: Path, tmp_path: Path) -> None:
    file, fresh = tmp_path / "backup.zip", tmp_path / "fresh"
    written = await write_backup(filled, home, file)
    restored = await read_backup(empty, fresh, file, verify=True)
    assert await everything(empty) == await everything(filled)
    assert written == restored
    assert written.collections["messages"]["documents"] == MESSAGES
    assert await empty.database.settings.find_one({"_id": 1}) == ODD

    assert (fresh / "keys" / "master").read_bytes() == b"\x00\x01key"
    assert stat.S_IMODE((fresh / "keys" / "master").stat().st_mode) == 0o600
    assert (fresh / "media" / "aa" / "ein Bild.png").stat().st_size == 3_000_000
    assert sorted(written.files) == ["keys/master", "media/aa/ein Bild.png"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_an_interrupted_backup_leaves_no_file(
    filled: Mongo, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    target.mkdir()

    class Torn(ArchiveWriter):
        def add_home(self, home: Path) -> dict[str, dict[str, object]]:
            raise OSError("disk full")

    monkeypatch.setattr("chatcore.cli.backup.ArchiveWriter", Torn)
    with pytest.raises(OSError, match="disk full"):
        await write_backup(filled, home, target / "backup.zip")
    assert list(target.iterdir()) == []


async def test_a_backup_is_never_overwritten(mongo: Mongo, tmp_path: Path) -> None:
    (tmp_path / "backup.zip").write_text("the only copy")
    with pytest.raises(BackupRefused, match="is there already"):
        await write_backup(mongo, tmp_path / "home", tmp_path / "backup.zip")
    assert (tmp_path / "backup.zip").read_text() == "the only copy"


async def test_a_database_with_content_is_replaced_only_by_force(
    filled: Mongo, empty: Mongo, home: Path, tmp_path: Path
) -> None:
    file, fresh = tmp_path / "backup.zip", tmp_path / "fresh"
    await write_backup(filled, home, file)
    await empty.database.settings.insert_one({"_id": 1, "mine": True})
    await empty.database.others.insert_one({"_id": 1})
    with pytest.raises(BackupRefused, match="not empty"):
        await read_backup(empty, fresh, file)
    assert await empty.database.settings.find_one({"_id": 1}) == {"_id": 1, "mine": True}
    assert not fresh.exists()
    await read_backup(empty, fresh, file, force=True, verify=True)
    assert await everything(empty) == await everything(filled)


async def test_keys_of_another_installation_are_replaced_only_by_force(
    filled: Mongo, empty: Mongo, home: Path, tmp_path: Path
) -> None:
    file, other = tmp_path / "backup.zip", tmp_path / "other"
    await write_backup(filled, home, file)
    (other / "keys").mkdir(parents=True)
    (other / "keys" / "master").write_bytes(b"other")
    with pytest.raises(BackupRefused, match="keys/master"):
        await read_backup(empty, other, file)
    assert (other / "keys" / "master").read_bytes() == b"other"
    assert await empty.database.list_collection_names() == []
    await read_backup(empty, other, file, force=True)
    assert (other / "keys" / "master").read_bytes() == b"\x00\x01key"


Change = Callable[[dict[str, bytes]], None]


def drop_a_message(members: dict[str, bytes]) -> None:
    size = int.from_bytes(members["collections/messages.bson"][:4], "little")
    members["collections/messages.bson"] = members["collections/messages.bson"][size:]


def alter_a_byte(members: dict[str, bytes]) -> None:
    members["collections/messages.bson"] = members["collections/messages.bson"].replace(b"nnnn", b"nnnm", 1)


def tear_the_end(members: dict[str, bytes]) -> None:
    members["collections/messages.bson"] = members["collections/messages.bson"][:-7]


def alter_a_key(members: dict[str, bytes]) -> None:
    members["home/keys/master"] = b"\x00\x01kex"


def lose_a_collection(members: dict[str, bytes]) -> None:
    del members["collections/settings.bson"]


def add_a_stranger(members: dict[str, bytes]) -> None:
    members["home/keys/stranger"] = b"x"


def _rename_a_file(members: dict[str, bytes], name: str) -> None:
    manifest = json.loads(members["manifest.json"])
    manifest["files"][name] = manifest["files"].pop("keys/master")
    members["manifest.json"] = json.dumps(manifest).encode()
    members[f"home/{name}"] = members.pop("home/keys/master")


def climb_out(members: dict[str, bytes]) -> None:
    _rename_a_file(members, "../escaped")


def start_at_the_root(members: dict[str, bytes]) -> None:
    _rename_a_file(members, "/escaped")


def write_into_the_engine(members: dict[str, bytes]) -> None:
    _rename_a_file(members, "database/password")


def another_format(members: dict[str, bytes]) -> None:
    members["manifest.json"] = members["manifest.json"].replace(b'"format": 1', b'"format": 2')


CHANGES: list[Change] = [
    drop_a_message, alter_a_byte, tear_the_end, alter_a_key, lose_a_collection, add_a_stranger,
    climb_out, start_at_the_root, write_into_the_engine, another_format,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_a_changed_archive_is_refused_before_any_write(
    change: Change, whole: Path, empty: Mongo, tmp_path: Path
) -> None:
    changed, fresh = tmp_path / "changed.zip", tmp_path / "fresh"
    with zipfile.ZipFile(whole) as source:
        members = {name: source.read(name) for name in source.namelist()}
    change(members)
    with zipfile.ZipFile(changed, "w") as target:
        for name, content in members.items():
            target.writestr(name, content)
    with pytest.raises(BackupRefused):
        await read_backup(empty, fresh, changed, force=True)
    assert await empty.database.list_collection_names() == []
    assert not fresh.exists()
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("part", [0.0, 0.3, 0.999])
def test_a_truncated_archive_is_refused(part: float, whole: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * part)])
    with pytest.raises(BackupRefused, match="not a whole backup"):
        ArchiveReader(cut)


def test_the_comparison_sees_each_difference() -> None:
    counter = archive_module.Counter()
    counter.add(b"abc")
    told = {
        "bytes": 3,
        "sha256": counter.content().sha256,
        "documents": 1,
        "fingerprint": counter.content().fingerprint,
    }
    require_same("x", told, counter.content())
    for key, value in told.items():
        with pytest.raises(BackupRefused, match=key):
            require_same("x", {**told, key: 99 if isinstance(value, int) else "f" * 64}, counter.content())


async def test_a_restore_that_lost_something_is_noticed(
    filled: Mongo, empty: Mongo, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "backup.zip"
    await write_backup(filled, home, file)
    every_document = ArchiveReader.documents
    reads = 0

    def losing(reader: ArchiveReader, collection: str):  # type: ignore[no-untyped-def]
        nonlocal reads
        reads += 1
        rows = list(every_document(reader, collection))
        return iter(rows[:-1] if collection == "messages" and reads > len(reader.manifest.collections) else rows)

    monkeypatch.setattr(ArchiveReader, "documents", losing)
    with pytest.raises(BackupRefused, match=rf"documents {MESSAGES} became {MESSAGES - 1}"):
        await read_backup(empty, tmp_path / "fresh", file, verify=True)


@contextmanager
def serving(home: Path):  # type: ignore[no-untyped-def]
    with asyncio.Runner() as runner:
        database = EmbeddedDatabase(home)
        uri = runner.run(database.start())
        try:
            yield runner, uri
        finally:
            runner.run(database.stop())


def test_the_commands_move_an_embedded_database_to_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backup while a server runs, verify, restore into a fresh folder, and refuse what must not be done."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MONGODB_URI", raising=False)
    old, new, file = tmp_path / "old", tmp_path / "new", tmp_path / "backup.zip"

    def run(home: Path, *words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, words, env={"CHATCORE_HOME": str(home)})
        return result.exit_code, result.output

    assert run(old, "backup", str(file)) == (1, f"there is no database in {old}; look at CHATCORE_HOME\n")

    async def fill(uri: str) -> None:
        mongo = await open_mongo(uri, database="RealTimeChatAiApp", embedded=True)
        await mongo.database.messages.insert_many([message(seq) for seq in range(1, 101)])
        await mongo.close()

    with serving(old) as (runner, uri):
        runner.run(fill(uri))
        (old / "master.key").write_text("k")
        assert run(old, "backup", str(file)) == (0, f"{file}: 100 documents in 1 collections, 1 files\n")
        code, said = run(old, "restore", str(file), "--force")
        assert (code, "stop it before a restore" in said) == (1, True)
    assert run(old, "verify", str(file)) == (0, f"{file} is whole: 100 documents in 1 collections, 1 files\n")
    code, said = run(new, "restore", str(file), "--verify")
    assert (code, "100 documents" in said, "read back and compared" in said) == (0, True, True), said
    assert (new / "master.key").read_text() == "k"
    code, said = run(new, "restore", str(file))
    assert (code, "is not empty" in said) == (1, True)
    assert run(new, "verify", str(tmp_path / "none.zip"))[0] == 1
