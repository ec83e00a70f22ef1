"""How people answer a message without writing one: reactions, pins, reports."""

from collections.abc import Awaitable, Callable

from chatcore.contract.base import Shape
from chatcore.contract.groups import GroupPath
from chatcore.contract.messages import (
    MessagePath,
    Pins,
    PinsChanged,
    React,
    ReactionChanged,
    ReportCreated,
    ReportMessage,
    ReportReceipt,
)
from chatcore.errors import Forbidden, LimitReached
from chatcore.groups.membership import Clock
from chatcore.groups.permissions import allows
from chatcore.groups.records import Room
from chatcore.groups.rendering import Rendering
from chatcore.groups.service import Groups
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Change, Row
from chatcore.journal.store import JournalStore
from chatcore.messages.log import Happening, MessageLog
from chatcore.messages.records import PinRecord, ReactionRecord, ReportRecord
from chatcore.messages.store import MessageStore
from chatcore.messages.turns import Turns
from chatcore.ports import REVIEWERS, Caller, Fanout

MAX_PINS = 50
MAX_REACTIONS = 20

Reported = Callable[[str, str, str], Awaitable[None]]
"""Told of each first report: group, message, author."""


class Responses:
    """Reactions and pins are events of the group's log; a report goes to the people who review."""

    def __init__(
        self,
        *,
        store: MessageStore,
        journal: JournalStore,
        groups: Groups,
        rendering: Rendering,
        log: MessageLog,
        fanout: Fanout,
        clock: Clock,
        reported: Reported | None = None,
    ):
        self._store = store
        self._journal = journal
        self._groups = groups
        self._rooms = groups.rooms
        self._rendering = rendering
        self._log = log
        self._fanout = fanout
        self._clock = clock
        self._reported = reported
        self._turns = Turns()

    async def add_reaction(self, caller: Caller, request: React) -> ReactionChanged:
        return await self._react(caller, request, 1)

    async def remove_reaction(self, caller: Caller, request: React) -> ReactionChanged:
        return await self._react(caller, request, -1)

    async def _react(self, caller: Caller, request: React, step: int) -> ReactionChanged:
        """Adding twice, or removing what is not there, changes nothing and tells nobody."""
        async with self._turns.of(request.group_id):
            return await self._react_in_turn(caller, request, step)

    async def _react_in_turn(self, caller: Caller, request: React, step: int) -> ReactionChanged:
        room = await self._groups.require(caller, "message.react", request.group_id)
        row = await self._log.require_message(room, caller, request.message_id)
        reaction = ReactionRecord(row.id, room.id, caller.user_id, request.emoji, self._clock())
        count = row.reactions.get(request.emoji, 0)
        if await self._store.has_reaction(reaction) == (step > 0):
            return self._reacted(reaction, self._rooms.head(room.id).seq, count)
        if step > 0 and count == 0 and len(row.reactions) >= MAX_REACTIONS:
            raise LimitReached(f"A message takes at most {MAX_REACTIONS} different reactions")
        toggled = self._store.reaction_added(reaction) if step > 0 else self._store.reaction_removed(reaction)
        changes = [toggled, self._journal.reaction_counted(row.id, request.emoji, count, step)]
        facts = {"messageId": row.id, "emoji": request.emoji, "count": count + step}

        def event(stored: Row) -> Shape:
            return self._reacted(reaction, stored.seq, count + step)

        happening = Happening("message.react", "reaction", facts, changes, "reaction_changed", event)
        stored = await self._log.record(room, caller, happening)
        return self._reacted(reaction, stored.seq, count + step)

    @staticmethod
    def _reacted(reaction: ReactionRecord, seq: int, count: int) -> ReactionChanged:
        return ReactionChanged(
            group_id=reaction.group_id,
            seq=seq,
            message_id=reaction.message_id,
            emoji=reaction.emoji,
            user_id=reaction.user_id,
            count=count,
        )

    async def pin(self, caller: Caller, request: MessagePath) -> PinsChanged:
        async with self._turns.of(request.group_id):
            return await self._pin_in_turn(caller, request)

    async def unpin(self, caller: Caller, request: MessagePath) -> PinsChanged:
        async with self._turns.of(request.group_id):
            return await self._unpin_in_turn(caller, request)

    async def _pin_in_turn(self, caller: Caller, request: MessagePath) -> PinsChanged:
        room = await self._groups.require(caller, "message.pin", request.group_id)
        row = await self._log.require_message(room, caller, request.message_id)
        pins = [pin.message_id for pin in await self._store.pins_of(room.id)]
        if row.id in pins:
            return PinsChanged(group_id=room.id, seq=self._rooms.head(room.id).seq, pins=pins)
        if len(pins) >= MAX_PINS:
            raise LimitReached(f"A group holds at most {MAX_PINS} pins; take one off first")
        pin = PinRecord(room.id, row.id, caller.user_id, self._clock())
        return await self._change_pins(room, caller, [*pins, row.id], self._store.pinned(pin))

    async def _unpin_in_turn(self, caller: Caller, request: MessagePath) -> PinsChanged:
        room = await self._groups.require(caller, "message.pin", request.group_id)
        await self._log.require_message(room, caller, request.message_id, deleted_too=True)
        pins = [pin.message_id for pin in await self._store.pins_of(room.id)]
        if request.message_id not in pins:
            return PinsChanged(group_id=room.id, seq=self._rooms.head(room.id).seq, pins=pins)
        left = [message_id for message_id in pins if message_id != request.message_id]
        return await self._change_pins(room, caller, left, self._store.unpinned(room.id, request.message_id))

    async def _change_pins(self, room: Room, caller: Caller, pins: list[str], change: Change) -> PinsChanged:
        def event(stored: Row) -> Shape:
            return PinsChanged(group_id=room.id, seq=stored.seq, pins=pins)

        happening = Happening("message.pin", "pin", {"pins": pins}, [change], "pins_changed", event)
        stored = await self._log.record(room, caller, happening)
        return PinsChanged(group_id=room.id, seq=stored.seq, pins=pins)

    async def pins(self, caller: Caller, request: GroupPath) -> Pins:
        room = await self._groups.require(caller, "message.read", request.group_id)
        ids = [pin.message_id for pin in await self._store.pins_of(room.id)]
        rows, floor = await self._journal.by_ids(ids), room.floor(caller.user_id)
        seen = [rows[id_] for id_ in ids if id_ in rows and rows[id_].seq > floor]
        return Pins(pins=await self._rendering.messages(seen))

    async def report(self, caller: Caller, request: ReportMessage) -> ReportReceipt:
        """For the people who review; a repeat by the same person gives the first report's id."""
        room = await self._groups.require(caller, "message.report", request.group_id)
        row = await self._log.require_message(room, caller, request.message_id, deleted_too=True)
        if row.sender_id == caller.user_id:
            raise Forbidden("One's own message can be deleted instead")
        now = self._clock()
        report = ReportRecord(new_id(now), room.id, row.id, caller.user_id, request.reason, now)
        report_id = await self._store.add_report(report)
        if report_id == report.id:
            notice = ReportCreated(report_id=report_id, group_id=room.id, message_id=row.id, reason=request.reason)
            if self._reported is not None:
                await self._reported(room.id, row.id, row.sender_id)
            for user_id in self._reviewers(room, but=row.sender_id):
                self._fanout.tell(user_id, "report_created", notice)
            self._fanout.publish("report_created", notice, group_id=REVIEWERS)
        return ReportReceipt(report_id=report_id)

    @staticmethod
    def _reviewers(room: Room, *, but: str) -> list[str]:
        """Not whom the report is about."""
        people = room.members.keys() - {but}
        return sorted(user_id for user_id in people if allows(room, user_id, "message.delete_any"))
