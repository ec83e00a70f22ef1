"""The store of identity in memory: for tests, and for servers that need not remember."""

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from datetime import datetime
from operator import itemgetter

from chatcore.contract.people import UserSettings
from chatcore.errors import Conflict
from chatcore.identity.records import (
    Account,
    Profile,
    Revocation,
    SearchKeys,
    SessionRecord,
    UserRecord,
    newest_first,
    search_keys,
)


class MemoryIdentityStore:
    def __init__(self) -> None:
        self._users: dict[str, UserRecord] = {}
        self._sessions: dict[str, SessionRecord] = {}
        self._processes: dict[str, datetime] = {}
        self._revocations: dict[str, Revocation] = {}
        self._accounts: dict[str, Account] = {}

    async def find_users(self, user_ids: Sequence[str]) -> dict[str, UserRecord]:
        return {user_id: self._users[user_id] for user_id in user_ids if user_id in self._users}

    async def search_users(self, prefix: str, limit: int) -> list[UserRecord]:
        found: dict[str, UserRecord] = {}
        active = [(asdict(search_keys(user.profile)), user) for user in self._users.values() if user.is_active]
        for item in fields(SearchKeys):
            by_key = [
                (keys[item.name], user.user_id, user) for keys, user in active if keys[item.name].startswith(prefix)
            ]
            found |= {user.user_id: user for _, _, user in sorted(by_key, key=itemgetter(0, 1))[:limit]}
        return list(found.values())[:limit]

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
        known = [session for session in sessions if session.session_id in self._sessions]
        self._sessions.update((session.session_id, session) for session in sessions if session not in known)
        await self.update_sessions(known)

    async def update_sessions(self, sessions: Sequence[SessionRecord]) -> None:
        for new in sessions:
            known = self._sessions.get(new.session_id)
            if known is None or (new.status == "offline" and known.process_id != new.process_id):
                continue
            self._sessions[new.session_id] = replace(
                known,
                status=new.status,
                process_id=new.process_id,
                last_activity=new.last_activity,
                expires_at=max(new.expires_at, known.expires_at),
            )

    async def renew_process(self, process_id: str, expires_at: datetime) -> None:
        self._processes[process_id] = expires_at

    async def end_process(self, process_id: str) -> None:
        self._processes.pop(process_id, None)

    async def sessions_of(self, user_id: str, now: datetime) -> list[SessionRecord]:
        mine = (row for row in self._sessions.values() if row.user_id == user_id and row.expires_at > now)
        alive = {process_id for process_id, expires_at in self._processes.items() if expires_at > now}
        return [row if row.process_id in alive else replace(row, status="offline") for row in newest_first(mine)[:100]]

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
