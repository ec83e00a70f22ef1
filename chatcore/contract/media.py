"""Images and files beside the messages they are sent with."""

from typing import Literal

from pydantic import Field

from chatcore.contract.base import Moment, ObjectIdText, Shape
from chatcore.contract.messages import MediaMetadata


class Media(Shape):
    """One upload. Without `messageId` it was not sent yet, and only its uploader sees it."""

    id: ObjectIdText = Field(alias="_id")
    group_id: ObjectIdText
    uploader_id: str
    type: Literal["image", "file"]
    media_url: str
    media_metadata: MediaMetadata
    message_id: ObjectIdText | None = None
    created_at: Moment


class MediaPath(Shape):
    media_id: ObjectIdText


class Thumbnail(Shape):
    """`size` is the longest side in pixels."""

    media_id: ObjectIdText
    size: Literal["320", "1280"] = "320"
