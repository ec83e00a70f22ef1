"""Sign-ins on devices, as leases: which of them have a connection here, and the rows behind a list of devices."""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from chatcore.contract.people import Device, Devices, DeviceType
from chatcore.identity.batches import Batches
from chatcore.identity.claims import Claims
from chatcore.identity.records import IdentityStore, SessionRecord, SessionStatus

LEASE: Final = timedelta(seconds=120)
RENEW_SECONDS: Final = 45.0  # two renewals may be missed before a session looks offline
KEPT: Final = timedelta(days=7)  # how long an idle session stays listed where its issuer can still renew it
CAPACITY: Final = 20_000
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
    renewable: bool


@dataclass(frozen=True, slots=True)
class _Write:
    """`status` None: a request without a connection, which says nothing about other connections of the session."""

    row: SessionRecord
    status: SessionStatus | None
    renewable: bool
    begins: bool


class Sessions:
    """Nothing here waits for the database but `renew`, `devices` and `flush`: rows are written in bulk, soon after."""

    def __init__(self, store: IdentityStore, now: Callable[[], datetime]):
        self._store = store
        self._now = now
        self._live: dict[str, _Live] = {}
        self._written: OrderedDict[str, datetime] = OrderedDict()
        self._writes: Batches[_Write, None] = Batches(self._write)

    def used(self, claims: Claims, connection: Connection) -> None:
        """A token was shown without a connection: its session is active, if not online."""
        now = self._now()
        last = self._written.get(claims.session_id)
        if last is None or (now - last).total_seconds() >= RENEW_SECONDS:
            self._soon(_row(claims, connection, now), None, claims.renewable)

    def opened(self, claims: Claims, connection: Connection) -> None:
        """Once more for the same connection when its token was renewed."""
        assert connection.connection_id is not None
        live = self._live.get(claims.session_id)
        if live is not None:
            live.connections.add(connection.connection_id)
            return
        row = replace(_row(claims, connection, self._now()), status="online")
        self._live[claims.session_id] = _Live(row, {connection.connection_id}, claims.renewable)
        self._soon(row, "online", claims.renewable)

    def closed(self, session_id: str, connection_id: str) -> None:
        live = self._live.get(session_id)
        if live is None:
            return
        live.connections.discard(connection_id)
        if not live.connections:
            del self._live[session_id]
            self._soon(replace(live.row, status="offline"), "offline", live.renewable)

    def change_status(self, session_id: str, status: SessionStatus) -> None:
        live = self._live.get(session_id)
        if live is not None and live.row.status != status:
            live.row = replace(live.row, status=status)
            self._soon(live.row, status, live.renewable)

    def forget(self, session_id: str) -> None:
        self._written.pop(session_id, None)

    async def renew(self) -> None:
        """The leases of all live sessions, in at most four writes. A row that was lost in a crash is written again."""
        writes = [_Write(live.row, live.row.status, live.renewable, begins=False) for live in self._live.values()]
        await self._renew(writes)

    async def devices(self, user_id: str, current: str) -> Devices:
        await self.flush()
        now = self._now()
        rows = await self._store.sessions_of(user_id, now)
        return Devices(sessions=[_device(row, now, current=row.session_id == current) for row in rows])

    async def flush(self) -> None:
        """Return when all that was told until now has been written."""
        await self._writes.flush()

    def __len__(self) -> int:
        return len(self._live)

    def _soon(self, row: SessionRecord, status: SessionStatus | None, renewable: bool) -> None:
        self._writes.soon(_Write(row, status, renewable, begins=row.session_id not in self._written))
        self._written[row.session_id] = self._now()
        self._written.move_to_end(row.session_id)
        while len(self._written) > CAPACITY:
            self._written.popitem(last=False)

    async def _write(self, batch: Sequence[_Write]) -> Sequence[None]:
        latest: dict[str, _Write] = {}
        for write in batch:
            earlier = latest.get(write.row.session_id)
            latest[write.row.session_id] = replace(
                write, begins=write.begins or (earlier is not None and earlier.begins)
            )
        begun = [self._leased(write.row) for write in latest.values() if write.begins]
        if begun:
            await self._store.insert_sessions(begun)
        await self._renew([write for write in latest.values() if not write.begins])
        return [None] * len(batch)

    async def _renew(self, writes: Iterable[_Write]) -> None:
        alike: dict[tuple[SessionStatus | None, bool], list[SessionRecord]] = defaultdict(list)
        for write in writes:
            alike[write.status, write.renewable].append(write.row)
        now = self._now()
        for (status, renewable), rows in alike.items():
            ids = [row.session_id for row in rows]
            found = await self._store.renew_sessions(
                ids, status=status, at=now, until=now + LEASE, expires_at=now + (KEPT if renewable else LEASE)
            )
            if found < len(rows):
                await self._store.insert_sessions([self._leased(row) for row in rows])

    def _leased(self, row: SessionRecord) -> SessionRecord:
        now = self._now()
        return replace(row, last_activity=now, online_until=now if row.status == "offline" else now + LEASE)


def _row(claims: Claims, connection: Connection, now: datetime) -> SessionRecord:
    return SessionRecord(
        session_id=claims.session_id,
        user_id=claims.sub,
        device_type=connection.device_type or _guess_device(connection.user_agent),
        address=connection.address,
        user_agent=_storable(connection.user_agent),
        created_at=now,
        last_activity=now,
        expires_at=max(claims.expires_at, now + (KEPT if claims.renewable else LEASE)),
        online_until=now,
    )


def _device(row: SessionRecord, now: datetime, *, current: bool) -> Device:
    return Device(
        session_id=row.session_id,
        device_type=row.device_type,
        status=row.status_at(now),
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


def _storable(user_agent: str) -> str:
    return user_agent[:MAX_USER_AGENT].encode("utf-8", "replace").decode().replace("\x00", "")
