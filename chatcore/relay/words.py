"""What processes say to each other: short JSON lists, each beginning with its kind. Unknown kinds are passed over, so
that processes of two versions may run side by side."""

import base64
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from chatcore.contract.base import Shape
from chatcore.contract.people import User
from chatcore.journal.peers import News, ReadMark
from chatcore.journal.rows import Mark, Row
from chatcore.presence.peers import Attendee
from chatcore.vault.envelope import Sealed

SMALL_BYTES: Final = 32 * 1024
"""Rows that are larger together stay at home: the database tells them."""

Word = list[Any]


class Carried(Shape):
    """An event as another process made it."""

    content: bytes

    def wire_json(self) -> bytes:
        return self.content


# --- of one group


def appended(rows: Sequence[Row]) -> bytes:
    """The group's log reached its last row."""
    head: Word = ["rows", rows[0].group_id, rows[-1].seq]
    try:
        whole = orjson.dumps([*head, [_packed(row) for row in rows]])
    except TypeError:  # facts that JSON does not know
        whole = b""
    return whole if 0 < len(whole) <= SMALL_BYTES else orjson.dumps([*head, []])


def moved(news: News) -> Word:
    """As `appended`, read again, without the rows."""
    return ["rows", news.group_id, news.up_to, []]


def news_in(word: Word) -> News:
    return News(word[1], word[2], tuple(_row(word[1], packed) for packed in word[3]))


def read(group_id: str, marks: Iterable[ReadMark]) -> bytes:
    return orjson.dumps(["read", group_id, [[mark.user_id, mark.seq, mark.n, _ms(mark.at)] for mark in marks]])


def marks_in(marks: Word) -> list[ReadMark]:
    return [ReadMark(user_id, seq, n, _moment(at)) for user_id, seq, n, at in marks]


def event(group_id: str, name: str, payload: Shape, *, volatile: bool) -> bytes:
    return orjson.dumps(["event", group_id, name, orjson.Fragment(payload.wire_json()), volatile])


def attending(group_id: str, attendees: Iterable[Attendee], *, everybody: bool) -> bytes:
    people = [[attendee.user.wire(), attendee.status, _ms(attendee.last_activity)] for attendee in attendees]
    return orjson.dumps(["attending", group_id, everybody, people])


def attendees_in(people: Word) -> list[Attendee]:
    return [Attendee(User.model_validate(card), status, _moment(at)) for card, status, at in people]


def typing(group_id: str, user: User, *, started: bool) -> bytes:
    return orjson.dumps(["typing", group_id, user.wire(), started])


def who(group_id: str) -> bytes:
    """Somebody new listens: who attends this group?"""
    return orjson.dumps(["who", group_id])


def lost(group_id: str) -> bytes:
    """Words of this process about the group were dropped: look into the database."""
    return orjson.dumps(["lost", group_id])


# --- to all processes


def alive() -> bytes:
    return b'["alive"]'


def leaving() -> bytes:
    return b'["leaving"]'


def revoked() -> bytes:
    return b'["revoked"]'


def joins_lost() -> bytes:
    """Somebody became a member, and the word of it was dropped."""
    return b'["joins_lost"]'


def tell(user_id: str, name: str, payload: Shape, *, volatile: bool) -> bytes:
    return orjson.dumps(["tell", user_id, name, orjson.Fragment(payload.wire_json()), volatile])


def joined(user_ids: Sequence[str], rows: Sequence[Row]) -> bytes:
    """New members, who may be connected where nobody knows the group yet."""
    return orjson.dumps(["joined", rows[0].group_id, rows[-1].seq, [_packed(row) for row in rows], list(user_ids)])


def carried(payload: object) -> Carried:
    return Carried(content=orjson.dumps(payload))


# --- rows


def _packed(row: Row) -> Word:
    sealed = row.sealed
    return [
        row.id,
        row.kind,
        row.sender_id,
        _ms(row.created_at),
        row.seq,
        row.n,
        row.p,
        row.type,
        [sealed.v, sealed.kv, _text(sealed.n), _text(sealed.ct)] if sealed is not None else None,
        row.rev,
        _text(row.fingerprint),
        row.reply_to,
        row.media_id,
        row.mentions,
        row.reactions,
        row.is_deleted,
        _ms(row.updated_at) if row.updated_at is not None else None,
        [row.mark.action, row.mark.category, row.mark.decision_id] if row.mark is not None else None,
        row.data,
    ]


def _row(group_id: str, packed: Word) -> Row:
    (id_, kind, sender_id, created, seq, n, p, type_, sealed, rev) = packed[:10]
    (fingerprint, reply_to, media_id, mentions, reactions, is_deleted, updated, mark, data) = packed[10:]
    return Row(
        id=id_,
        group_id=group_id,
        kind=kind,
        sender_id=sender_id,
        created_at=_moment(created),
        seq=seq,
        n=n,
        p=p,
        type=type_,
        sealed=Sealed(sealed[0], sealed[1], _bytes(sealed[2]), _bytes(sealed[3])) if sealed is not None else None,
        rev=rev,
        fingerprint=_bytes(fingerprint),
        reply_to=reply_to,
        media_id=media_id,
        mentions=tuple(mentions),
        reactions=reactions,
        is_deleted=is_deleted,
        updated_at=_moment(updated) if updated is not None else None,
        mark=Mark(*mark) if mark is not None else None,
        data=data,
    )


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)


def _ms(moment: datetime) -> int:
    """Milliseconds since 1970, as the database keeps times."""
    return round(moment.timestamp() * 1000)


def _moment(milliseconds: int) -> datetime:
    whole, rest = divmod(milliseconds, 1000)
    return datetime.fromtimestamp(whole, UTC).replace(microsecond=rest * 1000)
