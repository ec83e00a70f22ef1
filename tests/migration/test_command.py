"""`python -m chatcore migrate-original` as it is typed."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chatcore.mongo import Mongo
from tests.migration.original import SECRET, by_group, group, message, user

LETTERS = ("PATH", "HOME", "LANG", "VIRTUAL_ENV")


@pytest.fixture
async def source(mongo: Mongo, database_name: str) -> AsyncIterator[str]:
    name = f"{database_name}-original"
    database, talk = mongo.client[name], group("ada", created_by="ada")
    await database["users"].insert_one(user("ada"))
    await database["groups"].insert_one(talk)
    await database["messages"].insert_many(
        [message(talk["_id"], n, "ada", by_group(f"line {n}", talk["_id"])) for n in range(3)]
    )
    yield name
    await mongo.client.drop_database(name)


def migrate(*words: str, home: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: os.environ[name] for name in LETTERS if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "chatcore", "migrate-original", *words],
        check=False,
        capture_output=True,
        text=True,
        cwd=home,
        env=environment | {"CHATCORE_HOME": str(home), "LOG_LEVEL": "error"} | settings,
        timeout=120,
    )


def test_a_dry_run_then_the_run_then_a_repeat(source: str, database_uri: str, tmp_path: Path) -> None:
    settings = {
        "ORIGINAL_MONGODB_URI": database_uri,
        "ORIGINAL_DATABASE_NAME": source,
        "ORIGINAL_ENCRYPTION_SECRET_KEY": SECRET,
    }
    dry = migrate("--dry-run", "--json", "report.json", home=tmp_path, **settings)
    assert dry.returncode == 0, dry.stderr
    assert "3 would be taken over" in dry.stdout
    assert json.loads((tmp_path / "report.json").read_text())["messages"] == 3
    assert "3 taken over, 0 were here already" in migrate(home=tmp_path, **settings).stdout
    assert "0 taken over, 3 were here already" in migrate(home=tmp_path, **settings).stdout


def test_a_wrong_secret_writes_nothing_and_says_what_to_do(source: str, database_uri: str, tmp_path: Path) -> None:
    refused = migrate(
        home=tmp_path,
        ORIGINAL_MONGODB_URI=database_uri,
        ORIGINAL_DATABASE_NAME=source,
        ORIGINAL_ENCRYPTION_SECRET_KEY="not-the-one",
    )
    assert refused.returncode == 1
    assert "3 of 3 messages are not opened" in refused.stderr
    assert "not-the-one" not in refused.stderr + refused.stdout


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "Set ORIGINAL_MONGODB_URI and ORIGINAL_ENCRYPTION_SECRET_KEY"),
        ({"ORIGINAL_MONGODB_URI": "nonsense", "ORIGINAL_ENCRYPTION_SECRET_KEY": "s"}, "must read mongodb://"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, str], words: str, tmp_path: Path) -> None:
    refused = migrate(home=tmp_path, **settings)
    assert refused.returncode == 1
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr
