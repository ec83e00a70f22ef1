"""Signing in, being somebody, and the many ways in which a sign-in ends."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chatcore.contract.people import FindUsers, UpdateMe, UserSettings, UserSettingsChange
from chatcore.errors import NotFound, TokenMissing, Unauthenticated, Unavailable, UserInactive
from chatcore.identity.claims import Claims
from chatcore.identity.directory import Directory
from chatcore.identity.memory import MemoryIdentityStore
from chatcore.identity.records import Profile, SessionRecord, UserRecord
from chatcore.identity.service import Authenticated, Exported, Identity
from chatcore.identity.sessions import Connection
from chatcore.ports import Caller
from tests.identity.conftest import Clock, RecordingFanout
from tests.identity.people import claims, user


class CountingStore(MemoryIdentityStore):
    """Counts calls; `gate`, once closed, holds writes and reads back like a slow database."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.down = False

    async def _pass(self, name: str, size: int) -> None:
        self.calls.append((name, size))
        await self.gate.wait()
        if self.down:
            raise Unavailable()

    def count(self, name: str) -> int:
        return sum(1 for called, _ in self.calls if called == name)

    async def find_users(self, user_ids: Sequence[str]) -> dict[str, UserRecord]:
        await self._pass("find_users", len(user_ids))
        return await super().find_users(user_ids)

    async def save_profiles(self, users: Sequence[UserRecord]) -> None:
        await self._pass("save_profiles", len(users))
        await super().save_profiles(users)

    async def insert_sessions(self, sessions: Sequence[SessionRecord]) -> None:
        await self._pass("insert_sessions", len(sessions))
        await super().insert_sessions(sessions)

    async def update_sessions(self, sessions: Sequence[SessionRecord]) -> None:
        await self._pass("update_sessions", len(sessions))
        await super().update_sessions(sessions)


class Door:
    """A verifier that knows its tokens by heart."""

    def __init__(self) -> None:
        self.known: dict[str, Claims] = {}

    async def verify(self, token: str) -> Claims:
        if token not in self.known:
            raise Unauthenticated()
        return self.known[token]


class Town:
    """One server process and a way to sign people in to it."""

    def __init__(self, store: MemoryIdentityStore, fanout: RecordingFanout, clock: Clock):
        self.door = Door()
        self.clock = clock
        self.fanout = fanout
        self.identity = Identity(store, self.door, fanout, now=clock, clock=clock)

    def token(self, sub: str, session: str = "s1", lifetime: float = 600, **more: object) -> str:
        name = f"{sub}/{session}/{self.clock()}/{lifetime}/{more}"
        self.door.known[name] = claims(sub, session, now=self.clock(), lifetime=lifetime, **more)
        return name

    async def sign_in(
        self, sub: str, connection_id: str | None = None, session: str = "s1", **more: object
    ) -> Authenticated:
        token = self.token(sub, session, **more)
        return await self.identity.authenticate(token, Connection("192.0.2.1", "Mozilla/5.0", None, connection_id))

    async def caller(self, sub: str, connection_id: str = "c1", session: str = "s1") -> Caller:
        return (await self.sign_in(sub, connection_id, session)).caller(connection_id=connection_id)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
async def town(store: CountingStore, fanout: RecordingFanout, clock: Clock) -> Town:
    found = Town(store, fanout, clock)
    await found.identity.start()
    return found


@pytest.fixture
async def other(store: CountingStore, clock: Clock) -> Town:
    """A second process on the same database."""
    found = Town(store, RecordingFanout(), clock)
    await found.identity.start()
    return found


# --- signing in


async def test_the_first_sign_in_makes_the_person_known(town: Town, store: CountingStore) -> None:
    signed = await town.sign_in(
        "ada", "c1", profile=Profile(name="Ada", email="ada@example.org"), roles=frozenset({"analyst"})
    )
    success = signed.success()
    assert (success.user.user_id, success.user.name, success.user.email) == ("ada", "Ada", "ada@example.org")
    assert success.user.roles == ["analyst"]
    assert success.session_id == signed.session_id
    assert (await store.find_users(["ada"]))["ada"].profile.name == "Ada"


async def test_without_a_token_nobody_gets_in(town: Town) -> None:
    for nothing in (None, ""):
        with pytest.raises(TokenMissing):
            await town.identity.authenticate(nothing, Connection())


