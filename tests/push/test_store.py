"""Subscriptions: the same promises in memory and on the database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chatcore.mongo import Mongo
from chatcore.push import store as push_store
from chatcore.push.records import PushStore, Subscription, subscription_id
from chatcore.push.store import MemoryPushStore, MongoPushStore

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
async def on_database(mongo: Mongo) -> MongoPushStore:
    await mongo.ensure_indexes(push_store.INDEXES)
    return MongoPushStore(mongo.database)


@pytest.fixture(params=["memory", "database"])
def store(request: pytest.FixtureRequest) -> PushStore:
    if request.param == "memory":
        return MemoryPushStore()
    found: PushStore = request.getfixturevalue("on_database")
    return found


def browser(number: int, user_id: str = "ana", session_id: str = "s1") -> Subscription:
    endpoint = f"https://push.example.org/{number}"
    return Subscription(
        subscription_id(endpoint), user_id, session_id, endpoint, b"\x04" * 65, b"s" * 16, "mentions",
        NOW + timedelta(seconds=number),
    )  # fmt: skip


async def test_what_was_saved_is_found_again_oldest_first(store: PushStore) -> None:
    for number in (2, 1, 3):
        await store.save(browser(number))
    await store.save(browser(4, "ben"))
    assert await store.of_people(["ana"]) == [browser(1), browser(2), browser(3)]
    assert await store.of_people(["ana", "ben", "nobody"]) == [browser(n) for n in (1, 2, 3)] + [browser(4, "ben")]
    assert await store.of_people([]) == []


async def test_a_browser_belongs_to_whoever_signed_in_there_last(store: PushStore) -> None:
    await store.save(browser(1))
    await store.save(replace(browser(1, "ben"), scope="all"))
    assert await store.of_people(["ana"]) == []
    assert await store.of_people(["ben"]) == [replace(browser(1, "ben"), scope="all")]


async def test_an_address_with_other_keys_takes_it_from_nobody_but_oneself(store: PushStore) -> None:
    assert await store.save(browser(1))
    assert not await store.save(replace(browser(1, "eve"), secret=b"e" * 16))
    assert not await store.save(replace(browser(1, "eve"), point=b"\x05" * 65))
    assert await store.find(browser(1).id) == browser(1)
    assert await store.save(replace(browser(1), secret=b"n" * 16))
    assert await store.find(browser(1).id) == replace(browser(1), secret=b"n" * 16)
    assert await store.find(browser(2).id) is None


async def test_only_ones_own_is_removed(store: PushStore) -> None:
    await store.save(browser(1))
    assert await store.remove("ben", [browser(1).id]) == 0
    assert await store.remove("ana", [browser(1).id, browser(2).id]) == 1
    assert await store.of_people(["ana"]) == []


async def test_a_session_takes_its_browsers_along(store: PushStore) -> None:
    await store.save(browser(1))
    await store.save(browser(2, session_id="s2"))
    await store.save(browser(3, "ben"))
    await store.remove_session("ana", "s1")
    assert await store.of_people(["ana", "ben"]) == [browser(2, session_id="s2"), browser(3, "ben")]
    await store.remove_session("ana", None)
    assert await store.of_people(["ana", "ben"]) == [browser(3, "ben")]
