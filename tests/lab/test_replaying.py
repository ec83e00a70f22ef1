"""Replays through the real server; and the checker notices each thing that a transport could do wrong."""

import pandas as pd
import pytest

from chatcore import lab
from chatcore.lab.replaying.checks import Heard, Sent, Violations, check_transport
from tests.servers import ServerInThread

SENT = [Sent("g", 1, "ana", "a"), Sent("g", 2, "ben", "b"), Sent("g", 3, "ana", "c")]
MEMBERS = {"g": {"ana", "ben", "cleo"}}
SOUND = [
    Heard(who, "g", one.seq, one.text) for who in sorted(MEMBERS["g"]) for one in SENT if one.sender != who
]  # fmt: skip
READS = {("g", "ben"): 3, ("g", "cleo"): 3}


def check(heard: list[Heard], told: dict[tuple[str, str], int] = READS) -> Violations:
    return check_transport(SENT, heard, MEMBERS, told, READS)


def test_a_sound_run_has_no_violations() -> None:
    assert check(SOUND) == Violations()
    assert check([*SOUND, Heard("ana", "g", 1, "a")]).total == 1  # an echo to the sender comes out of order


@pytest.mark.parametrize(
    ("mutant", "found"),
    [
        (SOUND[1:], Violations(lost=1)),
        ([*SOUND, SOUND[-1]], Violations(duplicated=1)),
        ([*SOUND[:-2], SOUND[-1], SOUND[-2]], Violations(out_of_order=1)),
        ([*SOUND[:-1], Heard("cleo", "g", 3, "x")], Violations(altered=1)),
        ([*SOUND, Heard("eve", "g", 1, "a")], Violations(strangers=1)),
    ],
)
def test_a_transport_that_does_wrong_is_noticed(mutant: list[Heard], found: Violations) -> None:
    assert check(mutant) == found


def test_a_receipt_that_nobody_was_told_of_is_missing() -> None:
    assert check(SOUND, {("g", "ben"): 3, ("g", "cleo"): 2}) == Violations(receipts_missing=1)
    assert check(SOUND, {}).receipts_missing == 2


def test_every_conversation_of_our_own_comes_through_whole(server: ServerInThread) -> None:
    talks = lab.conversations()
    log = lab.replay(talks, into=server.url)
    assert log.violations == Violations()
    assert len(log.messages) == len(talks)
    assert log.messages["ack_ms"].notna().all()
    assert log.messages["delivered_ms"].notna().all()
    for _, part in log.messages.groupby("conversation"):
        assert part["log_seq"].is_monotonic_increasing
    listeners = talks.groupby("conversation")["sender"].transform("nunique") - 1
    assert log.deliveries == listeners.sum()
    assert log.messages.attrs["dataset"].startswith("small/talks@")
    assert "out of order" in log._repr_html_()


def test_a_message_that_the_server_refuses_is_missing_data(server: ServerInThread) -> None:
    talks = lab.conversations(limit=1)
    talks.loc[2, "text"] = ""
    log = lab.replay(talks, into=server.url)
    assert sum(log.refused.values()) == 1
    assert log.messages["ack_ms"].isna().sum() == 1
    assert log.violations == Violations()


def test_the_real_clock_waits_as_recorded_and_speed_divides(server: ServerInThread) -> None:
    talks = lab.conversations(limit=1)
    recorded = (talks["at"].iloc[-1] - talks["at"].iloc[0]).total_seconds()
    log = lab.replay(talks, into=server.url, clock="real", speed=recorded)
    assert log.seconds >= 1.0
    assert log.violations == Violations()


def test_what_cannot_be_replayed_is_said_before_anything_is_sent() -> None:
    talks = lab.conversations(limit=1)
    with pytest.raises(ValueError, match="sender is not there"):
        lab.replay(talks.drop(columns="sender"), into="http://127.0.0.1:1")
    with pytest.raises(ValueError, match="needs the column at"):
        lab.replay(talks.drop(columns="at"), into="http://127.0.0.1:1", clock="real")
    with pytest.raises(ValueError, match="above 0"):
        lab.replay(talks, into="http://127.0.0.1:1", speed=0)


def test_a_notebook_talks_without_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://somebody-elses/")
    with lab.live_chat() as chat:
        ana, ben = chat.people("ana", "ben")
        group = ana.creates_group("garden", ben)
        sent = ana.sends(group.id, "hello")
        assert ben.waits_for("new_message", type="text")["content"] == "hello"
        ben.types(group.id)
        assert ana.waits_for("user_typing")["userId"] == ben.user_id
        ben.reads(group.id, sent.seq)
        assert ana.waits_for("messages_read")["upToSeq"] == sent.seq
        assert ana.history(group.id)["text"].tolist()[-1] == "hello"
        assert isinstance(ben.heard(), pd.DataFrame)
        assert chat.url in chat._repr_html_()
        with pytest.raises(TimeoutError):
            ben.waits_for("no_such_event", timeout_seconds=0.05)
    chat.close()
    with pytest.raises(RuntimeError, match="was closed"):
        chat.run(ana.client.typing(group.id))


def test_the_server_is_asked_before_each_answer_and_its_suggestions_are_scored() -> None:
    talks = lab.conversations(limit=3)
    data = lab.answers_in(talks)
    with lab.live_chat(ai=True) as chat:
        log = lab.replay(talks, into=chat, suggestions=True)
    assert log.violations == Violations()
    assert sorted(log.suggestions["sample"]) == sorted(sample.id for sample in data)
    assert (log.suggestions["error"] == "").all()
    assert log.suggestions["degraded"].all()
    task = lab.Task(data, lab.suggested(log.suggestions), lab.line_up(data))
    assert lab.evaluate(task).table["score"].between(0, 1).all()


def test_a_question_that_the_server_refuses_is_missing_data(server: ServerInThread) -> None:
    """AI is off on this server."""
    talks = lab.conversations(limit=1)
    data = lab.answers_in(talks)
    log = lab.replay(talks, into=server.url, suggestions=True)
    assert set(log.suggestions["error"]) == {"capability_unavailable"}
    report = lab.evaluate(lab.Task(data, lab.suggested(log.suggestions), lambda sample, output: 1.0))
    assert len(report.failures) == len(data)
    assert report.table["score"].isna().all()
