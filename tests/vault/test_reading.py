"""Keys that many wait for are read together, and what is wrong with one of them concerns no other."""

import asyncio
from collections.abc import Collection

import pytest

from chatcore.vault.envelope import GroupKey, SealBroken
from chatcore.vault.master import MasterKeys, WrappedKey
from chatcore.vault.service import Vault
from chatcore.vault.store import MemoryKeyStore

GROUPS = [f"{number:024x}" for number in range(20)]


class CountingStore(MemoryKeyStore):
    def __init__(self) -> None:
        super().__init__()
        self.reads: list[int] = []

    async def keys_of(self, group_ids: Collection[str]) -> list[WrappedKey]:
        self.reads.append(len(group_ids))
        await asyncio.sleep(0.01)
        return await super().keys_of(group_ids)


@pytest.fixture
async def store() -> CountingStore:
    """With a key of each group."""
    store = CountingStore()
    vault = Vault(MasterKeys({"k1": b"m" * 32}), store)
    await asyncio.gather(*(vault.key_of(group) for group in GROUPS))
    store.reads.clear()
    return store


async def test_keys_that_many_wait_for_are_one_read(store: CountingStore) -> None:
    vault = Vault(MasterKeys({"k1": b"m" * 32}), store)
    keys = await asyncio.gather(*(vault.key_of(group) for group in GROUPS for _ in range(5)))
    assert [key.group_id for key in keys] == [group for group in GROUPS for _ in range(5)]
    assert len({id(key) for key in keys}) == len(GROUPS)  # opened once each
    assert store.reads == [len(GROUPS)]
    assert await vault.key_of(GROUPS[3]) is vault.known_key(GROUPS[3])
    assert len(store.reads) == 1


async def test_a_key_of_another_master_key_fails_alone(store: CountingStore) -> None:
    strange = "f" * 24
    await store.add(MasterKeys({"k2": b"o" * 32}).wrap(strange, 1, b"k" * 32))
    vault = Vault(MasterKeys({"k1": b"m" * 32}), store)
    found = await asyncio.gather(*(vault.key_of(group) for group in (*GROUPS, strange)), return_exceptions=True)
    assert all(isinstance(key, GroupKey) for key in found[:-1])
    assert isinstance(found[-1], SealBroken)


async def test_a_newer_version_is_found_by_reading_again(store: CountingStore) -> None:
    vault, group = Vault(MasterKeys({"k1": b"m" * 32}), store), GROUPS[0]
    await vault.key_of(group)
    await store.add(MasterKeys({"k1": b"m" * 32}).wrap(group, 2, b"k" * 32))
    assert sorted(await vault._load(group)) == [1, 2]
    assert vault.known_key(group) is not None
    assert (await vault.versions(group)).keys() == {1, 2}
