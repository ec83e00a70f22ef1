"""Group keys: made on first use, cached, shredded with the group."""

import os
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from chatcore.batches import Batches
from chatcore.vault.envelope import GroupKey, Place, SealBroken, Sealed
from chatcore.vault.master import KEY_BYTES, MasterKeys, WrappedKey

CACHED_KEYS = 20_000


class KeyStore(Protocol):
    async def keys_of(self, group_ids: Collection[str]) -> list[WrappedKey]:
        """Every version of each of these groups, in any order."""
        ...

    async def add(self, key: WrappedKey) -> bool:
        """False where that version is there already: another process was first."""
        ...

    async def destroy(self, group_id: str) -> None: ...


class Vault:
    """Seals and opens a group's content. `key_of` is the only call that may wait."""

    def __init__(self, masters: MasterKeys, store: KeyStore):
        self._masters = masters
        self._store = store
        self._keys: OrderedDict[str, dict[int, GroupKey]] = OrderedDict()
        self._reads = Batches(self._read)

    async def key_of(self, group_id: str) -> GroupKey:
        """The newest key of a group, made where there is none."""
        versions = self._keys.get(group_id) or await self._load(group_id)
        if not versions:
            fresh = self._masters.wrap(group_id, 1, os.urandom(KEY_BYTES))
            await self._store.add(fresh)
            versions = await self._load(group_id)
        return versions[max(versions)]

    def known_key(self, group_id: str) -> GroupKey | None:
        """The newest key where it was used lately: no waiting."""
        versions = self._keys.get(group_id)
        return versions[max(versions)] if versions else None

    async def versions(self, group_id: str) -> Mapping[int, GroupKey]:
        """Every key of a group that is there, for opening much at once, also in another thread."""
        return dict(self._keys.get(group_id) or await self._load(group_id))

    async def open(self, place: Place, sealed: Sealed) -> bytes:
        """Raises SealBroken where the key is gone or the tag does not fit."""
        versions = self._keys.get(place.group_id) or await self._load(place.group_id)
        key = versions.get(sealed.kv) or (await self._load(place.group_id)).get(sealed.kv)
        if key is None:
            raise SealBroken(f"group {place.group_id} has no key of version {sealed.kv}")
        return key.open(place, sealed)

    async def shred(self, group_id: str) -> None:
        """Destroy every key of a group: what was sealed under them can never be opened again."""
        await self._store.destroy(group_id)
        self._keys.pop(group_id, None)

    async def _load(self, group_id: str) -> dict[int, GroupKey]:
        """Reads of many groups at once, as after a start, go together."""
        rows = await self._reads.do(group_id)
        known = self._keys.get(group_id)
        if known is not None and known.keys() == {row.version for row in rows}:
            return known  # somebody else waited for the same read
        versions = {row.version: GroupKey(group_id, row.version, self._masters.unwrap(row)) for row in rows}
        if versions:
            self._keys[group_id] = versions
            while len(self._keys) > CACHED_KEYS:
                self._keys.popitem(last=False)
        return versions

    async def _read(self, group_ids: Sequence[str]) -> list[list[WrappedKey]]:
        found: dict[str, list[WrappedKey]] = {group_id: [] for group_id in group_ids}
        for row in await self._store.keys_of(found):
            found[row.group_id].append(row)
        return [found[group_id] for group_id in group_ids]
