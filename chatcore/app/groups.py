"""Groups, their members and what is kept of them, wired to people and presence."""

from dataclasses import dataclass

from chatcore.app.base import Base
from chatcore.app.base import now_in_milliseconds as clock
from chatcore.app.media import make_media
from chatcore.groups.attendance import Attendance
from chatcore.groups.members import Members
from chatcore.groups.membership import Membership
from chatcore.groups.rendering import Rendering
from chatcore.groups.rooms import Rooms
from chatcore.groups.service import Groups
from chatcore.groups.store import MongoGroupStore
from chatcore.media.service import Media
from chatcore.messages.attachments import Attachments
from chatcore.messages.log import MessageLog


@dataclass(frozen=True)
class GroupParts:
    store: MongoGroupStore
    rooms: Rooms
    media: Media
    rendering: Rendering
    groups: Groups
    members: Members
    attendance: Attendance
    log: MessageLog
    attachments: Attachments


def make_groups(base: Base) -> GroupParts:
    store = MongoGroupStore(base.mongo.database)
    rooms = Rooms(store, base.stored)
    media = make_media(base.settings, base.mongo, base.vault, clock)
    rendering = Rendering(base.vault, base.identity, base.journal, media)
    membership = Membership(
        store=store,
        rooms=rooms,
        vault=base.vault,
        fanout=base.fanout,
        presence=base.presence,
        typing=base.typing,
        clock=clock,
        max_members=base.settings.max_group_members,
    )
    groups = Groups(
        store=store,
        journal=base.journal,
        rooms=rooms,
        membership=membership,
        rendering=rendering,
        identity=base.identity,
        presence=base.presence,
        vault=base.vault,
        fanout=base.fanout,
        background=base.background,
        clock=clock,
        secret=base.keys.ids,
    )
    members = Members(
        store=store,
        groups=groups,
        membership=membership,
        identity=base.identity,
        presence=base.presence,
        clock=clock,
        public_url=base.settings.origin,
    )
    attendance = Attendance(
        groups=groups, identity=base.identity, presence=base.presence, typing=base.typing, fanout=base.fanout
    )
    log = MessageLog(journal=base.journal, rooms=rooms, fanout=base.fanout, clock=clock)
    attachments = Attachments(media=media, groups=groups, log=log)
    groups.on_erase(media.erase_group)
    return GroupParts(store, rooms, media, rendering, groups, members, attendance, log, attachments)
