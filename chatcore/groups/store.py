"""Groups, members, bans and invitations in MongoDB, and their twin in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.write_concern import WriteConcern

from chatcore.batches import Batches
from chatcore.contract.groups import GroupSettings
from chatcore.errors import Banned, Conflict
from chatcore.groups.records import BanRecord, GroupRecord, InviteRecord, MemberRecord, Move
from chatcore.journal.rows import Change, Row
from chatcore.mongo import Index, translate_errors

INDEXES = (
    Index("members", (("groupId", 1), ("userId", 1)), unique=True),
    Index("members", (("userId", 1),)),
    Index("bans", (("groupId", 1), ("userId", 1)), unique=True),
    Index("invites", (("expiresAt", 1),), expire_after_seconds=0),
    Index("invites", (("groupId", 1),)),
    Index("groups", (("openName", 1),)),
    Index("groups", (("movedAt", 1),)),
    Index("groups", (("isActive", 1),)),
    Index("groups", (("settings.retentionDays", 1),)),
    Index("groups", (("settings.consent", 1),)),
)
# The embedded database compares each row with every value of an `$in`. Measured there, CPU for each that is looked up:
# people 0.99 ms alone, 0.16 in 12, 0.16 in 64, 0.34 in 256; rosters of ten members 1.7 alone, 0.54 in 10, 1.0 in 50.
READ_TOGETHER = 64
ROSTERS_TOGETHER = 10
Document = dict[str, Any]


class GroupStore(Protocol):
    async def find(self, group_id: str) -> GroupRecord | None:
        """The group if it is active."""
        ...

    async def members_of(self, group_id: str) -> list[MemberRecord]: ...
    async def group_ids_of(self, user_id: str) -> list[str]: ...
    async def find_open(self, prefix: str, limit: int) -> list[GroupRecord]: ...
    async def clock(self) -> datetime:
        """The time of `save_moves`, the same for all processes."""
        ...

    async def save_moves(self, ends: Mapping[str, int]) -> None:
        """Tell other processes how far these groups' logs go. A hint: not journaled, never lowered."""
        ...

    async def moves_since(self, moment: datetime) -> list[Move]:
        """Groups whose move was told at that moment of the store's clock, or later."""
        ...

    async def with_retention(self) -> list[tuple[str, int]]:
        """Groups that keep messages for some days only, and up to which log position that was seen to already."""
        ...

    async def with_consent(self) -> list[str]:
        """Groups whose messages may be exported for research."""
        ...

    async def save_expired(self, group_id: str, seq: int) -> None: ...
    async def deleted(self) -> list[GroupRecord]:
        """Groups marked deleted whose content is not erased yet."""
        ...

    async def remove(self, group_id: str) -> None: ...
    async def save_reads(self, members: Sequence[MemberRecord]) -> None:
        """Raise read watermarks; a lower one never wins."""
        ...

    async def save_checkpoint(self, group_id: str, seq: int, now: datetime) -> None: ...
    async def find_ban(self, group_id: str, user_id: str) -> BanRecord | None: ...
    async def bans_of(self, group_id: str) -> list[BanRecord]: ...
    async def unban(self, group_id: str, user_id: str) -> bool: ...
    async def add_invite(self, invite: InviteRecord) -> None: ...
    async def find_invite(self, code: str) -> InviteRecord | None: ...
    async def use_invite(self, code: str) -> bool:
        """Count one use; False where none is left."""
        ...

    def group_added(self, group: GroupRecord) -> Change: ...
    def group_saved(self, group: GroupRecord) -> Change: ...
    def group_deleted(self, group_id: str, now: datetime) -> Change: ...
    def member_added(self, member: MemberRecord) -> Change:
        """The numbers of the first row give where the membership begins. Raises Banned."""
        ...

    def member_removed(self, group_id: str, user_id: str, now: datetime) -> Change: ...
    def role_set(self, group_id: str, user_id: str, role: str, now: datetime) -> Change: ...
    def banned(self, ban: BanRecord) -> Change: ...


