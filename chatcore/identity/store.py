"""Identity in MongoDB: `users`, `sessions`, `processes`, `revocations` and `accounts`."""

import functools
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import DESCENDING, InsertOne, UpdateMany, UpdateOne, WriteConcern
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, DuplicateKeyError

from chatcore.contract.people import UserSettings
from chatcore.errors import Conflict
from chatcore.identity.memory import MemoryIdentityStore
from chatcore.identity.records import (
    Account,
    IdentityStore,
    Profile,
    Revocation,
    SessionRecord,
    UserRecord,
    search_keys,
)
from chatcore.mongo import DUPLICATE_KEY, Index, translate_errors

Document = dict[str, Any]
INDEXES = (
    Index("users", (("clerkId", 1),), unique=True),
    Index("users", (("nameKey", 1),)),
    Index("users", (("lastNameKey", 1),)),
    Index("users", (("usernameKey", 1),)),
    Index("sessions", (("userId", 1),)),
    Index("sessions", (("expiresAt", 1),), expire_after_seconds=0),
    Index("processes", (("expiresAt", 1),), expire_after_seconds=0),
    Index("revocations", (("at", 1),)),
    Index("revocations", (("expiresAt", 1),), expire_after_seconds=0),
    Index("accounts", (("nameKey", 1),), unique=True),
)
_PROFILE_FIELDS = {
    "name": "name",
    "first_name": "firstName",
    "last_name": "lastName",
    "username": "username",
    "image_url": "profileImageUrl",
    "email": "email",
}
_SEARCH_FIELDS = {"name": "nameKey", "last_name": "lastNameKey", "username": "usernameKey"}


