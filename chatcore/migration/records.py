"""The original's documents as values, with what they may lack filled in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

MessageType = Literal["text", "image", "file", "system"]
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class OriginalUser:
    user_id: str
    email: str
    first_name: str
    last_name: str
    username: str
    image_url: str
    is_active: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class OriginalMember:
    user_id: str
    role: Literal["admin", "member"]
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class OriginalGroup:
    """`members` holds each user once: the original's array could hold one twice."""

    group_id: str
    name: str
    description: str
    is_active: bool
    members: Sequence[OriginalMember]
    created_by: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class OriginalMessage:
    """`read_by`: when each reader read it. `media_name` is the name of a file that came with it, `media_url` the
    link that has expired."""

    message_id: str
    group_id: str
    sender_id: str
    content: str
    type: MessageType
    is_deleted: bool
    read_by: Mapping[str, datetime]
    media_name: str
    media_url: str
    created_at: datetime
    updated_at: datetime


def user_of(document: Mapping[str, Any]) -> OriginalUser | None:
    """None for a row without the identity provider's id: nobody could ever sign in as it."""
    user_id = _text(document, "clerkId")
    if not user_id:
        return None
    created = _moment(document, "createdAt", LONG_AGO)
    return OriginalUser(
        user_id=user_id,
        email=_text(document, "email"),
        first_name=_text(document, "firstName"),
        last_name=_text(document, "lastName"),
        username=_text(document, "username"),
        image_url=_text(document, "profileImageUrl"),
        is_active=document.get("isActive") is not False,
        created_at=created,
        updated_at=_moment(document, "updatedAt", created),
    )


def group_of(document: Mapping[str, Any]) -> OriginalGroup:
    created = _moment(document, "createdAt", LONG_AGO)
    members: dict[str, OriginalMember] = {}
    for entry in document.get("members") or []:
        user_id = _text(entry, "userId")
        if user_id and (user_id not in members or entry.get("role") == "admin"):
            role: Literal["admin", "member"] = "admin" if entry.get("role") == "admin" else "member"
            members[user_id] = OriginalMember(user_id, role, _moment(entry, "joinedAt", created))
    return OriginalGroup(
        group_id=str(document["_id"]),
        name=_text(document, "name")[:100] or "Group",
        description=_text(document, "description")[:500],
        is_active=document.get("isActive") is not False,
        members=list(members.values()),
        created_by=_text(document, "createdBy"),
        created_at=created,
        updated_at=_moment(document, "updatedAt", created),
    )


def message_of(document: Mapping[str, Any]) -> OriginalMessage:
    kind = document.get("type")
    created = _moment(document, "createdAt", document["_id"].generation_time)
    media = document.get("mediaMetadata") or {}
    return OriginalMessage(
        message_id=str(document["_id"]),
        group_id=str(document["groupId"]),
        sender_id=_text(document, "senderId"),
        content=_text(document, "content"),
        type=kind if kind in ("image", "file", "system") else "text",
        is_deleted=document.get("isDeleted") is True,
        read_by={
            entry["userId"]: _moment(entry, "readAt", created)
            for entry in document.get("readBy") or []
            if isinstance(entry, dict) and entry.get("userId")
        },
        media_name=_text(media, "originalFilename") or _text(media, "filename"),
        media_url=_text(document, "mediaUrl"),
        created_at=created,
        updated_at=_moment(document, "updatedAt", created),
    )


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    return value.replace("\x00", "") if isinstance(value, str) else ""


def _moment(document: Mapping[str, Any], name: str, otherwise: datetime) -> datetime:
    value = document.get(name)
    return value if isinstance(value, datetime) else otherwise
