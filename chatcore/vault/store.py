"""Wrapped group keys in MongoDB (`group_keys`), and their twin in memory."""

import os
from collections.abc import Collection
from typing import Any

from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from chatcore.mongo import Index, translate_errors
from chatcore.vault.master import KEY_BYTES, SALT_BYTES, MasterKeys, WrappedKey

INDEXES = (Index("group_keys", (("groupId", 1), ("version", 1)), unique=True),)


class MongoKeyStore:
    def __init__(self, database: AsyncDatabase[dict[str, Any]]):
        self._keys = database["group_keys"]

    @translate_errors
    async def keys_of(self, group_ids: Collection[str]) -> list[WrappedKey]:
        rows = await self._keys.find({"groupId": {"$in": [ObjectId(id_) for id_ in group_ids]}}).to_list()
        return [
            WrappedKey(str(row["groupId"]), row["version"], row["kid"], bytes(row["nonce"]), bytes(row["wrapped"]))
            for row in rows
        ]

    @translate_errors
    async def add(self, key: WrappedKey) -> bool:
        document = {
            "groupId": ObjectId(key.group_id),
            "version": key.version,
            "kid": key.kid,
            "nonce": key.nonce,
            "wrapped": key.wrapped,
        }
        try:
            await self._keys.insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    @translate_errors
    async def destroy(self, group_id: str) -> None:
        await self._keys.delete_many({"groupId": ObjectId(group_id)})


class MemoryKeyStore:
    def __init__(self) -> None:
        self._keys: dict[tuple[str, int], WrappedKey] = {}

    async def keys_of(self, group_ids: Collection[str]) -> list[WrappedKey]:
        return [key for (owner, _), key in self._keys.items() if owner in group_ids]

    async def add(self, key: WrappedKey) -> bool:
        if (key.group_id, key.version) in self._keys:
            return False
        self._keys[key.group_id, key.version] = key
        return True

    async def destroy(self, group_id: str) -> None:
        for place in [place for place in self._keys if place[0] == group_id]:
            del self._keys[place]


class MongoSecrets:
    """Secrets and salts of the whole installation (`meta`): made once, shared by every process, kept wrapped."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]]):
        self._meta = database["meta"]

    @translate_errors
    async def salt(self) -> bytes:
        """For stretching a passphrase; not secret."""
        return bytes((await self._once("salt", {"value": os.urandom(SALT_BYTES)}))["value"])

    @translate_errors
    async def secret(self, name: str, masters: MasterKeys) -> bytes:
        """32 random bytes, the same for every process. Raises SealBroken where another master key wrapped them."""
        fresh = masters.wrap(name, 1, os.urandom(KEY_BYTES))
        row = await self._once(name, {"kid": fresh.kid, "nonce": fresh.nonce, "wrapped": fresh.wrapped})
        return masters.unwrap(WrappedKey(name, 1, row["kid"], bytes(row["nonce"]), bytes(row["wrapped"])))

    @translate_errors
    async def sealed_master(self, name: str) -> bytes | None:
        """A master key as somebody else sealed it, such as AWS KMS."""
        row = await self._meta.find_one({"_id": f"master:{name}"})
        return None if row is None else bytes(row["sealed"])

    @translate_errors
    async def keep_sealed_master(self, name: str, sealed: bytes) -> bytes:
        """The one that is kept from now on: where another process was first, its own."""
        return bytes((await self._once(f"master:{name}", {"sealed": sealed}))["sealed"])

    async def _once(self, name: str, fresh: dict[str, Any]) -> dict[str, Any]:
        found = await self._meta.find_one({"_id": name})
        if found is None:
            try:
                await self._meta.insert_one({"_id": name, **fresh})
                return fresh
            except DuplicateKeyError:
                found = await self._meta.find_one({"_id": name})
        assert found is not None
        return found
