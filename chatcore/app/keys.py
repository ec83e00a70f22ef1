"""Everything secret that a running server holds, from the settings or made at the first start."""

import asyncio
from dataclasses import dataclass

from chatcore.mongo import Mongo
from chatcore.settings import Settings
from chatcore.vault.local import local_master_key
from chatcore.vault.master import MasterKeys, ring_from
from chatcore.vault.store import MongoSecrets


@dataclass(frozen=True)
class Keys:
    """Everything secret that a running server holds."""

    masters: MasterKeys
    local_issuer: bytes
    ids: bytes
    relay: bytes


async def open_keys(settings: Settings, mongo: Mongo) -> Keys:
    store = MongoSecrets(mongo.database)
    key, ring = settings.encryption_secret_key.get_secret_value(), settings.master_keys.get_secret_value()
    if not key and not ring:
        key = local_master_key(settings.chatcore_home)
    masters = await asyncio.to_thread(ring_from, key, ring, await store.salt())
    local_issuer, ids, relay = [await store.secret(name, masters) for name in ("local-issuer", "ids", "relay")]
    return Keys(masters, local_issuer, ids, relay)
