"""Sign-ins on devices: which of them have a connection here, and the rows behind a list of devices."""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from chatcore.batches import Batches
from chatcore.contract.people import Device, Devices, DeviceType
from chatcore.identity.claims import Claims, storable
from chatcore.identity.guards import GRACE_SECONDS, MAX_SESSION_SECONDS
from chatcore.identity.records import IdentityStore, SessionRecord, SessionStatus

PROCESS_LEASE: Final = timedelta(seconds=60)
RENEW_SECONDS: Final = 20.0  # two renewals may be missed before the sessions of this process look offline
# A live session never outlasts this without a renewal of its token, and a day's margin saves renewing its row.
KEPT: Final = timedelta(days=1, seconds=MAX_SESSION_SECONDS + GRACE_SECONDS)
KEPT_RENEWABLE: Final = timedelta(days=7)  # an idle session whose issuer can still renew it stays listed
TOUCH_SECONDS: Final = 300.0
CAPACITY: Final = 20_000
# An update of a session costs the embedded database 1 ms, and what comes next waits for the whole batch. So those who
# come in together are looked up first, and written down when no more come, or after seconds.
MAX_BATCH: Final = 50
REST_SECONDS: Final = 0.25
CALM_SECONDS: Final = 0.5
PATIENCE_SECONDS: Final = 5.0
MAX_USER_AGENT: Final = 256
_MOBILE: Final = ("mobile", "android", "iphone", "ipad", "okhttp", "expo", "cfnetwork", "dart")


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a token came from. `connection_id` is None over REST."""

    address: str = ""
    user_agent: str = ""
    device_type: DeviceType | None = None
    connection_id: str | None = None


@dataclass(slots=True)
class _Live:
    row: SessionRecord
    connections: set[str]


class Sessions:
    """Only `renew`, `devices`, `flush` and `stop` wait for the database: rows are written in bulk, soon after."""

    def __init__(self, store: IdentityStore, now: Callable[[], datetime]):
        self._store = store
        self._now = now
        self._process_id = secrets.token_hex(12)
        self._live: dict[str, _Live] = {}
        self._written: OrderedDict[str, datetime] = OrderedDict()
        self._unwritten: dict[str, SessionRecord] = {}
        self._writes: Batches[str, None] = Batches(
            self._write, MAX_BATCH, REST_SECONDS, calm_seconds=CALM_SECONDS, patience_seconds=PATIENCE_SECONDS
        )
        self._new: set[str] = set()

    def used(self, claims: Claims, connection: Connection) -> None:
        """A token was shown without a connection: its session is active, if not online."""
        now = self._now()
        last = self._written.get(claims.session_id)
        if last is None:
            self._soon(self._row(claims, connection, now))
        elif (now - last).total_seconds() >= TOUCH_SECONDS:
            live = self._live.get(claims.session_id)
            self._soon(replace(live.row if live else self._row(claims, connection, now), last_activity=now))

    def opened(self, claims: Claims, connection: Connection) -> None:
        """Once more for the same connection when its token was renewed."""
        assert connection.connection_id is not None
        row = self._row(claims, connection, self._now(), status="online")
        live = self._live.get(claims.session_id)
        if live is None:
            self._live[claims.session_id] = _Live(row, {connection.connection_id})
            self._soon(row)
            return
        live.connections.add(connection.connection_id)
        if row.expires_at - live.row.expires_at > timedelta(days=1):
            live.row = replace(live.row, expires_at=row.expires_at)
            self._soon(live.row)

    def closed(self, session_id: str, connection_id: str) -> None:
        live = self._live.get(session_id)
        if live is None:
            return
        live.connections.discard(connection_id)
        if not live.connections:
            del self._live[session_id]
            self._soon(replace(live.row, status="offline", last_activity=self._now()))

    def change_status(self, session_id: str, status: SessionStatus) -> None:
        live = self._live.get(session_id)
        if live is not None and live.row.status != status:
            live.row = replace(live.row, status=status, last_activity=self._now())
            self._soon(live.row)

    def forget(self, session_id: str) -> None:
        """It was ended: neither what waits nor what its connections still do must write the row again."""
        self._live.pop(session_id, None)
        self._written.pop(session_id, None)
        self._unwritten.pop(session_id, None)

    async def renew(self) -> None:
        """The lease of this process, and so of all its sessions."""
        await self._store.renew_process(self._process_id, self._now() + PROCESS_LEASE)

    async def devices(self, user_id: str, current: str) -> Devices:
        await self.flush()
        rows = await self._store.sessions_of(user_id, self._now())
        return Devices(sessions=[_device(row, current=row.session_id == current) for row in rows])

    async def flush(self) -> None:
        """Return when all that was told until now has been written."""
        await self._writes.flush()

    async def stop(self) -> None:
        """All sessions of this process are offline from now on."""
        await self.flush()
        await self._store.end_process(self._process_id)

    def __len__(self) -> int:
        return len(self._live)

    def _row(
        self, claims: Claims, connection: Connection, now: datetime, status: SessionStatus = "offline"
    ) -> SessionRecord:
        user_agent = connection.user_agent[:MAX_USER_AGENT]
        return SessionRecord(
            session_id=claims.session_id,
            user_id=claims.sub,
            device_type=connection.device_type or _guess_device(user_agent),
            address=connection.address,
            user_agent=user_agent if storable(user_agent) else "",
            created_at=now,
            last_activity=now,
            expires_at=max(claims.expires_at, now + (KEPT_RENEWABLE if claims.renewable else KEPT)),
            process_id=self._process_id,
            status=status,
        )

    def _soon(self, row: SessionRecord) -> None:
        """Of what is said of one session before it is written, the last counts."""
        if row.session_id not in self._written:
            self._new.add(row.session_id)
        if row.session_id not in self._unwritten:
            self._writes.soon(row.session_id)
        self._unwritten[row.session_id] = row
        self._written[row.session_id] = self._now()
        self._written.move_to_end(row.session_id)
        while len(self._written) > CAPACITY:
            self._written.popitem(last=False)

    async def _write(self, batch: Sequence[str]) -> Sequence[None]:
        rows = [row for session_id in batch if (row := self._unwritten.pop(session_id, None)) is not None]
        new = [row for row in rows if row.session_id in self._new]
        known = [row for row in rows if row.session_id not in self._new]
        self._new.difference_update(batch)
        if new:
            await self._store.insert_sessions(new)
        if known:
            await self._store.update_sessions(known)
        return [None] * len(batch)


def _device(row: SessionRecord, *, current: bool) -> Device:
    return Device(
        session_id=row.session_id,
        device_type=row.device_type,
        status=row.status,
        current=current,
        ip_address=row.address or None,
        user_agent=row.user_agent or None,
        created_at=row.created_at,
        last_activity=row.last_activity,
    )


def _guess_device(user_agent: str) -> DeviceType:
    folded = user_agent.lower()
    if any(word in folded for word in _MOBILE):
        return "mobile"
    return "web" if "mozilla/" in folded else "desktop"
