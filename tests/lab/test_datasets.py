"""Data are known by what they hold; what is absent is said, never replaced by something else."""

import gzip
import json
import os
from pathlib import Path

import pytest

from chatcore import lab
from chatcore.lab.datasets import DataAbsent, Dataset, DatasetChanged, NoSuchDataset, Sample, Turn

PUBLIC = os.environ.get("CHATCORE_DATA_DIR")


def test_equal_samples_have_one_version_and_any_change_another() -> None:
    one = Dataset("a", (Sample("1", "hello", target=1), Sample("2", (Turn("ana", "hi"),))))
    same = Dataset("b", (Sample("1", "hello", target=1), Sample("2", (Turn("ana", "hi"),))))
    assert one.version == same.version
    for changed in (
        Sample("2", (Turn("ana", "hi!"),)),
        Sample("2", (Turn("bo", "hi"),)),
        Sample("2", (Turn("ana", "hi"),), target=0),
        Sample("2", (Turn("ana", "hi"),), slices={"language": "en"}),
    ):
        assert Dataset("a", (one[0], changed)).version != one.version
    assert Dataset("a", (one[1], one[0])).version != one.version


def test_two_samples_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="1 samples have an id that another has"):
        Dataset("a", (Sample("1", "x"), Sample("1", "y")))


def test_a_sample_cannot_be_changed() -> None:
    sample = Sample("1", "x", slices={"a": "b"})
    with pytest.raises(AttributeError):
        sample.input = "y"  # type: ignore[misc]
    with pytest.raises(TypeError):
        sample.slices["a"] = "c"  # type: ignore[index]


def test_a_pin_holds_or_says_what_changed() -> None:
    found = lab.dataset("moderation")
    assert lab.dataset(f"moderation@{found.version}") == found
    assert lab.dataset(found.pinned) == found
    with pytest.raises(DatasetChanged, match="was pinned to sha256:0000"):
        lab.dataset("moderation@sha256:0000")
    with pytest.raises(DatasetChanged):
        lab.dataset("moderation@sha256:")


def test_a_typo_is_answered_with_the_name_that_was_meant() -> None:
    with pytest.raises(NoSuchDataset, match='did you mean "moderation"'):
        lab.dataset("moderatoin")
    with pytest.raises(NoSuchDataset, match="small/talks"):
        lab.conversations("small/talk")


def test_absent_public_data_say_what_to_do_and_nothing_stands_in(tmp_path: Path) -> None:
    with pytest.raises(DataAbsent, match="holds no surge-toxicity-en"):
        lab.dataset("public/surge-toxicity", folder=tmp_path)


@pytest.mark.parametrize(("name", "least"), [("moderation", 80), ("replies", 90), ("search", 30)])
def test_our_own_corpus_is_there_without_anybodys_data(name: str, least: int) -> None:
    found = lab.dataset(name)
    assert len(found) >= least
    assert len({sample.slices["language"] for sample in found}) >= 3


def test_questions_point_at_messages_that_exist() -> None:
    talks = lab.conversations()
    there = set(zip(talks["conversation"], talks["seq"], strict=True))
    for sample in lab.dataset("search"):
        assert {(sample.target["conversation"], seq) for seq in sample.target["seqs"]} <= there


def test_a_reply_sample_never_holds_its_own_answer() -> None:
    for sample in lab.dataset("replies"):
        assert sample.input[-1].sender != sample.sender.split("/")[1]
        assert sample.target not in [turn.text for turn in sample.input]


def test_conversations_are_rows_in_order_with_rising_times() -> None:
    talks = lab.conversations(limit=3)
    assert list(talks.columns) == ["conversation", "seq", "sender", "text", "at"]
    assert talks["conversation"].nunique() == 3
    for _, talk in talks.groupby("conversation"):
        assert talk["seq"].tolist() == list(range(1, len(talk) + 1))
        assert talk["at"].is_monotonic_increasing
    assert talks.attrs["dataset"].startswith("small/talks@sha256:")


def test_a_part_is_the_same_for_a_seed() -> None:
    whole = lab.dataset("moderation")
    assert whole.take(10, seed=1) == whole.take(10, seed=1) != whole.take(10, seed=2)
    assert len(whole.take(10_000)) == len(whole)


def test_the_html_escapes_what_people_wrote() -> None:
    page = Dataset("a", (Sample("1", "<script>alert(1)</script>"),))._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_public_files_are_read_as_their_makers_labelled_them(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "openai-moderation-samples.jsonl.gz", "wt") as file:
        file.write(json.dumps({"prompt": "one", "S": 1, "H": 0}) + "\n" + json.dumps({"prompt": "two", "H2": 1}) + "\n")
    with gzip.open(tmp_path / "topical-chat-valid-freq.jsonl.gz", "wt") as file:
        turns = [{"sender": "a", "content": " hi "}, {"sender": "b", "content": "hello"}]
        file.write(json.dumps({"conversation": "t1", "turns": turns}) + "\n")
    (tmp_path / "surge-toxicity-en.csv").write_text('text,is_toxic\n"a\nb",Toxic\nfine,Not Toxic\n')
    (tmp_path / "davidson-labeled.csv").write_text(
        ",count,hate_speech,offensive_language,neither,class,tweet\n0,3,0,3,0,1,x\n7,3,1,0,2,2,y\n"
    )
    one, two = lab.dataset("public/openai-moderation", folder=tmp_path)
    assert one.target == {"sexual": 1, "hate": 0}
    assert two.target == {"hate/threatening": 1}  # the rest is unknown, not 0
    assert lab.dataset("public/topical-chat", folder=tmp_path)[0].target == "hello"
    assert [sample.target for sample in lab.dataset("public/surge-toxicity", folder=tmp_path)] == [True, False]
    sure, split = lab.dataset("public/davidson", folder=tmp_path)
    assert (sure.id, sure.target, sure.slices["agreement"]) == ("d0", "offensive", "full")
    assert (split.id, split.target, split.slices["agreement"]) == ("d7", "neither", "split")


@pytest.mark.skipif(not PUBLIC, reason="CHATCORE_DATA_DIR is not set")
@pytest.mark.parametrize(
    ("name", "least"),
    [("public/openai-moderation", 1_595), ("public/surge-toxicity", 1_000), ("public/davidson", 24_783)],
)
def test_the_real_public_files_are_whole(name: str, least: int) -> None:
    found = lab.dataset(name, folder=Path(str(PUBLIC)))
    assert len(found) == least
    assert any(sample.target for sample in found)
