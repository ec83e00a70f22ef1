"""Everything secret that a running server holds, from the settings or made at the first start."""

import asyncio
from dataclasses import dataclass

from chatcore.mongo import Mongo
from chatcore.settings import Settings
from chatcore.vault.kms import KID, KmsPlace, KmsWrapper
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
    audit: bytes
    push: bytes


async def open_keys(settings: Settings, mongo: Mongo) -> Keys:
    store = MongoSecrets(mongo.database)
    key, ring = settings.encryption_secret_key.get_secret_value(), settings.master_keys.get_secret_value()
    first = {KID: await _kms_key(settings, store)} if settings.kms_key_id else {}
    if not key and not ring and not first:
        key = local_master_key(settings.chatcore_home)
    masters = await asyncio.to_thread(ring_from, key, ring, await store.salt(), first=first)
    names = ("local-issuer", "ids", "relay", "audit", "push")
    local_issuer, ids, relay, audit, push = [await store.secret(name, masters) for name in names]
    return Keys(masters, local_issuer, ids, relay, audit, push)


async def _kms_key(settings: Settings, store: MongoSecrets) -> bytes:
    """Made by KMS at the first start and kept sealed in the database; opened by KMS at each start."""
    place = KmsPlace(
        key_id=settings.kms_key_id,
        region=settings.aws_default_region,
        endpoint=settings.kms_endpoint_url,
        access_key_id=settings.aws_access_key_id.get_secret_value(),
        secret_access_key=settings.aws_secret_access_key.get_secret_value(),
    )
    kms = await asyncio.to_thread(KmsWrapper, place)
    sealed = await store.sealed_master(KID)
    if sealed is None:
        _, fresh = await asyncio.to_thread(kms.fresh)
        sealed = await store.keep_sealed_master(KID, fresh)
    return await asyncio.to_thread(kms.open, sealed)
