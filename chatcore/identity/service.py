"""People and their sign-ins: who a token names, what is kept about them, and how all of it ends."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Final

from chatcore.batches import Batches
from chatcore.contract.people import (
    AuthenticationSuccess,
    Devices,
    FindUsers,
    Me,
    MyDecision,
    MyExport,
    TokenExpiring,
    UpdateMe,
    User,
    Users,
)
from chatcore.contract.push import PushSubscription
from chatcore.errors import NotFound, TokenMissing, Unauthenticated, UserInactive
from chatcore.identity.claims import Claims
from chatcore.identity.connections import Connections
from chatcore.identity.directory import Directory
from chatcore.identity.guards import Policy, SocketExpiry
from chatcore.identity.records import IdentityStore, Profile, Revocation, SessionStatus, UserRecord, display_name
from chatcore.identity.revocations import POLL_SECONDS, Revocations
from chatcore.identity.sessions import RENEW_SECONDS, Connection, Sessions
from chatcore.identity.tokens import TokenVerifier
from chatcore.ports import Caller, Fanout

EXPIRY_SWEEP_SECONDS: Final = 1.0
SHOWN_NAMES: Final = ("name", "first_name", "last_name", "username")

Eraser = Callable[[str], Awaitable[object]]
SignOut = Callable[[str, str | None], Awaitable[object]]
Chore = tuple[float, str, Callable[[], Awaitable[object]]]


@dataclass(frozen=True, slots=True)
class Exported:
    """What another part keeps about a person, in the clear."""

    groups: list[dict[str, object]] = field(default_factory=list)
    messages: list[dict[str, object]] = field(default_factory=list)
    push_subscriptions: list[PushSubscription] = field(default_factory=list)
    decisions: list[MyDecision] = field(default_factory=list)
    has_more: bool = False


Exporter = Callable[[Caller], Awaitable[Exported]]


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Who a token turned out to name. `expires_at` is when a connection's time is up."""

    claims: Claims
    user: UserRecord
    expires_at: datetime

    @property
    def session_id(self) -> str:
        return self.claims.session_id

    def caller(self, *, connection_id: str | None = None, address: str = "", correlation_id: str = "") -> Caller:
        return Caller(
            user_id=self.user.user_id,
            session_id=self.session_id,
            user=self.user.card(),
            roles=self.claims.roles,
            connection_id=connection_id,
            address=address,
            correlation_id=correlation_id,
        )

    def success(self) -> AuthenticationSuccess:
        me = _me(self.user, self.claims.roles)
        return AuthenticationSuccess(user=me, session_id=self.session_id, expires_at=self.expires_at)