async def test_an_email_is_in_ones_own_answer_and_in_no_card(town: Town) -> None:
    signed = await town.sign_in("ada", profile=Profile(email="ada@example.org"))
    assert "ada@example.org" not in str(signed.caller().user)
    assert "ada@example.org" not in str(await town.identity.cards(["ada"]))


async def test_a_person_is_written_only_when_the_token_says_something_new(town: Town, store: CountingStore) -> None:
    for _ in range(5):
        await town.sign_in("ada", profile=Profile(name="Ada"))
    assert store.count("save_profiles") == 1
    await town.sign_in("ada")
    assert store.count("save_profiles") == 1
    signed = await town.sign_in("ada", profile=Profile(name="Ada King"))
    assert store.count("save_profiles") == 2
    assert signed.user.profile.name == "Ada King"


async def test_a_token_without_names_leaves_the_known_ones(town: Town) -> None:
    await town.sign_in("ada", profile=Profile(name="Ada", username="ada"))
    signed = await town.sign_in("ada", profile=Profile(name="Ada King"))
    assert signed.user.profile == Profile(name="Ada King", username="ada")


async def test_known_people_sign_in_without_a_question_to_the_database(town: Town, store: CountingStore) -> None:
    await town.sign_in("ada", "c1")
    await town.identity.devices((await town.sign_in("ada", "c1")).caller())
    store.calls.clear()
    for _ in range(10):
        await town.sign_in("ada", "c1")
    await asyncio.sleep(0)
    assert store.calls == []


async def test_a_storm_of_sign_ins_makes_few_reads_and_writes(town: Town, store: CountingStore) -> None:
    await asyncio.gather(*(town.sign_in(f"user_{number}", f"c{number}") for number in range(300)))
    await town.identity.stop()
    assert sum(size for name, size in store.calls if name == "insert_sessions") == 300
    assert store.count("save_profiles") <= 3
    assert store.count("find_users") <= 10  # twice 300 people, 100 at a time
    assert store.count("insert_sessions") <= 12


async def test_a_storm_that_leaves_at_once_is_written_down_once(town: Town, store: CountingStore) -> None:
    for number in range(300):
        await town.sign_in(f"user_{number}", f"c{number}")
    for number in range(300):
        town.identity.closed(f"c{number}")
    await town.identity.stop()
    written = sum(size for name, size in store.calls if name in ("insert_sessions", "update_sessions"))
    assert written <= 300 + 100  # two batches may have been under way or done when they left
    assert all(row.status == "offline" for row in store._sessions.values())


async def test_signing_in_does_not_wait_for_the_session_row(town: Town, store: CountingStore) -> None:
    await town.sign_in("ada")
    store.gate.clear()
    signed = await asyncio.wait_for(town.sign_in("ada", "c2", "s2"), 5)
    assert signed.session_id
    store.gate.set()


async def test_two_devices_of_a_new_person_at_once_make_one_person(town: Town) -> None:
    first, second = await asyncio.gather(
        town.sign_in("ada", "c1", profile=Profile(name="Ada")),
        town.sign_in("ada", "c2", "s2", profile=Profile(name="Ada")),
    )
    assert first.user == second.user


async def test_a_database_that_is_down_is_said_to_be(town: Town, store: CountingStore) -> None:
    store.down = True
    with pytest.raises(Unavailable):
        await town.sign_in("ada")
    store.down = False
    assert (await town.sign_in("ada")).user.user_id == "ada"


async def test_a_connection_cannot_become_somebody_else(town: Town) -> None:
    await town.sign_in("ada", "c1")
    with pytest.raises(Unauthenticated, match="somebody else"):
        await town.sign_in("bob", "c1")
    assert (await town.sign_in("ada", "c1", "s2")).user.user_id == "ada"


# --- the end of a connection


async def test_a_connection_is_warned_and_closed_and_a_renewal_moves_both(town: Town, clock: Clock) -> None:
    await town.sign_in("ada", "c1", lifetime=60)
    sweep = {name: chore for _, name, chore in town.identity.chores()}["token-expiry"]
    clock.pass_seconds(50)
    await sweep()
    assert [(who, event) for who, event, _ in town.fanout.told] == [("c1", "token_expiring")]
    await town.sign_in("ada", "c1", lifetime=60)
    clock.pass_seconds(100)
    await sweep()
    assert town.fanout.closed == []
    clock.pass_seconds(21)
    await sweep()
    assert town.fanout.closed == [("c1", "token_expired")]


