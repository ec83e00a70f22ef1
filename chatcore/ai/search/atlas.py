"""`VectorIndex` of the database itself: Atlas' `$vectorSearch` on the vectors that stand unsealed in the documents."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from chatcore.ai.search.records import Space
from chatcore.ai.search.vectors import Embedded, Hit, Scope, Status

if TYPE_CHECKING:
    from chatcore.ai.search.vectors import Vector

MOST_GROUPS: Final = 1_000  # in one filter


class NearestInDatabase(Protocol):
    async def nearest(
        self, vector: "Vector", groups: Sequence[Scope], limit: int, *, space: Space, index: str
    ) -> list[Hit]: ...

    async def ensure_vector_index(self, name: str, dimensions: int) -> None: ...


class AtlasVectors:
    """The documents are what it searches, so nothing is put into it or taken out."""

    in_memory = False

    def __init__(self, store: NearestInDatabase, space: Space, index: str):
        self._store = store
        self._space = space
        self._index = index
        self._dimensions = 0

    async def search(self, vector: "Vector", groups: Sequence[Scope], limit: int) -> list[Hit]:
        found: list[Hit] = []
        for start in range(0, len(groups), MOST_GROUPS):
            some = groups[start : start + MOST_GROUPS]
            found += await self._store.nearest(vector, some, limit, space=self._space, index=self._index)
        return sorted(found, key=lambda hit: hit.score, reverse=True)[:limit]

    async def upsert(self, group_id: str, entries: Sequence[Embedded]) -> None:
        if entries and len(entries[0].vector) != self._dimensions:
            dimensions = len(entries[0].vector)
            await self._store.ensure_vector_index(self._index, dimensions)
            self._dimensions = dimensions

    async def delete(self, group_id: str, seqs: Sequence[int] | None = None) -> None:
        return None

    def bytes_of(self, group_id: str) -> int:
        return 0

    def status(self) -> Status:
        return Status("atlas")
