"""Reading a group's log: pages by number or cursor, and `sync`. Every read is a bounded window of `seq`."""

from collections.abc import Sequence

import orjson

from chatcore.contract.messages import History, LogEvent, SyncedGroup
from chatcore.groups.records import Room
from chatcore.groups.rendering import Rendering
from chatcore.groups.rooms import Rooms
from chatcore.journal.rows import Head, Row
from chatcore.journal.store import JournalStore

SYNC_EVENTS = 200
SYNC_BYTES = 262_144  # of one answer; over 1 MiB unsent the transport takes the asker for a slow reader and cuts it off
LEAST_WINDOW = 8
WIDEST_WINDOW = 800


class SyncRoom:
    """What still fits into one answer to `sync`. The first event always does, so that each answer leads on."""

    def __init__(self, size: int = SYNC_BYTES):
        self._size = size
        self.left = size

    def fitting(self, events: Sequence[LogEvent]) -> list[LogEvent]:
        """The first of these that fit."""
        for place, event in enumerate(events):
            weight = len(orjson.dumps(event.data))
            if weight > self.left and self.left < self._size:
                self.left = 0
                return list(events[:place])
            self.left = max(0, self.left - weight)
        return list(events)


class LogReader:
    """Reads between a member's floor and the end of the log."""

    def __init__(self, journal: JournalStore, rooms: Rooms, rendering: Rendering):
        self._journal = journal
        self._rooms = rooms
        self._rendering = rendering

    async def page(self, room: Room, floor: int, request: History) -> tuple[list[Row], bool]:
        """Message rows oldest first, and whether there are more in the direction of reading."""
        head = self._rooms.head(room.id)
        if request.after is not None:
            return await self._upward(room.id, max(request.after, floor), head.seq, request.limit)
        if request.before is not None:
            return await self._downward(room.id, min(request.before - 1, head.seq), floor, request.limit)
        top = await self._top_of_page(room.id, head, request.limit, request.page or 1)
        return await self._downward(room.id, top, floor, request.limit)

    async def _upward(self, group_id: str, after: int, end: int, limit: int) -> tuple[list[Row], bool]:
        found: list[Row] = []
        width = limit + 1
        while after < end and len(found) <= limit:
            rows = await self._journal.window(group_id, after, min(end, after + width))
            shown = [row for row in rows if row.shown]
            found += shown
            after, width = min(end, after + width), _next_width(width, len(shown), limit + 1 - len(found))
        return found[:limit], len(found) > limit

    async def _downward(self, group_id: str, top: int, floor: int, limit: int) -> tuple[list[Row], bool]:
        """From `top` down. Where nothing is hidden the ordinal of a message tells whether others precede it; above
        somebody's floor only one message more does."""
        wanted = limit if floor == 0 else limit + 1
        found: list[Row] = []
        width = wanted
        while top > floor and len(found) < wanted:
            bottom = max(floor, top - width)
            rows = await self._journal.window(group_id, bottom, top)
            shown = [row for row in rows if row.shown]
            found = shown + found
            top, width = bottom, _next_width(width, len(shown), wanted - len(found))
        page = found[-limit:]
        return page, len(found) > limit or (floor == 0 and bool(page) and page[0].p > 1)

    async def _top_of_page(self, group_id: str, head: Head, limit: int, page: int) -> int:
        """The `seq` of the newest message of a page: a search over `p`, which grows by one with each message shown."""
        wanted = head.p - (page - 1) * limit
        if page == 1 or wanted <= 0:
            return head.seq if page == 1 else 0
        low, high = wanted, head.seq
        while low < high:
            middle = (low + high) // 2
            rows = await self._journal.window(group_id, middle - 1, middle)
            if rows and rows[0].p < wanted:
                low = middle + 1
            else:
                high = middle
        return low

    async def written_by(self, room: Room, user_id: str, limit: int) -> list[Row]:
        """One person's messages, oldest first; walks the whole log in windows."""
        found: list[Row] = []
        seq, end = 0, self._rooms.head(room.id).seq
        while seq < end and len(found) < limit:
            rows = await self._journal.window(room.id, seq, seq + WIDEST_WINDOW)
            found += [row for row in rows if row.counted and row.sender_id == user_id and not row.is_deleted]
            seq += WIDEST_WINDOW
        return found[:limit]

    async def since(self, room: Room, floor: int, since: int, answer: SyncRoom) -> SyncedGroup:
        """At most 200 events and what fits into the answer; `resyncRequired` where the past before them is gone or
        hidden."""
        head = self._rooms.head(room.id)
        if since > head.seq or since < floor:
            return self._synced(room.id, [], head, resync=since < floor or since > head.seq)
        if answer.left == 0:
            return self._synced(room.id, [], head, more=since < head.seq)
        rows = await self._journal.window(room.id, since, min(head.seq, since + SYNC_EVENTS))
        events = answer.fitting(await self._rendering.log(room, head, rows, floor))
        read_to = events[-1].seq if events else since
        return self._synced(room.id, events, head, more=bool(rows) and read_to < head.seq)

    @staticmethod
    def _synced(
        group_id: str, events: list[LogEvent], head: Head, *, more: bool = False, resync: bool = False
    ) -> SyncedGroup:
        return SyncedGroup(group_id=group_id, events=events, latest_seq=head.seq, has_more=more, resync_required=resync)


def _next_width(width: int, shown: int, missing: int) -> int:
    """Wide enough for the messages still missing if the log holds half as many as it did in the last window."""
    if shown == 0:
        return min(width * 2, WIDEST_WINDOW)
    return min(max(2 * missing * width // shown, LEAST_WINDOW), WIDEST_WINDOW)
