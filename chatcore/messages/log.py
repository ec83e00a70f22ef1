"""The group's log as the use cases see it: finding a message one may see, recording what happens to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chatcore.contract.base import Shape
from chatcore.contract.messages import MessageUpdated
from chatcore.errors import Conflict, NotFound
from chatcore.groups.membership import Clock
from chatcore.groups.permissions import Action, authorize
from chatcore.groups.records import Room
from chatcore.groups.rendering import seen_from
from chatcore.groups.rooms import Rooms
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Change, Entry, Kind, Row
from chatcore.journal.store import JournalStore
from chatcore.ports import Caller, Fanout


@dataclass(frozen=True, slots=True)
class Happening:
    """A log event that is no message: who may, what it changes in the same transaction, how it is told."""

    action: Action
    kind: Kind
    facts: dict[str, object]
    changes: Sequence[Change]
    event: str
    shape: Callable[[Row], Shape]


def push(fanout: Fanout, room: Room, event: str, shape: Shape) -> None:
    """To the room as one; person by person where some may not see what an older message was changed to."""
    if not isinstance(shape, MessageUpdated) or room.record.settings.history_for_new_members == "all":
        fanout.publish(event, shape, group_id=room.id)
        return
    for user_id in room.members:
        fanout.tell(user_id, event, seen_from(room.floor(user_id), shape))


class MessageLog:
    """Shared by everything that looks up or changes messages."""

    def __init__(self, *, journal: JournalStore, rooms: Rooms, fanout: Fanout, clock: Clock):
        self._journal = journal
        self._rooms = rooms
        self._fanout = fanout
        self._clock = clock

    async def record(self, room: Room, caller: Caller, happening: Happening) -> Row:
        """Append one log event with what it changes, and push it to everybody, the caller too."""
        now = self._clock()
        row = Row(new_id(now), room.id, happening.kind, caller.user_id, now, data=happening.facts)

        def deliver(stored: Sequence[Row]) -> None:
            self._rooms.note(room, stored[0])
            push(self._fanout, room, happening.event, happening.shape(stored[0]))

        (stored,) = await self.append(
            room,
            [row],
            deliver,
            changes=happening.changes,
            check=lambda: authorize(room, caller.user_id, happening.action),
        )
        return stored

    async def append(
        self,
        room: Room,
        rows: Sequence[Row],
        deliver: Callable[[Sequence[Row]], None],
        *,
        check: Callable[[], None],
        changes: Sequence[Change] = (),
    ) -> Sequence[Row]:
        return await self._rooms.writer.append(Entry(room.id, rows, deliver, changes, check))

    async def require_message(
        self, room: Room, caller: Caller, message_id: str, *, field: str = "messageId", deleted_too: bool = False
    ) -> Row:
        """A message of this group that the caller may see. Another group's message is NotFound."""
        row = (await self._journal.by_ids([message_id])).get(message_id)
        if row is None or row.group_id != room.id or not row.shown or row.seq <= room.floor(caller.user_id):
            raise NotFound("There is no such message in this group", field=field)
        if row.is_deleted and not deleted_too:
            raise Conflict("That message was deleted", field=field)
        return row

    async def group_of(self, caller: Caller, message_id: str) -> str:
        """Where a message is that is named by its id alone. The same NotFound where the caller is no member there."""
        row = (await self._journal.by_ids([message_id])).get(message_id)
        if row is None or not row.shown or not await self._is_member(caller, row.group_id):
            raise NotFound("There is no such message, or you may not see it")
        return row.group_id

    async def _is_member(self, caller: Caller, group_id: str) -> bool:
        try:
            return caller.user_id in (await self._rooms.load(group_id)).members
        except NotFound:  # deleted, but not erased yet
            return False
