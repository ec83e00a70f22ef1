"""Accounts with name and password, kept here: for servers without another issuer."""

import asyncio
import re
import secrets
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chatcore.contract.people import DevTokenRequest, Login, ServerRole, TokenIssued
from chatcore.errors import BadCredentials, Invalid, NotFound, RateLimited, Unavailable
from chatcore.identity.claims import SERVER_ROLES
from chatcore.identity.records import Account, IdentityStore, Profile, UserRecord, fold
from chatcore.identity.tokens import LocalIssuer
from chatcore.limits import address_key

TOKEN_LIFETIME: Final = timedelta(days=7)  # ends earlier by revocation, in every process within seconds
MIN_PASSWORD: Final = 8  # NIST SP 800-63B, 5.1.1.1
MAX_PASSWORD: Final = 1024
MAX_HASHES_WAITING: Final = 32
# OWASP's password storage recommendation for argon2id: 19 MiB, two passes, one lane; about 30 ms here.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


T = TypeVar("T")
_GuardKey = tuple[str, ...]


@dataclass(slots=True)
class _Failures:
    count: int = 0
    blocked_until: float = 0.0
    last_at: float = 0.0


class LoginGuard:
    """Growing pauses after wrong passwords: by account and address together, and by each alone.

    The pause on an account alone is short and does not bind an address from which its owner has signed in, so that
    strangers cannot lock somebody out. An hour without a failure clears the record.
    """

    FREE: Final = {"pair": 5, "account": 50, "address": 30}
    MAX_PAUSE_SECONDS: Final = {"pair": 900.0, "account": 10.0, "address": 900.0}
    FORGET_SECONDS: Final = 3600.0

    def __init__(self, clock: Callable[[], float] = time.monotonic, max_entries: int = 20_000):
        self._clock = clock
        self._max_entries = max_entries
        self._failures: dict[_GuardKey, _Failures] = {}
        self._trusted: OrderedDict[_GuardKey, None] = OrderedDict()

    def attempt(self, name_key: str, address: str) -> None:
        """Counts as a failure until `succeeded`, so that many at once gain nothing. Raises RateLimited in a pause."""
        now = self._clock()
        self._sweep(now)
        places = self._places(name_key, address)
        binding = [
            item for place in places if (item := self._failures.get(place)) and not self._is_lenient(place, places)
        ]
        wait = max((item.blocked_until - now for item in binding), default=0.0)
        if wait > 0:
            raise RateLimited("Too many wrong passwords; wait and try again", retry_after_ms=int(wait * 1000) + 1)
        for place in places:
            self._count(place, now)

    def succeeded(self, name_key: str, address: str) -> None:
        pair, *others = self._places(name_key, address)
        self._failures.pop(pair, None)
        self._trusted[pair] = None
        self._trusted.move_to_end(pair)
        if len(self._trusted) > self._max_entries:
            self._trusted.popitem(last=False)
        for place in others:
            item = self._failures.get(place)
            if item is not None:
                item.count -= 1
                item.blocked_until = 0.0  # set by this attempt, as none gets in during a pause
                if item.count <= 0:
                    del self._failures[place]

    def __len__(self) -> int:
        return len(self._failures)

    def _count(self, place: _GuardKey, now: float) -> None:
        item = self._failures.get(place)
        if item is None or now - item.last_at >= self.FORGET_SECONDS:
            item = self._failures[place] = _Failures()
        item.count += 1
        item.last_at = now
        over = item.count - self.FREE[place[0]]
        if over >= 0:
            item.blocked_until = now + min(2.0 ** min(over, 20), self.MAX_PAUSE_SECONDS[place[0]])

    def _is_lenient(self, place: _GuardKey, places: Sequence[_GuardKey]) -> bool:
        return place[0] == "account" and places[0] in self._trusted

    @staticmethod
    def _places(name_key: str, address: str) -> tuple[_GuardKey, _GuardKey, _GuardKey]:
        return ("pair", name_key, address), ("account", name_key), ("address", address)

    def _sweep(self, now: float) -> None:
        if len(self._failures) < self._max_entries:
            return
        kept = {place: item for place, item in self._failures.items() if now - item.last_at < self.FORGET_SECONDS}
        worst = sorted(kept, key=lambda place: kept[place].blocked_until, reverse=True)[: self._max_entries // 2]
        self._failures = {place: kept[place] for place in worst}


class LocalAccounts:
    """`ended(user_id)` ends all sessions of a person; `closed(user_id)` closes the account of one."""

    def __init__(
        self,
        store: IdentityStore,
        issuer: LocalIssuer,
        *,
        ended: Callable[[str], Awaitable[object]],
        closed: Callable[[str], Awaitable[object]],
        clock: Callable[[], float] = time.monotonic,
        hasher: PasswordHasher = _HASHER,
    ):
        self._store = store
        self._issuer = issuer
        self._ended = ended
        self._closed = closed
        self._guard = LoginGuard(clock)
        self._hasher = hasher
        # Each hash under way takes 19 MiB and a core; the loop is never held.
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
        self._hashes = 0
        self._nobody = ""

    async def login(self, request: Login, address: str = "") -> TokenIssued:
        """Raises BadCredentials, the same and after the same work for a wrong name and a wrong password."""
        name_key, address = fold(request.name), address_key(address)
        self._guard.attempt(name_key, address)
        account = await self._store.find_account(name_key)
        stored = account.password_hash if account else await self._hash_of_nobody()
        right = await self._in_pool(self._matches, stored, _normal(request.password))
        if account is None or not right:
            raise BadCredentials()
        self._guard.succeeded(name_key, address)
        if self._hasher.check_needs_rehash(account.password_hash):
            renewed = await self._in_pool(self._hasher.hash, _normal(request.password))
            await self._store.update_account(name_key, password_hash=renewed)
        return self._issuer.issue(account.user_id, _profile(account.name), TOKEN_LIFETIME, roles=account.roles)

    def dev_token(self, request: DevTokenRequest) -> TokenIssued:
        """For any name, without a password, where the settings allow it; otherwise NotFound."""
        if not self._issuer.development_tokens:
            raise NotFound()
        user_id = f"dev_{request.name.lower()}"
        return self._issuer.issue(user_id, _profile(request.name), TOKEN_LIFETIME, development=True)

    async def add_account(self, name: str, password: str, roles: Collection[ServerRole] = ()) -> Account:
        """Raises Invalid, or Conflict when the name is taken (case and width do not count)."""
        name = unicodedata.normalize("NFC", " ".join(name.split()))
        if not name or len(name) > 100 or _CONTROL.search(name):
            raise Invalid("A name has 1 to 100 characters, none of them invisible", field="name")
        password_hash = await self._hash(password)
        account = Account(
            user_id=f"user_{secrets.token_hex(12)}",
            name=name,
            name_key=fold(name),
            password_hash=password_hash,
            roles=_roles(roles),
            created_at=datetime.now(UTC),
        )
        await self._store.add_account(account)
        # So that others find this person before the first sign-in.
        user = UserRecord(account.user_id, _profile(name), account.created_at, account.created_at)
        await self._store.save_profiles([user])
        return account

    async def list_accounts(self) -> list[Account]:
        return await self._store.accounts()

    async def remove_account(self, name: str) -> None:
        """The account is closed and its name free; messages stay, as those of a person who has gone."""
        account = await self._get(name)
        await self._closed(account.user_id)
        await self._store.remove_account(account.name_key)

    async def set_password(self, name: str, password: str) -> None:
        """All sessions of the account end."""
        account = await self._get(name)
        await self._store.update_account(account.name_key, password_hash=await self._hash(password))
        await self._ended(account.user_id)

    async def set_roles(self, name: str, roles: Collection[ServerRole]) -> str:
        """A role taken away is gone within seconds, as all sessions end; a new one counts from the next sign-in.

        Returns the user's id.
        """
        account = await self._get(name)
        wanted = _roles(roles)
        await self._store.update_account(account.name_key, roles=wanted)
        if account.roles - wanted:
            await self._ended(account.user_id)
        return account.user_id

    async def forget_user(self, user_id: str) -> None:
        """The part of an erasure that is done here."""
        for account in await self._store.accounts():
            if account.user_id == user_id:
                await self._store.remove_account(account.name_key)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _get(self, name: str) -> Account:
        account = await self._store.find_account(fold(name))
        if account is None:
            raise NotFound("There is no account of that name")
        return account

    async def _hash(self, password: str) -> str:
        if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
            raise Invalid(f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters", field="password")
        return await self._in_pool(self._hasher.hash, _normal(password))

    async def _hash_of_nobody(self) -> str:
        if not self._nobody:
            self._nobody = await self._in_pool(self._hasher.hash, secrets.token_urlsafe())
        return self._nobody

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_pool(self, work: Callable[..., T], *arguments: str) -> T:
        if self._hashes >= MAX_HASHES_WAITING:
            raise Unavailable("Too many sign-ins at once; try again in a moment")
        self._hashes += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
        finally:
            self._hashes -= 1


def _normal(password: str) -> str:
    """One form for what the same keys give on different systems (NIST SP 800-63B asks for NFKC or NFKD)."""
    return unicodedata.normalize("NFKC", password)


def _profile(name: str) -> Profile:
    return Profile(name=name, username=name)


def _roles(roles: Collection[str]) -> frozenset[str]:
    unknown = set(roles) - SERVER_ROLES
    if unknown:
        raise Invalid(f"There are the roles {', '.join(sorted(SERVER_ROLES))}", field="roles")
    return frozenset(roles)