class MongoGroupStore:
    def __init__(self, database: AsyncDatabase[Document]):
        self._database = database
        self._groups = database["groups"]
        self._hints = self._groups.with_options(write_concern=WriteConcern(w=1))
        self._members = database["members"]
        self._bans = database["bans"]
        self._invites = database["invites"]
        self._look_ups: Batches[str, list[str]] = Batches(self._group_ids, READ_TOGETHER)
        self._records: Batches[ObjectId, Document | None] = Batches(self._group_documents, READ_TOGETHER)
        self._rosters: Batches[ObjectId, list[Document]] = Batches(self._member_documents, ROSTERS_TOGETHER)

    async def find(self, group_id: str) -> GroupRecord | None:
        document = await self._records.do(ObjectId(group_id))
        return _group(document) if document and document["isActive"] else None

    @translate_errors
    async def _group_documents(self, group_ids: Sequence[ObjectId]) -> list[Document | None]:
        found = await self._groups.find({"_id": _any_of(group_ids)}).to_list()
        by_id = {document["_id"]: document for document in found}
        return [by_id.get(group_id) for group_id in group_ids]

    async def members_of(self, group_id: str) -> list[MemberRecord]:
        return [_member(row) for row in await self._rosters.do(ObjectId(group_id))]

    @translate_errors
    async def _member_documents(self, group_ids: Sequence[ObjectId]) -> list[list[Document]]:
        found: dict[ObjectId, list[Document]] = {group_id: [] for group_id in group_ids}
        for row in await self._members.find({"groupId": _any_of(group_ids)}).to_list():
            found[row["groupId"]].append(row)
        return [found[group_id] for group_id in group_ids]

    async def group_ids_of(self, user_id: str) -> list[str]:
        """Many who arrive at once are looked up together."""
        return await self._look_ups.do(user_id)

    @translate_errors
    async def _group_ids(self, user_ids: Sequence[str]) -> list[list[str]]:
        found: dict[str, list[str]] = {user_id: [] for user_id in user_ids}
        wanted = {"userId": _any_of(user_ids)}
        for row in await self._members.find(wanted, {"groupId": 1, "userId": 1}).to_list():
            found[row["userId"]].append(str(row["groupId"]))
        return [found[user_id] for user_id in user_ids]

    @translate_errors
    async def find_open(self, prefix: str, limit: int) -> list[GroupRecord]:
        low = prefix.casefold() or "\x01"  # the least text there is, as no name holds a NUL
        found = self._groups.find({"openName": {"$gte": low, "$lt": prefix.casefold() + "\uffff"}}).limit(limit)
        return [_group(document) for document in await found.to_list()]

    @translate_errors
    async def clock(self) -> datetime:
        moment: datetime = (await self._database.command("hello"))["localTime"]
        return moment

    @translate_errors
    async def save_moves(self, ends: Mapping[str, int]) -> None:
        writes = [
            UpdateOne({"_id": ObjectId(group_id)}, {"$max": {"movedSeq": seq}, "$currentDate": {"movedAt": True}})
            for group_id, seq in ends.items()
        ]
        await self._hints.bulk_write(writes, ordered=False)

    @translate_errors
    async def moves_since(self, moment: datetime) -> list[Move]:
        found = self._groups.find({"movedAt": {"$gte": moment}}, {"movedSeq": 1, "movedAt": 1})
        return [Move(str(row["_id"]), row["movedSeq"], row["movedAt"]) for row in await found.to_list()]

    @translate_errors
    async def with_retention(self) -> list[tuple[str, int]]:
        found = self._groups.find({"settings.retentionDays": {"$gte": 1}}, {"expiredSeq": 1})
        return [(str(row["_id"]), row.get("expiredSeq", 0)) for row in await found.to_list()]

    @translate_errors
    async def with_consent(self) -> list[str]:
        found = await self._groups.find({"settings.consent": True}, {"isActive": 1}).to_list()
        return [str(row["_id"]) for row in found if row["isActive"]]

    @translate_errors
    async def save_expired(self, group_id: str, seq: int) -> None:
        await self._groups.update_one({"_id": ObjectId(group_id)}, {"$max": {"expiredSeq": seq}})

    @translate_errors
    async def deleted(self) -> list[GroupRecord]:
        return [_group(document) for document in await self._groups.find({"isActive": False}).to_list()]

    @translate_errors
    async def remove(self, group_id: str) -> None:
        owner = {"groupId": ObjectId(group_id)}
        await self._members.delete_many(owner)
        await self._bans.delete_many(owner)
        await self._invites.delete_many(owner)
        await self._groups.delete_one({"_id": ObjectId(group_id)})

    @translate_errors
    async def save_reads(self, members: Sequence[MemberRecord]) -> None:
        writes = [
            # no range in the filter: the embedded database then looks at the index only, in half the time
            UpdateOne(
                {"groupId": ObjectId(member.group_id), "userId": member.user_id},
                {"$max": {"readSeq": member.read_seq, "readN": member.read_n, "readAt": member.read_at}},
            )
            for member in members
        ]
        if writes:
            await self._members.bulk_write(writes, ordered=False)

    @translate_errors
    async def save_checkpoint(self, group_id: str, seq: int, now: datetime) -> None:
        await self._groups.update_one({"_id": ObjectId(group_id)}, {"$max": {"lastSeq": seq}})

    @translate_errors
    async def find_ban(self, group_id: str, user_id: str) -> BanRecord | None:
        row = await self._bans.find_one({"groupId": ObjectId(group_id), "userId": user_id})
        return _ban(row) if row else None

    @translate_errors
    async def bans_of(self, group_id: str) -> list[BanRecord]:
        return [_ban(row) for row in await self._bans.find({"groupId": ObjectId(group_id)}).to_list()]

    @translate_errors
    async def unban(self, group_id: str, user_id: str) -> bool:
        outcome = await self._bans.delete_one({"groupId": ObjectId(group_id), "userId": user_id})
        return outcome.deleted_count == 1

    @translate_errors
    async def add_invite(self, invite: InviteRecord) -> None:
        await self._invites.insert_one(
            {
                "_id": invite.code,
                "groupId": ObjectId(invite.group_id),
                "createdBy": invite.created_by,
                "expiresAt": invite.expires_at,
                "maxUses": invite.max_uses,
                "uses": 0,
            }
        )

    @translate_errors
    async def find_invite(self, code: str) -> InviteRecord | None:
        row = await self._invites.find_one({"_id": code})
        if row is None:
            return None
        return InviteRecord(
            row["_id"], str(row["groupId"]), row["createdBy"], row["expiresAt"], row["maxUses"], row["uses"]
        )

    @translate_errors
    async def use_invite(self, code: str) -> bool:
        invite = await self.find_invite(code)
        if invite is None:
            return False
        left = {"_id": code, "uses": {"$lt": invite.max_uses}}
        return (await self._invites.update_one(left, {"$inc": {"uses": 1}})).modified_count == 1

    def group_added(self, group: GroupRecord) -> Change:
        async def change(session: AsyncClientSession, rows: Sequence[Row]) -> None:
            document = _group_document(group) | {"_id": ObjectId(group.id), "lastSeq": rows[-1].seq}
            await self._groups.insert_one(document, session=session)

        return change

    def group_saved(self, group: GroupRecord) -> Change:
        async def change(session: AsyncClientSession, rows: Sequence[Row]) -> None:
            await self._groups.update_one(
                {"_id": ObjectId(group.id)}, {"$set": _group_document(group)}, session=session
            )

        return change

    def group_deleted(self, group_id: str, now: datetime) -> Change:
        async def change(session: AsyncClientSession, rows: Sequence[Row]) -> None:
            closed = {
                "$set": {"isActive": False, "updatedAt": now},
                "$unset": {"openName": ""},
                "$max": {"movedSeq": rows[-1].seq},  # told at once: the rows that tell it will be erased
                "$currentDate": {"movedAt": True},
            }
            await self._groups.update_one({"_id": ObjectId(group_id)}, closed, session=session)

        return change

    def member_added(self, member: MemberRecord) -> Change:
        async def change(session: AsyncClientSession, rows: Sequence[Row]) -> None:
            who = {"groupId": ObjectId(member.group_id), "userId": member.user_id}
            if await self._bans.find_one(who, session=session):
                raise Banned
            began = rows[0]
            document = {
                "groupId": ObjectId(member.group_id),
                "userId": member.user_id,
                "role": member.role,
                "joinedAt": member.joined_at,
                "joinedSeq": began.seq,
                "readSeq": began.seq,
                "readN": began.n,
                "readAt": member.joined_at,
            }
            await self._members.insert_one(document, session=session)

        return change

    def member_removed(self, group_id: str, user_id: str, now: datetime) -> Change:
        async def change(session: AsyncClientSession, rows: Sequence[Row]) -> None:
            await self._members.delete_one({"groupId": ObjectId(group_id), "userId": user_id}, session=session)

        return change

    def role_set(self, group_id: str, user_id: str, role: str, now: datetime) -> Change:
        async def change(session: AsyncClientSession, rows: Sequence[Row]) -> None:
            who = {"groupId": ObjectId(group_id), "userId": user_id}
            await self._members.update_one(who, {"$set": {"role": role}}, session=session)

        return change

    def banned(self, ban: BanRecord) -> Change:
        async def change(session: AsyncClientSession, rows: Sequence[Row]) -> None:
            who = {"groupId": ObjectId(ban.group_id), "userId": ban.user_id}
            facts = {"bannedBy": ban.banned_by, "reason": ban.reason, "createdAt": ban.created_at}
            await self._bans.update_one(who, {"$set": facts}, upsert=True, session=session)

        return change


