"""Several processes on one database, without a broker: each tells how far its logs went, and looks at the others.

A tick is one unordered bulk write of hints (none where nothing moved) and one read by index; a group's log is read only
where another process got ahead of us. With ticks of a second, what one process stores is pushed by the others within
two. Nothing rests on the hints but that delay: the order, the numbers and the fence are the log's own.
"""

from datetime import datetime, timedelta

from chatcore.groups.records import Move
from chatcore.groups.rooms import Rooms
from chatcore.groups.store import GroupStore
from chatcore.journal.rows import Row

FOLLOW_SECONDS = 1.0
MAX_TOLD = 1_000  # hints of one tick; the rest waits for the next
OVERLAP = timedelta(seconds=5)  # a hint becomes visible some time after the moment it bears


class Follower:
    """`tick` is called again and again, by one chore."""

    def __init__(self, store: GroupStore, rooms: Rooms):
        self._store = store
        self._rooms = rooms
        self._untold: dict[str, int] = {}
        self._seen_up_to: datetime | None = None

    def start(self) -> None:
        self._rooms.on_row, self._rooms.shared = self._note, True

    async def tick(self) -> None:
        await self._tell()
        await self._look()

    def _note(self, row: Row) -> None:
        self._untold[row.group_id] = max(row.seq, self._untold.get(row.group_id, 0))

    async def _tell(self) -> None:
        """What cannot be told now is told by a later tick."""
        ends = dict(list(self._untold.items())[:MAX_TOLD])
        if ends:
            await self._store.save_moves(ends)
            for group_id, seq in ends.items():
                if self._untold[group_id] == seq:
                    del self._untold[group_id]

    async def _look(self) -> None:
        """The hints' own clock tells which are new, so processes whose clocks differ find each other's."""
        if self._seen_up_to is None:
            self._seen_up_to = await self._store.clock()
        moves = await self._store.moves_since(self._seen_up_to - OVERLAP)
        failure: Exception | None = None
        for move in moves:
            try:
                await self._catch_up(move)
            except Exception as error:  # noqa: BLE001 - raised below: the other groups come first
                failure = error
        if failure is not None:
            raise failure
        self._seen_up_to = max((move.at for move in moves), default=self._seen_up_to)

    async def _catch_up(self, move: Move) -> None:
        writer = self._rooms.writer
        head = writer.head(move.group_id)
        if head is None or head.seq >= move.seq:
            return
        await writer.catch_up(move.group_id)
        if self._untold.get(move.group_id, 0) <= move.seq:
            self._untold.pop(move.group_id, None)  # it was told by whoever wrote it
