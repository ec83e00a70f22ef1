"""The embedded database keeps what it acknowledged, serves nobody without the password, and one server at a time."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from chatcore.embedded import home as home_module
from chatcore.embedded.database import EmbeddedDatabase, _find_program, _version_of
from chatcore.embedded.home import (
    AlreadyRunning,
    DatabaseFolder,
    EmbeddedRefused,
    Process,
    WrongVersion,
    find_running_database,
)
from chatcore.errors import Unavailable
from chatcore.mongo import Index, Mongo, open_mongo, translating_errors
from tests.embedded.test_supervisor import answers, until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the embedded database needs POSIX")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose first start is over."""
    home = tmp_path_factory.mktemp("prepared")

    async def once() -> None:
        await _kill(await _start(home))

    asyncio.run(once())
    return home


async def _start(home: Path) -> EmbeddedDatabase:
    database = EmbeddedDatabase(home)
    await database.start()
    return database


async def _kill(database: EmbeddedDatabase) -> None:
    """Like stop, without the 2 s that the daemon takes for a clean end."""
    assert database._process is not None
    await database._process.kill()
    await database.stop()


@pytest.fixture
async def running(prepared: Path) -> AsyncIterator[EmbeddedDatabase]:
    database = await _start(prepared)
    yield database
    await _kill(database)


@pytest.fixture
async def client(running: EmbeddedDatabase, prepared: Path, database_name: str) -> AsyncIterator[Mongo]:
    uri = find_running_database(prepared)
    assert uri is not None
    mongo = await open_mongo(uri, database=database_name, embedded=True)
    yield mongo
    await mongo.close()


def _crash(database: EmbeddedDatabase) -> None:
    os.kill(database.health.pid or 0, signal.SIGKILL)


async def _restarted(database: EmbeddedDatabase, count: int) -> None:
    await until(lambda: database.health.restarts == count)


async def test_every_acknowledged_insert_survives_kills_and_the_client_recovers_alone(
    running: EmbeddedDatabase, client: Mongo
) -> None:
    acknowledged: list[int] = []
    refusals = 0
    done = asyncio.Event()

    async def insert_on() -> None:
        nonlocal refusals
        number = 0
        while not done.is_set():
            number += 1
            try:
                with translating_errors():
                    await client.database.log.insert_one({"_id": number})
                acknowledged.append(number)
            except Unavailable:
                refusals += 1

    writer = asyncio.create_task(insert_on())
    for kill in (1, 2):
        before = len(acknowledged)
        await until(lambda before=before: len(acknowledged) > before + 100)  # type: ignore[misc]
        _crash(running)
        await _restarted(running, kill)
    before = len(acknowledged)
    await until(lambda: len(acknowledged) > before + 20)
    done.set()
    await writer
    stored = {row["_id"] async for row in client.database.log.find({}, comment="scan: all that is stored")}
    assert set(acknowledged) <= stored
    assert refusals > 0


async def test_an_acknowledged_transaction_index_and_update_survive_a_kill(
    running: EmbeddedDatabase, client: Mongo
) -> None:
    await client.database.log.insert_one({"_id": 1})
    async with client.client.start_session() as session, await session.start_transaction():
        await client.database.log.insert_one({"_id": 2}, session=session)
        await client.database.log.update_one({"_id": 1}, {"$set": {"edited": True}}, session=session)
    _crash(running)
    await _restarted(running, 1)
    await client.ping()
    assert await client.database.log.find({"_id": {"$in": [1, 2]}}).to_list() == [
        {"_id": 1, "edited": True},
        {"_id": 2},
    ]

    await client.ensure_indexes([Index("log", (("n", 1),))])
    _crash(running)
    await _restarted(running, 2)
    await client.ping()
    assert "n_1" in await client.database.log.index_information()


async def test_a_dead_database_is_unavailable_soon(running: EmbeddedDatabase, client: Mongo) -> None:
    assert running._process is not None
    await running._process.kill()
    async with asyncio.timeout(4):
        with pytest.raises(Unavailable):
            await client.ping()


