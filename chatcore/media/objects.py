"""Where sealed bytes are kept: a folder or S3, with the same promises."""

from typing import Protocol

from chatcore.errors import Unavailable
from chatcore.media.sealing import Pieces

STORE_DOWN = "Images and files cannot be stored or read right now; try again in a moment"


class StoreDown(Unavailable):
    """The object store does not answer, or not in time. Texts go on."""

    def __init__(self, message: str = STORE_DOWN):
        super().__init__(message)


class ObjectMissing(Exception):
    """The store has no such object: a row is there whose object is not."""


class ObjectStore(Protocol):
    """Keys are `group/media/variant`. Everything raises StoreDown where the store does not answer."""

    async def put(self, key: str, size: int, pieces: Pieces) -> None:
        """Durable once this returns; an object appears as a whole or not at all. `size` is of all pieces together."""
        ...

    def read(self, key: str, start: int, stop: int) -> Pieces:
        """The bytes `start <= i < stop`, in pieces of any size. Raises ObjectMissing."""
        ...

    async def delete(self, prefix: str) -> None:
        """Everything whose key begins so, also what an interrupted `put` left. A repeat is a no-op."""
        ...

    async def keys(self, prefix: str) -> list[str]:
        """For checks and tests: whole objects and unfinished ones alike."""
        ...

    async def presigned(self, key: str, *, seconds: int, content_type: str, disposition: str) -> str | None:
        """A link that needs no token, where the store can make one."""
        ...

    async def check(self) -> None: ...
    async def close(self) -> None: ...