def _any_of(values: Sequence[Any]) -> Any:
    """The condition for these values of one field."""
    return values[0] if len(values) == 1 else {"$in": list(dict.fromkeys(values))}


def _group_document(group: GroupRecord) -> Document:
    document: Document = {
        "name": group.name,
        "description": group.description,
        "kind": group.kind,
        "joinPolicy": group.join_policy,
        "settings": group.settings.model_dump(),
        "createdBy": group.created_by,
        "createdAt": group.created_at,
        "updatedAt": group.updated_at,
        "firstSeq": group.first_seq,
        "isActive": group.is_active,
        "openName": group.name.casefold() if group.join_policy == "open" else None,
    }
    return document


def _group(document: Document) -> GroupRecord:
    return GroupRecord(
        id=str(document["_id"]),
        name=document["name"],
        description=document["description"],
        kind=document["kind"],
        join_policy=document["joinPolicy"],
        settings=GroupSettings(**document["settings"]),
        created_by=document["createdBy"],
        created_at=document["createdAt"],
        updated_at=document["updatedAt"],
        checkpoint_seq=document["lastSeq"],
        first_seq=document["firstSeq"],
        is_active=document["isActive"],
    )


def _member(row: Document) -> MemberRecord:
    return MemberRecord(
        group_id=str(row["groupId"]),
        user_id=row["userId"],
        role=row["role"],
        joined_at=row["joinedAt"],
        joined_seq=row["joinedSeq"],
        read_seq=row["readSeq"],
        read_n=row["readN"],
        read_at=row.get("readAt"),
    )