async def test_nobody_is_served_without_the_password(running: EmbeddedDatabase, prepared: Path) -> None:
    uri = find_running_database(prepared)
    assert uri is not None
    password = DatabaseFolder(prepared).password()
    for stranger in (uri.replace(f"chatcore:{password}@", ""), uri.replace(password, "guess")):
        async with AsyncMongoClient(stranger, timeoutMS=2000) as client:
            for command in ("listDatabases", "usersInfo"):
                with pytest.raises(PyMongoError, match=r"(?i)authenticat"):
                    await client.admin.command(command)


async def test_a_daemon_that_lost_its_authentication_is_not_handed_out(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unlocked(EmbeddedDatabase):
        def _daemon(self, program, more, ready):  # type: ignore[no-untyped-def]
            return super()._daemon(program, (), ready)

    database = Unlocked(prepared)
    with pytest.raises(EmbeddedRefused, match="without a password"):
        await database.start()
    assert database.health.pid is None
    assert find_running_database(prepared) is None


async def test_a_password_that_does_not_fit_is_told(prepared: Path) -> None:
    folder = DatabaseFolder(prepared)
    password = folder.password()
    home_module.write_private(folder._password, "another")
    try:
        with pytest.raises(EmbeddedRefused, match="does not open"):
            await EmbeddedDatabase(prepared).start()
    finally:
        home_module.write_private(folder._password, password)


async def test_secrets_are_the_owners_alone_and_on_no_command_line(running: EmbeddedDatabase, prepared: Path) -> None:
    password = DatabaseFolder(prepared).password()
    for name in ("database/password", "database/stamp.json", "database/database.log", "runtime.json"):
        assert stat.S_IMODE((prepared / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE((prepared / "database").stat().st_mode) == 0o700
    child = psutil.Process(running.health.pid)
    assert password not in " ".join([*child.cmdline(), *child.environ().values()])
    assert password not in (prepared / "runtime.json").read_text()


async def test_a_second_server_on_the_same_home_is_told_who_runs_it(running: EmbeddedDatabase, prepared: Path) -> None:
    with pytest.raises(AlreadyRunning, match=str(os.getpid())):
        await EmbeddedDatabase(prepared).start()
    assert running.health.state == "running"
    assert find_running_database(prepared) is not None


async def test_another_version_is_refused_with_the_way_out(prepared: Path, tmp_path: Path) -> None:
    folder = DatabaseFolder(prepared)
    stamp = folder._stamp.read_text()
    home_module.write_private(folder._stamp, json.dumps({**json.loads(stamp), "version": "0.6.1"}))
    try:
        with pytest.raises(WrongVersion, match=r"0\.6\.1.*backup FILE.*restore FILE"):
            await EmbeddedDatabase(prepared).start()
    finally:
        home_module.write_private(folder._stamp, stamp)


async def test_a_folder_of_unknown_origin_is_refused(tmp_path: Path) -> None:
    data = DatabaseFolder(tmp_path).data
    data.mkdir(parents=True)
    (data / "WiredTiger").write_text("somebody's")
    with pytest.raises(EmbeddedRefused, match="without stamp"):
        await EmbeddedDatabase(tmp_path).start()
    assert (data / "WiredTiger").exists()


async def test_a_stale_announcement_is_not_believed(prepared: Path) -> None:
    past = {"pid": os.getpid(), "started": Process.current().started - 1000, "databasePort": 1}
    (prepared / "runtime.json").write_text(json.dumps(past))
    assert find_running_database(prepared) is None


async def test_after_a_clean_stop_data_is_kept_and_nothing_is_announced(prepared: Path) -> None:
    database = EmbeddedDatabase(prepared)
    mongo = await open_mongo(await database.start(), database="kept", embedded=True)
    await mongo.database.things.insert_one({"_id": 1})
    await mongo.close()
    await database.stop()
    assert find_running_database(prepared) is None
    mongo = await open_mongo(await database.start(), database="kept", embedded=True)
    assert await mongo.database.things.find_one({"_id": 1}) == {"_id": 1}
    await mongo.close()
    await _kill(database)


SERVER = """
import asyncio, sys, time
from pathlib import Path
from chatcore.embedded.database import EmbeddedDatabase
from chatcore.embedded.home import DatabaseFolder

def stop_here(*_, **__):
    print("at", sys.argv[2], flush=True)
    time.sleep(60)

async def main():
    for owner in (EmbeddedDatabase, DatabaseFolder):
        if hasattr(owner, sys.argv[2]):
            setattr(owner, sys.argv[2], stop_here)
    database = EmbeddedDatabase(Path(sys.argv[1]))
    await database.start()
    print("serving", database.health.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def _server(home: Path, stop_at: str = "nowhere") -> tuple[subprocess.Popen[str], str]:
    """A server process and the first line it says."""
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(home), stop_at], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    with server.stdout:
        line = server.stdout.readline()
    assert line, "the server ended"
    return server, line


def _orphan_holding(descriptor: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[descriptor])


def _dead() -> subprocess.Popen[bytes]:
    """A process that has ended and is still in the table."""
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    return ended


@pytest.mark.parametrize("point", ["_closed", "_require_only_our_user", "announce"])
async def test_a_first_start_that_was_killed_between_its_steps_is_taken_up_again(tmp_path: Path, point: str) -> None:
    """Killed after the user was made, after the closed daemon answered, and after the stamp."""
    server, line = _server(tmp_path, stop_at=point)
    assert line == f"at {point}\n"
    server.kill()
    server.wait()
    database = await _start(tmp_path)
    uri = find_running_database(tmp_path)
    assert uri is not None
    async with AsyncMongoClient(uri, timeoutMS=2000) as client:
        assert [user["user"] for user in (await client.admin.command("usersInfo"))["users"]] == ["chatcore"]
    await _kill(database)


async def test_a_user_that_somebody_else_made_in_the_open_moment_is_not_kept(tmp_path: Path) -> None:
    class Raced(EmbeddedDatabase):
        async def _prepare(self, program: str, version: str) -> None:
            await super()._prepare(program, version)
            opened = self._daemon(program, (), answers)
            port = await opened.start()
            async with AsyncMongoClient(f"mongodb://127.0.0.1:{port}/?directConnection=true") as client:
                await client.admin.command("createUser", "rogue", pwd="x", roles=["root"])
            await opened.kill()

    with pytest.raises(EmbeddedRefused, match="somebody else"):
        await Raced(tmp_path).start()
    assert find_running_database(tmp_path) is None
    database = await _start(tmp_path)
    async with AsyncMongoClient(DatabaseFolder(tmp_path).uri(_port(database)), timeoutMS=2000) as client:
        assert [user["user"] for user in (await client.admin.command("usersInfo"))["users"]] == ["chatcore"]
    await _kill(database)


def _port(database: EmbeddedDatabase) -> int:
    assert database._process is not None
    return database._process.port


async def test_a_first_start_that_was_killed_before_its_user_existed_is_taken_up_again(tmp_path: Path) -> None:
    DatabaseFolder(tmp_path).root.mkdir(parents=True)
    DatabaseFolder(tmp_path).prepare(_version_of(_find_program()))
    (DatabaseFolder(tmp_path).data / "WiredTiger.turtle").write_text("torn")
    await _kill(await _start(tmp_path))


async def test_the_database_dies_with_its_server_and_the_next_start_waits_for_it(prepared: Path) -> None:
    server, line = _server(prepared)
    server.kill()  # no wait for anything: the next start begins while the child may still be there
    database = await _start(prepared)
    assert database.health.pid != int(line.split()[1])
    await until(lambda: not Path(f"/proc/{line.split()[1]}/exe").exists())
    server.wait()
    await _kill(database)


async def test_a_start_waits_while_an_orphan_still_holds_the_folder(prepared: Path) -> None:
    """The orphan inherited the lock; its parent, named in the file, is dead and nobody has asked for its exit code."""
    folder = DatabaseFolder(prepared)
    held = await folder.lock()
    orphan, parent = _orphan_holding(held), _dead()
    os.pwrite(
        held,
        json.dumps({"pid": parent.pid, "started": psutil.Process(parent.pid).create_time()}).ljust(200).encode(),
        0,
    )
    os.close(held)
    starting = asyncio.create_task(_start(prepared))
    await asyncio.sleep(2 * home_module.HOLDER_GRACE_SECONDS)
    assert not starting.done()
    orphan.kill()
    orphan.communicate()
    await _kill(await starting)
    parent.wait()
