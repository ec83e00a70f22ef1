"""Recorded conversations through a real server: each sender a client of its own, each listener watched."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd

from chatcore.client import Client, Event
from chatcore.client.rest import dev_token
from chatcore.errors import ChatError, Unavailable
from chatcore.lab.live import LiveChat
from chatcore.lab.loops import LoopThread
from chatcore.lab.pages import Table, facts
from chatcore.lab.replaying.asking import Asked, ask, table_of
from chatcore.lab.replaying.checks import Heard, Sent, Violations, check_transport

T = TypeVar("T")
Clock = Literal["virtual", "real"]
AT_ONCE = 25
SETTLE_SECONDS = 15.0
SETUP_PAUSES = (0.5, 2.0)
COLUMNS = ("conversation", "seq", "sender", "text")


@dataclass(frozen=True)
class ReplayLog:
    """`messages` has one row for each message: conversation, seq, sender, text, at, group, log_seq, message_id, ack_ms,
    delivered_ms (to the slowest listener). Errors are missing acks, never zeros. `seconds` leaves the set-up out.
    `suggestions`, where they were asked for, has one row for each answer to another person; see `asking.COLUMNS`."""

    messages: pd.DataFrame
    violations: Violations
    deliveries: int
    seconds: float
    refused: Mapping[str, int]
    suggestions: pd.DataFrame = field(default_factory=lambda: table_of([]), repr=False)

    @property
    def rate(self) -> float:
        """Acknowledged messages a second."""
        return float(self.messages["ack_ms"].notna().sum()) / self.seconds if self.seconds else 0.0

    def _repr_html_(self) -> str:
        acks = self.messages["ack_ms"].dropna()
        told = {
            "messages": f"{len(self.messages):,}",
            "conversations": f"{self.messages['conversation'].nunique():,}",
            "deliveries": f"{self.deliveries:,}",
            "took": f"{self.seconds:.2f} s",
            "rate": f"{self.rate:,.0f} messages/s",
            "ack p50": f"{acks.median():.1f} ms" if len(acks) else "",
            "ack p95": f"{acks.quantile(0.95):.1f} ms" if len(acks) else "",
        }
        rows = [[name.replace("_", " "), f"{count:,}"] for name, count in self.violations.counts().items()]
        rows += [[f"refused: {code}", f"{count:,}"] for code, count in self.refused.items()]
        if len(self.suggestions):
            failed = int((self.suggestions["error"] != "").sum())
            told |= {"suggestions asked": f"{len(self.suggestions):,}", "of them refused": f"{failed:,}"}
        return facts("Replay", told) + Table(["invariant", "violations"], rows, frozenset({1})).html()


def replay(
    talks: pd.DataFrame,
    *,
    into: LiveChat | str,
    clock: Clock = "virtual",
    speed: float = 1.0,
    at_once: int = AT_ONCE,
    suggestions: bool = False,
) -> ReplayLog:
    """Every conversation in a group of its own; its messages one after another, as they answer each other.

    `virtual`: each message as soon as the one before it is stored. `real`: with the recorded pauses, `speed` times as
    fast. `at_once` conversations go on side by side. `into` a URL of a development server works too.
    With `suggestions` whoever is about to answer somebody first asks the server what to say; `lab.suggested` makes a
    solver of that, which is scored as `lab.reply` is.
    """
    if absent := [name for name in COLUMNS if name not in talks.columns]:
        raise ValueError(f"conversations need the columns {', '.join(COLUMNS)}; {', '.join(absent)} is not there")
    if clock == "real" and "at" not in talks.columns:
        raise ValueError("the real clock needs the column at")
    if speed <= 0:
        raise ValueError("speed is a factor above 0")
    pauses = _pauses(talks, speed) if clock == "real" else {}
    if isinstance(into, LiveChat):
        log: ReplayLog = into.run(
            _replay(talks, into.url, pauses, at_once, suggestions=suggestions), timeout_seconds=None
        )
        return log
    thread = LoopThread("chatcore-replay")
    try:
        return thread.run(_replay(talks, into, pauses, at_once, suggestions=suggestions))
    finally:
        thread.close()


@dataclass
class _Recording:
    """What is noted down while the conversations go on."""

    sent: list[Sent] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    places: dict[str, set[tuple[str, int]]] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    read_up_to: dict[tuple[str, str], int] = field(default_factory=dict)
    expected_reads: dict[tuple[str, str], int] = field(default_factory=dict)
    arrived_at: dict[tuple[str, int], float] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    asks: bool = False
    asked: list[Asked] = field(default_factory=list)

    def note(self, listener: str, event: Event) -> None:
        if event.name == "new_message" and event.data.get("type") != "system":
            group, seq = str(event.group_id), int(event.data["seq"])
            self.heard.append(Heard(listener, group, seq, event.data["content"]))
            self.places.setdefault(group, set()).add((listener, seq))
            self.arrived_at[group, seq] = time.perf_counter()
        elif event.name in ("message_read", "messages_read"):
            key = (str(event.group_id), event.data["readBy"])
            self.read_up_to[key] = max(self.read_up_to.get(key, 0), event.data["upToSeq"])

    def check(self) -> Violations:
        return check_transport(self.sent, self.heard, self.members, self.read_up_to, self.expected_reads)


async def _replay(
    talks: pd.DataFrame, url: str, pauses: Mapping[tuple[str, int], float], at_once: int, *, suggestions: bool
) -> ReplayLog:
    recording = _Recording(asks=suggestions)
    slots = asyncio.Semaphore(at_once)
    parts = [(str(key), part.sort_values("seq")) for key, part in talks.groupby("conversation", sort=False)]
    busy: list[tuple[float, float]] = []

    async def one(key: str, part: pd.DataFrame) -> None:
        async with slots:
            busy.append(await _hold(key, part, url, pauses, recording))

    async with asyncio.TaskGroup() as group:
        for key, part in parts:
            group.create_task(one(key, part))
    seconds = max(end for _, end in busy) - min(start for start, _ in busy) if busy else 0.0
    return ReplayLog(
        _table(recording, talks),
        recording.check(),
        len(recording.heard),
        seconds,
        dict(recording.refused),
        table_of(recording.asked),
    )


async def _hold(
    key: str,
    part: pd.DataFrame,
    url: str,
    pauses: Mapping[tuple[str, int], float],
    recording: _Recording,
) -> tuple[float, float]:
    """One conversation, from entering to hanging up. Returns when its first message left and its last one was there."""
    async with AsyncExitStack() as stack:
        people: dict[str, Client] = {}
        listening = []
        for name in dict.fromkeys(part["sender"]):
            issued = await _patiently(partial(dev_token, url, f"{str(name)[:24]}-{secrets.token_hex(5)}"))
            # Pushes as they come: the client's own order and repair would hide what the transport did.
            client = Client(url, issued.token, follow=False)
            happenings = client.events()
            people[name] = await stack.enter_async_context(client)
            listening.append(asyncio.create_task(_listen(client, happenings, recording)))
        group = await _gather(key, list(people.values()))
        recording.members[group] = {client.user.user_id for client in people.values()}
        started = time.perf_counter()
        last, speaker = 0, ""
        for row in part.itertuples():
            if recording.asks and speaker not in ("", row.sender):
                recording.asked.append(await ask(people[row.sender], group, key, int(row.seq)))
            if pause := pauses.get((key, int(row.seq)), 0.0):
                await asyncio.sleep(pause)
            if place := await _say(people[row.sender], group, key, row, recording):
                last, speaker = place, row.sender
        for name, client in people.items():
            # Who spoke last has read all by speaking, so nobody is told again.
            if last and name != speaker:
                await client.mark_read(group, last)
                recording.expected_reads[group, client.user.user_id] = last
        await _settle(recording, group)
        ended = time.perf_counter()
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    return started, ended


async def _gather(key: str, people: list[Client]) -> str:
    first = people[0]
    group = await _patiently(partial(first.create_group, f"replay {key}"[:60], join_policy="open"))
    for one in people:
        await _patiently(partial(one.join, group.id))
    return group.id


async def _patiently(step: Callable[[], Awaitable[T]]) -> T:
    """The setting up of a conversation is not what is measured: a stall of the database is waited out. A group made
    twice is one that nobody enters."""
    for seconds in SETUP_PAUSES:
        try:
            return await step()
        except Unavailable:
            await asyncio.sleep(seconds)
    return await step()


async def _say(client: Client, group: str, key: str, row: Any, recording: _Recording) -> int | None:
    """Place in the log, or None where the server refused."""
    begin = time.perf_counter()
    noted = {"conversation": key, "seq": int(row.seq), "sender": row.sender, "text": row.text, "group": group}
    try:
        receipt = await client.send(group, row.text)
    except ChatError as refusal:
        recording.refused[refusal.code] = recording.refused.get(refusal.code, 0) + 1
        recording.rows.append(noted | {"refused": refusal.code})
        return None
    done = time.perf_counter()
    recording.sent.append(Sent(group, receipt.seq, client.user.user_id, row.text))
    recording.rows.append(
        noted
        | {"log_seq": receipt.seq, "message_id": receipt.message_id, "ack_ms": (done - begin) * 1000, "left": begin}
    )
    return receipt.seq


async def _listen(client: Client, happenings: Any, recording: _Recording) -> None:
    async for happening in happenings:
        if isinstance(happening, Event):
            recording.note(client.user.user_id, happening)


async def _settle(recording: _Recording, group: str) -> None:
    """Until everybody has everything, or no longer than SETTLE_SECONDS: what is missing then is lost."""
    sent = [one for one in recording.sent if one.group == group]
    people = recording.members[group]
    deadline = time.perf_counter() + SETTLE_SECONDS
    while time.perf_counter() < deadline:
        heard = recording.places.get(group, set())
        read = all(
            recording.read_up_to.get((group, person), 0) >= recording.expected_reads.get((group, person), 0)
            for person in people
        )
        if read and all((person, one.seq) in heard for one in sent for person in people - {one.sender}):
            return
        await asyncio.sleep(0.02)


def _pauses(talks: pd.DataFrame, speed: float) -> dict[tuple[str, int], float]:
    """Seconds before each message."""
    found: dict[tuple[str, int], float] = {}
    for key, part in talks.groupby("conversation", sort=False):
        ordered = part.sort_values("seq")
        gaps = ordered["at"].diff().dt.total_seconds().fillna(0.0) / speed
        found |= {(str(key), int(seq)): max(0.0, float(gap)) for seq, gap in zip(ordered["seq"], gaps, strict=True)}
    return found


def _table(recording: _Recording, talks: pd.DataFrame) -> pd.DataFrame:
    columns = ["conversation", "seq", "sender", "text", "group", "log_seq", "message_id", "ack_ms", "delivered_ms"]
    rows = pd.DataFrame(recording.rows)
    for name in ("log_seq", "message_id", "ack_ms", "left", "refused"):
        if name not in rows:
            rows[name] = np.nan
    arrivals = [recording.arrived_at.get((row.group, row.log_seq), np.nan) for row in rows.itertuples()]
    rows["delivered_ms"] = (np.asarray(arrivals, dtype=float) - rows["left"].astype(float)) * 1000
    table = rows[[*columns, "refused"]].copy()
    if "at" in talks.columns:
        moments = talks.assign(conversation=talks["conversation"].astype(str))[["conversation", "seq", "at"]]
        table = table.merge(moments, on=["conversation", "seq"], how="left")
    ordered = table.sort_values(["conversation", "seq"]).reset_index(drop=True)
    ordered.attrs.update(talks.attrs)
    return ordered