async def test_ending_a_session_closes_its_connections_in_every_process(town: Town, other: Town) -> None:
    caller = await town.caller("ada", "c1")
    await other.sign_in("ada", "c2")
    phone = await other.sign_in("ada", "c3", "phone")
    await town.identity.revoke(caller, caller.session_id)
    assert town.fanout.closed == [("c1", "revoked")]
    await other.identity.revocations.poll()
    assert other.fanout.closed == [("c2", "revoked")]
    for process in (town, other):
        with pytest.raises(Unauthenticated):
            await process.sign_in("ada", "c9")
    assert (await other.sign_in("ada", "c3", "phone")).session_id == phone.session_id


async def test_what_still_waits_to_be_written_of_an_ended_session_is_never_written(
    town: Town, other: Town, store: CountingStore
) -> None:
    caller = await town.caller("ada", "c1")
    await town.identity.devices(caller)  # its row is written
    await other.sign_in("ada", "c2")
    await town.identity.revoke(caller, caller.session_id)
    await other.identity.revocations.poll()
    await other.identity.stop()
    assert store._sessions == {}


async def test_a_revocation_outlives_a_restart(town: Town, store: CountingStore, clock: Clock) -> None:
    caller = await town.caller("ada")
    await town.identity.revoke(caller, caller.session_id)
    clock.pass_seconds(90 * 86_400)
    restarted = Town(store, RecordingFanout(), clock)
    await restarted.identity.start()
    with pytest.raises(Unauthenticated):
        await restarted.sign_in("ada")


async def test_a_revocation_by_a_process_whose_clock_is_behind_is_seen(
    town: Town, store: CountingStore, clock: Clock
) -> None:
    late = Town(store, RecordingFanout(), Clock(clock() - 60))
    await town.sign_in("ada", "c1")
    clock.pass_seconds(30)
    await town.identity.revocations.poll()
    signed = await late.sign_in("ada")
    await late.identity.revoke(signed.caller(), signed.session_id)
    await town.identity.revocations.poll()
    assert town.fanout.closed == [("c1", "revoked")]


async def test_a_revocation_is_told_once(town: Town, other: Town) -> None:
    await other.sign_in("ada", "c2")
    await town.identity.end_session("ada", (await town.sign_in("ada")).session_id)
    for _ in range(3):
        await other.identity.revocations.poll()
    assert other.fanout.closed == [("c2", "revoked")]


async def test_a_session_that_ends_while_it_signs_in_does_not_get_in(town: Town, store: CountingStore) -> None:
    store.gate.clear()
    signing = asyncio.create_task(town.sign_in("ada", "c1"))
    await asyncio.sleep(0.01)
    await town.identity.revocations.add("ada")
    store.gate.set()
    with pytest.raises(Unauthenticated):
        await signing


async def test_a_closed_account_is_out_at_once_and_stays_out(town: Town, other: Town, clock: Clock) -> None:
    await town.sign_in("ada", "c1")
    await other.sign_in("ada", "c2")
    await town.identity.deactivate("ada")
    await other.identity.revocations.poll()
    assert (town.fanout.closed, other.fanout.closed) == ([("c1", "revoked")], [("c2", "revoked")])
    clock.pass_seconds(5)
    for process in (town, other):
        with pytest.raises(UserInactive):
            await process.sign_in("ada")


async def test_a_reopened_account_needs_a_new_token(town: Town, clock: Clock) -> None:
    old = town.token("ada")
    await town.identity.authenticate(old, Connection())
    await town.identity.deactivate("ada")
    clock.pass_seconds(1)
    await town.identity.reactivate("ada")
    with pytest.raises(Unauthenticated):
        await town.identity.authenticate(old, Connection())
    assert (await town.sign_in("ada")).user.is_active


async def test_only_known_accounts_are_closed_or_opened(town: Town) -> None:
    for change in (town.identity.deactivate, town.identity.reactivate):
        with pytest.raises(NotFound):
            await change("nobody")


