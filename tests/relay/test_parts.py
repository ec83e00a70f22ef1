"""The parts of the relay by themselves: bounds, leases, and what is done with words that come late or not at all."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest

from chatcore.journal.ids import new_id
from chatcore.journal.peers import News, ReadMark
from chatcore.journal.rows import Head, Row
from chatcore.journal.writer import Writer
from chatcore.relay import words
from chatcore.relay.inbox import Inbox, joined
from chatcore.relay.outbox import Outbox, Said
from chatcore.relay.processes import DEAF_SECONDS, LEASE_SECONDS, Processes
from chatcore.relay.words import SMALL_BYTES
from chatcore.settings import BadSettings, load_settings
from chatcore.vault.envelope import Sealed
from tests.presence.conftest import Clock

GROUP = "a" * 24
NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)


def a_row(seq: int, **more: object) -> Row:
    row = Row(new_id(NOW), GROUP, "message", "ana", NOW, seq=seq, n=seq, p=seq, type="text")
    return replace(row, **more)  # type: ignore[arg-type]


def news(*seqs: int) -> News:
    return News(GROUP, seqs[-1], tuple(a_row(seq) for seq in seqs))


class Log:
    """A stored log, of which every reading is counted."""

    def __init__(self, count: int):
        self.rows = [a_row(seq) for seq in range(1, count + 1)]
        self.looks = 0

    async def window(self, group_id: str, after: int, up_to: int) -> list[Row]:
        self.looks += 1
        return [row for row in self.rows if after < row.seq <= up_to]


class Follower:
    """A writer whose end of the log is at 3, and what it pushed."""

    def __init__(self, stored: int):
        self.log = Log(stored)
        self.pushed: list[int] = []
        self.writer = Writer(self.log, load_head=self._no_load, missed=self._missed)  # type: ignore[arg-type]
        self.writer.set_head(GROUP, Head(3, 3, 3))

    async def _no_load(self, group_id: str) -> Head:
        raise AssertionError(group_id)

    async def _missed(self, group_id: str, rows: Sequence[Row]) -> None:
        self.pushed += [row.seq for row in rows]


# --- what the writer does with news


async def test_rows_that_come_next_are_pushed_without_a_look_into_the_database() -> None:
    follower = Follower(5)
    assert await follower.writer.follow([news(4), news(5)]) == []
    assert follower.pushed == [4, 5]
    assert follower.log.looks == 0


async def test_a_gap_is_read_from_the_database_and_the_late_word_is_passed_over() -> None:
    follower = Follower(6)
    assert await follower.writer.follow([news(6)]) == [GROUP]
    assert await follower.writer.follow([news(4), news(5)]) == []
    assert follower.pushed == [4, 5, 6]


async def test_news_may_begin_before_the_known_end() -> None:
    follower = Follower(5)
    await follower.writer.follow([news(2, 3, 4, 5)])
    assert follower.pushed == [4, 5]
    assert follower.log.looks == 0


async def test_rows_with_a_hole_are_not_believed() -> None:
    follower = Follower(6)
    await follower.writer.follow([News(GROUP, 6, (a_row(4), a_row(6)))])
    assert follower.pushed == [4, 5, 6]


async def test_a_look_without_news_finds_what_nobody_told() -> None:
    follower = Follower(5)
    await follower.writer.follow([News(GROUP, None)])
    assert follower.pushed == [4, 5]


async def test_a_claim_that_the_database_does_not_bear_out_changes_nothing() -> None:
    follower = Follower(3)
    await follower.writer.follow([News(GROUP, 9_000)])
    assert follower.pushed == []
    assert follower.writer.head(GROUP) == Head(3, 3, 3)


async def test_a_group_that_is_not_followed_is_passed_over() -> None:
    follower = Follower(5)
    follower.writer.forget(GROUP)
    assert await follower.writer.follow([news(4)]) == []
    assert follower.pushed == []


# --- words


def test_a_row_arrives_as_it_was_stored() -> None:
    row = a_row(
        7,
        sealed=Sealed(1, 2, b"nonce", b"\x00\xff"),
        fingerprint=b"\x01\x02",
        mentions=("ben",),
        reactions={"👍": 2},
        reply_to="b" * 24,
        updated_at=NOW,
        data={"userId": "ben", "pins": ["x"]},
    )
    word = orjson.loads(words.appended([row]))
    assert words.news_in(word) == News(GROUP, 7, (row,))
    marks = [ReadMark("ana", 5, 4, NOW)]
    assert words.marks_in(orjson.loads(words.read(GROUP, marks))[2]) == marks


def test_large_rows_and_facts_that_json_does_not_know_stay_at_home() -> None:
    large = a_row(7, sealed=Sealed(1, 1, b"n", b"x" * SMALL_BYTES))
    strange = a_row(7, data={"odd": object()})
    for row in (large, strange):
        assert words.news_in(orjson.loads(words.appended([row]))) == News(GROUP, 7, ())


def test_news_that_follow_each_other_are_one_piece_and_others_leave_a_gap() -> None:
    assert [row.seq for row in joined(news(4), news(5, 6)).rows] == [4, 5, 6]
    gap = joined(news(4), news(6))
    assert (gap.up_to, [row.seq for row in gap.rows]) == (6, [4])
    assert joined(news(4, 5), news(5)).up_to == 5
    assert joined(News(GROUP, None), news(5)).up_to is None


# --- bounds


async def test_a_full_outbox_drops_the_oldest_and_remembers_the_group() -> None:
    outbox = Outbox(max_words=2)
    for name in ("one", "two", "three"):
        outbox.add(Said("channel", name, name.encode()))
    assert [said.word for said in await outbox.take()] == [b"two", b"three"]
    assert (outbox.lost, outbox.dropped) == ({"one"}, 1)


async def test_a_full_inbox_drops_the_oldest_and_looks_into_the_database_instead() -> None:
    inbox = Inbox(max_words=1)
    inbox.add("p", ["rows", GROUP, 4, []])
    inbox.add("p", ["typing", "b" * 24, {}, True])
    heard = await inbox.take()
    assert heard.news == {GROUP: News(GROUP, None)}
    assert [word[0] for _, word in heard.others] == ["typing"]
    assert inbox.dropped == 1


async def test_a_word_of_another_version_is_looked_up() -> None:
    inbox = Inbox()
    inbox.add("p", ["rows", GROUP, 4, [["what", "is", "this"]]])
    assert (await inbox.take()).news == {GROUP: News(GROUP, None)}


async def test_an_inbox_does_not_look_at_everything_at_once() -> None:
    inbox = Inbox()
    for number in range(50):
        inbox.look(f"{number:024}")
    seen = 0
    async with asyncio.timeout(1):
        while seen < 50:
            heard = await inbox.take()
            assert len(heard.news) <= 20
            seen += len(heard.news)


# --- other processes


@pytest.fixture
def gone() -> list[str]:
    return []


@pytest.fixture
def processes(gone: list[str], clock: Clock) -> Processes:
    found = Processes(gone.append, clock)
    found.listening()
    return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_process_that_falls_silent_is_gone_after_its_lease(
    processes: Processes, gone: list[str], clock: Clock
) -> None:
    processes.heard("first")
    clock.pass_seconds(LEASE_SECONDS)
    processes.heard("second")
    processes.tick()
    assert gone == []
    clock.pass_seconds(0.1)
    processes.tick()
    assert gone == ["first"]


def test_nobody_is_gone_because_nobody_could_be_heard(processes: Processes, gone: list[str], clock: Clock) -> None:
    processes.heard("first")
    processes.deaf()
    clock.pass_seconds(DEAF_SECONDS - 1)
    processes.tick()
    processes.listening()
    clock.pass_seconds(LEASE_SECONDS)
    processes.tick()
    assert gone == []
    processes.deaf()
    clock.pass_seconds(DEAF_SECONDS + 1)
    processes.tick()
    assert gone == ["first"]


# --- settings


@pytest.mark.parametrize(
    ("url", "bad"),
    [
        ("redis://127.0.0.1:6379/0", False),
        ("redis://localhost", False),
        ("redis://:secret@cache.internal:6379", False),
        ("rediss://cache.internal:6379", False),
        (f"rediss://cache.internal:6379/0?ssl_ca_certs={__file__}", False),
        (f"rediss://cache.internal:6379/0?ssl_certfile={__file__}&ssl_keyfile={__file__}", False),
        ("rediss://cache.internal:6379/0?ssl_ca_certs=/nowhere/ca.pem", True),
        ("rediss://cache.internal:6379/0?ssl_ca_certs=", True),
        ("rediss://cache.internal:6379/0?ssl_cert_reqs=none", True),
        ("rediss://cache.internal:6379/0?ssl_check_hostname=no", True),
        ("rediss://cache.internal:6379/0?socket_timeout=600", True),
        (f"redis://:secret@cache.internal:6379?ssl_ca_certs={__file__}", True),
        ("redis://cache.internal:6379", True),
        ("redis://user@10.0.0.5", True),
        ("http://127.0.0.1", True),
        ("redis://", True),
    ],
)
def test_production_takes_no_redis_on_another_machine_without_a_password_and_no_weaker_tls(url: str, bad: bool) -> None:
    def load() -> None:
        load_settings(_env_file=None, chatcore_env="production", encryption_secret_key=_key(), redis_url=url)

    if bad:
        with pytest.raises(BadSettings, match="REDIS_URL") as refused:
            load()
        assert "cache.internal" not in str(refused.value)
    else:
        load()


def _key() -> str:
    return "5LkX2mQ8vT0rZ7yB1nC4dF6hJ9pS3wA/eG+iKoUuRtY="
