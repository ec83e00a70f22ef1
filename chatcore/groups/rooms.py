"""Loaded groups: membership, settings and read state in memory, so that sending reads nothing from the database.

What is in memory changes only when the change is committed: by our own entries, or by rows of another process.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from chatcore.errors import NotFound
from chatcore.groups.records import MemberRecord, Room
from chatcore.groups.store import GroupStore
from chatcore.journal.peers import NoPeers, Peers, ReadMark
from chatcore.journal.rows import Head, Row
from chatcore.journal.store import JournalStore
from chatcore.journal.writer import Writer

MAX_ROOMS = 5_000
CHECKPOINT_EVERY = 512
LOAD_ROWS = 500
LAST_MESSAGE_ROWS = 40
LIKELY_ROWS = 8  # the newest message is nearly always among so many; each row costs the embedded database 0.1 ms


class Rooms:
    """Finds groups by id. `load` may wait once for a group that nobody asked for lately."""

    def __init__(self, store: GroupStore, journal: JournalStore):
        self._store = store
        self._journal = journal
        self._rooms: OrderedDict[str, Room] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Room | None]] = {}
        self._behind: dict[str, int] = {}
        self.on_row: Callable[[Row], None] = lambda row: None
        self.shared = False
        self.writer: Writer
        self.peers: Peers = NoPeers()
        self.in_use: Callable[[str], bool] = lambda group_id: False

    def __len__(self) -> int:
        return len(self._rooms)

    def loaded(self, group_id: str) -> Room | None:
        room = self._rooms.get(group_id)
        if room is not None:
            self._rooms.move_to_end(group_id)
        return room

    async def load(self, group_id: str) -> Room:
        """Raises NotFound. Many who ask for one group at once share the work."""
        room = self.loaded(group_id) or await self._load_once(group_id)
        if room is None or not room.record.is_active:
            raise NotFound("There is no such group, or you are not a member of it")
        return room

    def add(self, room: Room, head: Head) -> None:
        """A group that was just created here."""
        self._rooms[room.id] = room
        self.writer.set_head(room.id, head)

    def drop(self, group_id: str) -> None:
        self._rooms.pop(group_id, None)
        self._behind.pop(group_id, None)
        self.writer.forget(group_id)

    def head(self, group_id: str) -> Head:
        return self.writer.head(group_id) or Head()

    async def load_head(self, group_id: str) -> Head:
        """For the writer: a group's end, by loading it."""
        await self.load(group_id)
        return self.head(group_id)

    async def _load_once(self, group_id: str) -> Room | None:
        task = self._loading.get(group_id)
        if task is None:
            task = self._loading[group_id] = asyncio.create_task(self._read(group_id))
            task.add_done_callback(lambda _: self._loading.pop(group_id, None))
        return await asyncio.shield(task)

    async def _read(self, group_id: str) -> Room | None:
        """Members and read state as stored at the checkpoint or later, then the log after it, replayed."""
        record = await self._store.find(group_id)
        if record is None:
            return None
        members = {member.user_id: member for member in await self._store.members_of(group_id)}
        room = Room(record, members)
        seq, head = record.checkpoint_seq, Head()
        after, up_to = max(0, seq - LIKELY_ROWS), seq + LOAD_ROWS
        while True:
            for row in await self._journal.window(group_id, after, up_to):
                head = Head(row.seq, row.n, row.p)
                if row.seq > seq:
                    self._replay(room, row)
                self.note(room, row, replay=row.seq > seq)
            if head.seq < up_to:
                break
            after, up_to = up_to, up_to + LOAD_ROWS
        if room.last_message is None and seq > LIKELY_ROWS:
            for row in await self._journal.window(group_id, max(0, seq - LAST_MESSAGE_ROWS), seq - LIKELY_ROWS):
                self.note(room, row, replay=False)
        if room.outdated:
            await self._read_record(room)
        self._rooms[group_id] = room
        self.writer.set_head(group_id, head)
        self._evict()
        return room

    def _replay(self, room: Room, row: Row) -> None:
        """Another process may have changed members or settings after they were read, and before the log was."""
        if row.kind == "membership":
            known = room.members.get(row.data["userId"])
            if known is None or known.joined_seq < row.seq:
                self.apply_membership(room, row)
        elif row.kind == "group":
            room.outdated = True

    async def _read_record(self, room: Room) -> None:
        fresh = await self._store.find(room.id)
        if fresh is None:
            room.record.is_active = False
        else:
            room.record = fresh
        room.outdated = False

    def _evict(self) -> None:
        """Forget the groups asked for least lately; those in use or with something to write or save stay."""
        excess = len(self._rooms) - MAX_ROOMS
        if excess <= 0:
            return
        busy = self.writer.busy_with()
        for group_id in list(self._rooms)[:excess]:
            room = self._rooms[group_id]
            idle = not room.unsaved_reads and not self._behind.get(group_id) and group_id not in busy
            if idle and not self.in_use(group_id):
                self.drop(group_id)

    def note(self, room: Room, row: Row, *, replay: bool = True) -> None:
        """One committed row: the newest message, and the sender has read up to it."""
        if row.shown:
            room.last_message = row
        if replay and row.counted and row.sender_id in room.members:
            self.raise_watermark(room, row.sender_id, row.seq, row.n, row.created_at)
        self._behind[room.id] = self._behind.get(room.id, 0) + 1
        if replay:
            self.on_row(row)

    def raise_watermark(self, room: Room, user_id: str, seq: int, n: int, at: datetime) -> bool:
        """True where it moved; going back is a no-op."""
        member = room.members[user_id]
        if seq <= member.read_seq:
            return False
        member.read_seq, member.read_n, member.read_at = seq, n, at
        room.unsaved_reads.add(user_id)
        return True

    async def checkpoint(self, now: datetime, *, everything: bool = False) -> None:
        """Store read state, then the log position up to which it is stored. Only far-behind groups, or all of them."""
        for group_id in [group for group, rows in self._behind.items() if everything or rows >= CHECKPOINT_EVERY]:
            room = self._rooms.get(group_id)
            self._behind.pop(group_id, None)
            if room is None or not room.record.is_active:
                continue
            seq = self.head(group_id).seq
            await self.save_reads(room, set(room.unsaved_reads))
            await self._store.save_checkpoint(group_id, seq, now)

    async def save_reads(self, room: Room, user_ids: set[str]) -> None:
        saved = {user_id: replace(room.members[user_id]) for user_id in user_ids if user_id in room.members}
        await self._store.save_reads(list(saved.values()))
        room.unsaved_reads -= {user_id for user_id in user_ids if not self._moved_on(room, user_id, saved)}

    @staticmethod
    def _moved_on(room: Room, user_id: str, saved: dict[str, MemberRecord]) -> bool:
        """Whether the watermark rose again while it was being stored."""
        return user_id in room.members and user_id in saved and room.members[user_id].read_seq > saved[user_id].read_seq

    def tell_reads(self, room: Room, user_ids: set[str]) -> None:
        """For other processes, once it is stored: what members have read is no part of the log."""
        members = [room.members[user_id] for user_id in user_ids if user_id in room.members]
        marks = [ReadMark(who.user_id, who.read_seq, who.read_n, who.read_at) for who in members if who.read_at]
        self.peers.read(room.id, marks)

    def apply_reads(self, group_id: str, marks: Sequence[ReadMark]) -> None:
        """Stored by another process: nothing to save here."""
        room = self._rooms.get(group_id)
        for mark in marks if room is not None else ():
            assert room is not None
            member = room.members.get(mark.user_id)
            if member is not None and mark.seq > member.read_seq:
                member.read_seq, member.read_n, member.read_at = mark.seq, mark.n, mark.at

    async def refresh_reads(self, group_id: str) -> None:
        """After other processes were out of hearing."""
        members = await self._store.members_of(group_id) if group_id in self._rooms else []
        marks = [ReadMark(who.user_id, who.read_seq, who.read_n, who.read_at) for who in members if who.read_at]
        self.apply_reads(group_id, marks)

    def apply_membership(self, room: Room, row: Row) -> None:
        """A committed change of membership, ours or another process's."""
        facts = row.data
        user_id, event = facts["userId"], facts["event"]
        if event == "member_left":
            room.members.pop(user_id, None)
            room.unsaved_reads.discard(user_id)
        elif event == "member_role_changed" and user_id in room.members:
            room.members[user_id].role = facts["role"]
        elif event == "member_joined":
            room.members[user_id] = MemberRecord(
                group_id=room.id,
                user_id=user_id,
                role=facts["role"],
                joined_at=row.created_at,
                joined_seq=row.seq,
                read_seq=row.seq,
                read_n=row.n,
                read_at=row.created_at,
            )

    async def apply_missed(self, group_id: str, rows: Sequence[Row]) -> Room | None:
        """Rows of another process: membership first, settings by reading the group again."""
        room = self._rooms.get(group_id)
        if room is None:
            return None
        for row in rows:
            if row.kind == "membership":
                self.apply_membership(room, row)
            if row.kind == "group":
                await self._read_record(room)
            self.note(room, row)
        return room
