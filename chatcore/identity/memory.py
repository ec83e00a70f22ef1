"""The store of identity in memory: for tests, and for servers that need not remember."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from chatcore.contract.people import UserSettings
from chatcore.errors import Conflict
from chatcore.identity.records import (
    Account,
    Profile,
    Revocation,
    SessionRecord,
    SessionStatus,
    UserRecord,
    newest_first,
    search_keys,
)


class MemoryIdentityStore:
    def __init__(self) -> None:
        self._users: dict[str, UserRecord] = {}
        self._sessions: dict[str, SessionRecord] = {}
        self._revocations: dict[str, Revocation] = {}
        self._accounts: dict[str, Account] = {}

    async def find_users(self, user_ids: Sequence[str]) -> dict[str, UserRecord]:
        return {user_id: self._users[user_id] for user_id in user_ids if user_id in self._users}

    async def search_users(self, prefix: str, limit: int) -> list[UserRecord]:
        found = (
            user
            for _, user in sorted(self._users.items())
            if user.is_active and any(key.startswith(prefix) for key in search_keys(user.profile))
        )
        return list(found)[:limit]

    async def save_profiles(self, users: Sequence[UserRecord]) -> None:
        for user in users:
            known = self._users.get(user.user_id)
            if known is None:
                self._users[user.user_id] = user
            elif not known.is_erased:
                self._users[user.user_id] = replace(known, profile=user.profile, updated_at=user.updated_at)

    async def save_settings(self, user_id: str, settings: UserSettings, at: datetime) -> None:
        if user_id in self._users:
            self._users[user_id] = replace(self._users[user_id], settings=settings, updated_at=at)

    async def set_active(self, user_id: str, *, active: bool, at: datetime) -> bool:
        user = self._users.get(user_id)
        if user is None or user.is_erased:
            return False
        self._users[user_id] = replace(user, is_active=active, updated_at=at)
        return True

    async def erase_user(self, user_id: str, at: datetime) -> None:
        created_at = self._users[user_id].created_at if user_id in self._users else at
        self._users[user_id] = UserRecord(
            user_id, Profile(), created_at=created_at, updated_at=at, is_active=False, is_erased=True
        )
        await self.delete_sessions(user_id)

    async def insert_sessions(self, sessions: Sequence[SessionRecord]) -> None:
        for new in sessions:
            if new.session_id in self._sessions:
                status = None if new.status == "offline" else new.status
                self._renew(new.session_id, status, new.last_activity, new.online_until, new.expires_at)
            else:
                self._sessions[new.session_id] = new

    async def renew_sessions(
        self,
        session_ids: Sequence[str],
        *,
        status: SessionStatus | None,
        at: datetime,
        until: datetime,
        expires_at: datetime,
    ) -> int:
        known = [session_id for session_id in session_ids if session_id in self._sessions]
        for session_id in known:
            self._renew(session_id, status, at, until, expires_at)
        return len(known)

    def _renew(
        self, session_id: str, status: SessionStatus | None, at: datetime, until: datetime, expires_at: datetime
    ) -> None:
        known = self._sessions[session_id]
        lease = known.online_until if status is None else at if status == "offline" else max(until, known.online_until)
        self._sessions[session_id] = replace(
            known,
            status=status or known.status,
            last_activity=at,
            online_until=lease,
            expires_at=max(expires_at, known.expires_at),
        )

    async def sessions_of(self, user_id: str, now: datetime) -> list[SessionRecord]:
        mine = (row for row in self._sessions.values() if row.user_id == user_id and row.expires_at > now)
        return newest_first(mine)[:100]

    async def delete_sessions(self, user_id: str, session_ids: Sequence[str] | None = None) -> None:
        for session_id, row in list(self._sessions.items()):
            if row.user_id == user_id and (session_ids is None or session_id in session_ids):
                del self._sessions[session_id]

    async def add_revocation(self, revocation: Revocation) -> None:
        self._revocations[revocation.revocation_id] = revocation

    async def revocations_since(self, moment: datetime) -> list[Revocation]:
        return [revocation for revocation in self._revocations.values() if revocation.at >= moment]

    async def add_account(self, account: Account) -> None:
        if account.name_key in self._accounts:
            raise Conflict("There is already an account of that name", field="name")
        self._accounts[account.name_key] = account

    async def find_account(self, name_key: str) -> Account | None:
        return self._accounts.get(name_key)

    async def accounts(self) -> list[Account]:
        return [self._accounts[key] for key in sorted(self._accounts)]

    async def update_account(
        self, name_key: str, *, password_hash: str | None = None, roles: frozenset[str] | None = None
    ) -> bool:
        account = self._accounts.get(name_key)
        if account is None:
            return False
        self._accounts[name_key] = replace(
            account,
            password_hash=account.password_hash if password_hash is None else password_hash,
            roles=account.roles if roles is None else roles,
        )
        return True

    async def remove_account(self, name_key: str) -> bool:
        return self._accounts.pop(name_key, None) is not None