class MongoIdentityStore:
    def __init__(self, database: AsyncDatabase[Document]):
        self._users = database["users"]
        # A session row is a lease: losing some in a crash costs a line in a list of devices until the next renewal.
        self._sessions = database["sessions"].with_options(write_concern=WriteConcern(w=1, j=False))
        self._processes = database["processes"]
        self._revocations = database["revocations"]
        self._accounts = database["accounts"]

    @translate_errors
    async def find_users(self, user_ids: Sequence[str]) -> dict[str, UserRecord]:
        rows = self._users.find({"clerkId": {"$in": list(user_ids)}})
        return {row["clerkId"]: _user(row) async for row in rows}

    @translate_errors
    async def search_users(self, prefix: str, limit: int) -> list[UserRecord]:
        # A field and a query for each name: over one list of names, MongoDB bounds the index on one side only, and the
        # embedded server uses none for $elemMatch (1 s with 8,000 people; this takes 10 ms).
        within = {"$gte": prefix, "$lt": prefix + "\U0010ffff"}
        found: dict[str, UserRecord] = {}
        for field in _SEARCH_FIELDS.values():
            rows = self._users.find({field: within, "isActive": True}).sort([(field, 1), ("clerkId", 1)]).limit(limit)
            found |= {row["clerkId"]: _user(row) async for row in rows}
        return list(found.values())[:limit]

    @translate_errors
    async def save_profiles(self, users: Sequence[UserRecord]) -> None:
        try:
            await self._users.bulk_write([InsertOne(_user_row(user)) for user in users], ordered=False)
            return
        except BulkWriteError as error:
            known = [users[index] for index in _duplicates(error)]
        await self._users.bulk_write([_profile_update(user) for user in known], ordered=False)

    @translate_errors
    async def save_settings(self, user_id: str, settings: UserSettings, at: datetime) -> None:
        change = {"settings": settings.model_dump(), "updatedAt": at}
        await self._users.update_one({"clerkId": user_id}, {"$set": change})

    @translate_errors
    async def set_active(self, user_id: str, *, active: bool, at: datetime) -> bool:
        standing = {"clerkId": user_id, "isErased": {"$ne": True}}
        result = await self._users.update_one(standing, {"$set": {"isActive": active, "updatedAt": at}})
        return result.matched_count == 1

    @translate_errors
    async def erase_user(self, user_id: str, at: datetime) -> None:
        personal = [*_PROFILE_FIELDS.values(), *_SEARCH_FIELDS.values(), "settings"]
        await self._users.update_one(
            {"clerkId": user_id},
            {
                "$set": {"isActive": False, "isErased": True, "updatedAt": at},
                "$unset": dict.fromkeys(personal, ""),
                "$setOnInsert": {"createdAt": at},
            },
            upsert=True,
        )
        await self.delete_sessions(user_id)

    @translate_errors
    async def insert_sessions(self, sessions: Sequence[SessionRecord]) -> None:
        try:
            await self._sessions.insert_many([_session_row(session) for session in sessions], ordered=False)
            return
        except BulkWriteError as error:
            known = [sessions[index] for index in _duplicates(error)]
        await self.update_sessions(known)

    @translate_errors
    async def update_sessions(self, sessions: Sequence[SessionRecord]) -> None:
        if sessions:
            await self._sessions.bulk_write(_session_updates(sessions), ordered=False)

    @translate_errors
    async def renew_process(self, process_id: str, expires_at: datetime) -> None:
        await self._processes.update_one({"_id": process_id}, {"$set": {"expiresAt": expires_at}}, upsert=True)

    @translate_errors
    async def end_process(self, process_id: str) -> None:
        await self._processes.delete_one({"_id": process_id})

    @translate_errors
    async def sessions_of(self, user_id: str, now: datetime) -> list[SessionRecord]:
        found = self._sessions.find({"userId": user_id, "expiresAt": {"$gt": now}})
        newest = found.sort([("lastActivity", DESCENDING), ("_id", DESCENDING)]).limit(100)
        rows = [_session(row) async for row in newest]
        processes = self._processes.find({"_id": {"$in": list({row.process_id for row in rows})}})
        alive = {process["_id"] async for process in processes if process["expiresAt"] > now}
        return [row if row.process_id in alive else replace(row, status="offline") for row in rows]

    @translate_errors
    async def delete_sessions(self, user_id: str, session_ids: Sequence[str] | None = None) -> None:
        chosen: Document = {"userId": user_id}
        if session_ids is not None:
            chosen["_id"] = {"$in": [ObjectId(session_id) for session_id in session_ids]}
        await self._sessions.delete_many(chosen)

    @translate_errors
    async def add_revocation(self, revocation: Revocation) -> None:
        row = {
            "_id": revocation.revocation_id,
            "userId": revocation.user_id,
            "sessionId": revocation.session_id,
            "at": revocation.at,
            "expiresAt": revocation.expires_at,
        }
        await self._revocations.replace_one({"_id": row["_id"]}, row, upsert=True)

    @translate_errors
    async def revocations_since(self, moment: datetime) -> list[Revocation]:
        rows = self._revocations.find({"at": {"$gte": moment}})
        return [
            Revocation(row["_id"], row["userId"], row["sessionId"], row["at"], row["expiresAt"]) async for row in rows
        ]

    @translate_errors
    async def add_account(self, account: Account) -> None:
        row = {
            "userId": account.user_id,
            "name": account.name,
            "nameKey": account.name_key,
            "passwordHash": account.password_hash,
            "roles": sorted(account.roles),
            "createdAt": account.created_at,
        }
        try:
            await self._accounts.insert_one(row)
        except DuplicateKeyError:
            raise Conflict("There is already an account of that name", field="name") from None

    @translate_errors
    async def find_account(self, name_key: str) -> Account | None:
        row = await self._accounts.find_one({"nameKey": name_key})
        return _account(row) if row else None

    @translate_errors
    async def accounts(self) -> list[Account]:
        return [_account(row) async for row in self._accounts.find({}, comment="scan: all accounts").sort("nameKey")]

    @translate_errors
    async def update_account(
        self, name_key: str, *, password_hash: str | None = None, roles: frozenset[str] | None = None
    ) -> bool:
        change: Document = {}
        if password_hash is not None:
            change["passwordHash"] = password_hash
        if roles is not None:
            change["roles"] = sorted(roles)
        result = await self._accounts.update_one({"nameKey": name_key}, {"$set": change})
        return result.matched_count == 1

    @translate_errors
    async def remove_account(self, name_key: str) -> bool:
        return (await self._accounts.delete_one({"nameKey": name_key})).deleted_count == 1