async def test_nothing_is_held_when_all_have_gone(town: Town) -> None:
    for round_ in range(3):
        ids = [f"c{round_}-{number}" for number in range(200)]
        await asyncio.gather(*(town.sign_in(f"user_{index % 50}", name, f"s{index}") for index, name in enumerate(ids)))
        for name in ids:
            town.identity.closed(name)
    identity = town.identity
    assert (len(identity._connections), len(identity._expiry), len(identity._sessions)) == (0, 0, 0)
    assert identity._connections._by_user == {}
    await identity._sessions.flush()
    assert identity._sessions._new == set()


# --- devices


async def test_devices_show_each_session_with_its_state(town: Town, clock: Clock) -> None:
    caller = await town.caller("ada", "c1", "laptop")
    await town.sign_in("ada", "c2", "laptop")
    clock.pass_seconds(10)
    await town.identity.authenticate(town.token("ada", "phone"), Connection("", "okhttp/4", None, "c3"))
    await town.sign_in("ada", None, "script")
    await town.sign_in("bob", "c4")
    town.identity.change_status(await town.caller("ada", "c3", "phone"), "away")
    town.identity.closed("c1")

    async def states() -> set[tuple[str, str, bool]]:
        found = await town.identity.devices(caller)
        return {(device.device_type, device.status, device.current) for device in found.sessions}

    assert await states() == {("web", "online", True), ("mobile", "away", False), ("web", "offline", False)}
    town.identity.closed("c2")
    assert await states() == {("web", "offline", True), ("mobile", "away", False), ("web", "offline", False)}


async def test_one_cannot_end_the_session_of_another(town: Town) -> None:
    theirs = await town.sign_in("bob", "c2")
    with pytest.raises(NotFound):
        await town.identity.revoke(await town.caller("ada"), theirs.session_id)
    assert town.fanout.closed == []


async def test_an_ended_session_is_no_longer_listed(town: Town) -> None:
    caller = await town.caller("ada", "c1", "laptop")
    phone = await town.sign_in("ada", "c2", "phone")
    await town.identity.revoke(caller, phone.session_id)
    town.identity.closed("c2")
    assert [device.session_id for device in (await town.identity.devices(caller)).sessions] == [caller.session_id]


async def test_devices_of_a_process_that_died_are_offline(town: Town, other: Town, clock: Clock) -> None:
    await town.sign_in("ada", "c1", "laptop")
    caller = await other.caller("ada", "c2", "phone")
    await town.identity._sessions.flush()
    clock.pass_seconds(45)
    await other.identity._sessions.renew()
    clock.pass_seconds(30)
    found = {device.current: device.status for device in (await other.identity.devices(caller)).sessions}
    assert found == {True: "online", False: "offline"}


async def test_a_person_whose_sessions_all_ended_has_no_devices(town: Town, clock: Clock) -> None:
    await town.sign_in("ada", "c1", "laptop")
    await town.sign_in("ada", "c2", "phone")
    await town.identity.end_all_sessions("ada")
    for connection_id in ("c1", "c2"):
        town.identity.closed(connection_id)
    clock.pass_seconds(1)
    fresh = await town.caller("ada", "c3", "tablet")
    assert [device.current for device in (await town.identity.devices(fresh)).sessions] == [True]


# --- people


async def test_a_card_is_there_for_every_id(town: Town) -> None:
    await town.sign_in("ada", profile=Profile(name="Ada"))
    cards = await town.identity.cards(["ada", "ghost", "ada"])
    assert {user_id: card.name for user_id, card in cards.items()} == {"ada": "Ada", "ghost": "Deleted user"}


async def test_a_person_has_one_card_until_something_about_them_changes(town: Town) -> None:
    first = (await town.sign_in("ada", "c1")).caller().user
    assert (await town.sign_in("ada", "c2", "s2")).caller().user is first
    assert await town.identity.card("ada") is first
    await town.identity.update_profile("ada", Profile(name="Ada Lovelace"))
    assert (await town.identity.card("ada")).name == "Ada Lovelace"


async def test_cards_of_many_are_one_query_and_then_none(town: Town, store: CountingStore) -> None:
    await store.save_profiles(
        [UserRecord(f"u{n}", Profile(), town.identity._moment(), town.identity._moment()) for n in range(80)]
    )
    store.calls.clear()
    for _ in range(3):
        await town.identity.cards([f"u{number}" for number in range(80)])
    assert store.calls == [("find_users", 80)]


