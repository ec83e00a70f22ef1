"""Reading a group's log: pages by number or cursor, and `sync`. Every read is a bounded window of `seq`."""

from chatcore.contract.messages import History, LogEvent, SyncedGroup
from chatcore.groups.records import Room
from chatcore.groups.rendering import Rendering
from chatcore.groups.rooms import Rooms
from chatcore.journal.rows import Head, Row
from chatcore.journal.store import JournalStore

SYNC_EVENTS = 200
LEAST_WINDOW = 8
WIDEST_WINDOW = 800


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

    async def since(self, room: Room, floor: int, since: int) -> SyncedGroup:
        """At most 200 events; `resyncRequired` where the past before them is gone or hidden."""
        head = self._rooms.head(room.id)
        if since > head.seq or since < floor:
            return self._synced(room.id, [], head, resync=since < floor or since > head.seq)
        rows = await self._journal.window(room.id, since, min(head.seq, since + SYNC_EVENTS))
        events = await self._rendering.log(room, head, rows, floor)
        return self._synced(room.id, events, head, more=bool(rows) and rows[-1].seq < head.seq)

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
