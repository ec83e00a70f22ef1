"""What is kept about an image or a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from chatcore.vault.envelope import Place, Sealed

Kind = Literal["image", "file"]
State = Literal["uploading", "ready", "gone"]
Variant = Literal["original", "1280", "320"]

THUMBNAILS: Final[tuple[Variant, ...]] = ("1280", "320")
"""Longest sides in pixels, the larger first. A picture that is smaller than one has no thumbnail of that size."""


@dataclass(frozen=True, slots=True)
class MediaRecord:
    """One upload. `sealed` holds the name it came with and the key of its objects, under the group's key.

    `variants` are the sizes in bytes of what can be read. `uploading` names objects that are being written, `gone` ones
    that are to be deleted; only `ready` can be seen. From `sweep_at` on the sweep takes it: an upload nobody sent, or
    one whose message was deleted long enough ago.
    """

    id: str
    group_id: str
    uploader_id: str
    created_at: datetime
    kind: Kind
    content_type: str
    size: int
    sealed: Sealed
    sealing: bool
    variants: Mapping[Variant, int] = field(default_factory=dict)
    width: int | None = None
    height: int | None = None
    state: State = "uploading"
    message_id: str | None = None
    sweep_at: datetime | None = None

    @property
    def place(self) -> Place:
        return media_place(self.group_id, self.id, self.uploader_id)

    @property
    def prefix(self) -> str:
        """Under which all its objects are."""
        return f"{self.group_id}/{self.id}/"

    def thumbnail(self, longest_side: int) -> Variant | None:
        """The one to show where this size is asked for; None for what is no image."""
        if self.kind != "image":
            return None
        wanted: Variant = "1280" if longest_side > 320 else "320"
        return wanted if wanted in self.variants else "320"


def media_place(group_id: str, media_id: str, uploader_id: str) -> Place:
    return Place(group_id, media_id, uploader_id, "media")
