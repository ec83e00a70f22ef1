"""The hub between this process's parts and the other processes."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from chatcore.contract.people import User
from chatcore.errors import NotFound, Unavailable
from chatcore.groups.rooms import Rooms
from chatcore.journal.peers import News, ReadMark
from chatcore.journal.rows import Row
from chatcore.logs import get_logger
from chatcore.metrics import Metrics
from chatcore.ports import Fanout
from chatcore.presence.peers import Attendee
from chatcore.presence.service import Presence
from chatcore.presence.typing import Typing
from chatcore.relay import words
from chatcore.relay.broker import Broker, Listener
from chatcore.relay.inbox import Inbox, news_of
from chatcore.relay.processes import Processes
from chatcore.relay.seal import Seal
from chatcore.relay.words import Word

TICK_SECONDS: Final = 1.0
REPEAT_TICKS: Final = 30  # in so many ticks the attendees of every group are told once more
READY_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 0.5
LEAVE_SECONDS: Final = 1.0
ATTENDEES_A_WORD: Final = 200
MAX_JOINS: Final = 1_000
LOOKS_A_TICK: Final = 100
JOINS: Final = "joins"  # in the place of a group, for what must not get lost unnoticed
log = get_logger("relay")


class Relay:
    """Implements the `Peers` of the journal and of presence. The parts it serves are given by `attach`.

    `fanout` reaches the clients of this process only: what other processes say is never said again.
    """

    def __init__(self, url: str, secret: bytes, metrics: Metrics):
        self._seal = Seal(secret)
        self._metrics = metrics
        listener = Listener(
            words=self._hear, listening=self._listening, deaf=self._deaf, sending=self._sending, refused=self._refused
        )
        self._broker = Broker(url, self._seal, listener)
        self._everybody = self._seal.channel("everybody")
        self._broker.listen_to(self._everybody)
        self._channels: dict[str, str] = {}
        self._groups: dict[str, str] = {}
        self._inbox = Inbox()
        self._reads_to_refresh: dict[str, None] = {}
        self._joins: asyncio.Queue[Word] = asyncio.Queue(MAX_JOINS)
        self._people_to_check: dict[str, None] = {}
        self._attended: set[str] = set()
        self._processes = Processes(self._process_gone)
        self._ordered: dict[str, Callable[..., None]] = {
            "attending": self._on_attending,
            "typing": self._on_typing,
            "read": self._on_read,
            "event": self._on_event,
            "tell": self._on_tell,
            "who": self._on_who,
            "lost": self._on_lost,
            "joined": self._on_joined,
            "joins_lost": self._on_joins_lost,
            "leaving": self._on_leaving,
        }
        self._ticks = 0
        self._counted = [0, 0, 0]
        self._rooms: Rooms
        self._presence: Presence
        self._typing: Typing
        self._fanout: Fanout
        self._poll_revocations: Callable[[], Awaitable[object]]
        self._take_in: Callable[[str], Awaitable[object]]

    def attach(
        self,
        *,
        rooms: Rooms,
        presence: Presence,
        typing: Typing,
        fanout: Fanout,
        poll_revocations: Callable[[], Awaitable[object]],
        take_in: Callable[[str], Awaitable[object]],
    ) -> None:
        self._rooms, self._presence, self._typing, self._fanout = rooms, presence, typing, fanout
        self._poll_revocations, self._take_in = poll_revocations, take_in
        rooms.peers = self
        rooms.in_use = presence.is_attended

    # --- what this process has to say

    def appended(self, rows: Sequence[Row]) -> None:
        self._say(rows[0].group_id, words.appended(rows))
        new = [row.data["userId"] for row in rows if row.kind == "membership" and row.data["event"] == "member_joined"]
        if new:
            self._broker.say(self._everybody, JOINS, words.joined(new, rows))

    def read(self, group_id: str, marks: Sequence[ReadMark]) -> None:
        self._say(group_id, words.read(group_id, marks))

    def attending(self, group_id: str, attendees: Sequence[Attendee]) -> None:
        self._say_attending(group_id, attendees, everybody=False)

    def typing(self, group_id: str, user: User, *, started: bool) -> None:
        self._say(group_id, words.typing(group_id, user, started=started))

    def event(self, group_id: str, word: bytes) -> None:
        self._say(group_id, word)

    def to_all(self, word: bytes) -> None:
        self._say_to_all(word)

    def revoked(self) -> None:
        self._say_to_all(words.revoked())

    def _say_attending(self, group_id: str, attendees: Sequence[Attendee], *, everybody: bool) -> None:
        """The first word may say that it is all; the others only add."""
        for start in range(0, max(1, len(attendees)), ATTENDEES_A_WORD):
            some = attendees[start : start + ATTENDEES_A_WORD]
            self._say(group_id, words.attending(group_id, some, everybody=everybody and start == 0))

    def _say(self, group_id: str, word: bytes) -> None:
        channel = self._channels.get(group_id) or self._seal.channel("group", group_id)
        self._broker.say(channel, group_id, word)

    def _say_to_all(self, word: bytes) -> None:
        self._broker.say(self._everybody, "", word)

    # --- which groups it serves

    def followed(self, group_id: str) -> None:
        channel = self._channels[group_id] = self._seal.channel("group", group_id)
        self._groups[channel] = group_id
        self._broker.listen_to(channel)

    def unfollowed(self, group_id: str) -> None:
        channel = self._channels.pop(group_id, None)
        if channel is not None:
            del self._groups[channel]
            self._broker.stop_listening_to(channel)
            self._attended.discard(group_id)
        self._presence.group_forgotten(group_id)

    # --- what it hears

    def _hear(self, process: str, said: Sequence[Word]) -> None:
        if process == self._seal.process:
            if said[0][0] == "alive":
                self._broker.heartbeat_came_back()
            return
        self._processes.heard(process)
        self._metrics.relay_words.labels("heard").inc(len(said))
        for word in said:
            if word[0] == "rows":
                self._hear_rows(process, word)
            elif word[0] != "alive":
                self._inbox.add(process, word)

    def _hear_rows(self, process: str, word: Word) -> None:
        """The writer knows at once, also while it writes; that it must come to it waits its turn."""
        news = news_of(word)
        self._rooms.writer.hear(news)
        self._inbox.add(process, words.moved(news))

    def _listening(self, channels: Sequence[str]) -> None:
        """Nothing was heard on these before: see what is there, ask who attends, tell who attends here."""
        if self._everybody in channels:
            self._processes.listening()
            self._say_to_all(words.alive())
            self._inbox.add(self._seal.process, ["revoked"])
            self._inbox.add(self._seal.process, ["joins_lost"])
        for group_id in [self._groups[channel] for channel in channels if channel in self._groups]:
            self._inbox.look(group_id)
            self._reads_to_refresh[group_id] = None
            self._say(group_id, words.who(group_id))
            if attendees := self._presence.attendees(group_id):
                self._say_attending(group_id, attendees, everybody=True)

    def _deaf(self, why: str) -> None:
        self._processes.deaf()
        log.warning("broker_away", mode="database-only", reason=why)

    def _sending(self, lost: Iterable[str]) -> None:
        for group_id in lost:
            if group_id == JOINS:
                self._say_to_all(words.joins_lost())
                continue
            self._say(group_id, words.lost(group_id))
            self._say_attending(group_id, self._presence.attendees(group_id), everybody=True)

    def _refused(self, why: str) -> None:
        self._metrics.relay_refused.labels(why).inc()

    def _process_gone(self, process: str) -> None:
        log.info("process_gone", count=len(self._processes))
        self._presence.process_gone(process)

    async def apply(self) -> None:
        """Forever: the logs first, in order with our own writes, then what rests on them."""
        while True:
            heard = await self._inbox.take()
            if heard.news:
                await self._follow(heard.news)
            for process, word in heard.others:
                try:
                    await self._act(process, word)
                except Exception:
                    log.exception("relay_word_failed", job=f"relay:{word[0]}")
            await asyncio.sleep(0)

    async def _follow(self, news: Mapping[str, News]) -> None:
        try:
            gaps = await self._rooms.writer.follow(news.values())
            self._metrics.relay_gaps.inc(len(gaps))
        except Unavailable:
            for group_id in news:
                self._inbox.look(group_id)
            await asyncio.sleep(RETRY_SECONDS)

    async def _act(self, process: str, word: Word) -> None:
        kind, *rest = word
        if kind in self._ordered:
            self._ordered[kind](process, *rest)
        elif kind == "revoked":
            with suppress(Unavailable):  # polled anyhow
                await self._poll_revocations()

    def _on_attending(self, process: str, group_id: str, everybody: bool, people: Word) -> None:
        members = self._members(group_id)
        present = [attendee for attendee in words.attendees_in(people) if attendee.user.user_id in members]
        self._presence.heard(process, group_id, present, everybody=everybody)

    def _on_typing(self, process: str, group_id: str, card: object, started: bool) -> None:
        user = User.model_validate(card)
        if user.user_id in self._members(group_id):
            self._typing.heard(process, group_id, user, started=started)

    def _on_read(self, process: str, group_id: str, marks: Word) -> None:
        self._rooms.apply_reads(group_id, words.marks_in(marks))

    def _on_event(self, process: str, group_id: str, event: str, payload: object, volatile: bool) -> None:
        self._fanout.publish(event, words.carried(payload), group_id=group_id, volatile=volatile)

    def _on_tell(self, process: str, user_id: str, event: str, payload: object, volatile: bool) -> None:
        self._fanout.tell(user_id, event, words.carried(payload), volatile=volatile)

    def _on_who(self, process: str, group_id: str) -> None:
        if attendees := self._presence.attendees(group_id):
            self._say_attending(group_id, attendees, everybody=True)

    def _on_lost(self, process: str, group_id: str) -> None:
        self._inbox.look(group_id)
        self._reads_to_refresh[group_id] = None

    def _on_joined(self, process: str, *joined: Any) -> None:
        try:
            self._joins.put_nowait(["joined", *joined])
        except asyncio.QueueFull:
            self._on_joins_lost(process)

    def _on_joins_lost(self, process: str) -> None:
        self._people_to_check |= dict.fromkeys(self._presence.connected_people())

    def _on_leaving(self, process: str) -> None:
        self._processes.left(process)

    def _members(self, group_id: str) -> Iterable[str]:
        room = self._rooms.loaded(group_id)
        return room.members if room is not None else ()

    async def take_in_members(self) -> None:
        """Forever: somebody connected here became a member, elsewhere, of a group that is not loaded here."""
        while True:
            word = await self._joins.get()
            news, user_ids = words.news_in(word), word[4]
            here = [user_id for user_id in user_ids if self._presence.is_connected(user_id)]
            if not here or self._rooms.writer.head(news.group_id) is not None:
                continue
            try:
                await self._rooms.load(news.group_id)
                await self._rooms.writer.deliver_again(news.group_id, news.rows[0].seq)
            except (NotFound, Unavailable):
                continue
            except Exception:
                log.exception("relay_word_failed", job="relay:joined")

    async def look(self) -> None:
        """After silence, a few at a time: what is no part of a known log. Call every `TICK_SECONDS`."""
        for group_id in list(self._reads_to_refresh)[:LOOKS_A_TICK]:
            await self._rooms.refresh_reads(group_id)
            self._reads_to_refresh.pop(group_id, None)
        for user_id in list(self._people_to_check)[:LOOKS_A_TICK]:
            await self._take_in(user_id)
            self._people_to_check.pop(user_id, None)

    # --- time

    async def tick(self) -> None:
        """Call every `TICK_SECONDS`."""
        self._say_to_all(words.alive())
        self._processes.tick()
        self._ticks += 1
        for group_id in list(self._channels):
            if hash(group_id) % REPEAT_TICKS == self._ticks % REPEAT_TICKS:
                self._repeat_attendees(group_id)
        self._count()

    def _repeat_attendees(self, group_id: str) -> None:
        """That nobody is left is repeated once, in case it got lost."""
        attendees = self._presence.attendees(group_id)
        if attendees or group_id in self._attended:
            self._say_attending(group_id, attendees, everybody=True)
        (self._attended.add if attendees else self._attended.discard)(group_id)

    def _count(self) -> None:
        self._metrics.queue_depth.labels("relay_out").set(len(self._broker.outbox))
        self._metrics.queue_depth.labels("relay_in").set(len(self._inbox))
        now = [self._broker.outbox.dropped, self._inbox.dropped, self._broker.reconnects]
        before, self._counted = self._counted, now
        self._metrics.relay_dropped.labels("out").inc(now[0] - before[0])
        self._metrics.relay_dropped.labels("in").inc(now[1] - before[1])
        self._metrics.relay_reconnects.inc(now[2] - before[2])

    async def check(self) -> None:
        """For readiness. Raises Unavailable where our own heartbeat did not come back through the broker lately."""
        if not self._broker.is_listening or self._broker.heartbeat_age_seconds > READY_SECONDS:
            raise Unavailable("The broker of REDIS_URL does not answer")

    def loops(self) -> Iterable[tuple[str, Callable[[], Coroutine[Any, Any, None]]]]:
        """To be run until the end."""
        return (
            ("relay-send", self._broker.send),
            ("relay-listen", self._broker.listen),
            ("relay-apply", self.apply),
            ("relay-joins", self.take_in_members),
        )

    async def leave(self) -> None:
        """Say that nobody is here any more, if that is possible soon."""
        self._say_to_all(words.leaving())
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._broker.outbox.until_empty()
