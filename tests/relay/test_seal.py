"""The sealed channel: what others on the broker can do to it, which is nothing."""

import os

import pytest

from chatcore.relay.seal import FRESH_MS, MAX_BYTES, WINDOW, NotOurs, Seal

SECRET = bytes(range(32))
CHANNEL = "chatcore:somewhere"


class Time:
    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def ana(time: Time) -> Seal:
    return Seal(SECRET, time)


@pytest.fixture
def ben(time: Time) -> Seal:
    return Seal(SECRET, time)


def refusal(seal: Seal, message: bytes, channel: str = CHANNEL) -> str:
    with pytest.raises(NotOurs) as refused:
        seal.open(channel, message)
    return refused.value.why


def test_a_process_reads_what_another_said_and_who_it_was(ana: Seal, ben: Seal) -> None:
    assert ben.open(CHANNEL, ana.close(CHANNEL, b"hello")) == (ana.process, b"hello")


def test_the_broker_sees_neither_content_nor_the_names_of_groups(ana: Seal, ben: Seal) -> None:
    assert b"hello" not in ana.close(CHANNEL, b"hello")
    group = "a" * 24
    assert group not in ana.channel("group", group)
    assert ana.channel("group", group) == ben.channel("group", group)
    assert Seal(os.urandom(32)).channel("group", group) != ana.channel("group", group)


def test_every_changed_byte_is_noticed(ana: Seal, ben: Seal) -> None:
    message = ana.close(CHANNEL, b"hello")
    for place in range(len(message)):
        changed = bytearray(message)
        changed[place] ^= 1
        assert refusal(ben, bytes(changed)) in ("malformed", "stale", "forged")
    assert ben.open(CHANNEL, message)[1] == b"hello"


def test_a_message_of_another_installation_is_forged(ben: Seal, time: Time) -> None:
    assert refusal(ben, Seal(os.urandom(32), time).close(CHANNEL, b"hello")) == "forged"


def test_a_message_belongs_to_its_channel(ana: Seal, ben: Seal) -> None:
    assert refusal(ben, ana.close(CHANNEL, b"hello"), "chatcore:elsewhere") == "forged"


def test_a_message_is_taken_once(ana: Seal, ben: Seal) -> None:
    message = ana.close(CHANNEL, b"hello")
    ben.open(CHANNEL, message)
    assert refusal(ben, message) == "replayed"


def test_late_messages_are_taken_once_each_and_not_when_too_late_to_tell(ana: Seal, ben: Seal) -> None:
    messages = [ana.close(CHANNEL, b"%d" % number) for number in range(WINDOW + 2)]
    ben.open(CHANNEL, messages[-2])
    for message in reversed(messages[1:-2]):
        ben.open(CHANNEL, message)
    ben.open(CHANNEL, messages[-1])
    assert {refusal(ben, message) for message in messages} == {"replayed"}


def test_an_old_message_is_stale_also_for_one_who_never_heard_of_its_process(ana: Seal, ben: Seal, time: Time) -> None:
    message = ana.close(CHANNEL, b"hello")
    time.ms += FRESH_MS + 1
    assert refusal(ben, message) == "stale"
    early = Seal(SECRET, lambda: time.ms + FRESH_MS + 1).close(CHANNEL, b"hello")
    assert refusal(ben, early) == "stale"


def test_a_replay_stays_refused_as_long_as_it_is_fresh_though_processes_are_forgotten(ben: Seal, time: Time) -> None:
    ana = Seal(SECRET, time)
    message = ana.close(CHANNEL, b"hello")
    ben.open(CHANNEL, message)
    for _ in range(5):
        ben.open(CHANNEL, Seal(SECRET, time).close(CHANNEL, b"somebody"))
        assert refusal(ben, message) == "replayed"
        time.ms += FRESH_MS // 5
    time.ms += 3 * FRESH_MS
    ben.open(CHANNEL, Seal(SECRET, time).close(CHANNEL, b"somebody"))
    assert refusal(ben, message) == "stale"
    assert len(ben._senders) == 1


@pytest.mark.parametrize("message", [b"", b"\x00", b"x" * 48, b"\x01" * 49, b"\x02" * 100, b"\x01" * (MAX_BYTES + 1)])
def test_garbage_is_refused(ben: Seal, message: bytes) -> None:
    assert refusal(ben, message) in ("malformed", "stale")
    assert ben._senders == {}
