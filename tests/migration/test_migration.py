"""The original's data, in ours: who, where, what, in which order, and what cannot come along."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from chatcore.app import Core, open_core
from chatcore.app.keys import open_keys
from chatcore.app.opening import INDEXES
from chatcore.contract.messages import History, Message, SendMessage
from chatcore.errors import Conflict
from chatcore.groups.store import MongoGroupStore
from chatcore.identity.store import MongoIdentityStore
from chatcore.journal.store import MongoJournalStore
from chatcore.migration.cipher import OriginalCipher
from chatcore.migration.report import Report
from chatcore.migration.service import Migration, Target
from chatcore.migration.store import OriginalStore
from chatcore.mongo import Mongo
from chatcore.ports import Caller
from chatcore.settings import Settings
from chatcore.vault.service import Vault
from chatcore.vault.store import MongoKeyStore
from tests.migration.original import SECRET, by_group, by_secret, group, message, read, user


@dataclass
class Move:
    """The original's database, ours, and the way between them."""

    mongo: Mongo
    settings: Settings
    uri: str

    @property
    def original(self) -> Any:
        return self.mongo.client[f"{self.settings.database_name}-original"]

    async def fill(self, **collections: list[dict[str, Any]]) -> None:
        for name, documents in collections.items():
            await self.original[name].insert_many(documents)

    async def migration(self, secret: str = SECRET) -> Migration:
        await self.mongo.ensure_indexes(INDEXES)
        keys = await open_keys(self.settings, self.mongo)
        database = self.mongo.database
        vault = Vault(keys.masters, MongoKeyStore(database))
        people, groups, journal = MongoIdentityStore(database), MongoGroupStore(database), MongoJournalStore(database)
        target = Target(people=people, groups=groups, journal=journal, vault=vault)
        return Migration(OriginalStore(self.original), target, OriginalCipher(secret), lambda *_: None)

    async def run(self) -> Report:
        return await (await self.migration()).run()

    def opened(self) -> Any:
        return open_core(self.settings, database_uri=self.uri)


@pytest.fixture
async def move(mongo: Mongo, database_uri: str, database_name: str, tmp_path: Path) -> AsyncIterator[Move]:
    settings = Settings(
        _env_file=None, chatcore_home=tmp_path, database_name=database_name, log_level="error", ai=False
    )
    yield Move(mongo, settings, database_uri)
    await mongo.client.drop_database(f"{database_name}-original")


async def caller(core: Core, user_id: str) -> Caller:
    cards = await core.services.identity.cards([user_id])
    return Caller(user_id=user_id, session_id="session", user=cards[user_id])


async def history(core: Core, user_id: str, group_id: ObjectId) -> list[Message]:
    page = await core.services.reading.history(await caller(core, user_id), History(group_id=str(group_id), limit=100))
    return [shown for shown in page.messages if shown.type != "system"]


async def test_people_read_their_old_messages_with_ids_times_names_and_order_kept(move: Move) -> None:
    talk = group("ada", "bob", created_by="ada")
    rows = [message(talk["_id"], n, "ada" if n % 2 else "bob", by_group(f"line {n} ✓", talk["_id"])) for n in range(5)]
    await move.fill(users=[user("ada"), user("bob")], groups=[talk], messages=rows)
    report = await move.run()
    assert (report.users, report.groups, report.messages) == (2, 1, 5)
    async with move.opened() as core:
        shown = await history(core, "bob", talk["_id"])
    assert [each.content for each in shown] == [f"line {n} ✓" for n in range(5)]
    assert [each.id for each in shown] == [str(row["_id"]) for row in rows]
    assert [each.created_at for each in shown] == [row["createdAt"] for row in rows]
    assert shown[1].sender.name == "Ada Original"


async def test_nothing_of_a_text_lies_open_in_the_new_database(move: Move) -> None:
    talk = group("ada", created_by="ada")
    await move.fill(
        users=[user("ada")], groups=[talk], messages=[message(talk["_id"], 1, "ada", by_group("a canary", talk["_id"]))]
    )
    await move.run()
    stored = await move.mongo.database["messages"].find_one({"_id": message(talk["_id"], 1, "ada", "")["_id"]})
    assert stored is not None
    assert b"canary" not in repr(stored).encode()
    assert "vectorEmbedding" not in stored