def _ban(row: Document) -> BanRecord:
    return BanRecord(str(row["groupId"]), row["userId"], row["bannedBy"], row["reason"], row["createdAt"])


class MemoryGroupStore:
    """The same promises without a database."""

    def __init__(self) -> None:
        self._groups: dict[str, GroupRecord] = {}
        self._moves: dict[str, Move] = {}
        self._expired: dict[str, int] = {}
        self._members: dict[tuple[str, str], MemberRecord] = {}
        self._bans: dict[tuple[str, str], BanRecord] = {}
        self._invites: dict[str, InviteRecord] = {}

    async def find(self, group_id: str) -> GroupRecord | None:
        group = self._groups.get(group_id)
        return replace(group) if group and group.is_active else None

    async def members_of(self, group_id: str) -> list[MemberRecord]:
        return [replace(member) for (owner, _), member in self._members.items() if owner == group_id]

    async def group_ids_of(self, user_id: str) -> list[str]:
        return [group_id for group_id, member in self._members if member == user_id]

    async def find_open(self, prefix: str, limit: int) -> list[GroupRecord]:
        found = [
            replace(group)
            for group in self._groups.values()
            if group.is_active and group.join_policy == "open" and group.name.casefold().startswith(prefix.casefold())
        ]
        return sorted(found, key=lambda group: group.name.casefold())[:limit]

    async def clock(self) -> datetime:
        return datetime.now(UTC)

    async def save_moves(self, ends: Mapping[str, int]) -> None:
        for group_id, seq in ends.items():
            kept = self._moves.get(group_id)
            self._moves[group_id] = Move(group_id, max(seq, kept.seq if kept else 0), await self.clock())

    async def moves_since(self, moment: datetime) -> list[Move]:
        return [move for move in self._moves.values() if move.at >= moment]

    async def with_retention(self) -> list[tuple[str, int]]:
        kept = [group.id for group in self._groups.values() if group.settings.retention_days]
        return [(group_id, self._expired.get(group_id, 0)) for group_id in kept]

    async def with_consent(self) -> list[str]:
        return [group.id for group in self._groups.values() if group.settings.consent and group.is_active]

    async def save_expired(self, group_id: str, seq: int) -> None:
        self._expired[group_id] = max(seq, self._expired.get(group_id, 0))

    async def deleted(self) -> list[GroupRecord]:
        return [replace(group) for group in self._groups.values() if not group.is_active]

    async def remove(self, group_id: str) -> None:
        self._groups.pop(group_id, None)
        self._moves.pop(group_id, None)
        for kept in (self._members, self._bans):
            for place in [place for place in kept if place[0] == group_id]:
                del kept[place]
        self._invites = {code: invite for code, invite in self._invites.items() if invite.group_id != group_id}

    async def save_reads(self, members: Sequence[MemberRecord]) -> None:
        for member in members:
            kept = self._members.get((member.group_id, member.user_id))
            if kept and kept.read_seq < member.read_seq:
                kept.read_seq, kept.read_n, kept.read_at = member.read_seq, member.read_n, member.read_at

    async def save_checkpoint(self, group_id: str, seq: int, now: datetime) -> None:
        if group := self._groups.get(group_id):
            group.checkpoint_seq = max(group.checkpoint_seq, seq)

    async def find_ban(self, group_id: str, user_id: str) -> BanRecord | None:
        return self._bans.get((group_id, user_id))

    async def bans_of(self, group_id: str) -> list[BanRecord]:
        return [ban for (owner, _), ban in self._bans.items() if owner == group_id]

    async def unban(self, group_id: str, user_id: str) -> bool:
        return self._bans.pop((group_id, user_id), None) is not None

    async def add_invite(self, invite: InviteRecord) -> None:
        self._invites[invite.code] = invite

    async def find_invite(self, code: str) -> InviteRecord | None:
        return self._invites.get(code)

    async def use_invite(self, code: str) -> bool:
        invite = self._invites.get(code)
        if invite is None or invite.uses >= invite.max_uses:
            return False
        self._invites[code] = replace(invite, uses=invite.uses + 1)
        return True

    def group_added(self, group: GroupRecord) -> Change:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            if group.id in self._groups:
                raise Conflict("Somebody did this at the same moment; look again")
            self._groups[group.id] = replace(group, checkpoint_seq=rows[-1].seq)

        return change

    def group_saved(self, group: GroupRecord) -> Change:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            checkpoint = self._groups[group.id].checkpoint_seq
            self._groups[group.id] = replace(group, checkpoint_seq=checkpoint)

        return change

    def group_deleted(self, group_id: str, now: datetime) -> Change:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            self._groups[group_id].is_active = False

        return change

    def member_added(self, member: MemberRecord) -> Change:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            place = (member.group_id, member.user_id)
            if place in self._bans:
                raise Banned
            if place in self._members:
                raise Conflict("Somebody did this at the same moment; look again")
            began = rows[0]
            self._members[place] = replace(
                member, joined_seq=began.seq, read_seq=began.seq, read_n=began.n, read_at=member.joined_at
            )

        return change

    def member_removed(self, group_id: str, user_id: str, now: datetime) -> Change:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            self._members.pop((group_id, user_id), None)

        return change

    def role_set(self, group_id: str, user_id: str, role: str, now: datetime) -> Change:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            self._members[group_id, user_id].role = role  # type: ignore[assignment]

        return change

    def banned(self, ban: BanRecord) -> Change:
        async def change(_: Any, rows: Sequence[Row]) -> None:
            self._bans[ban.group_id, ban.user_id] = ban

        return change
