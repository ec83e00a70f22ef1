"""What identity keeps, the same in memory and in a database."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chatcore.contract.people import UserSettings
from chatcore.errors import Conflict
from chatcore.identity.memory import MemoryIdentityStore
from chatcore.identity.records import Account, IdentityStore, Profile, Revocation
from chatcore.identity.store import INDEXES, MongoIdentityStore
from chatcore.mongo import Mongo
from tests.identity.people import NOON, session, user

LATER = NOON + timedelta(minutes=5)


@pytest.fixture(params=["memory", "mongo"])
def mongo_or_none(request: pytest.FixtureRequest) -> Mongo | None:
    return request.getfixturevalue("mongo") if request.param == "mongo" else None


@pytest.fixture
async def store(mongo_or_none: Mongo | None) -> IdentityStore:
    if mongo_or_none is None:
        return MemoryIdentityStore()
    await mongo_or_none.ensure_indexes(INDEXES)
    return MongoIdentityStore(mongo_or_none.database)


async def test_people_are_found_by_id_in_one_go(store: IdentityStore) -> None:
    await store.save_profiles([user("ada", "Ada"), user("bob", "Bob", email="bob@example.org")])
    found = await store.find_users(["ada", "bob", "nobody"])
    assert found == {"ada": user("ada", "Ada"), "bob": user("bob", "Bob", email="bob@example.org")}


async def test_a_profile_replaces_the_profile_alone(store: IdentityStore) -> None:
    await store.save_profiles([user("ada", "Ada")])
    await store.save_settings("ada", UserSettings(receipts=False), NOON)
    await store.set_active("ada", active=False, at=NOON)
    renamed = replace(user("ada", "Ada King"), updated_at=LATER)
    await store.save_profiles([renamed, user("bob", "Bob")])
    found = await store.find_users(["ada", "bob"])
    assert found["ada"] == replace(renamed, settings=UserSettings(receipts=False), is_active=False)
    assert found["bob"] == user("bob", "Bob")


async def test_people_are_found_by_the_beginning_of_their_names(store: IdentityStore) -> None:
    await store.save_profiles(
        [
            user("u1", "Ada Lovelace"),
            user("u2", "Grace Hopper", username="ada_fan"),
            user("u3", "ÁDÁM Kovács", last_name="Kovács"),
            user("u4", "Zoe Adair"),
            user("u5", "Adele Gone"),
        ]
    )
    await store.set_active("u5", active=False, at=NOON)

    async def ids(prefix: str, limit: int = 10) -> list[str]:
        return [found.user_id for found in await store.search_users(prefix, limit)]

    assert await ids("ada") == ["u1", "u4", "u2"]
    assert await ids("ada", 2) == ["u1", "u4"]
    assert await ids("kov") == ["u3"]
    assert await ids("ádám") == ["u3"]
    assert await ids("da") == []
    assert await ids(".*") == []
    assert await ids("$") == []


async def test_an_account_is_closed_and_opened_again(store: IdentityStore) -> None:
    assert not await store.set_active("ada", active=False, at=NOON)
    await store.save_profiles([user("ada", "Ada")])
    assert await store.set_active("ada", active=False, at=LATER)
    assert not (await store.find_users(["ada"]))["ada"].is_active
    assert await store.set_active("ada", active=True, at=LATER)
    assert (await store.find_users(["ada"]))["ada"].is_active


async def test_an_erased_person_leaves_an_id_and_nothing_else(store: IdentityStore) -> None:
    await store.save_profiles([user("ada", "Ada", email="ada@example.org", username="ada")])
    await store.save_settings("ada", UserSettings(consent=True), NOON)
    await store.insert_sessions([session(1)])
    await store.erase_user("ada", LATER)
    left = (await store.find_users(["ada"]))["ada"]
    assert left == replace(user("ada"), profile=Profile(), updated_at=LATER, is_active=False, is_erased=True)
    assert left.card().name == "Deleted user"
    assert await store.search_users("ada", 10) == []
    assert await store.sessions_of("ada", NOON) == []


async def test_an_erased_person_cannot_come_back(store: IdentityStore) -> None:
    await store.save_profiles([user("ada", "Ada")])
    await store.erase_user("ada", LATER)
    await store.save_profiles([user("ada", "Ada")])
    assert not await store.set_active("ada", active=True, at=LATER)
    left = (await store.find_users(["ada"]))["ada"]
    assert (left.is_active, left.is_erased, left.profile) == (False, True, Profile())


async def test_somebody_never_seen_can_be_erased_too(store: IdentityStore) -> None:
    await store.erase_user("ada", NOON)
    assert (await store.find_users(["ada"]))["ada"].is_erased


async def test_sessions_come_newest_activity_first_and_without_those_that_expired(store: IdentityStore) -> None:
    await store.renew_process("p1", NOON + timedelta(days=2))
    rows = [session(1), session(2, last_activity=LATER), session(3, expires_at=LATER), session(4, "bob")]
    await store.insert_sessions(rows)
    assert await store.sessions_of("ada", NOON) == [rows[1], rows[2], rows[0]]
    assert await store.sessions_of("ada", LATER) == [rows[1], rows[0]]


async def test_a_session_is_online_only_while_its_process_renews_its_lease(store: IdentityStore) -> None:
    await store.insert_sessions([session(1)])

    async def status() -> str:
        return (await store.sessions_of("ada", NOON))[0].status

    assert await status() == "offline"
    await store.renew_process("p1", LATER)
    assert await status() == "online"
    await store.renew_process("p1", NOON)
    assert await status() == "offline"
    await store.renew_process("p1", LATER)
    await store.end_process("p1")
    assert await status() == "offline"


async def test_inserting_a_known_session_updates_it(store: IdentityStore) -> None:
    await store.renew_process("p2", NOON + timedelta(days=2))
    await store.insert_sessions([session(1)])
    again = session(1, process_id="p2", last_activity=LATER, expires_at=NOON + timedelta(days=3), status="away")
    await store.insert_sessions([session(2, last_activity=NOON - timedelta(days=1)), again])
    assert (await store.sessions_of("ada", NOON))[0] == again


async def test_a_session_that_moved_to_another_process_is_not_set_offline_by_the_first(store: IdentityStore) -> None:
    await store.renew_process("p2", LATER)
    await store.insert_sessions([session(1, process_id="p2")])
    await store.update_sessions([session(1, process_id="p1", status="offline")])
    assert (await store.sessions_of("ada", NOON))[0].status == "online"
    await store.update_sessions([session(1, process_id="p2", status="offline")])
    assert (await store.sessions_of("ada", NOON))[0].status == "offline"


async def test_sessions_that_change_together_each_become_what_was_said_of_them(store: IdentityStore) -> None:
    await store.insert_sessions([session(number) for number in range(1, 6)])
    late = LATER + timedelta(seconds=5)
    await store.update_sessions(
        [
            session(1, process_id="p2", last_activity=LATER),
            session(2, process_id="p2", last_activity=LATER),
            session(3, process_id="p2", last_activity=late),
            session(4, status="offline", last_activity=LATER),
            session(5, process_id="p2", status="offline", last_activity=LATER),  # is at another process by now
        ]
    )
    await store.renew_process("p1", late + timedelta(days=1))
    await store.renew_process("p2", late + timedelta(days=1))
    rows = {row.session_id[-1]: row for row in await store.sessions_of("ada", NOON)}
    assert [rows[key].process_id for key in "12345"] == ["p2", "p2", "p2", "p1", "p1"]
    assert [rows[key].status for key in "12345"] == ["online", "online", "online", "offline", "online"]
    assert [rows[key].last_activity for key in "12345"] == [LATER, LATER, late, LATER, NOON]


async def test_the_end_of_a_session_row_never_moves_back(store: IdentityStore) -> None:
    await store.insert_sessions([session(1)])
    await store.update_sessions([session(1, expires_at=NOON)])
    assert (await store.sessions_of("ada", NOON))[0].expires_at == session(1).expires_at


async def test_one_person_cannot_delete_the_sessions_of_another(store: IdentityStore) -> None:
    await store.insert_sessions([session(1), session(2), session(3, "bob")])
    await store.delete_sessions("bob", [session(1).session_id])
    assert len(await store.sessions_of("ada", NOON)) == 2
    await store.delete_sessions("ada", [session(1).session_id])
    assert [row.session_id for row in await store.sessions_of("ada", NOON)] == [session(2).session_id]
    await store.delete_sessions("ada")
    assert await store.sessions_of("ada", NOON) == []
    assert len(await store.sessions_of("bob", NOON)) == 1


async def test_revocations_are_read_from_a_moment_on(store: IdentityStore) -> None:
    first = Revocation("r1", "ada", None, NOON, NOON + timedelta(days=400))
    second = Revocation("r2", "ada", session(1).session_id, LATER, LATER + timedelta(days=400))
    await store.add_revocation(first)
    await store.add_revocation(second)
    assert sorted(await store.revocations_since(NOON), key=lambda item: item.revocation_id) == [first, second]
    assert await store.revocations_since(LATER) == [second]


async def test_a_name_belongs_to_one_account(store: IdentityStore) -> None:
    ada = Account("user_1", "Ada", "ada", "hash", frozenset({"operator"}), NOON)
    await store.add_account(ada)
    with pytest.raises(Conflict):
        await store.add_account(replace(ada, user_id="user_2"))
    assert await store.find_account("ada") == ada
    assert await store.find_account("bob") is None


async def test_accounts_are_changed_listed_and_removed(store: IdentityStore) -> None:
    await store.add_account(Account("user_2", "Bob", "bob", "hash", frozenset(), NOON))
    await store.add_account(Account("user_1", "Ada", "ada", "hash", frozenset(), NOON))
    assert await store.update_account("ada", password_hash="new")
    assert await store.update_account("ada", roles=frozenset({"analyst"}))
    assert not await store.update_account("nobody", password_hash="new")
    found = await store.accounts()
    assert [account.name for account in found] == ["Ada", "Bob"]
    assert (found[0].password_hash, found[0].roles) == ("new", {"analyst"})
    assert await store.remove_account("ada")
    assert not await store.remove_account("ada")


def test_a_password_hash_is_not_shown_by_accident() -> None:
    assert "argon2" not in repr(Account("user_1", "Ada", "ada", "$argon2id$", frozenset(), NOON))
