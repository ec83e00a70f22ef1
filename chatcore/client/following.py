"""Guarantee G4: each group's log is handed over as 1, 2, 3, ... whatever order, holes or repeats the pushes have."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from chatcore.client.events import Event, GroupLost, Resynced
from chatcore.client.link import LinkLost
from chatcore.client.rest import read_as
from chatcore.contract.messages import Synced, SyncedGroup
from chatcore.errors import ChatError

MAX_AHEAD = 1_000
GROUPS_A_SYNC = 20


@dataclass(slots=True)
class LogCursor:
    """The place in one group's log: `last` was handed over, `ahead` waits for what is missing before it."""

    last: int
    newest: int = 0
    ahead: dict[int, Event] = field(default_factory=dict)

    @property
    def behind(self) -> bool:
        """Something is known to exist that has not been handed over."""
        return self.newest > self.last

    def heard_of(self, seq: int) -> None:
        self.newest = max(self.newest, seq)

    def offer(self, event: Event) -> list[Event]:
        """What may be handed over now, in order. The past is dropped; the future is kept, 1,000 events at most."""
        seq = event.seq or 0
        self.heard_of(seq)
        if seq <= self.last:
            return []
        if seq > self.last + 1:
            if len(self.ahead) < MAX_AHEAD:
                self.ahead[seq] = event
            return []
        ready = [event]
        while following := self.ahead.pop(seq + len(ready), None):
            ready.append(following)
        self.last = seq + len(ready) - 1
        self.ahead.pop(seq, None)
        return ready

    def jump_to(self, seq: int) -> list[Event]:
        """Give up everything up to `seq`; what waits right after it comes back."""
        self.last = max(self.last, seq)
        self.ahead = {place: event for place, event in self.ahead.items() if place > self.last}
        following = self.ahead.pop(self.last + 1, None)
        return self.offer(following) if following else []


class LogFollower:
    """All cursors of one client, and the one task that asks `sync` for what is missing.

    `ask` sends `sync` and returns its data; `deliver` takes each event of a log exactly once and in order.
    """

    def __init__(
        self,
        ask: Callable[[dict[str, Any]], Awaitable[Any]],
        deliver: Callable[[Event | Resynced | GroupLost], None],
        since: dict[str, int] | None = None,
    ):
        self._ask = ask
        self._deliver = deliver
        self._cursors = {group_id: LogCursor(last=seq) for group_id, seq in (since or {}).items()}
        self._to_ask: dict[str, None] = {}
        self._asking: asyncio.Task[None] | None = None

    @property
    def places(self) -> dict[str, int]:
        """The last place handed over in each group: what a later `since` needs."""
        return {group_id: cursor.last for group_id, cursor in self._cursors.items()}

    def follow(self, group_id: str, latest_seq: int) -> None:
        """From now on if the group is new to us; a known group only learns how far the log goes."""
        cursor = self._cursors.setdefault(group_id, LogCursor(last=latest_seq))
        cursor.heard_of(latest_seq)
        if cursor.behind:
            self._ask_for(group_id)

    def forget(self, group_id: str) -> None:
        self._cursors.pop(group_id, None)
        self._to_ask.pop(group_id, None)

    def keep_only(self, group_ids: Iterable[str]) -> list[str]:
        """Forget all other groups; returns those forgotten."""
        lost = sorted(set(self._cursors) - set(group_ids))
        for group_id in lost:
            self.forget(group_id)
        return lost

    def take(self, event: Event) -> None:
        """A pushed event of a log. The first of an unknown group starts its cursor: we were made a member just now."""
        if event.group_id is None or event.seq is None:
            return
        cursor = self._cursors.setdefault(event.group_id, LogCursor(last=event.seq - 1))
        for ready in cursor.offer(event):
            self._deliver(ready)
        if cursor.behind:
            self._ask_for(event.group_id)

    def heard_of(self, group_id: str, seq: int) -> None:
        """An ack named this place: it is in the log, though it is not pushed to the sender."""
        if cursor := self._cursors.get(group_id):
            cursor.heard_of(seq)
            if cursor.behind:
                self._ask_for(group_id)

    def ask_for_all(self) -> None:
        """At each connection: a group may have moved since it was read, or since the last connection."""
        for group_id in self._cursors:
            self._ask_for(group_id)

    async def stop(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def _ask_for(self, group_id: str) -> None:
        self._to_ask[group_id] = None
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._catch_up(), name="chatcore-client-sync")

    async def _catch_up(self) -> None:
        fruitless = 0
        while self._to_ask:
            asked = list(self._to_ask)[:GROUPS_A_SYNC]
            points = [{"groupId": group_id, "since": self._cursors[group_id].last} for group_id in asked]
            before = self.places
            try:
                synced = read_as(Synced, await self._ask({"groups": points}))
            except LinkLost:
                return
            except ChatError as refused:
                if not refused.retryable:
                    for group_id in asked:
                        self._to_ask.pop(group_id, None)
                await asyncio.sleep(max((refused.retry_after_ms or 0) / 1000, 0.25))
                continue
            for group in synced.groups:
                self._absorb(group)
            # A replica that lags behind its own push must not be asked in a tight loop.
            fruitless = 0 if self.places != before else fruitless + 1
            if fruitless and self._to_ask:
                await asyncio.sleep(min(0.05 * 2**fruitless, 5.0))

    def _absorb(self, group: SyncedGroup) -> None:
        cursor = self._cursors.get(group.group_id)
        self._to_ask.pop(group.group_id, None)
        if cursor is None:
            return
        if group.error is not None:
            self.forget(group.group_id)
            self._deliver(GroupLost(group.group_id, group.error))
            return
        if group.resync_required:
            following = cursor.jump_to(group.latest_seq)
            self._deliver(Resynced(group.group_id, cursor.last - len(following)))
        else:
            following = [
                ready
                for entry in group.events
                for ready in cursor.offer(Event(entry.event, entry.data, group.group_id, entry.seq))
            ]
        cursor.heard_of(group.latest_seq)
        for event in following:
            self._deliver(event)
        if cursor.behind and group.group_id in self._cursors:
            self._to_ask[group.group_id] = None
