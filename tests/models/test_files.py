"""Every file of the models is the one that was measured, and a changed one is refused."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chatcore.models import files
from chatcore.models.files import DATA, ModelFileRefused, check_files, read_manifest, require_file
from chatcore.models.replies import Replies, ReplyBank, bank_languages


def test_every_file_is_good_and_no_file_is_left_out() -> None:
    assert [checked for checked in check_files() if checked.problem] == []
    ours = {path.name for path in DATA.iterdir()} - {"manifest.json", "NOTICE.md"}
    assert ours | {"model.onnx"} == set(read_manifest()["files"])


def test_weights_name_the_data_they_were_made_from_and_a_licence() -> None:
    for name, entry in read_manifest()["files"].items():
        assert entry["licence"] in {"MIT", "Apache-2.0"}
        if name.startswith("moderation."):
            assert entry["data"]
            assert entry["made"]
            assert entry["with"]


def test_all_that_is_shipped_is_small() -> None:
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 8 * 1024 * 1024


def test_a_changed_file_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(DATA, tmp_path / "data")
    (tmp_path / "data" / "vocabulary.txt").write_text("changed")
    monkeypatch.setattr(files, "DATA", tmp_path / "data")
    with pytest.raises(ModelFileRefused, match=r"vocabulary\.txt"):
        require_file("vocabulary.txt")
    (tmp_path / "data" / "vocabulary.txt").unlink()
    assert [checked.name for checked in check_files() if checked.problem] == ["vocabulary.txt"]


def test_the_vocabulary_is_bert_uncased_as_published() -> None:
    published = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
    assert hashlib.sha256((DATA / "vocabulary.txt").read_bytes()).hexdigest() == published


@pytest.mark.parametrize("language", bank_languages())
def test_a_reply_bank_is_rich_and_clean(language: str) -> None:
    bank = ReplyBank.read(DATA / f"replies.{language}.toml")
    assert len(bank.intents) >= 60
    assert len(set(bank.replies)) >= 400
    assert len({intent.name for intent in bank.intents}) == len(bank.intents)
    assert set(bank.templates) == {
        "request", "proposal", "question", "offer", "exclamation", "short", "statement",
    }  # fmt: skip
    for intent in bank.intents:
        assert len(set(intent.triggers)) >= 5 <= len(set(intent.replies))
    for reply in bank.replies:
        assert 0 < len(reply) <= 280
        assert not re.search(r"https?:|www\.|\s{2}|^\s|\s$", reply)


def test_vectors_of_another_bank_are_refused() -> None:
    bank = ReplyBank.read(DATA / "replies.en.toml")
    known = Replies.load()
    triggers, replies = known._triggers, known._replies
    for wrong in (
        (triggers[:-1], replies, replies),
        (triggers, replies[:-1], replies),
        (triggers, replies, replies[:-1]),
    ):
        with pytest.raises(ValueError, match="another reply bank"):
            Replies(bank, *wrong)


def test_the_command_checks_every_file() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chatcore", "models", "check"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "model.onnx" in done.stdout
