"""What identity keeps, and the store that keeps it."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from chatcore.contract.people import DeviceType, User, UserSettings

DELETED_USER_NAME = "Deleted user"
SessionStatus = Literal["online", "away", "offline"]


@dataclass(frozen=True, slots=True)
class Profile:
    """What an issuer says about a person. An empty field says nothing, so it never overwrites one that is known."""

    name: str = ""
    first_name: str = ""
    last_name: str = ""
    username: str = ""
    image_url: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class UserRecord:
    """One account. `user_id` is the issuer's `sub` and stands in the field `clerkId`."""

    user_id: str
    profile: Profile
    created_at: datetime
    updated_at: datetime
    settings: UserSettings = field(default_factory=UserSettings)
    is_active: bool = True
    is_erased: bool = False
    _card: User | None = field(init=False, default=None, compare=False, repr=False)

    def card(self) -> User:
        """What people who share a group may see. Made once: a connection, a presence and a page hold the same one."""
        if self._card is None:
            object.__setattr__(self, "_card", self._made_card())
        assert self._card is not None
        return self._card

    def _made_card(self) -> User:
        profile = self.profile
        if self.is_erased:
            return deleted_user(self.user_id)
        return User(
            user_id=self.user_id,
            name=display_name(self.user_id, profile),
            first_name=profile.first_name or None,
            last_name=profile.last_name or None,
            username=profile.username or None,
            image_url=profile.image_url or None,
        )


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One sign-in on one device, with however many connections. The row goes at `expires_at`.

    `process_id` is the server process that wrote `status`; when that process no longer renews its lease, the session is
    offline whatever the row says. So a thousand live sessions cost one renewal, not a thousand.
    """

    session_id: str
    user_id: str
    device_type: DeviceType
    address: str
    user_agent: str
    created_at: datetime
    last_activity: datetime
    expires_at: datetime
    process_id: str
    status: SessionStatus = "offline"


@dataclass(frozen=True, slots=True)
class Revocation:
    """From `at` on, this session (or, with no session, every token of the user issued until `at`) is refused."""

    revocation_id: str
    user_id: str
    session_id: str | None
    at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """A local account. `name_key` is the case-folded name and unique; `user_id` is never used for a second person."""

    user_id: str
    name: str
    name_key: str
    password_hash: str = field(repr=False)
    roles: frozenset[str]
    created_at: datetime


class IdentityStore(Protocol):
    """Raises Unavailable when the database does not answer. Expired rows are never returned."""

    async def find_users(self, user_ids: Sequence[str]) -> dict[str, UserRecord]: ...

    async def search_users(self, prefix: str, limit: int) -> list[UserRecord]:
        """Active people whose name, then whose last name, then whose username begins with the folded `prefix`."""

    async def save_profiles(self, users: Sequence[UserRecord]) -> None:
        """Insert, or replace the profile alone: settings and standing of a known user stay as they are."""

    async def save_settings(self, user_id: str, settings: UserSettings, at: datetime) -> None: ...

    async def set_active(self, user_id: str, *, active: bool, at: datetime) -> bool:
        """False when there is no such user, or when the account was erased."""

    async def erase_user(self, user_id: str, at: datetime) -> None:
        """Leave a tombstone without personal data, so that the id can never be somebody else; drop the sessions."""

    async def insert_sessions(self, sessions: Sequence[SessionRecord]) -> None:
        """Not journaled: a lost row costs a line in a list of devices. One that is there already is updated."""

    async def update_sessions(self, sessions: Sequence[SessionRecord]) -> None:
        """Status, activity and process; `expires_at` only ever moves up. `offline` never overrules another process."""

    async def renew_process(self, process_id: str, expires_at: datetime) -> None: ...

    async def end_process(self, process_id: str) -> None: ...

    async def sessions_of(self, user_id: str, now: datetime) -> list[SessionRecord]:
        """Newest activity first, 100 at most; `offline` where the process behind it has gone."""

    async def delete_sessions(self, user_id: str, session_ids: Sequence[str] | None = None) -> None:
        """These, or all of the user."""

    async def add_revocation(self, revocation: Revocation) -> None: ...

    async def revocations_since(self, moment: datetime) -> list[Revocation]: ...

    async def add_account(self, account: Account) -> None:
        """Raises Conflict when the name is taken."""

    async def find_account(self, name_key: str) -> Account | None: ...

    async def accounts(self) -> list[Account]:
        """All, by name. Local accounts are counted in tens, so this has no pages."""

    async def update_account(
        self, name_key: str, *, password_hash: str | None = None, roles: frozenset[str] | None = None
    ) -> bool: ...

    async def remove_account(self, name_key: str) -> bool: ...


def deleted_user(user_id: str) -> User:
    return User(user_id=user_id, name=DELETED_USER_NAME)


def display_name(user_id: str, profile: Profile) -> str:
    """The best name there is. An e-mail address is never used: others would see it."""
    both = f"{profile.first_name} {profile.last_name}".strip()
    return profile.name or both or profile.username or f"User {user_id[-4:]}"


@dataclass(frozen=True, slots=True)
class SearchKeys:
    """Folded names by whose beginning a person is found, in the order of their weight; empty ones match nothing."""

    name: str
    last_name: str
    username: str


def search_keys(profile: Profile) -> SearchKeys:
    full = profile.name or f"{profile.first_name} {profile.last_name}"
    return SearchKeys(fold(full), fold(profile.last_name) or fold(full).partition(" ")[2], fold(profile.username))


def fold(name: str) -> str:
    """One form for upper and lower case, full and half width, and repeated spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def newest_first(sessions: Iterable[SessionRecord]) -> list[SessionRecord]:
    return sorted(sessions, key=lambda session: (session.last_activity, session.session_id), reverse=True)
