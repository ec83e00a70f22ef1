"""The checker of histories finds what it is there for: in histories made by hand, and in servers that cheat."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from chatcore.app import Chat, base, messages, open_chat, opening, serving
from chatcore.contract.base import Shape
from chatcore.journal.ids import new_id
from chatcore.journal.pending import Pending
from chatcore.journal.rows import Head, Inserted, Row
from chatcore.journal.store import MongoJournalStore
from chatcore.journal.writer import Writer
from chatcore.messages import service as messages_service
from chatcore.settings import Settings
from chatcore.transport.fanout import SocketFanout
from tests.proof.checker import Ack, Device, History, LogEntry, Sent
from tests.proof.processes import ServerProcess
from tests.proof.talkers import Talk, busy, talking, until_acknowledged
from tests.queries.guard import QueryGuard

Open = Callable[[], AbstractAsyncContextManager[Chat]]

# --- histories made by hand


def message(seq: int, content: str) -> LogEntry:
    return LogEntry(seq, "new_message", f"id-{content}", content)


LOG = [
    LogEntry(1, "member_joined", "ana"),
    LogEntry(2, "member_joined", "ben"),
    message(3, "ana 1"),
    message(4, "ben 1"),
    message(5, "ana 2"),
    LogEntry(6, "member_left", "ben"),
    message(7, "ana 3"),
]


def a_good_history() -> History:
    acks = {"ana 1": 3, "ben 1": 4, "ana 2": 5, "ana 3": 7}
    sends = [
        Sent(content.split()[0], int(content.split()[1]), [Ack(f"id-{content}", seq, False)])
        for content, seq in acks.items()
    ]
    ana = Device("ana", began=2, pushed=[LOG[2:5], LOG[5:]], view=LOG[2:])
    ben = Device("ben", began=2, pushed=[LOG[3:6]], view=LOG[2:6])
    stranger = Device("eve", follows=False)
    return History(sends, [ana, ben, stranger], list(LOG), {"ana"})


def lose(history: History) -> None:
    history.stored = [*LOG[:6], message(7, "ana 4")]


def repeat(history: History) -> None:
    history.stored.append(message(8, "ana 1"))


def renumber(history: History) -> None:
    history.stored[-1] = replace_seq(LOG[-1], 9)


def replace_seq(entry: LogEntry, seq: int) -> LogEntry:
    return entry._replace(seq=seq)


def swap(history: History) -> None:
    history.stored[2], history.stored[4] = replace_seq(LOG[4], 3), replace_seq(LOG[2], 5)


SPOILED: dict[str, tuple[str, Callable[[History], object]]] = {
    "an acknowledged message that is not stored": ("lost", lose),
    "a message stored at another place than acknowledged": ("lost", renumber),
    "a message stored twice": ("duplicate", repeat),
    "a place taken twice": ("duplicate", lambda h: h.stored.append(message(5, "ben 9"))),
    "a hole": ("hole", renumber),
    "a sender's messages out of order": ("order", swap),
    "pushes out of order": ("order", lambda h: h.devices[0].pushed[0].reverse()),
    "a push that comes twice": ("order", lambda h: h.devices[0].pushed[0].append(LOG[4])),
    "a push of what is not stored": ("phantom", lambda h: h.devices[0].pushed[1].append(message(8, "ana 8"))),
    "a push with other content than stored": (
        "phantom",
        lambda h: h.devices[0].pushed[0].__setitem__(0, LOG[2]._replace(content="x")),
    ),
    "a push after a removal": ("stray", lambda h: h.devices[1].pushed[0].append(LOG[6])),
    "a sync after a removal": ("stray", lambda h: h.devices[1].view.append(LOG[6])),
    "a push to one who never was a member": ("stray", lambda h: h.devices[2].pushed.append([LOG[2]])),
    "a view without its end": ("view", lambda h: h.devices[0].view.pop()),
    "a view with a gap": ("view", lambda h: h.devices[0].view.pop(1)),
    "a view in another order": ("view", lambda h: h.devices[0].view.reverse()),
    "a view with a gap before the removal": ("view", lambda h: h.devices[1].view.pop(0)),
    "a retry with another id": ("retry", lambda h: h.sends[0].acks.append(Ack("other", 3, True))),
    "a retry with another place": ("retry", lambda h: h.sends[0].acks.append(Ack("id-ana 1", 4, True))),
    "a retry told as the first": ("retry", lambda h: h.sends[0].acks.append(Ack("id-ana 1", 3, False))),
}


def test_a_good_history_has_no_findings() -> None:
    assert a_good_history().findings() == []


@pytest.mark.parametrize("spoiled", SPOILED)
def test_a_spoiled_history_is_found_out(spoiled: str) -> None:
    kind, spoil = SPOILED[spoiled]
    history = a_good_history()
    spoil(history)
    assert kind in history.kinds()


# --- servers that cheat


@pytest.fixture
def open_server(tmp_path: Path, database_uri: str, database_name: str) -> Open:
    """A server in this process on the tests' database; opened twice, there are two."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Chat]:
        settings = Settings(
            _env_file=None,
            chatcore_home=tmp_path,
            port=0,
            mongodb_uri=database_uri,
            database_name=database_name,
            encryption_secret_key="0123456789abcdefghijklmnopqrstuvwxyz",
            rate_limits=False,
            log_level="error",
        )
        async with open_chat(settings) as chat:
            yield chat

    return opened