class Identity:
    """A connection is known here from `authenticate` with its id until `closed`, which must be told in every case.

    `admits_name` says of a user's id and a name whether others may see it; a name that they may not is not taken over.
    `somebody_came` is set at the first sign-in: what only people need is loaded then, not at the start.
    """

    def __init__(
        self,
        store: IdentityStore,
        verifier: TokenVerifier,
        fanout: Fanout,
        *,
        policy: Policy = "token",
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._store = store
        self._verifier = verifier
        self._fanout = fanout
        self._now = now
        self.directory = Directory(store, clock)
        self.revocations = Revocations(store, self._end, self._moment)
        self._sessions = Sessions(store, self._moment)
        self._connections = Connections()
        self._expiry = SocketExpiry(expiring=self._tell_expiring, close=self._close_expired, policy=policy, now=now)
        self._profiles: Batches[UserRecord, None] = Batches(self._save_profiles)
        self._erasers: list[Eraser] = []
        self._exporters: list[Exporter] = []
        self._sign_outs: list[SignOut] = []
        self.somebody_came = asyncio.Event()
        self.admits_name: Callable[[str, str], bool] = lambda user_id, name: True

    async def start(self) -> None:
        """Read what is revoked. Before this nobody must be let in."""
        await self.revocations.poll()
        await self._sessions.renew()

    def chores(self) -> Sequence[Chore]:
        """What must be done again and again: seconds between, name, coroutine function."""
        return (
            (POLL_SECONDS, "revocations", self.revocations.poll),
            (RENEW_SECONDS, "session-lease", self._sessions.renew),
            (EXPIRY_SWEEP_SECONDS, "token-expiry", self._expiry.sweep),
        )

    async def stop(self) -> None:
        """Write what still waits. Call after the last connection was closed."""
        await self._sessions.stop()

    async def authenticate(self, token: str | None, connection: Connection) -> Authenticated:
        """Verify a token and take its bearer in; with a connection id, watch over that connection from now on.

        Raises TokenMissing, TokenExpired, Unauthenticated, UserInactive, or Unavailable. A repeat for a connection
        renews it, if the token names the same person. Call `closed` also for a connection that went away meanwhile.
        """
        if not token:
            raise TokenMissing()
        claims = await self._verifier.verify(token)
        self.somebody_came.set()
        self._require_same_person(claims, connection)
        self._require_unrevoked(claims)
        user = await self._sync(claims)
        if not user.is_active:
            raise UserInactive()
        self._require_unrevoked(claims)  # once more: the look-up may have taken long
        if connection.connection_id is None:
            self._sessions.used(claims, connection)
            return Authenticated(claims, user, claims.expires_at)
        return Authenticated(claims, user, self._hold(connection.connection_id, claims, connection))

    def closed(self, connection_id: str) -> None:
        """The connection is gone. Unknown ids are passed over."""
        self._expiry.forget(connection_id)
        held = self._connections.remove(connection_id)
        if held is not None:
            self._sessions.closed(held.session_id, connection_id)

    def change_status(self, caller: Caller, status: SessionStatus) -> None:
        """For the list of devices alone; presence tells the others."""
        self._sessions.change_status(caller.session_id, status)

    # --- people

    async def cards(self, user_ids: Iterable[str]) -> dict[str, User]:
        return await self.directory.cards(user_ids)

    async def card(self, user_id: str) -> User:
        return await self.directory.card(user_id)

    async def without_receipts(self, user_ids: Iterable[str]) -> set[str]:
        """Those who do not want others to see what they have read."""
        records = await self.directory.records(user_ids)
        return {user_id for user_id, user in records.items() if not user.settings.receipts}

    async def find_users(self, caller: Caller, request: FindUsers) -> Users:
        return await self.directory.search(request.query, request.limit)

    async def get_user(self, user_id: str) -> UserRecord:
        """Raises NotFound, also for an account that was erased."""
        user = await self.directory.find(user_id)
        if user is None or user.is_erased:
            raise NotFound()
        return user

    # --- oneself

    async def me(self, caller: Caller) -> Me:
        return _me(await self.get_user(caller.user_id), caller.roles)

    async def update_me(self, caller: Caller, request: UpdateMe) -> Me:
        user = await self.get_user(caller.user_id)
        change = request.settings.model_dump(exclude_none=True)
        changed = replace(user, settings=user.settings.model_copy(update=change), updated_at=self._moment())
        if changed.settings != user.settings:
            await self._store.save_settings(user.user_id, changed.settings, changed.updated_at)
            self.directory.remember(changed)
        return _me(changed, caller.roles)

    async def export_me(self, caller: Caller) -> MyExport:
        parts = [await exporter(caller) for exporter in self._exporters]
        return MyExport(
            user=await self.me(caller),
            groups=[group for part in parts for group in part.groups],
            messages=[message for part in parts for message in part.messages],
            push_subscriptions=[browser for part in parts for browser in part.push_subscriptions],
            decisions=[decision for part in parts for decision in part.decisions],
            has_more=any(part.has_more for part in parts),
        )

    async def erase(self, caller: Caller) -> None:
        """Everything about oneself, for good. Each part erases its own first and in the order of registration; if one
        fails, the account stays, so that its owner can ask again."""
        for eraser in self._erasers:
            await eraser(caller.user_id)
        await self._store.erase_user(caller.user_id, self._moment())
        await self.revocations.add(caller.user_id)

    def on_erase(self, eraser: Eraser) -> None:
        """`eraser(user_id)` must bear a repeat."""
        self._erasers.append(eraser)

    def on_export(self, exporter: Exporter) -> None:
        self._exporters.append(exporter)

    def on_sign_out(self, ended: SignOut) -> None:
        """`ended(user_id, session_id)` when a session was ended, not when it ran out; without a session: all were."""
        self._sign_outs.append(ended)

    async def devices(self, caller: Caller) -> Devices:
        return await self._sessions.devices(caller.user_id, caller.session_id)

    async def revoke(self, caller: Caller, session_id: str) -> None:
        """End one of one's own sessions: its tokens are refused, its connections closed, everywhere within 5 s."""
        mine = await self._sessions.devices(caller.user_id, caller.session_id)
        if session_id not in {device.session_id for device in mine.sessions} | {caller.session_id}:
            raise NotFound()
        await self.end_session(caller.user_id, session_id)

    # --- operators and issuers

    async def end_session(self, user_id: str, session_id: str) -> None:
        await self.revocations.add(user_id, session_id)
        await self._sessions.flush()
        await self._store.delete_sessions(user_id, [session_id])
        for ended in self._sign_outs:
            await ended(user_id, session_id)

    async def end_all_sessions(self, user_id: str) -> None:
        """Every token issued until now is refused."""
        await self.revocations.add(user_id)
        await self._sessions.flush()
        await self._store.delete_sessions(user_id)
        for ended in self._sign_outs:
            await ended(user_id, None)

    async def deactivate(self, user_id: str) -> None:
        """Close the account: nobody gets in with it, and its connections end. Messages and groups stay."""
        if not await self._store.set_active(user_id, active=False, at=self._moment()):
            raise NotFound()
        await self.end_all_sessions(user_id)

    async def reactivate(self, user_id: str) -> None:
        """Tokens from before the deactivation stay refused."""
        if not await self._store.set_active(user_id, active=True, at=self._moment()):
            raise NotFound()
        self.directory.forget(user_id)

    async def update_profile(self, user_id: str, profile: Profile) -> None:
        """What an issuer says now about a person who is known here; nothing for one who is not."""
        user = await self.directory.find(user_id)
        if user is not None and not user.is_erased:
            await self._save_if_changed(user, profile)

    # --- inside

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)

    def _require_same_person(self, claims: Claims, connection: Connection) -> None:
        held = self._connections.find(connection.connection_id) if connection.connection_id else None
        if held is not None and held.user_id != claims.sub:
            raise Unauthenticated("This connection is signed in as somebody else; open another one")

    def _require_unrevoked(self, claims: Claims) -> None:
        if self.revocations.refuses(claims):
            raise Unauthenticated("This session was ended; sign in again")

    async def _sync(self, claims: Claims) -> UserRecord:
        user = await self.directory.find(claims.sub)
        if user is not None:
            return user if user.is_erased else await self._save_if_changed(user, claims.profile)
        now = self._moment()
        fresh = UserRecord(claims.sub, self._admitted(claims.sub, claims.profile), created_at=now, updated_at=now)
        await self._profiles.do(fresh)
        # Read back: another process, or another device of the same person, may have been first.
        return await self.directory.find(claims.sub) or fresh

    async def _save_if_changed(self, user: UserRecord, said: Profile) -> UserRecord:
        if said == user.profile or _merged(user.profile, said) == user.profile:
            return user
        profile = _merged(user.profile, self._admitted(user.user_id, said))
        if profile == user.profile:
            return user
        changed = replace(user, profile=profile, updated_at=self._moment())
        await self._profiles.do(changed)
        self.directory.remember(changed)
        return changed

    def _admitted(self, user_id: str, said: Profile) -> Profile:
        """Without the names that must not be shown. First and last name are looked at together too."""
        if said.first_name and said.last_name and not self.admits_name(user_id, f"{said.first_name} {said.last_name}"):
            said = replace(said, first_name="", last_name="")
        names = {name: getattr(said, name) for name in SHOWN_NAMES}
        refused = [name for name, text in names.items() if text and not self.admits_name(user_id, text)]
        return replace(said, **dict.fromkeys(refused, "")) if refused else said

    async def _save_profiles(self, batch: Sequence[UserRecord]) -> Sequence[None]:
        latest = {user.user_id: user for user in batch}
        await self._store.save_profiles(list(latest.values()))
        return [None] * len(batch)

    def _hold(self, connection_id: str, claims: Claims, connection: Connection) -> datetime:
        held = self._connections.find(connection_id)
        if held is not None and held.session_id != claims.session_id:
            self._sessions.closed(held.session_id, connection_id)
        self._connections.add(connection_id, claims)
        self._sessions.opened(claims, connection)
        return self._expiry.watch(connection_id, claims.expires_at)

    def _end(self, revocation: Revocation) -> None:
        self.directory.forget(revocation.user_id)
        ended = self._connections.refused_by(revocation)
        if revocation.session_id is not None:
            self._sessions.forget(revocation.session_id)
        for session_id in self._connections.sessions_of(ended):
            self._sessions.forget(session_id)
        if ended:
            self._fanout.disconnect(ended, reason="revoked")

    def _tell_expiring(self, connection_id: str, expires_at: datetime) -> None:
        self._fanout.tell_connection(connection_id, "token_expiring", TokenExpiring(expires_at=expires_at))

    def _close_expired(self, connection_id: str) -> None:
        self._fanout.disconnect([connection_id], reason="token_expired")


def _me(user: UserRecord, roles: Iterable[str]) -> Me:
    profile = user.profile
    return Me(
        user_id=user.user_id,
        name=display_name(user.user_id, profile),
        first_name=profile.first_name or None,
        last_name=profile.last_name or None,
        username=profile.username or None,
        image_url=profile.image_url or None,
        email=profile.email or None,
        roles=sorted(roles),
        settings=user.settings,
    )


def _merged(known: Profile, said: Profile) -> Profile:
    """What is said now, and what is known where nothing is said."""
    return Profile(**{item.name: getattr(said, item.name) or getattr(known, item.name) for item in fields(Profile)})