def _duplicates(error: BulkWriteError) -> list[int]:
    """Places of the rows that were there already; any other fault is raised."""
    faults = error.details["writeErrors"]
    if not faults or any(fault["code"] != DUPLICATE_KEY for fault in faults):
        raise error
    return [fault["index"] for fault in faults]


@functools.lru_cache(maxsize=64)
def _settings(**chosen: bool) -> UserSettings:
    """There are few different ones, and many people who keep them in memory."""
    return UserSettings(**chosen)


def _user(row: Document) -> UserRecord:
    return UserRecord(
        user_id=row["clerkId"],
        profile=Profile(**{name: row.get(stored, "") for name, stored in _PROFILE_FIELDS.items()}),
        created_at=row["createdAt"],
        updated_at=row["updatedAt"],
        settings=_settings(**row.get("settings", {})),
        is_active=row["isActive"],
        is_erased=row.get("isErased", False),
    )


def _profile_row(user: UserRecord) -> Document:
    stored = {stored: getattr(user.profile, name) for name, stored in _PROFILE_FIELDS.items()}
    keys = search_keys(user.profile)
    folded = {field: getattr(keys, name) for name, field in _SEARCH_FIELDS.items()}
    return {**stored, **folded, "updatedAt": user.updated_at}


def _user_row(user: UserRecord) -> Document:
    return {
        "clerkId": user.user_id,
        **_profile_row(user),
        "settings": user.settings.model_dump(),
        "isActive": user.is_active,
        "isErased": user.is_erased,
        "createdAt": user.created_at,
    }


def _profile_update(user: UserRecord) -> UpdateOne:
    return UpdateOne({"clerkId": user.user_id, "isErased": {"$ne": True}}, {"$set": _profile_row(user)})


def _session_row(session: SessionRecord) -> Document:
    return {
        "_id": ObjectId(session.session_id),
        "userId": session.user_id,
        "status": session.status,
        "deviceType": session.device_type,
        "ipAddress": session.address,
        "userAgent": session.user_agent,
        "createdAt": session.created_at,
        "lastActivity": session.last_activity,
        "processId": session.process_id,
        "expiresAt": session.expires_at,
    }


def _session(row: Document) -> SessionRecord:
    return SessionRecord(
        session_id=str(row["_id"]),
        user_id=row["userId"],
        device_type=row["deviceType"],
        address=row["ipAddress"],
        user_agent=row["userAgent"],
        created_at=row["createdAt"],
        last_activity=row["lastActivity"],
        expires_at=row["expiresAt"],
        process_id=row["processId"],
        status=row["status"],
    )


def _session_updates(sessions: Sequence[SessionRecord]) -> list[UpdateMany]:
    """One for all that changed alike within a second: half the cost of one each. Of times the latest counts."""
    alike: dict[tuple[object, ...], list[SessionRecord]] = {}
    for session in sessions:
        seconds = int(session.last_activity.timestamp()), int(session.expires_at.timestamp())
        alike.setdefault((session.status, session.process_id, *seconds), []).append(session)
    return [_session_update(group) for group in alike.values()]


def _session_update(alike: Sequence[SessionRecord]) -> UpdateMany:
    new = alike[0]
    chosen: Document = {"_id": {"$in": [ObjectId(session.session_id) for session in alike]}}
    if new.status == "offline":
        chosen["processId"] = new.process_id
    last_activity = max(session.last_activity for session in alike)
    change = {"status": new.status, "processId": new.process_id, "lastActivity": last_activity}
    return UpdateMany(chosen, {"$set": change, "$max": {"expiresAt": max(session.expires_at for session in alike)}})


def _account(row: Document) -> Account:
    return Account(
        row["userId"], row["name"], row["nameKey"], row["passwordHash"], frozenset(row["roles"]), row["createdAt"]
    )


__all__ = ["INDEXES", "IdentityStore", "MemoryIdentityStore", "MongoIdentityStore"]