async def test_rows_of_every_age_are_opened(move: Move) -> None:
    talk = group("ada", created_by="ada")
    contents = [by_group("by group", talk["_id"]), by_secret("by secret"), "in the clear", '{"looks": "like JSON"}']
    rows = [message(talk["_id"], n, "ada", content) for n, content in enumerate(contents)]
    await move.fill(users=[user("ada")], groups=[talk], messages=rows)
    report = await move.run()
    assert report.unreadable == []
    async with move.opened() as core:
        shown = [each.content for each in await history(core, "ada", talk["_id"])]
    assert shown == ["by group", "by secret", "in the clear", '{"looks": "like JSON"}']


async def test_a_wrong_secret_is_noticed_before_anything_is_written(move: Move) -> None:
    talk = group("ada", created_by="ada")
    rows = [message(talk["_id"], n, "ada", by_group(f"line {n}", talk["_id"])) for n in range(40)]
    await move.fill(users=[user("ada")], groups=[talk], messages=rows)
    found = await (await move.migration("quite-another-secret-of-32-letters!")).survey()
    assert len(found.unreadable) == 40
    assert found.messages == 40
    assert await move.mongo.database["messages"].find_one({"_id": rows[0]["_id"]}) is None


async def test_a_survey_counts_what_the_run_then_does(move: Move) -> None:
    talk = group("ada", "bob", created_by="ada")
    rows = [message(talk["_id"], n, "ada", by_group("text", talk["_id"]), readBy=[read("bob", n)]) for n in range(3)]
    await move.fill(users=[user("ada"), user("bob")], groups=[talk], messages=rows)
    found = await (await move.migration()).survey()
    done = await move.run()
    assert found.dry_run
    assert {**found.as_json(), "dry_run": False} == done.as_json()


async def test_a_second_run_adds_only_what_is_new_and_the_log_has_no_hole(move: Move) -> None:
    talk = group("ada", "bob", created_by="ada")
    rows = [message(talk["_id"], n, "ada", by_group(f"line {n}", talk["_id"])) for n in range(450)]
    await move.fill(users=[user("ada"), user("bob")], groups=[talk], messages=rows[:449])
    await move.run()
    await move.fill(messages=rows[449:])
    again = await move.run()
    assert (again.groups_known, again.messages, again.messages_known) == (1, 1, 449)
    stored = await MongoJournalStore(move.mongo.database).window(str(talk["_id"]), 0, 1_000)
    assert [row.seq for row in stored] == list(range(1, len(stored) + 1))
    assert [row.n for row in stored if row.counted] == list(range(1, 451))


async def test_a_run_that_stopped_in_the_middle_is_finished_by_the_next(move: Move) -> None:
    talk = group("ada", created_by="ada")
    rows = [message(talk["_id"], n, "ada", by_group(f"line {n}", talk["_id"])) for n in range(700)]
    await move.fill(users=[user("ada")], groups=[talk], messages=rows)

    class Stopped(Exception):
        pass

    def stop(_: str, __: int) -> None:
        raise Stopped

    first = await move.migration()
    first._progress = stop
    with pytest.raises(Stopped):
        await first.run()
    report = await move.run()
    assert (report.messages, report.messages_known) == (200, 500)
    async with move.opened() as core:
        assert core.rooms is not None
        assert [each.content for each in await history(core, "ada", talk["_id"])] == [
            f"line {n}" for n in range(600, 700)
        ]


async def test_the_talk_goes_on_after_the_migration(move: Move) -> None:
    talk = group("ada", "bob", created_by="ada")
    rows = [message(talk["_id"], n, "ada", by_group(f"line {n}", talk["_id"])) for n in range(3)]
    await move.fill(users=[user("ada"), user("bob")], groups=[talk], messages=rows)
    await move.run()
    async with move.opened() as core:
        request = SendMessage(group_id=str(talk["_id"]), content="and on")
        sent = await core.services.messages.send(await caller(core, "bob"), request)
        assert sent.seq == 2 + 3 + 1
        assert [each.content for each in await history(core, "ada", talk["_id"])][-1] == "and on"


