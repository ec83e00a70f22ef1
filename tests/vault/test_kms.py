"""The first master key sealed by AWS KMS, against a server that speaks KMS on loopback."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from chatcore.app import open_core
from chatcore.app.keys import open_keys
from chatcore.errors import Unavailable
from chatcore.mongo import Mongo
from chatcore.settings import Settings
from chatcore.vault.kms import KID
from chatcore.vault.master import MasterKeys
from chatcore.vault.store import MongoSecrets


@pytest.fixture(scope="module")
def kms_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def client(kms_url: str) -> Any:
    return boto3.client(
        "kms", region_name="us-east-1", endpoint_url=kms_url, aws_access_key_id="id", aws_secret_access_key="key"
    )


@pytest.fixture
def key_id(client: Any) -> str:
    return str(client.create_key()["KeyMetadata"]["KeyId"])


@pytest.fixture
def settings(kms_url: str, key_id: str, tmp_path: Path) -> Settings:
    return Settings(
        _env_file=None,
        chatcore_home=tmp_path,
        kms_key_id=key_id,
        kms_endpoint_url=kms_url,
        aws_access_key_id="id",
        aws_secret_access_key="key",
    )


def unwraps(masters: MasterKeys, other: MasterKeys) -> bool:
    key = bytes(range(32))
    return other.unwrap(masters.wrap("a" * 24, 1, key)) == key


async def test_the_same_master_key_comes_back_at_the_next_start(settings: Settings, mongo: Mongo) -> None:
    first, second = await open_keys(settings, mongo), await open_keys(settings, mongo)
    assert first.masters.first == KID
    assert unwraps(first.masters, second.masters)
    assert first.ids == second.ids


async def test_the_database_holds_it_only_sealed_and_no_key_file_is_made(
    settings: Settings, mongo: Mongo, client: Any, tmp_path: Path
) -> None:
    await open_keys(settings, mongo)
    sealed = await MongoSecrets(mongo.database).sealed_master(KID)
    assert sealed is not None
    opened = client.decrypt(CiphertextBlob=sealed, EncryptionContext={"purpose": "chatcore group keys"})["Plaintext"]
    assert len(opened) == 32
    assert opened not in sealed
    assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == []


async def test_what_an_earlier_key_wrapped_still_opens_beside_kms(settings: Settings, mongo: Mongo) -> None:
    before = settings.model_copy(update={"kms_key_id": "", "master_keys": Settings(_env_file=None).master_keys})
    old = await open_keys(before, mongo)
    text = (settings.chatcore_home / "master.key").read_text().strip()
    ring = Settings(_env_file=None, master_keys=f"k1:{text}").master_keys
    both = await open_keys(settings.model_copy(update={"master_keys": ring}), mongo)
    assert both.ids == old.ids
    assert unwraps(old.masters, both.masters)
    assert both.masters.first == KID


async def test_a_key_that_this_server_may_not_use_is_refused_with_what_to_do(settings: Settings, mongo: Mongo) -> None:
    await open_keys(settings, mongo)
    other = settings.model_copy(update={"kms_key_id": "00000000-0000-0000-0000-000000000000"})
    with pytest.raises(Unavailable, match="AWS KMS refused decrypt with NotFoundException; KMS_KEY_ID must name"):
        await open_keys(other, mongo)


async def test_an_unreachable_kms_is_named(settings: Settings, mongo: Mongo) -> None:
    nowhere = settings.model_copy(update={"kms_endpoint_url": "http://127.0.0.1:9"})
    with pytest.raises(Unavailable, match="AWS KMS was not reached for generate_data_key"):
        await open_keys(nowhere, mongo)


async def test_a_process_that_was_not_first_uses_the_key_of_the_first(settings: Settings, mongo: Mongo) -> None:
    store = MongoSecrets(mongo.database)
    kept = await store.keep_sealed_master("x", b"first")
    assert kept == b"first"
    assert await store.keep_sealed_master("x", b"second") == b"first"


async def test_production_may_start_with_kms_alone(settings: Settings) -> None:
    wanted = settings.model_copy(update={"chatcore_env": "production"})
    assert not [problem for problem in wanted.problems() if "ENCRYPTION_SECRET_KEY" in problem]
    without = wanted.model_copy(update={"kms_key_id": ""})
    assert [problem for problem in without.problems() if "ENCRYPTION_SECRET_KEY" in problem]


async def test_a_whole_server_core_opens_on_it(settings: Settings, database_uri: str) -> None:
    async with open_core(settings, database_uri=database_uri) as core:
        assert core.mongo is not None
