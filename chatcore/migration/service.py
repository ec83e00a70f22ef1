"""From the original's rows to ours: same ids, same order, sealed anew. Repeating it adds what is missing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import unquote, urlsplit

from chatcore.contract.groups import GroupRole, GroupSettings
from chatcore.errors import Conflict
from chatcore.groups.records import GroupRecord, MemberRecord
from chatcore.groups.store import GroupStore
from chatcore.identity.records import IdentityStore, Profile, UserRecord
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Head, Row
from chatcore.journal.store import JournalStore
from chatcore.migration.cipher import OriginalCipher, Unreadable
from chatcore.migration.records import OriginalGroup, OriginalMessage, OriginalUser
from chatcore.migration.report import Lost, Report
from chatcore.migration.store import OriginalStore
from chatcore.vault.service import Vault

BUSY = "Somebody else writes to this database; stop the server and run the migration again"
INSERT_ROWS = 200
Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Target:
    """Where the rows go. No server may write there meanwhile."""

    people: IdentityStore
    groups: GroupStore
    journal: JournalStore
    vault: Vault


class Migration:
    """`survey` only reads; `run` writes. What is there already, by its id, is left as it is."""

    def __init__(self, original: OriginalStore, target: Target, cipher: OriginalCipher, progress: Progress):
        self._original = original
        self._target = target
        self._cipher = cipher
        self._progress = progress

    async def survey(self) -> Report:
        """What `run` would do, and every message that the secret does not open."""
        report = Report(dry_run=True)
        users, report.users_without_id = await self._original.users()
        report.users = len(users)
        for group in await self._groups(report):
            known = await self._target.groups.find(group.group_id) is not None
            report.groups_known += known
            report.groups += not known
            readers: set[str] = set()
            async for messages in self._original.messages(group.group_id):
                there = await self._target.journal.by_ids([message.message_id for message in messages])
                for message in messages:
                    self._count(report, message, known=message.message_id in there)
                    readers |= message.read_by.keys()
                    self._text(report, message)
                self._progress(group.name, len(messages))
            report.reads += len(readers & {member.user_id for member in group.members})
        return report

    async def run(self) -> Report:
        """Raises Conflict where somebody else writes to the target."""
        report = Report(dry_run=False)
        users, report.users_without_id = await self._original.users()
        await self._save_users(users)
        report.users = len(users)
        for group in await self._groups(report):
            head = await self._begin(group, report)
            await self._take_messages(group, head, report)
        return report

    async def _groups(self, report: Report) -> list[OriginalGroup]:
        wanted: list[OriginalGroup] = []
        for group in await self._original.groups():
            if not group.is_active:
                report.groups_inactive.append(group.group_id)
            elif not group.members:
                report.groups_without_members.append(group.group_id)
            else:
                wanted.append(group)
        return wanted

    # --- users

    async def _save_users(self, users: Sequence[OriginalUser]) -> None:
        await self._target.people.save_profiles([_record(user) for user in users])
        for user in users:
            if not user.is_active:
                await self._target.people.set_active(user.user_id, active=False, at=user.updated_at)

    # --- groups

    async def _begin(self, group: OriginalGroup, report: Report) -> Head:
        """The group with its members and the log's first rows, unless it is there; where its log ends."""
        known = await self._target.groups.find(group.group_id)
        if known is not None:
            report.groups_known += 1
            return await self._end_of_log(known)
        await self._target.vault.key_of(group.group_id)
        roles = _roles(group)
        rows: list[Row] = []
        head = Head()
        for member in group.members:
            facts = {"event": "member_joined", "userId": member.user_id, "role": roles[member.user_id]}
            row = Row(
                new_id(member.joined_at), group.group_id, "membership", member.user_id, member.joined_at, data=facts
            )
            rows.append(row.at(head))
            head = Head(rows[-1].seq, rows[-1].n, rows[-1].p)
        store = self._target.groups
        changes = [store.group_added(_group_record(group))]
        changes += [
            store.member_added(MemberRecord(group.group_id, member.user_id, roles[member.user_id], member.joined_at))
            for member in group.members
        ]
        await self._target.journal.transact(rows, changes)
        report.groups += 1
        return head

    async def _end_of_log(self, group: GroupRecord) -> Head:
        head, seq = Head(), max(0, group.checkpoint_seq - 1)
        while rows := await self._target.journal.window(group.id, seq, seq + INSERT_ROWS):
            head, seq = Head(rows[-1].seq, rows[-1].n, rows[-1].p), rows[-1].seq
        return head

    # --- messages

    async def _take_messages(self, group: OriginalGroup, head: Head, report: Report) -> None:
        members = {member.user_id for member in group.members}
        reads: dict[str, MemberRecord] = {}
        async for messages in self._original.messages(group.group_id):
            there = await self._target.journal.by_ids([message.message_id for message in messages])
            fresh: list[Row] = []
            for message in messages:
                row = there.get(message.message_id)
                self._count(report, message, known=row is not None)
                if row is None:
                    row = (await self._row(report, message)).at(head)
                    head = Head(row.seq, row.n, row.p)
                    fresh.append(row)
                for user_id in members & message.read_by.keys():
                    reads[user_id] = _read(group, user_id, row, message.read_by[user_id], reads.get(user_id))
            await self._insert(fresh)
            self._progress(group.name, len(messages))
        await self._target.groups.save_checkpoint(group.group_id, head.seq, group.updated_at)
        await self._target.groups.save_reads(list(reads.values()))
        report.reads += len(reads)

    async def _row(self, report: Report, message: OriginalMessage) -> Row:
        """Deleted ones keep their place and lose their text, as the original's pages showed them."""
        row = Row(
            id=message.message_id,
            group_id=message.group_id,
            kind="message",
            sender_id=message.sender_id,
            created_at=message.created_at,
            type="system" if message.type == "system" else "text",
            is_deleted=message.is_deleted,
            updated_at=message.updated_at if message.is_deleted else None,
        )
        text = self._text(report, message)
        if text is None or message.is_deleted:
            return row
        key = await self._target.vault.key_of(message.group_id)
        return replace(row, sealed=key.seal(row.place, text.encode()))

    def _text(self, report: Report, message: OriginalMessage) -> str | None:
        """As it will stand here; None where it cannot be opened."""
        if message.is_deleted:
            return ""
        try:
            text = self._cipher.text(message.content, message.group_id)
        except Unreadable:
            report.unreadable.append(message.message_id)
            return None
        if message.type not in ("image", "file"):
            return text
        name = message.media_name or "a file"
        key = unquote(urlsplit(message.media_url).path).lstrip("/")
        report.files_left_behind.append(Lost(message.message_id, message.group_id, name, key))
        caption = "" if text.startswith(("{", "http")) else text
        return f"{caption}\n[{message.type}: {name}, not taken over]".strip()

    async def _insert(self, rows: Sequence[Row]) -> None:
        for start in range(0, len(rows), INSERT_ROWS):
            part = rows[start : start + INSERT_ROWS]
            if (await self._target.journal.insert(part)).count < len(part):
                raise Conflict(BUSY)

    @staticmethod
    def _count(report: Report, message: OriginalMessage, *, known: bool) -> None:
        report.messages_known += known
        report.messages += not known
        report.messages_deleted += message.is_deleted and not known


