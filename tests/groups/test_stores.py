"""One suite for both stores of each kind: the database and its twin in memory keep the same promises."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from chatcore.contract.groups import GroupSettings
from chatcore.errors import Banned, ChatError
from chatcore.groups import store as group_store
from chatcore.groups.records import BanRecord, GroupRecord, InviteRecord, MemberRecord
from chatcore.groups.store import GroupStore, MemoryGroupStore, MongoGroupStore
from chatcore.journal import store as journal_store
from chatcore.journal.ids import new_id
from chatcore.journal.rows import Change, Row
from chatcore.journal.store import JournalStore, MemoryJournalStore, MongoJournalStore
from chatcore.messages import store as message_store
from chatcore.messages.records import PinRecord, ReactionRecord, ReportRecord
from chatcore.messages.store import MemoryMessageStore, MessageStore, MongoMessageStore
from chatcore.mongo import Mongo
from chatcore.vault import store as vault_store
from chatcore.vault.master import WrappedKey
from chatcore.vault.service import KeyStore
from chatcore.vault.store import MemoryKeyStore, MongoKeyStore
from tests.memory import START

INDEXES = (*group_store.INDEXES, *message_store.INDEXES, *vault_store.INDEXES, *journal_store.INDEXES)


class Stores:
    """All of one kind, and the log whose transactions carry their changes."""

    def __init__(self, groups: GroupStore, messages: MessageStore, keys: KeyStore, journal: JournalStore):
        self.groups, self.messages, self.keys, self.journal = groups, messages, keys, journal
        self._seq: dict[str, int] = {}

    async def commit(self, group_id: str, *changes: Change, n: int = 0) -> Sequence[Row]:
        """A log row with these changes."""
        self._seq[group_id] = self._seq.get(group_id, 0) + 1
        rows = [Row(new_id(START), group_id, "membership", "ana", START, seq=self._seq[group_id], n=n)]
        await self.journal.transact(rows, changes)
        return rows

    async def founded(self, **fields: Any) -> GroupRecord:
        group = a_group(**fields)
        await self.commit(group.id, self.groups.group_added(group))
        return group


def a_group(**fields: Any) -> GroupRecord:
    known: dict[str, Any] = {
        "id": new_id(START), "name": "Garden", "description": "green", "kind": "group", "join_policy": "invite",
        "settings": GroupSettings(slow_mode_seconds=5), "created_by": "ana", "created_at": START, "updated_at": START,
    }  # fmt: skip
    return GroupRecord(**(known | fields))


@pytest.fixture(params=["mongo", "memory"])
async def stores(request: pytest.FixtureRequest, mongo: Mongo) -> Stores:
    if request.param == "memory":
        return Stores(MemoryGroupStore(), MemoryMessageStore(), MemoryKeyStore(), MemoryJournalStore())
    await mongo.ensure_indexes(INDEXES)
    db = mongo.database
    return Stores(MongoGroupStore(db), MongoMessageStore(db), MongoKeyStore(db), MongoJournalStore(db))


async def refused(work: Any) -> str:
    with pytest.raises(ChatError) as told:
        await work
    return told.value.code


class TestGroups:
    async def test_a_group_comes_back_as_it_was_stored(self, stores: Stores) -> None:
        group = await stores.founded()
        found = await stores.groups.find(group.id)
        assert found is not None
        assert found.checkpoint_seq == 1
        found.checkpoint_seq = 0
        assert found == group
        assert await stores.groups.find(new_id(START)) is None

    async def test_the_same_group_twice_is_a_conflict(self, stores: Stores) -> None:
        group = await stores.founded()
        assert await refused(stores.commit(group.id, stores.groups.group_added(group))) == "conflict"

    async def test_a_saved_group_keeps_its_checkpoint(self, stores: Stores) -> None:
        group = await stores.founded()
        await stores.groups.save_checkpoint(group.id, 7, START)
        group.name, group.settings = "Orchard", GroupSettings(ai=False)
        await stores.commit(group.id, stores.groups.group_saved(group))
        found = await stores.groups.find(group.id)
        assert found is not None
        assert (found.name, found.settings.ai, found.checkpoint_seq) == ("Orchard", False, 7)

    async def test_a_checkpoint_never_goes_back(self, stores: Stores) -> None:
        group = await stores.founded()
        for seq in (9, 4):
            await stores.groups.save_checkpoint(group.id, seq, START)
        found = await stores.groups.find(group.id)
        assert found is not None
        assert found.checkpoint_seq == 9

    async def test_open_groups_are_found_by_the_beginning_of_their_name(self, stores: Stores) -> None:
        names = ["Garden", "garage", "Gate", "Harbour"]
        for name in names:
            await stores.founded(name=name, join_policy="open")
        await stores.founded(name="Garbo")
        found = await stores.groups.find_open("GAR", 10)
        assert [group.name for group in found] == ["garage", "Garden"]
        assert len(await stores.groups.find_open("", 3)) == 3

    async def test_a_deleted_group_is_found_by_those_alone_who_erase_it(self, stores: Stores) -> None:
        group = await stores.founded(join_policy="open")
        await stores.commit(group.id, stores.groups.group_deleted(group.id, START))
        assert await stores.groups.find(group.id) is None
        assert await stores.groups.find_open("", 10) == []
        assert [each.id for each in await stores.groups.deleted()] == [group.id]
        await stores.groups.remove(group.id)
        assert await stores.groups.deleted() == []

    async def test_removing_takes_members_bans_and_invitations_along(self, stores: Stores) -> None:
        group, other = await stores.founded(), await stores.founded()
        for each in (group, other):
            await stores.commit(each.id, stores.groups.member_added(MemberRecord(each.id, "ben", "member", START)))
            await stores.commit(each.id, stores.groups.banned(BanRecord(each.id, "eve", "ana", "", START)))
            await stores.groups.add_invite(InviteRecord(f"code-{each.id}", each.id, "ana", START, 1))
        await stores.groups.remove(group.id)
        assert await stores.groups.members_of(group.id) == []
        assert await stores.groups.bans_of(group.id) == []
        assert await stores.groups.find_invite(f"code-{group.id}") is None
        assert await stores.groups.group_ids_of("ben") == [other.id]
        assert len(await stores.groups.bans_of(other.id)) == 1
        assert await stores.groups.find_invite(f"code-{other.id}") is not None


class TestMembers:
    async def test_a_membership_begins_where_the_log_is(self, stores: Stores) -> None:
        group = await stores.founded()
        await stores.commit(group.id, stores.groups.member_added(MemberRecord(group.id, "ben", "member", START)), n=3)
        (member,) = await stores.groups.members_of(group.id)
        assert (member.user_id, member.role, member.joined_seq, member.read_seq, member.read_n) == (
            "ben", "member", 2, 2, 3,
        )  # fmt: skip
        assert await stores.groups.group_ids_of("ben") == [group.id]

    async def test_twice_is_a_conflict_and_leaves_no_row(self, stores: Stores) -> None:
        group = await stores.founded()
        member = MemberRecord(group.id, "ben", "member", START)
        await stores.commit(group.id, stores.groups.member_added(member))
        assert await refused(stores.commit(group.id, stores.groups.member_added(member))) == "conflict"
        assert len(await stores.journal.window(group.id, 0, 10)) == 2

    async def test_one_who_is_banned_is_not_added(self, stores: Stores) -> None:
        group = await stores.founded()
        await stores.commit(group.id, stores.groups.banned(BanRecord(group.id, "ben", "ana", "noise", START)))
        with pytest.raises(Banned):
            await stores.commit(group.id, stores.groups.member_added(MemberRecord(group.id, "ben", "member", START)))
        assert await stores.groups.members_of(group.id) == []

    async def test_roles_change_and_memberships_end(self, stores: Stores) -> None:
        group = await stores.founded()
        await stores.commit(group.id, stores.groups.member_added(MemberRecord(group.id, "ben", "member", START)))
        await stores.commit(group.id, stores.groups.role_set(group.id, "ben", "admin", START))
        assert [member.role for member in await stores.groups.members_of(group.id)] == ["admin"]
        for _ in range(2):
            await stores.commit(group.id, stores.groups.member_removed(group.id, "ben", START))
        assert await stores.groups.members_of(group.id) == []

    async def test_a_read_watermark_only_rises(self, stores: Stores) -> None:
        group = await stores.founded()
        await stores.commit(group.id, stores.groups.member_added(MemberRecord(group.id, "ben", "member", START)))
        later = START + timedelta(minutes=1)
        for seq, n in ((8, 5), (6, 4)):
            read = MemberRecord(group.id, "ben", "member", START, read_seq=seq, read_n=n, read_at=later)
            await stores.groups.save_reads([read])
        (member,) = await stores.groups.members_of(group.id)
        assert (member.read_seq, member.read_n, member.read_at) == (8, 5, later)
        await stores.groups.save_reads([])


class TestBansAndInvitations:
    async def test_a_ban_is_found_until_it_is_lifted(self, stores: Stores) -> None:
        group = await stores.founded()
        for reason in ("noise", "more noise"):
            await stores.commit(group.id, stores.groups.banned(BanRecord(group.id, "eve", "ana", reason, START)))
        ban = BanRecord(group.id, "eve", "ana", "more noise", START)
        assert await stores.groups.find_ban(group.id, "eve") == ban
        assert await stores.groups.bans_of(group.id) == [ban]
        assert await stores.groups.find_ban(group.id, "ben") is None
        assert [await stores.groups.unban(group.id, "eve") for _ in range(2)] == [True, False]

    async def test_an_invitation_is_used_as_often_as_it_says(self, stores: Stores) -> None:
        invite = InviteRecord("c" * 24, new_id(START), "ana", START + timedelta(hours=1), max_uses=2)
        await stores.groups.add_invite(invite)
        assert await stores.groups.find_invite(invite.code) == invite
        assert [await stores.groups.use_invite(invite.code) for _ in range(3)] == [True, True, False]
        assert await stores.groups.use_invite("unknown") is False


class TestReactionsPinsAndReports:
    async def test_a_reaction_is_there_until_it_is_taken_back(self, stores: Stores) -> None:
        group = new_id(START)
        reaction = ReactionRecord(new_id(START), group, "ana", "\U0001f44d", START)
        assert await stores.messages.has_reaction(reaction) is False
        await stores.commit(group, stores.messages.reaction_added(reaction))
        assert await stores.messages.has_reaction(reaction) is True
        assert await refused(stores.commit(group, stores.messages.reaction_added(reaction))) == "conflict"
        await stores.commit(group, stores.messages.reaction_removed(reaction))
        assert await refused(stores.commit(group, stores.messages.reaction_removed(reaction))) == "conflict"

    async def test_pins_come_oldest_first(self, stores: Stores) -> None:
        group = new_id(START)
        pins = [PinRecord(group, new_id(START), "ana", START + timedelta(seconds=second)) for second in (2, 1, 3)]
        for pin in pins:
            await stores.commit(group, stores.messages.pinned(pin))
        assert await stores.messages.pins_of(group) == [pins[1], pins[0], pins[2]]
        await stores.commit(group, stores.messages.unpinned(group, pins[0].message_id))
        assert await refused(stores.commit(group, stores.messages.unpinned(group, pins[0].message_id))) == "conflict"
        assert await stores.messages.pins_of(new_id(START)) == []

    async def test_a_second_report_of_one_person_is_the_first(self, stores: Stores) -> None:
        message, group = new_id(START), new_id(START)
        ids = [
            await stores.messages.add_report(ReportRecord(new_id(START), group, message, who, "unkind", START))
            for who in ("ben", "ben", "cleo")
        ]
        assert ids[0] == ids[1] != ids[2]

    async def test_erasing_messages_takes_all_three_along_and_nothing_of_others(self, stores: Stores) -> None:
        group, gone, stays = new_id(START), new_id(START), new_id(START)
        reactions = [ReactionRecord(message, group, "ana", "\U0001f44d", START) for message in (gone, stays)]
        for reaction in reactions:
            await stores.commit(group, stores.messages.reaction_added(reaction))
            await stores.commit(group, stores.messages.pinned(PinRecord(group, reaction.message_id, "ana", START)))
        first = await stores.messages.add_report(ReportRecord(new_id(START), group, gone, "ben", "x", START))
        for _ in range(2):
            await stores.messages.erase(group, [gone])
        assert [await stores.messages.has_reaction(reaction) for reaction in reactions] == [False, True]
        assert [pin.message_id for pin in await stores.messages.pins_of(group)] == [stays]
        assert await stores.messages.add_report(ReportRecord(new_id(START), group, gone, "ben", "x", START)) != first


class TestKeys:
    async def test_a_version_is_stored_once_and_destroyed_with_its_group(self, stores: Stores) -> None:
        group, other = new_id(START), new_id(START)
        keys = [WrappedKey(owner, version, "k1", b"n" * 12, bytes([version]) * 48)
                for owner, version in ((group, 1), (group, 2), (other, 1))]  # fmt: skip
        assert [await stores.keys.add(key) for key in keys] == [True] * 3
        assert await stores.keys.add(WrappedKey(group, 1, "k1", b"m" * 12, b"other")) is False
        assert sorted(await stores.keys.keys_of([group]), key=lambda key: key.version) == keys[:2]
        await stores.keys.destroy(group)
        assert await stores.keys.keys_of([group]) == []
        assert await stores.keys.keys_of([other]) == keys[2:]


class TestRetention:
    async def test_only_groups_that_keep_messages_for_a_time_are_found_with_their_place(self, stores: Stores) -> None:
        await stores.founded()
        kept = await stores.founded(settings=GroupSettings(retention_days=7))
        assert await stores.groups.with_retention() == [(kept.id, 0)]
        await stores.groups.save_expired(kept.id, 12)
        await stores.groups.save_expired(kept.id, 5)
        assert await stores.groups.with_retention() == [(kept.id, 12)]
