"""Messages: sending, reading, answering to them, and how they come to be stored, wired to groups and moderation."""

from dataclasses import dataclass

from chatcore.app.base import Base
from chatcore.app.base import now_in_milliseconds as clock
from chatcore.app.groups import GroupParts
from chatcore.app.moderation import ModerationParts
from chatcore.journal.writer import Writer
from chatcore.limits import SlowModeGate
from chatcore.messages.missed import MissedRows
from chatcore.messages.reading import Reading
from chatcore.messages.responses import Responses
from chatcore.messages.retention import Retention
from chatcore.messages.service import Messages
from chatcore.messages.store import MongoMessageStore


@dataclass(frozen=True)
class MessageParts:
    messages: Messages
    reading: Reading
    responses: Responses
    retention: Retention
    missed: MissedRows
    writer: Writer


def make_messages(base: Base, groups: GroupParts, moderation: ModerationParts) -> MessageParts:
    messages = Messages(
        journal=base.journal,
        groups=groups.groups,
        rendering=groups.rendering,
        log=groups.log,
        identity=base.identity,
        typing=base.typing,
        vault=base.vault,
        fanout=base.fanout,
        clock=clock,
        secret=base.keys.ids,
        attachments=groups.attachments,
        slow_mode=SlowModeGate(),
        deleted_retention_days=base.settings.deleted_retention_days,
        duplicate=base.metrics.duplicates.inc,
        door=moderation.door,
        changes=moderation.changes,
    )
    missed = MissedRows(
        rooms=groups.rooms,
        rendering=groups.rendering,
        presence=base.presence,
        typing=base.typing,
        fanout=base.fanout,
    )
    return MessageParts(
        messages=messages,
        reading=_reading(base, groups),
        responses=_responses(base, groups, moderation),
        retention=_retention(base, groups, moderation),
        missed=missed,
        writer=_writer(base, groups, missed),
    )


def _reading(base: Base, groups: GroupParts) -> Reading:
    reading = Reading(
        journal=base.journal,
        groups=groups.groups,
        rendering=groups.rendering,
        log=groups.log,
        identity=base.identity,
        fanout=base.fanout,
        clock=clock,
    )
    base.identity.on_export(reading.export)
    return reading


def _responses(base: Base, groups: GroupParts, moderation: ModerationParts) -> Responses:
    store = MongoMessageStore(base.mongo.database)
    groups.groups.on_erase(store.erase)
    return Responses(
        store=store,
        journal=base.journal,
        groups=groups.groups,
        rendering=groups.rendering,
        log=groups.log,
        fanout=base.fanout,
        clock=clock,
        reported=moderation.reviews.reported,
    )


def _retention(base: Base, groups: GroupParts, moderation: ModerationParts) -> Retention:
    return Retention(
        store=groups.store,
        journal=base.journal,
        rooms=groups.rooms,
        log=groups.log,
        media=groups.media,
        fanout=base.fanout,
        changes=moderation.changes,
        clock=clock,
    )


def _writer(base: Base, groups: GroupParts, missed: MissedRows) -> Writer:
    writer = Writer(
        base.journal,
        load_head=groups.rooms.load_head,
        missed=missed.deliver,
        committed=lambda rows, seconds: base.metrics.commit_seconds.observe(seconds),
        peers=base.relay,
    )
    groups.rooms.writer = writer
    return writer
