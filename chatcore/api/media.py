"""Commands on uploads. Bytes go in and out by hand-written routes: see `transport/media.py`."""

from chatcore.api.command import Command, Rest
from chatcore.contract import media as m
from chatcore.contract.base import Empty
from chatcore.errors import Conflict, NotFound

COMMANDS: tuple[Command, ...] = (
    Command(
        name="get_media",
        tag="media",
        refuses=(NotFound,),
        rest=Rest("GET", "/media/{mediaId}"),
        request=m.MediaPath,
        reply=m.Media,
        answer=lambda s, c, r: s.attachments.get(c, r),
        limit="read",
        summary="What is known of an image or file: to its uploader, and once it is sent to whoever sees the message.",
    ),
    Command(
        name="delete_media",
        tag="media",
        refuses=(NotFound, Conflict),
        rest=Rest("DELETE", "/media/{mediaId}"),
        request=m.MediaPath,
        reply=Empty,
        answer=lambda s, c, r: s.attachments.delete(c, r),
        limit="edit",
        summary="Take an upload of one's own back that was not sent; what was sent goes with its message.",
    ),
)
