"""Pages of 50 from a long log, timed by the server itself (the `milliseconds` of its request log)."""

import asyncio
import json
import random
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks.live import CORES, Live, free_to_run, serving
from benchmarks.rows import Row
from chatcore.app import Core, open_core
from chatcore.errors import Unavailable
from chatcore.groups.store import MongoGroupStore
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Row as LogRow
from chatcore.journal.store import MongoJournalStore
from chatcore.settings import Settings
from chatcore.vault.envelope import GroupKey

BATCH_ROWS = 200
REQUESTS = 300
CONTENT = "Shall we move the planning to Thursday? Half of the team is in the train on Wednesday. " * 2
Say = Callable[[str], None]


class HistoryPages:
    def __init__(self, messages: int):
        self._messages = messages
        where = f"{CORES}; group of {messages:,} messages"
        self.newest = Row("history page of 50, newest, p95 at the server", "ms", "less", where, 10)
        self.anywhere = Row("history page of 50, anywhere by cursor, p95 at the server", "ms", "less", where, 10)
        self.rows = [self.newest, self.anywhere]

    def measure(self, home: Path, repetitions: int, say: Say) -> None:
        with serving(home) as live:
            token = _post(live.url, "/api/auth/dev-token", {"name": "reader"})["token"]
            group_id = _post(live.url, "/api/groups", {"name": "long log"}, token)["_id"]
        with free_to_run():
            asyncio.run(self.fill(home, group_id, say))
        for repetition in range(repetitions):
            say(f"history pages, {repetition + 1} of {repetitions}")
            with serving(home) as live:
                path = f"/api/messages/{group_id}?limit=50"
                self.newest.samples.append(_timed(live, token, [path] * REQUESTS))
                chance = random.Random(repetition)  # noqa: S311
                cursors = [f"{path}&before={chance.randrange(60, self._messages)}" for _ in range(REQUESTS)]
                self.anywhere.samples.append(_timed(live, token, cursors))

    async def fill(self, home: Path, group_id: str, say: Say) -> None:
        """Rows straight into the journal, sealed as the server does; the group's checkpoint follows."""
        settings = Settings(chatcore_home=home, log_level="error", _env_file=None)
        async with open_core(settings) as core:
            room = await core.rooms.load(group_id)
            key = await core.services.messages._vault.key_of(group_id)  # noqa: SLF001 - the server's own key
            journal = MongoJournalStore(core.mongo.database)
            head = core.rooms.head(group_id)
            sender = next(iter(room.members))
            for start in range(0, self._messages, BATCH_ROWS):
                rows = []
                for _ in range(min(BATCH_ROWS, self._messages - start)):
                    row = _sealed(group_id, sender, key).at(head)
                    head = type(head)(row.seq, row.n, row.p)
                    rows.append(row)
                await _store(journal, rows)
                if start % 20_000 == 0:
                    say(f"filling the log: {start:,} of {self._messages:,}")
            await _checkpoint(core, group_id, head.seq)
            core.rooms.drop(group_id)


async def _store(journal: MongoJournalStore, rows: list[LogRow]) -> None:
    """A busy machine may take longer than the client waits: then the rows' ids tell what is stored."""
    while rows:
        try:
            outcome = await journal.insert(rows)
        except Unavailable:
            await asyncio.sleep(1)
            continue
        if outcome.clash == "seq":
            raise RuntimeError("somebody else wrote to the long log")
        rows = rows[outcome.count + (outcome.clash == "id") :]


def _sealed(group_id: str, sender: str, key: GroupKey) -> LogRow:
    now = datetime.now(UTC)
    row = LogRow(new_id(now), group_id, "message", sender, now, type="text")
    return LogRow(
        row.id, group_id, "message", sender, now, type="text", sealed=key.seal(row.place, CONTENT.encode())
    )  # fmt: skip


async def _checkpoint(core: Core, group_id: str, seq: int) -> None:
    await MongoGroupStore(core.mongo.database).save_checkpoint(group_id, seq, datetime.now(UTC))


def _timed(live: Live, token: str, paths: list[str]) -> float:
    """p95 of the milliseconds that the server's log names for these requests, the first tenth left out."""
    known = live.log.stat().st_size
    for path in paths:
        page = _get(live.url, path, token)
        if len(page["messages"]) != 50:
            raise RuntimeError("a page is not full")
    with live.log.open("rb") as log:
        log.seek(known)
        lines = [json.loads(line) for line in log if line.startswith(b"{")]
    times: list[float] = [line["milliseconds"] for line in lines if line.get("event") == "request"]
    return quantiles(times[len(times) // 10 :], n=20)[-1]


def _get(url: str, path: str, token: str) -> dict[str, Any]:
    request = urllib.request.Request(url + path, headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
        return found


def _post(url: str, path: str, body: dict[str, Any], token: str = "") -> dict[str, Any]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
        return found