async def test_read_marks_become_watermarks(move: Move) -> None:
    talk = group("ada", "bob", "cleo", created_by="ada")
    marks = [[read("bob", 9), read("cleo", 9)], [read("bob", 10)], [], []]
    rows = [message(talk["_id"], n, "ada", by_group("x", talk["_id"]), readBy=mark) for n, mark in enumerate(marks)]
    await move.fill(users=[user(name) for name in ("ada", "bob", "cleo")], groups=[talk], messages=rows)
    report = await move.run()
    assert report.reads == 2
    async with move.opened() as core:
        unread = {}
        for name in ("bob", "cleo"):
            (mine,) = await core.services.groups.as_seen_by(name, await core.services.groups.rooms_of(name))
            unread[name] = mine.unread
    assert unread == {"bob": 2, "cleo": 3}


@pytest.mark.parametrize(
    ("members", "creator", "owner"),
    [
        (["ada:member", "bob:admin"], "ada", "ada"),
        (["ada:member", "bob:admin"], "gone", "bob"),
        (["ada:member"], "gone", "ada"),
    ],
)
async def test_every_group_has_one_owner(move: Move, members: list[str], creator: str, owner: str) -> None:
    entries = [{"userId": each.split(":")[0], "role": each.split(":")[1]} for each in [*members, *members]]
    talk = group(created_by=creator, members=entries)
    await move.fill(users=[user("ada"), user("bob")], groups=[talk])
    await move.run()
    stored = await MongoGroupStore(move.mongo.database).members_of(str(talk["_id"]))
    assert len(stored) == len(members)
    assert [member.user_id for member in stored if member.role == "owner"] == [owner]


async def test_deleted_messages_keep_their_place_without_their_text(move: Move) -> None:
    talk = group("ada", created_by="ada")
    rows = [
        message(talk["_id"], 0, "ada", by_group("gone", talk["_id"]), isDeleted=True),
        message(talk["_id"], 1, "ada", by_group("here", talk["_id"])),
    ]
    await move.fill(users=[user("ada")], groups=[talk], messages=rows)
    report = await move.run()
    assert report.messages_deleted == 1
    async with move.opened() as core:
        first, second = await history(core, "ada", talk["_id"])
    assert (first.is_deleted, first.content) == (True, "")
    assert second.content == "here"


async def test_files_are_named_in_their_message_and_listed_with_their_object_key(move: Move) -> None:
    talk = group("ada", created_by="ada")
    rows = [
        message(
            talk["_id"], 0, "ada", by_group("look", talk["_id"]), type="image",
            mediaUrl="https://bucket.s3.amazonaws.com/media/ada/a%20boat.png?X-Amz-Expires=3600",
            mediaMetadata={"filename": "1.png", "originalFilename": "a boat.png", "size": 10},
        )
    ]  # fmt: skip
    await move.fill(users=[user("ada")], groups=[talk], messages=rows)
    report = await move.run()
    (left,) = report.files_left_behind
    assert (left.name, left.key) == ("a boat.png", "media/ada/a boat.png")
    async with move.opened() as core:
        (shown,) = await history(core, "ada", talk["_id"])
    assert shown.content == "look\n[image: a boat.png, not taken over]"


async def test_what_cannot_belong_to_anybody_is_left_out_and_counted(move: Move) -> None:
    closed, empty = group("ada", created_by="ada", isActive=False), group(created_by="ada")
    await move.fill(users=[user("ada"), user("", email="nobody@example.org")], groups=[closed, empty])
    report = await move.run()
    assert report.users_without_id == 1
    assert report.groups_inactive == [str(closed["_id"])]
    assert report.groups_without_members == [str(empty["_id"])]
    assert report.groups == 0


async def test_a_server_that_writes_at_the_same_time_is_noticed(move: Move) -> None:
    talk = group("ada", created_by="ada")
    rows = [message(talk["_id"], n, "ada", by_group(f"line {n}", talk["_id"])) for n in range(600)]
    await move.fill(users=[user("ada")], groups=[talk], messages=rows)
    migration = await move.migration()
    async with move.opened() as core:
        ada = None

        async def insert_and_send(part: Any) -> None:
            nonlocal ada
            await plain(part)
            if ada is None:
                ada = await caller(core, "ada")
                await core.services.messages.send(ada, SendMessage(group_id=str(talk["_id"]), content="me too"))

        plain = migration._insert
        migration._insert = insert_and_send  # type: ignore[method-assign]
        with pytest.raises(Conflict, match="stop the server"):
            await migration.run()


async def test_a_database_of_chatcore_is_known_for_one(move: Move) -> None:
    await move.migration()
    assert await OriginalStore(move.mongo.database).is_chatcore()
    assert not await OriginalStore(move.original).is_chatcore()
