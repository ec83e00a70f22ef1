"""What a migration found and did: for people at the end, for programs as JSON."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Lost:
    """A file that came with a message: its link has expired, the object may still lie in the original's bucket."""

    message_id: str
    group_id: str
    name: str
    key: str


@dataclass(slots=True)
class Report:
    """Counts of the original's rows, and what became of them. `known` ones were there from an earlier run."""

    dry_run: bool
    users: int = 0
    users_without_id: int = 0
    groups: int = 0
    groups_known: int = 0
    groups_inactive: list[str] = field(default_factory=list)
    groups_without_members: list[str] = field(default_factory=list)
    messages: int = 0
    messages_known: int = 0
    messages_deleted: int = 0
    unreadable: list[str] = field(default_factory=list)
    reads: int = 0
    files_left_behind: list[Lost] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        verb = "would be taken over" if self.dry_run else "taken over"
        lines = [
            f"users      {self.users:>8,} {verb}",
            f"groups     {self.groups:>8,} {verb}, {self.groups_known:,} were here already",
            f"messages   {self.messages:>8,} {verb}, {self.messages_known:,} were here already",
            f"deleted    {self.messages_deleted:>8,} of them keep their place without their text",
            f"read marks {self.reads:>8,} {verb}, one for each member and group",
        ]
        if self.files_left_behind:
            lines.append(
                f"files      {len(self.files_left_behind):>8,} left behind: their messages say so, and the report "
                "lists their object keys"
            )
        for count, what in (
            (self.users_without_id, "users have no clerkId: nobody could sign in as them"),
            (len(self.groups_inactive), "groups are inactive"),
            (len(self.groups_without_members), "groups have no members"),
        ):
            if count:
                lines.append(f"left out   {count:>8,} {what}")
        if self.unreadable:
            lines.append(f"unreadable {len(self.unreadable):>8,} messages: the secret does not open them")
        return lines
