"""Making exports and reading them. Consent, membership and deletion count at the moment of each page."""

import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, cast

from chatcore.audit.chain import Deed
from chatcore.audit.service import Audit
from chatcore.audit.store import Change
from chatcore.contract import exports as wire
from chatcore.contract.messages import Message
from chatcore.errors import Invalid, NotFound
from chatcore.exports.people import EverThere
from chatcore.exports.records import ExportRecord, ExportStore, Pseudonyms
from chatcore.exports.redaction import Redactor
from chatcore.groups.records import Room
from chatcore.groups.rendering import Rendering
from chatcore.groups.rooms import Rooms
from chatcore.groups.store import GroupStore
from chatcore.identity.records import DELETED_USER_NAME
from chatcore.identity.service import Identity
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Row
from chatcore.journal.store import JournalStore
from chatcore.ports import Caller

PAGE_ROWS: Final = 500
LEAST_PEOPLE: Final = 3
"""In a smaller group everybody knows who the other one is, pseudonym or not."""


class Exports:
    """For the role `analyst`. `secret` is the installation's own; the pseudonyms depend on it and on the export."""

    def __init__(
        self,
        *,
        store: ExportStore,
        audit: Audit,
        groups: GroupStore,
        journal: JournalStore,
        rooms: Rooms,
        rendering: Rendering,
        identity: Identity,
        secret: bytes,
        clock: Callable[[], datetime],
    ):
        self._store = store
        self._audit = audit
        self._groups = groups
        self._journal = journal
        self._ever_there = EverThere(journal)
        self._rooms = rooms
        self._rendering = rendering
        self._identity = identity
        self._secret = secret
        self._clock = clock

    async def create(self, caller: Caller, request: wire.CreateExport) -> wire.Export:
        """Raises Invalid where no group would be in it."""
        caller.require_role("analyst")
        if request.since and request.until and request.since >= request.until:
            raise Invalid("since must be before until", field="since")
        agreed = await self._groups.with_consent()
        asked = agreed if request.group_ids is None else list(dict.fromkeys(request.group_ids))
        chosen = tuple(group_id for group_id in asked if group_id in set(agreed))
        if not chosen:
            raise Invalid(
                "No group takes part: an owner has to set the group's setting consent to true", field="groupIds"
            )
        now = self._clock()
        record = ExportRecord(
            id=new_id(now),
            purpose=request.purpose,
            created_by=caller.user_id,
            created_at=now,
            expires_at=now + timedelta(days=request.days),
            group_ids=chosen,
            left_out=len(asked) - len(chosen),
            nonce=secrets.token_bytes(32),
            since=request.since,
            until=request.until,
        )
        facts = {"purpose": record.purpose, "groups": str(len(chosen)), "days": str(request.days)}
        deed = Deed(caller.user_id, "export.create", record.id, now, facts)
        await self._audit.together(deed, lambda audited: self._store.add(record, [audited]))
        return _shape(record)

    async def living(self, caller: Caller) -> wire.Exports:
        caller.require_role("analyst")
        return wire.Exports(exports=[_shape(record) for record in await self._store.living(self._clock())])

    async def end(self, caller: Caller, request: wire.ExportPath) -> None:
        """Before its time; its pseudonyms cannot be made again."""
        caller.require_role("analyst")

        async def remove(audited: Change) -> None:
            if not await self._store.remove(request.export_id, [audited]):
                raise NotFound("There is no such export", field="exportId")

        await self._audit.together(Deed(caller.user_id, "export.end", request.export_id, self._clock()), remove)

    async def page(self, caller: Caller, request: wire.ReadExport) -> wire.ExportedPage:
        """Raises NotFound, also after its time."""
        caller.require_role("analyst")
        record = await self._store.find(request.export_id)
        if record is None or record.expires_at <= self._clock():
            raise NotFound("There is no such export, or it has expired: make a new one", field="exportId")
        place, seq = (int(part) for part in request.position.split(":"))
        if place >= len(record.group_ids):
            raise Invalid("position is not the next of a page of this export", field="position")
        # Every page: whoever reads may begin at any position.
        facts = {"position": request.position}
        await self._audit.record(Deed(caller.user_id, "export.read", record.id, self._clock(), facts))
        return await self._read(record, place, seq)

    async def _read(self, record: ExportRecord, place: int, seq: int) -> wire.ExportedPage:
        left_out, redacted, group_id = Counter[str](), Counter[str](), record.group_ids[place]
        room, messages, end = await self._open(group_id), list[wire.ExportedMessage](), seq
        if room is None:
            left_out["group"] += 1
        else:
            head = self._rooms.head(group_id).seq
            end = min(head, seq + PAGE_ROWS)
            rows = await self._journal.window(group_id, max(seq, room.record.first_seq - 1), end)
            kept = await self._kept(record, rows, left_out)
            messages = await self._exported(record, room, kept, redacted)
        in_group = room is not None and end < self._rooms.head(group_id).seq
        follows = f"{place}:{end}" if in_group else f"{place + 1}:0" if place + 1 < len(record.group_ids) else None
        return wire.ExportedPage(
            export=_shape(record), messages=messages, left_out=left_out, redacted=redacted, next=follows
        )

    async def _open(self, group_id: str) -> Room | None:
        """None where the group is gone, has too few people, or does not agree any more."""
        try:
            room = self._rooms.loaded(group_id) or await self._rooms.load(group_id)
        except NotFound:
            return None
        return room if room.record.settings.consent and len(room.members) >= LEAST_PEOPLE else None

    async def _kept(self, record: ExportRecord, rows: Sequence[Row], left_out: Counter[str]) -> list[Row]:
        people = await self._identity.directory.records({row.sender_id for row in rows if row.counted})
        kept: list[Row] = []
        for row in rows:
            if not row.counted:
                continue
            sender = people.get(row.sender_id)
            if row.is_deleted:
                left_out["deleted"] += 1
            elif sender is None or sender.is_erased or not sender.settings.consent:
                left_out["no consent"] += 1
            elif (record.since and row.created_at < record.since) or (record.until and row.created_at >= record.until):
                left_out["other time"] += 1
            else:
                kept.append(row)
        return kept

    async def _exported(
        self, record: ExportRecord, room: Room, rows: Sequence[Row], redacted: Counter[str]
    ) -> list[wire.ExportedMessage]:
        if not rows:
            return []
        head = self._rooms.head(room.id).seq
        met = await self._ever_there.people(room.id, first_seq=room.record.first_seq, head=head)
        cards = await self._identity.cards({*room.members, *met})
        known = [card for card in cards.values() if card.name != DELETED_USER_NAME]
        names = [name for card in known for name in (card.name, card.username) if name]
        scribe = _Scribe(room, Redactor(names), Pseudonyms.of(self._secret, record), redacted)
        shown = await self._rendering.messages(rows)
        return [scribe.copy(row, message) for row, message in zip(rows, shown, strict=True)]


