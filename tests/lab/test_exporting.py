"""Conversations of a real server in a folder: only what people agreed to, and only for a time."""

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from chatcore import lab
from chatcore.lab.datasets import DatasetChanged, exported
from chatcore.lab.datasets.exported import ExportExpired, NoExport
from chatcore.lab.live import LiveChat
from pipelines.commands import app

SECRET = "canary-77@example.org"


@pytest.fixture(scope="module")
def chat() -> Iterator[LiveChat]:
    with lab.live_chat() as running:
        yield running


@pytest.fixture(scope="module")
def group(chat: LiveChat) -> str:
    """Ana and Ben agree, Cleo does not."""
    ana, ben, cleo = chat.people("ana", "ben", "cleo")
    for person in (ana, ben):
        chat.run(person.client.rest.request("PATCH", "/api/me", body={"settings": {"consent": True}}))
    made = ana.creates_group("Garden", ben, cleo)
    chat.run(ana.client.rest.request("PATCH", f"/api/groups/{made.id}", body={"settings": {"consent": True}}))
    ana.sends(made.id, f"ben, write to {SECRET}")
    ben.sends(made.id, "=1+1 will do")
    cleo.sends(made.id, "this is nobody's business")
    ana.sends(made.id, "then it is settled")
    return str(made.id)


@pytest.fixture
def folder(chat: LiveChat, group: str, tmp_path: Path) -> Path:
    return lab.export(tmp_path / "export", purpose="a test", chat=chat).folder


def test_conversations_and_replies_are_read_from_it(folder: Path) -> None:
    talks = lab.conversations(f"export:{folder}")
    assert list(talks["text"]) == ["[name], write to [email]", "=1+1 will do", "then it is settled"]
    assert list(talks["seq"]) == [1, 2, 3]
    assert talks["at"].is_monotonic_increasing
    replies = lab.dataset(f"export:{folder}")
    assert [sample.target for sample in replies] == ["=1+1 will do", "then it is settled"]
    assert talks.attrs["dataset"] == replies.pinned
    assert lab.dataset(f"export:{folder}@{replies.version[:19]}") == replies
    with pytest.raises(DatasetChanged):
        lab.dataset(f"export:{folder}@sha256:00000000")


def test_the_files_say_the_same_and_nobody_s_name(folder: Path, group: str) -> None:
    lines = [json.loads(line) for line in (folder / exported.LINES).read_text("utf-8").splitlines()]
    table = pd.read_parquet(folder / exported.TABLE)
    sheet = list(csv.DictReader((folder / exported.SHEET).open(newline="")))
    texts = [line["text"] for line in lines]
    assert list(table["text"]) == texts
    assert [row["text"] for row in sheet] == [texts[0], f"'{texts[1]}", texts[2]], "no spreadsheet may run it"
    everything = "".join(
        (folder / name).read_text("utf-8") for name in (exported.LINES, exported.SHEET, "manifest.json")
    )
    for true in (SECRET, "ben,", "ana,", group, "business"):
        assert true not in everything.replace("manager", "")


def test_the_manifest_says_who_why_until_when_and_what_is_missing(folder: Path) -> None:
    manifest = exported.read_manifest(folder)
    assert (manifest.purpose, manifest.messages, manifest.groups) == ("a test", 3, 1)
    assert manifest.left_out == {"no consent": 1}
    assert manifest.redacted == {"name": 1, "email": 1}
    assert datetime.fromisoformat(manifest.expires_at) > datetime.now(UTC) + timedelta(days=29)


def test_an_expired_export_is_not_read(folder: Path) -> None:
    place = folder / exported.MANIFEST
    told = json.loads(place.read_text()) | {"expires_at": "2026-01-01T00:00:00.000Z"}
    place.write_text(json.dumps(told))
    for read in (lab.conversations, lab.dataset):
        with pytest.raises(ExportExpired, match=r"expired on 2026-01-01.*make a new one"):
            read(f"export:{folder}")


def test_a_changed_export_and_a_folder_without_one_are_refused(folder: Path, tmp_path: Path) -> None:
    with (folder / exported.LINES).open("a") as file:
        file.write('{"text": "put in"}\n')
    with pytest.raises(DatasetChanged, match="anew"):
        lab.conversations(f"export:{folder}")
    with pytest.raises(NoExport, match="make one"):
        lab.conversations(f"export:{tmp_path / 'nothing'}")


def test_the_command_writes_one_into_a_new_folder_alone(
    chat: LiveChat, group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATCORE_URL", chat.url)
    monkeypatch.setenv("CHATCORE_TOKEN", chat.token_of("analyst"))
    place = str(tmp_path / "fresh")
    done = CliRunner().invoke(app, ["export", place, "--purpose", "a test"])
    assert done.exit_code == 0, done.output
    assert "3 messages of 1 groups" in done.output
    assert "left out: 1 no consent" in done.output
    again = CliRunner().invoke(app, ["export", place, "--purpose", "a test"])
    assert again.exit_code == 2
    monkeypatch.setenv("CHATCORE_TOKEN", chat.token_of("operator"))
    refused = CliRunner().invoke(app, ["export", str(tmp_path / "other"), "--purpose", "a test"])
    assert refused.exit_code == 2
    assert not (tmp_path / "other").exists()
