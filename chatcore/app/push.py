"""Notices to people without a connection, wired to messages, presence and sign-ins."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from chatcore.app.keys import Keys
from chatcore.groups.rooms import Rooms
from chatcore.identity.service import Identity
from chatcore.messages.changes import Change, Changes
from chatcore.metrics import Metrics
from chatcore.presence.service import Presence
from chatcore.push.courier import Courier
from chatcore.push.records import News, PushStore
from chatcore.push.service import Push
from chatcore.push.vapid import Vapid
from chatcore.settings import Settings


def make_push(
    settings: Settings,
    keys: Keys,
    store: PushStore,
    *,
    rooms: Rooms,
    presence: Presence,
    identity: Identity,
    changes: Changes,
    metrics: Metrics,
    clock: Callable[[], datetime],
) -> Push:
    """Push services on this machine are believed in development alone: there they are tests."""
    loopback = not settings.production and settings.on_loopback
    vapid = Vapid(keys.push, settings.push_contact or (settings.public_url if is_https(settings.public_url) else ""))
    push = Push(
        store=store,
        courier=Courier(vapid, loopback=loopback),
        vapid=vapid,
        whereabouts=Present(rooms, presence, identity),
        clock=clock,
        payload=settings.push_payload,
        loopback=loopback,
        counted=lambda outcome: metrics.pushes.labels(outcome).inc(),
    )
    changes.listen(telling(push))
    identity.on_erase(push.erase_user)
    identity.on_sign_out(push.signed_out)
    return push


def is_https(url: str) -> bool:
    return url.startswith("https://")


@dataclass(frozen=True)
class Present:
    """Who is here and who belongs, as the loaded rooms and the presence have it."""

    rooms: Rooms
    presence: Presence
    identity: Identity

    def is_here(self, user_id: str) -> bool:
        return self.presence.is_here(user_id)

    def belongs(self, user_id: str, group_id: str) -> bool:
        room = self.rooms.loaded(group_id)
        return room is not None and room.record.is_active and user_id in room.members

    def has_signed_out(self, user_id: str, session_id: str, since: datetime) -> bool:
        return self.identity.revocations.ended(user_id, session_id, since)

    async def name_of(self, user_id: str) -> str:
        return (await self.identity.card(user_id)).name


def telling(push: Push) -> Callable[[Change], None]:
    """New messages of people; what is edited or deleted wakes nobody."""

    def told(change: Change) -> None:
        if change.kind != "new" or change.row.type == "system":
            return
        record = change.room.record
        news = News(
            group_id=record.id,
            group_name=record.name,
            direct=record.kind == "direct",
            sender_id=change.row.sender_id,
            mentions=frozenset(change.row.mentions),
        )
        push.told(news, change.room.members)

    return told
