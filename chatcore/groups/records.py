"""A group and its members as the server keeps them in memory."""

from dataclasses import dataclass, field
from datetime import datetime

from chatcore.contract.groups import GroupKind, GroupRole, GroupSettings, JoinPolicy
from chatcore.journal.rows import Row

RANK: dict[GroupRole, int] = {"member": 1, "moderator": 2, "admin": 3, "owner": 4}


@dataclass(slots=True)
class GroupRecord:
    """`checkpoint_seq` lags behind the log: up to it, everybody's read state is stored; after it, it is replayed."""

    id: str
    name: str
    description: str
    kind: GroupKind
    join_policy: JoinPolicy
    settings: GroupSettings
    created_by: str
    created_at: datetime
    updated_at: datetime
    checkpoint_seq: int = 0
    first_seq: int = 1
    is_active: bool = True


@dataclass(slots=True)
class MemberRecord:
    """One membership. `read_seq`/`read_n` are the read watermark; `joined_seq` is the log position of the joining."""

    group_id: str
    user_id: str
    role: GroupRole
    joined_at: datetime
    joined_seq: int = 0
    read_seq: int = 0
    read_n: int = 0
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BanRecord:
    group_id: str
    user_id: str
    banned_by: str
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class InviteRecord:
    code: str
    group_id: str
    created_by: str
    expires_at: datetime
    max_uses: int
    uses: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """A hint that a group's log goes at least as far as `seq`; `at` is the database's time."""

    group_id: str
    seq: int
    at: datetime


@dataclass(slots=True)
class Room:
    """A loaded group: its record, its members, its newest message. Changed only when the change is committed.

    `outdated` says that the log tells of a change of settings which the record does not have.
    """

    record: GroupRecord
    members: dict[str, MemberRecord]
    last_message: Row | None = None
    sent_at: dict[str, float] = field(default_factory=dict)
    unsaved_reads: set[str] = field(default_factory=set)
    outdated: bool = False

    @property
    def id(self) -> str:
        return self.record.id

    def floor(self, user_id: str) -> int:
        """Log positions up to this one are hidden from the member."""
        member = self.members[user_id]
        hidden = member.joined_seq - 1 if self.record.settings.history_for_new_members == "none" else 0
        return max(hidden, self.record.first_seq - 1)
