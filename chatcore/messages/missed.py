"""Rows that another process appended: applied here, then pushed here as if they were ours."""

from collections.abc import Callable, Sequence

from chatcore.contract.groups import GroupDeleted
from chatcore.groups.rendering import Rendering
from chatcore.groups.rooms import Rooms
from chatcore.journal.rows import Row
from chatcore.messages.log import push
from chatcore.ports import Fanout
from chatcore.presence.service import Presence
from chatcore.presence.typing import Typing


def unheard(_group_id: str, _seq: int = 0) -> None:
    return None


class MissedRows:
    """The writer awaits `deliver` before anything of this process comes after those rows. `changed` hears of each
    message that was edited or deleted elsewhere, by its place in the log, `heard` of each group that was written to
    elsewhere; they must not wait."""

    def __init__(self, *, rooms: Rooms, rendering: Rendering, presence: Presence, typing: Typing, fanout: Fanout):
        self._rooms = rooms
        self._rendering = rendering
        self._presence = presence
        self._typing = typing
        self._fanout = fanout
        self.changed: Callable[[str, int], None] = unheard
        self.heard: Callable[[str], None] = unheard

    async def deliver(self, group_id: str, rows: Sequence[Row]) -> None:
        for row in rows:
            if row.kind in ("edit", "delete"):
                self.changed(group_id, row.data["messageSeq"])
        self.heard(group_id)
        room = await self._rooms.apply_missed(group_id, rows)
        if room is None:
            return
        if not room.record.is_active:
            self._fanout.publish("group_deleted", GroupDeleted(group_id=group_id), group_id=group_id)
            self._fanout.leave(group_id)
            self._presence.group_deleted(group_id)
            return
        events = await self._rendering.events(room, self._rooms.head(group_id), rows)
        for row, (name, shape) in zip(rows, events, strict=True):
            if name == "member_joined":
                self._fanout.enter(group_id, user_id=row.data["userId"])
                self._presence.joined(row.data["userId"], group_id)
            push(self._fanout, room, name, shape)
            if name == "member_left":
                self._fanout.leave(group_id, user_id=row.data["userId"])
                self._presence.left(row.data["userId"], group_id)
                self._typing.left(row.data["userId"], group_id)