async def history_of(*servers: Chat, messages: int = 60) -> History:
    places = [(name, servers[number % len(servers)].url) for number, name in enumerate(("ana", "ben", "cleo", "dan"))]
    async with talking(*places) as talk:
        async with busy(talk, 4, renames=False):
            await until_acknowledged(talk, messages)
        return await conclude_soon(talk)


async def conclude_soon(talk: Talk) -> History:
    """A cheat's views need not converge, so nobody waits for that."""
    async with asyncio.timeout(30):
        talk.history.stored = await talk.talkers[0].log(talk.group_id)
    await asyncio.sleep(0.5)
    return talk.history


async def test_an_honest_server_in_this_process_is_cleared(open_server: Open) -> None:
    async with open_server() as one, open_server() as other, talking(("ana", one.url), ("ben", other.url)) as talk:
        async with busy(talk):
            await until_acknowledged(talk, 60)
        assert (await talk.conclude()).findings() == []


async def test_acknowledging_before_the_commit_is_found_out_by_a_kill(server: ServerProcess) -> None:
    await server.start("ack-before-commit")
    async with talking(("ana", server.url), ("ben", server.url), ("cleo", server.url)) as talk:
        async with busy(talk, renames=False):
            for _ in range(2):
                await until_acknowledged(talk, 40)
                await server.kill()
                await server.start("ack-before-commit")
        await server.kill()
        await server.start()
        history = await conclude_soon(talk)
    assert "lost" in history.kinds()


async def test_a_log_without_its_unique_index_is_found_out(
    open_server: Open, monkeypatch: pytest.MonkeyPatch, query_guard: QueryGuard
) -> None:
    without = [index for index in opening.INDEXES if index.collection != "messages"]
    monkeypatch.setattr(opening, "INDEXES", without)
    async with open_server() as one, open_server() as other:
        history = await history_of(one, other, messages=150)
    query_guard.forgive()  # of course
    assert "duplicate" in history.kinds()


async def test_a_skipped_number_is_found_out(open_server: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    class Skipping(Writer):
        def _number(self, pending: Pending, ahead: dict[str, Head]) -> list[Row]:
            rows = super()._number(pending, ahead)
            if rows[0].seq == 20:
                pending.rows = [replace(row, seq=row.seq + 1) for row in rows]
                head = ahead[pending.entry.group_id]
                ahead[pending.entry.group_id] = replace(head, seq=head.seq + 1)
            return pending.rows

    monkeypatch.setattr(messages, "Writer", Skipping)
    async with open_server() as one:
        assert "hole" in (await history_of(one)).kinds()


async def test_a_store_that_forgets_is_found_out(open_server: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(MongoJournalStore):
        async def insert(self, rows: Sequence[Row]) -> Inserted:
            kept = [row for row in rows if row.seq % 10]
            return await super().insert(kept) if kept == list(rows) else Inserted(len(rows))

    monkeypatch.setattr(base, "MongoJournalStore", Forgetful)
    async with open_server() as one:
        assert {"lost", "phantom", "hole"} <= (await history_of(one)).kinds()


async def test_a_server_that_keeps_pushing_to_the_kicked_is_found_out(
    open_server: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unforgetting(SocketFanout):
        def leave(self, group_id: str, *, user_id: str | None = None, connection_id: str | None = None) -> None:
            return None

    monkeypatch.setattr(serving, "SocketFanout", Unforgetting)
    async with open_server() as one, talking(("ana", one.url), ("mallory", one.url)) as talk:
        ana, mallory = talk.talkers
        await ana.following.rest.request("DELETE", f"/api/groups/{talk.group_id}/members/{mallory.user_id}")
        await ana.say(talk.group_id, dice=random.Random(1))
        assert "stray" in (await conclude_soon(talk)).kinds()


async def test_pushes_in_another_order_are_found_out(open_server: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    class Shuffling(SocketFanout):
        """Every third message waits for the next one."""

        held: list[Callable[[], None]]

        def publish(
            self,
            event: str,
            payload: Shape,
            *,
            group_id: str,
            skip_connection: str | None = None,
            volatile: bool = False,
        ) -> None:
            self.held = getattr(self, "held", [])
            send = super().publish

            def now() -> None:
                send(event, payload, group_id=group_id, skip_connection=skip_connection, volatile=volatile)

            if event == "new_message" and not self.held and getattr(payload, "seq", 0) % 3 == 0:
                self.held.append(now)
                return
            now()
            while self.held:
                self.held.pop()()

    monkeypatch.setattr(serving, "SocketFanout", Shuffling)
    async with open_server() as one:
        assert "order" in (await history_of(one)).kinds()


async def test_a_server_that_does_not_know_a_retry_is_found_out(
    open_server: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages_service, "keyed_id", lambda key, *parts: new_id(base.now_in_milliseconds()))
    async with open_server() as one:
        assert {"retry", "duplicate"} <= (await history_of(one)).kinds()
