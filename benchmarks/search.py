"""Search in one long group, timed by the server itself: a query's vector from the embedded model, both rankings, the
check of every hit. The messages' own vectors are random, as only their number and length count for the time."""

import asyncio
import json
import random
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

import numpy as np
import psutil
import pymongo

from benchmarks.history import _checkpoint, _post
from benchmarks.live import CORES, Live, free_to_run, serving
from benchmarks.rows import Row
from chatcore.ai.provider.rungs import EMBEDDED_SPACE
from chatcore.ai.search import store as search_store
from chatcore.ai.search.records import Claim, PlacedVector, Progress, Space, StoredVector
from chatcore.ai.search.store import MongoSearchStore
from chatcore.app import Core, open_core
from chatcore.groups.records import Room
from chatcore.journal import store as journal_store
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Head
from chatcore.journal.rows import Row as LogRow
from chatcore.settings import Settings
from chatcore.vault.envelope import GroupKey, Place

BATCH_ROWS = 200
QUERIES = 300
VOCABULARY, DIMENSIONS = 30_000, 384
SPACE = Space(EMBEDDED_SPACE)
MODELS_SECONDS = 60
COMMON = re.findall(
    r"\w+",
    "the to and a of is you it in that i for on was with have this be are at we not so but what do they if can my me "
    "all about there just like one get will how know when out good time go up no see think yes would more from has",
)
Say = Callable[[str], None]


