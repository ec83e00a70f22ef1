"""Accounts with name and password."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from argon2 import PasswordHasher

from chatcore.contract.people import DevTokenRequest, Login
from chatcore.errors import BadCredentials, Conflict, Invalid, NotFound, RateLimited, Unavailable
from chatcore.identity import accounts as module
from chatcore.identity.accounts import LocalAccounts, LoginGuard
from chatcore.identity.memory import MemoryIdentityStore
from chatcore.identity.tokens import LocalIssuer
from tests.identity.conftest import Clock

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
GOOD = "correct horse"


class CountingHasher(PasswordHasher):
    def __init__(self, **options: int) -> None:
        super().__init__(**options)
        self.verified: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002
        self.verified.append(str(hash))
        return super().verify(hash, password)


class Office:
    def __init__(self, clock: Clock, hasher: PasswordHasher = CHEAP, development_tokens: bool = False):
        self.store = MemoryIdentityStore()
        self.issuer = LocalIssuer(
            bytes(range(32)), issuer="chatcore-local", development_tokens=development_tokens, now=clock
        )
        self.ended: list[str] = []
        self.closed: list[str] = []
        self.accounts = self.with_hasher(hasher, clock)

    def with_hasher(self, hasher: PasswordHasher, clock: Clock) -> LocalAccounts:
        return LocalAccounts(self.store, self.issuer, ended=self._end, closed=self._close, clock=clock, hasher=hasher)

    async def _end(self, user_id: str) -> None:
        self.ended.append(user_id)

    async def _close(self, user_id: str) -> None:
        self.closed.append(user_id)

    async def login(self, name: str, password: str = GOOD, address: str = "192.0.2.1") -> str:
        return (await self.accounts.login(Login(name=name, password=password), address)).token


@pytest.fixture
async def office(clock: Clock) -> AsyncIterator[Office]:
    found = Office(clock)
    yield found
    found.accounts.close()


async def test_a_name_and_its_password_give_a_token_with_the_roles_of_the_account(office: Office) -> None:
    account = await office.accounts.add_account("Ada", GOOD, ["operator"])
    claims = await office.issuer.verify(await office.login("ada"))
    assert (claims.sub, claims.roles, claims.profile.name) == (account.user_id, {"operator"}, "Ada")


@pytest.mark.parametrize("name", ["ada", "ADA", " Ada ", "\uff21\uff24\uff21"])
async def test_case_width_and_spaces_do_not_make_another_name(office: Office, name: str) -> None:
    await office.accounts.add_account("Ada", GOOD)
    with pytest.raises(Conflict):
        await office.accounts.add_account(name, GOOD)
    assert await office.login(name)


async def test_a_wrong_name_and_a_wrong_password_look_and_cost_the_same(clock: Clock) -> None:
    hasher = CountingHasher(time_cost=1, memory_cost=8, parallelism=1)
    office = Office(clock, hasher)
    await office.accounts.add_account("Ada", GOOD)
    refusals = []
    for name in ("ada", "nobody"):
        with pytest.raises(BadCredentials) as refusal:
            await office.login(name, "wrong password")
        refusals.append((refusal.value.code, refusal.value.message))
    assert refusals[0] == refusals[1]
    assert [hashed.rsplit("$", 2)[0] for hashed in hasher.verified] == ["$argon2id$v=19$m=8,t=1,p=1"] * 2


async def test_a_password_may_be_typed_on_another_system(office: Office) -> None:
    await office.accounts.add_account("Ada", "Ångström-e\u0301")
    assert await office.login("Ada", "A\u030angstro\u0308m-é")


@pytest.mark.parametrize("password", ["", "seven77", "x" * 1025])
async def test_a_password_too_short_or_too_long_is_refused(office: Office, password: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await office.accounts.add_account("Ada", password)
    assert refusal.value.field == "password"


@pytest.mark.parametrize("name", ["", "   ", "a\u202eb", "zero\u200bwidth", "x" * 101, "bell\x07"])
async def test_a_name_with_invisible_signs_or_none_is_refused(office: Office, name: str) -> None:
    with pytest.raises(Invalid):
        await office.accounts.add_account(name, GOOD)


async def test_an_unknown_role_is_refused(office: Office) -> None:
    with pytest.raises(Invalid):
        await office.accounts.add_account("Ada", GOOD, ["emperor"])  # type: ignore[list-item]


async def test_the_password_itself_is_kept_nowhere(office: Office) -> None:
    await office.accounts.add_account("Ada", GOOD)
    kept = await office.store.find_account("ada")
    assert kept is not None
    assert kept.password_hash.startswith("$argon2id$")
    assert GOOD not in str(kept.password_hash)


async def test_a_changed_password_ends_all_sessions(office: Office) -> None:
    account = await office.accounts.add_account("Ada", GOOD)
    await office.accounts.set_password("ada", "another password")
    assert office.ended == [account.user_id]
    with pytest.raises(BadCredentials):
        await office.login("Ada")
    assert await office.login("Ada", "another password")


async def test_taking_a_role_away_ends_sessions_and_giving_one_does_not(office: Office) -> None:
    account = await office.accounts.add_account("Ada", GOOD)
    await office.accounts.set_roles("Ada", ["operator", "analyst"])
    assert office.ended == []
    await office.accounts.set_roles("Ada", ["analyst"])
    assert office.ended == [account.user_id]
    assert (await office.issuer.verify(await office.login("Ada"))).roles == {"analyst"}


async def test_a_removed_name_is_free_but_its_person_is_another(office: Office) -> None:
    first = await office.accounts.add_account("Ada", GOOD)
    await office.accounts.remove_account("ADA")
    assert office.closed == [first.user_id]
    with pytest.raises(BadCredentials):
        await office.login("Ada")
    second = await office.accounts.add_account("Ada", GOOD)
    assert second.user_id != first.user_id
    assert [account.name for account in await office.accounts.list_accounts()] == ["Ada"]


async def test_changes_of_an_unknown_account_are_not_found(office: Office) -> None:
    for change in (
        office.accounts.remove_account("x"),
        office.accounts.set_password("x", GOOD),
        office.accounts.set_roles("x", []),
    ):
        with pytest.raises(NotFound):
            await change


async def test_an_erased_person_has_no_account(office: Office) -> None:
    account = await office.accounts.add_account("Ada", GOOD)
    await office.accounts.forget_user(account.user_id)
    await office.accounts.forget_user(account.user_id)
    assert await office.accounts.list_accounts() == []


async def test_a_hash_of_old_strength_is_renewed_at_the_next_sign_in(office: Office, clock: Clock) -> None:
    await office.accounts.add_account("Ada", GOOD)
    stronger = office.with_hasher(PasswordHasher(time_cost=2, memory_cost=16, parallelism=1), clock)
    await stronger.login(Login(name="Ada", password=GOOD))
    kept = await office.store.find_account("ada")
    assert kept is not None
    assert "m=16,t=2" in kept.password_hash
    assert await stronger.login(Login(name="Ada", password=GOOD))


def test_the_default_hash_is_as_strong_as_recommended() -> None:
    hashed = module._HASHER.hash("x")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_more_sign_ins_than_can_wait_are_refused_for_now(office: Office) -> None:
    await office.accounts.add_account("Ada", GOOD)
    attempts = [office.login("Ada", GOOD, f"192.0.2.{number}") for number in range(60)]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
    assert refused
    assert all(isinstance(outcome, str | Unavailable | RateLimited) for outcome in outcomes)
    assert await office.login("Ada", GOOD, "198.51.100.1")


async def test_guessing_many_times_at_once_gains_nothing(office: Office) -> None:
    await office.accounts.add_account("Ada", GOOD)
    guesses = [office.login("Ada", f"guess {number:04}") for number in range(30)]
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(outcome, BadCredentials) for outcome in outcomes) == 5
    assert sum(isinstance(outcome, RateLimited) for outcome in outcomes) == 25


# --- pauses


def fails(guard: LoginGuard, name: str = "ada", address: str = "a") -> float:
    """Attempt with a wrong password; the pause in seconds, 0 when the attempt was let through."""
    try:
        guard.attempt(name, address)
    except RateLimited as refusal:
        return (refusal.retry_after_ms or 0) / 1000
    return 0.0


def test_pauses_grow_and_end_by_themselves(clock: Clock) -> None:
    guard = LoginGuard(clock)
    assert [fails(guard) for _ in range(5)] == [0] * 5
    pauses = []
    for _ in range(14):
        pause = fails(guard)
        pauses.append(round(pause))
        clock.pass_seconds(pause)
        assert fails(guard) == 0
    assert pauses[:5] == [1, 2, 4, 8, 16]
    assert max(pauses) == 900


def test_a_right_password_clears_the_pair(clock: Clock) -> None:
    guard = LoginGuard(clock)
    for _ in range(20):
        for _ in range(4):
            assert fails(guard) == 0
        guard.attempt("ada", "a")
        guard.succeeded("ada", "a")
        clock.pass_seconds(3600)


def test_strangers_cannot_lock_an_owner_out_of_a_known_address(clock: Clock) -> None:
    guard = LoginGuard(clock)
    guard.attempt("ada", "home")
    guard.succeeded("ada", "home")
    for number in range(200):
        fails(guard, "ada", f"bot-{number}")
    assert fails(guard, "ada", "bot-x") > 0
    assert fails(guard, "ada", "home") == 0
    clock.pass_seconds(11)
    assert fails(guard, "ada", "travelling") == 0


def test_one_address_cannot_try_one_password_on_many_names(clock: Clock) -> None:
    guard = LoginGuard(clock)
    tries = [fails(guard, f"name-{number}", "a") for number in range(60)]
    assert sum(1 for pause in tries if pause == 0) == 30


def test_ones_own_account_does_not_buy_guesses_at_others(clock: Clock) -> None:
    guard = LoginGuard(clock)
    guessed = 0
    for number in range(300):
        if fails(guard, f"name-{number}", "a") == 0:
            guessed += 1
        if fails(guard, "mine", "a") == 0:
            guard.succeeded("mine", "a")
    assert guessed == 30


def test_an_hour_of_quiet_clears_the_record(clock: Clock) -> None:
    guard = LoginGuard(clock)
    for _ in range(5):
        fails(guard)
    clock.pass_seconds(3600)
    assert [fails(guard) for _ in range(5)] == [0] * 5


def test_the_record_is_bounded_and_keeps_the_worst(clock: Clock) -> None:
    guard = LoginGuard(clock, max_entries=100)
    for _ in range(6):
        fails(guard, "ada", "thief")
    clock.pass_seconds(0.1)
    for number in range(500):
        fails(guard, f"name-{number}", f"a-{number}")
    assert len(guard) <= 103
    assert fails(guard, "ada", "thief") > 0


# --- development tokens


async def test_a_development_token_names_anybody_where_allowed(clock: Clock) -> None:
    office = Office(clock, development_tokens=True)
    first = office.accounts.dev_token(DevTokenRequest(name="Ada"))
    again = office.accounts.dev_token(DevTokenRequest(name="ada"))
    assert first.user_id == again.user_id
    assert (await office.issuer.verify(first.token)).profile.name == "Ada"


def test_a_development_token_does_not_exist_elsewhere(clock: Clock) -> None:
    with pytest.raises(NotFound):
        Office(clock).accounts.dev_token(DevTokenRequest(name="Ada"))