def _record(user: OriginalUser) -> UserRecord:
    profile = Profile(
        first_name=user.first_name,
        last_name=user.last_name,
        username=user.username,
        image_url=user.image_url if user.image_url.startswith("https://") else "",
        email=user.email,
    )
    return UserRecord(user.user_id, profile, user.created_at, user.updated_at)


def _group_record(group: OriginalGroup) -> GroupRecord:
    """Anybody could join any group of the original who knew its id; here one is asked, until an admin opens it."""
    return GroupRecord(
        id=group.group_id,
        name=group.name,
        description=group.description,
        kind="group",
        join_policy="invite",
        settings=GroupSettings(),
        created_by=group.created_by,
        created_at=group.created_at,
        updated_at=group.updated_at,
    )


def _roles(group: OriginalGroup) -> dict[str, GroupRole]:
    """The creator owns it; where the creator has left, the first admin, else the first member."""
    roles: dict[str, GroupRole] = {member.user_id: member.role for member in group.members}
    admins = [member.user_id for member in group.members if member.role == "admin"]
    owner = group.created_by if group.created_by in roles else (admins or list(roles))[0]
    roles[owner] = "owner"
    return roles


def _read(group: OriginalGroup, user_id: str, row: Row, at: datetime, before: MemberRecord | None) -> MemberRecord:
    """The original noted each reading; here the last message read counts for all before it."""
    if before is not None and before.read_seq >= row.seq:
        return before
    return MemberRecord(group.group_id, user_id, "member", group.created_at, read_seq=row.seq, read_n=row.n, read_at=at)