class SearchInLongGroup:
    def __init__(self, messages: int):
        self._messages = messages
        where = f"{CORES}, models too; group of {messages:,} messages"
        self.hybrid = Row("hybrid search, p95 at the server", "ms", "less", where, 30)
        self.warming = Row("first search, which reads the group into memory", "s", "less", where)
        self.memory = Row("memory of the indexes for 1,000 messages", "MiB", "less", where)
        self.cpu = Row("CPU time of the server process for a search", "ms", "less", where)
        self.model_cpu = Row("CPU time of the model process for a search", "ms", "less", where)
        self.rows = [self.hybrid, self.cpu, self.model_cpu, self.warming, self.memory]

    def measure(self, home: Path, repetitions: int, say: Say) -> None:
        with serving(home) as live:
            token = _post(live.url, "/api/auth/dev-token", {"name": "reader"})["token"]
            group_id = _post(live.url, "/api/groups", {"name": "long log"}, token)["_id"]
        with free_to_run():
            asyncio.run(self._fill(home, group_id, say))
        for repetition in range(repetitions):
            say(f"search, {repetition + 1} of {repetitions}")
            with serving(home) as live:
                self._measure(live, token, group_id, random.Random(repetition))  # noqa: S311

    def _measure(self, live: Live, token: str, group_id: str, chance: random.Random) -> None:
        _wait_for_models(live, token)
        before, began = live.rss_mib(), time.monotonic()
        while _search(live, token, group_id, "the first one")["incomplete"]:
            time.sleep(0.1)
        self.warming.samples.append(time.monotonic() - began)
        self.memory.samples.append((live.rss_mib() - before) / self._messages * 1_000)
        known, own, models = live.log.stat().st_size, _cpu_seconds(live.process), _cpu_seconds(_model_process(live))
        for _ in range(QUERIES):
            answer = _search(live, token, group_id, " ".join(_words(chance, chance.randrange(2, 9))))
            if answer["provider"] != "embedded" or not answer["results"]:
                raise RuntimeError("a search went without its vector, or found nothing")
        self.cpu.samples.append((_cpu_seconds(live.process) - own) / QUERIES * 1_000)
        self.model_cpu.samples.append((_cpu_seconds(_model_process(live)) - models) / QUERIES * 1_000)
        with live.log.open("rb") as log:
            log.seek(known)
            lines = [json.loads(line) for line in log if line.startswith(b"{")]
        times: list[float] = [line["milliseconds"] for line in lines if line.get("event") == "request"]
        self.hybrid.samples.append(quantiles(times[len(times) // 10 :], n=20)[-1])

    async def _fill(self, home: Path, group_id: str, say: Say) -> None:
        """Rows straight into the journal with their vectors, sealed as the server does; then the two bookmarks."""
        settings = Settings(chatcore_home=home, log_level="error", ai=False, _env_file=None)
        async with open_core(settings) as core:
            room = await core.rooms.load(group_id)
            key = await core.services.messages._vault.key_of(group_id)  # noqa: SLF001 - the server's own key
            store = MongoSearchStore(core.mongo.database)
            head, chance = core.rooms.head(group_id), random.Random(1)  # noqa: S311
            for start in range(0, self._messages, BATCH_ROWS):
                rows, head = _batch(room, key, head, chance, min(BATCH_ROWS, self._messages - start))
                await _insert(core, rows, [_vector(row, key, chance) for row in rows])
                if start % 10_000 == 0:
                    say(f"filling the group: {start:,} of {self._messages:,}")
            await _bookmark(core, store, group_id, head.seq)
            core.rooms.drop(group_id)


async def _insert(core: Core, rows: Sequence[LogRow], vectors: Sequence[StoredVector]) -> None:
    """As they stand after the background work."""
    placed = [
        search_store._placed_document(PlacedVector(row.group_id, row.seq, row.id, vector))  # noqa: SLF001
        for row, vector in zip(rows, vectors, strict=True)
    ]
    with pymongo.timeout(30):
        await core.mongo.database["messages"].insert_many([journal_store._document(row) for row in rows])  # noqa: SLF001
        await core.mongo.database[journal_store.VECTORS].insert_many(placed)


def _batch(room: Room, key: GroupKey, head: Head, chance: random.Random, count: int) -> tuple[list[LogRow], Head]:
    rows, sender, now = [], next(iter(room.members)), datetime.now(UTC)
    for _ in range(count):
        id_ = new_id(now)
        text = " ".join(_words(chance, chance.randrange(4, 30)))
        sealed = key.seal(Place(room.id, id_, sender, "text"), text.encode())
        row = LogRow(id_, room.id, "message", sender, now, type="text", sealed=sealed).at(head)
        head = Head(row.seq, row.n, row.p)
        rows.append(row)
    return rows, head


def _vector(row: LogRow, key: GroupKey, chance: random.Random) -> StoredVector:
    numbers = np.random.default_rng(chance.randrange(2**32)).normal(size=DIMENSIONS).astype(np.float32)
    place = Place(row.group_id, row.id, row.sender_id, "embedding")
    sealed = key.seal(place, (numbers / np.linalg.norm(numbers)).astype("<f2").tobytes())
    return StoredVector(SPACE, DIMENSIONS, 0, sealed=sealed)


async def _bookmark(core: Core, store: MongoSearchStore, group_id: str, seq: int) -> None:
    now = datetime.now(UTC)
    await store.claim(group_id, Claim("benchmark", now + timedelta(minutes=1)), now)
    await store.advance([Progress(group_id, SPACE, seq)], "benchmark", now)
    await _checkpoint(core, group_id, seq)


def _words(chance: random.Random, count: int) -> Sequence[str]:
    """Half of them of the commonest of the language; the others rarer the higher their number, as words are."""
    return [
        chance.choice(COMMON) if chance.random() < 0.5 else _word(int(VOCABULARY ** chance.random()))
        for _ in range(count)
    ]


def _word(number: int) -> str:
    consonants, vowels, made = "bcdfghklmnprstvz", "aeiou", ""
    number = number * 7919 + 13
    while number:
        number, sound = divmod(number, len(consonants) * len(vowels))
        made += consonants[sound // len(vowels)] + vowels[sound % len(vowels)]
    return made


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _model_process(live: Live) -> psutil.Process:
    children = live.process.children(recursive=True)
    return next(child for child in children if "chatcore.models.server" in child.cmdline())


def _wait_for_models(live: Live, token: str) -> None:
    """By searches in all groups but the long one, which must stay unread; a small one is enough."""
    small = _post(live.url, "/api/groups", {"name": "small"}, token)["_id"]
    until = time.monotonic() + MODELS_SECONDS
    while _search(live, token, small, "ready")["provider"] != "embedded":
        if time.monotonic() > until:
            raise RuntimeError("the models do not come up")
        time.sleep(0.5)


def _search(live: Live, token: str, group_id: str, query: str) -> dict[str, Any]:
    return _post(live.url, "/api/ai/search", {"query": query, "groupId": group_id}, token)
