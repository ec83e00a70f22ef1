"""Who is who: people by id, and by the beginning of a name."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from chatcore.batches import Batches
from chatcore.contract.people import User, Users
from chatcore.identity.records import IdentityStore, UserRecord, deleted_user, fold

CAPACITY: Final = 10_000  # about 1 KB each
# A page's people. CPU of the embedded database for each: 0.99 ms alone, 0.15 in 12 or 64, 0.38 in 256.
READ_TOGETHER: Final = 100
FRESH_SECONDS: Final = 60.0  # how long another process's change of a name or setting may go unseen


@dataclass(frozen=True, slots=True)
class _Entry:
    record: UserRecord
    card: User
    read_at: float


class Directory:
    """Least recently used people are forgotten first. Concurrent look-ups go to the store together."""

    def __init__(self, store: IdentityStore, clock: Callable[[], float] = time.monotonic, capacity: int = CAPACITY):
        self._store = store
        self._clock = clock
        self._capacity = capacity
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._reads: Batches[str, UserRecord | None] = Batches(self._read, READ_TOGETHER)

    async def find(self, user_id: str) -> UserRecord | None:
        entry = self._fresh(user_id)
        return entry.record if entry else await self._reads.do(user_id)

    async def card(self, user_id: str) -> User:
        return (await self.cards([user_id]))[user_id]

    async def cards(self, user_ids: Iterable[str]) -> dict[str, User]:
        """One for every id; who is not known here is a "Deleted user"."""
        wanted = list(dict.fromkeys(user_ids))
        found = await self._entries_of(wanted)
        return {user_id: found[user_id].card if user_id in found else deleted_user(user_id) for user_id in wanted}

    async def records(self, user_ids: Iterable[str]) -> dict[str, UserRecord]:
        """Those who are known here, erased ones too."""
        found = await self._entries_of(dict.fromkeys(user_ids))
        return {user_id: entry.record for user_id, entry in found.items()}

    async def search(self, query: str, limit: int) -> Users:
        """Active people one of whose names begins with the query; nobody for an empty one."""
        prefix = fold(query)
        if not prefix:
            return Users(users=[])
        found = await self._store.search_users(prefix, limit + 1)
        return Users(users=[user.card() for user in found[:limit]], has_more=len(found) > limit)

    def remember(self, record: UserRecord) -> None:
        self._entries[record.user_id] = _Entry(record, record.card(), self._clock())
        self._entries.move_to_end(record.user_id)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def forget(self, user_id: str) -> None:
        self._entries.pop(user_id, None)

    async def _entries_of(self, user_ids: Iterable[str]) -> dict[str, _Entry]:
        """With one query at most, which may serve others too."""
        found = {user_id: entry for user_id in user_ids if (entry := self._fresh(user_id))}
        unknown = [user_id for user_id in user_ids if user_id not in found]
        if unknown:
            read = await asyncio.gather(*map(self._reads.do, unknown))
            found |= {record.user_id: _Entry(record, record.card(), self._clock()) for record in read if record}
        return found

    def _fresh(self, user_id: str) -> _Entry | None:
        entry = self._entries.get(user_id)
        if entry is None or self._clock() - entry.read_at >= FRESH_SECONDS:
            return None
        self._entries.move_to_end(user_id)
        return entry

    async def _read(self, user_ids: Sequence[str]) -> Sequence[UserRecord | None]:
        found = await self._store.find_users(list(dict.fromkeys(user_ids)))
        for record in found.values():
            self.remember(record)
        return [found.get(user_id) for user_id in user_ids]