async def test_a_change_in_another_process_is_seen_within_a_minute(town: Town, other: Town, clock: Clock) -> None:
    await town.sign_in("ada", profile=Profile(name="Ada"))
    await other.sign_in("ada", profile=Profile(name="Ada King"))
    clock.pass_seconds(61)
    assert (await town.identity.card("ada")).name == "Ada King"


async def test_the_directory_forgets_the_least_recently_used(store: CountingStore, clock: Clock) -> None:
    directory = Directory(store, clock, capacity=3)
    await store.save_profiles([user(name) for name in ("ada", "bob", "cleo", "dan")])
    await directory.cards(["ada", "bob", "cleo"])
    await directory.card("ada")
    await directory.card("dan")
    store.calls.clear()
    await directory.cards(["ada", "cleo", "dan"])
    assert store.calls == []
    await directory.card("bob")
    assert store.calls == [("find_users", 1)]


async def test_people_are_found_by_name(town: Town) -> None:
    caller = await town.caller("ada")
    for number in range(5):
        await town.sign_in(f"u{number}", profile=Profile(name=f"Grace {number}"))
    found = await town.identity.find_users(caller, FindUsers(query="  GRACE ", limit=3))
    assert ([user.name for user in found.users], found.has_more) == (["Grace 0", "Grace 1", "Grace 2"], True)
    assert (await town.identity.find_users(caller, FindUsers(query=""))).users == []


async def test_settings_change_one_by_one(town: Town, store: CountingStore) -> None:
    caller = await town.caller("ada")
    assert await town.identity.without_receipts(["ada", "ghost"]) == set()
    await town.identity.update_me(caller, UpdateMe(settings=UserSettingsChange(receipts=False)))
    me = await town.identity.update_me(caller, UpdateMe(settings=UserSettingsChange(consent=True)))
    assert me.settings == UserSettings(receipts=False, ai=True, consent=True)
    assert (await store.find_users(["ada"]))["ada"].settings == me.settings
    assert await town.identity.without_receipts(["ada", "ghost"]) == {"ada"}
    assert (await town.identity.me(caller)).settings == me.settings


async def test_an_export_gathers_every_part(town: Town) -> None:
    async def groups(caller: Caller) -> Exported:
        return Exported(groups=[{"of": caller.user_id}])

    async def messages(caller: Caller) -> Exported:
        return Exported(messages=[{"content": "hi"}], has_more=True)

    town.identity.on_export(groups)
    town.identity.on_export(messages)
    exported = await town.identity.export_me(await town.caller("ada"))
    assert (exported.groups, exported.messages, exported.has_more) == ([{"of": "ada"}], [{"content": "hi"}], True)


async def test_erasure_takes_every_part_in_order_and_ends_everything(town: Town, other: Town, clock: Clock) -> None:
    erased: list[str] = []

    async def groups(user_id: str) -> None:
        erased.append(f"groups of {user_id}")

    async def messages(user_id: str) -> None:
        erased.append(f"messages of {user_id}")

    town.identity.on_erase(groups)
    town.identity.on_erase(messages)
    caller = replace(await town.caller("ada", "c1"), roles=frozenset())
    await other.sign_in("ada", "c2")
    await town.identity.erase(caller)
    await other.identity.revocations.poll()
    assert erased == ["groups of ada", "messages of ada"]
    assert (town.fanout.closed, other.fanout.closed) == ([("c1", "revoked")], [("c2", "revoked")])
    assert (await other.identity.card("ada")).name == "Deleted user"
    with pytest.raises(NotFound):
        await town.identity.me(caller)
    clock.pass_seconds(10)
    with pytest.raises(UserInactive):
        await town.sign_in("ada", profile=Profile(name="Ada"))


async def test_an_erasure_that_fails_leaves_an_account_that_can_ask_again(town: Town) -> None:
    troubles = [Unavailable()]

    async def messages(user_id: str) -> None:
        if troubles:
            raise troubles.pop()

    town.identity.on_erase(messages)
    caller = await town.caller("ada")
    with pytest.raises(Unavailable):
        await town.identity.erase(caller)
    assert (await town.identity.me(caller)).user_id == "ada"
    await town.identity.erase(caller)


async def test_a_moment_of_the_clock_is_in_utc(town: Town, clock: Clock) -> None:
    signed = await town.sign_in("ada", "c1", lifetime=60)
    assert signed.expires_at == datetime.fromtimestamp(clock() + 60, UTC)
