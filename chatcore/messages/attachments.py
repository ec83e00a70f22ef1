"""Who may upload, see, send and delete an image or file. Everything is decided by the group and the message."""

from dataclasses import dataclass
from typing import Literal

from chatcore.contract.base import Empty
from chatcore.contract.media import Media as MediaShape
from chatcore.contract.media import MediaPath, Thumbnail
from chatcore.contract.messages import SendMessage
from chatcore.errors import Conflict, Invalid, NotFound
from chatcore.groups.records import Room
from chatcore.groups.service import Groups
from chatcore.journal.rows import Change
from chatcore.media.records import MediaRecord
from chatcore.media.service import Download, Media, MediaCard
from chatcore.media.spool import Spool
from chatcore.messages.log import MessageLog
from chatcore.ports import Caller

NO_SUCH_MEDIA = "There is no such upload, or you may not see it"
"""Word for word the same, whatever the reason is."""


@dataclass(frozen=True, slots=True)
class Attached:
    """What a message carries: how it is shown, and what binds it in the message's transaction."""

    media_id: str
    type: Literal["image", "file"]
    card: MediaCard
    change: Change


class Attachments:
    """An upload is bound to its group when it comes, and to one message of its uploader when it is sent."""

    def __init__(self, *, media: Media, groups: Groups, log: MessageLog):
        self.media = media
        self._groups = groups
        self._log = log

    async def require_may_upload(self, caller: Caller, group_id: str) -> None:
        await self._groups.require(caller, "message.send", group_id)

    async def upload(self, caller: Caller, group_id: str, name: str | None, spool: Spool) -> MediaShape:
        """The bytes are there. Membership is asked again: an upload takes minutes on a slow line."""
        await self.require_may_upload(caller, group_id)
        return await self._shape(await self.media.add(group_id, caller.user_id, name, spool))

    async def get(self, caller: Caller, request: MediaPath) -> MediaShape:
        return await self._shape(await self._require_visible(caller, request.media_id))

    async def original(self, caller: Caller, request: MediaPath) -> Download:
        return await self.media.download(await self._require_visible(caller, request.media_id), "original")

    async def thumbnail(self, caller: Caller, request: Thumbnail) -> Download:
        record = await self._require_visible(caller, request.media_id)
        variant = record.thumbnail(int(request.size))
        if variant is None:
            raise NotFound("A file that is no image has no thumbnail")
        return await self.media.download(record, variant)

    async def delete(self, caller: Caller, request: MediaPath) -> Empty:
        """One's own that was not sent. What was sent goes with its message."""
        record = await self._require_visible(caller, request.media_id)
        if record.message_id is not None:
            raise Conflict("This was sent; delete its message")
        await self.media.remove(record)
        return Empty()

    async def attach(self, room: Room, caller: Caller, request: SendMessage, message_id: str) -> Attached:
        """What a message brings along. Raises NotFound for other groups' and other people's uploads, Conflict for one
        that another message has, Invalid where the message says it is what it is not."""
        assert request.media_id is not None
        if request.type == "text":
            raise Invalid("A message with a mediaId is of type image or file", field="type")
        record = await self.media.find(request.media_id)
        if record is None or record.group_id != room.id or record.uploader_id != caller.user_id:
            raise NotFound(NO_SUCH_MEDIA, field="mediaId")
        if record.message_id not in (None, message_id):
            raise Conflict("This upload was sent already; upload it again", field="mediaId")
        if request.type == "image" and record.kind != "image":
            raise Invalid("This upload is no image; send it as a file", field="type")
        card = await self.media.card(record)
        if card is None:
            raise NotFound(NO_SUCH_MEDIA, field="mediaId")
        return Attached(record.id, request.type, card, self.media.attached(record, message_id))

    async def _require_visible(self, caller: Caller, media_id: str) -> MediaRecord:
        """Before it is sent to its uploader, and then to whoever may see its message. The same NotFound for others."""
        record = await self.media.find(media_id)
        if record is None:
            raise NotFound(NO_SUCH_MEDIA)
        try:
            room = await self._groups.require(caller, "message.read", record.group_id)
            if record.message_id is not None:
                await self._log.require_message(room, caller, record.message_id)
            elif record.uploader_id != caller.user_id:
                raise NotFound(NO_SUCH_MEDIA)
        except (NotFound, Conflict):
            raise NotFound(NO_SUCH_MEDIA) from None
        return record

    async def _shape(self, record: MediaRecord) -> MediaShape:
        card = await self.media.card(record)
        if card is None:
            raise NotFound("This upload cannot be read any more")
        return MediaShape(
            id=record.id,
            group_id=record.group_id,
            uploader_id=record.uploader_id,
            type=record.kind,
            media_url=card.url,
            media_metadata=card.metadata,
            message_id=record.message_id,
            created_at=record.created_at,
        )