@dataclass(frozen=True, slots=True)
class _Scribe:
    """Copies messages of one group; `redacted` counts what is taken out."""

    room: Room
    redactor: Redactor
    names: Pseudonyms
    redacted: Counter[str]

    def copy(self, row: Row, message: Message) -> wire.ExportedMessage:
        text, counts = self.redactor.redact(message.content)
        self.redacted.update(counts)
        return wire.ExportedMessage(
            conversation=self.names.conversation(self.room.id),
            message=self.names.message(row.id),
            n=row.n,
            sender=self.names.person(row.sender_id),
            type=cast(Literal["text", "image", "file"], row.type),  # `counted` rows are no system messages
            text=text,
            at=row.created_at,
            edited=row.rev > 0,
            reply_to=self.names.message(row.reply_to) if row.reply_to else None,
            mentions=[self.names.person(user_id) for user_id in row.mentions],
            reactions=row.reactions,
            people=len(self.room.members),
            moderated=row.mark.category if row.mark else None,
        )


def _shape(record: ExportRecord) -> wire.Export:
    return wire.Export(
        export_id=record.id,
        purpose=record.purpose,
        created_by=record.created_by,
        created_at=record.created_at,
        expires_at=record.expires_at,
        since=record.since,
        until=record.until,
        groups=len(record.group_ids),
        left_out=record.left_out,
    )
