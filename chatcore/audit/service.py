"""Writing the audit within the transaction of what it tells of, reading it, and checking the chain."""

from collections.abc import Awaitable, Callable

from chatcore.audit.chain import Deed, Fault, Head, Link, faults
from chatcore.audit.store import AuditStore, Change
from chatcore.errors import Conflict

PAGE = 500
ATTEMPTS = 5


class Audit:
    """`key` is the installation's own, wrapped by the master keys."""

    def __init__(self, store: AuditStore, key: bytes):
        self._store = store
        self._key = key

    def appended(self, deed: Deed) -> Change:
        """Put it last among the changes of a transaction: all deeds of the server meet at the end of the chain."""
        return self._store.appended(self._key, deed)

    async def record(self, deed: Deed) -> None:
        """A deed that changes nothing else, such as looking at content."""
        await _again(lambda: self._store.append(self._key, deed))

    async def together(self, deed: Deed, write: Callable[[Change], Awaitable[object]]) -> None:
        """`write` is a transaction that includes the deed it is given; it is tried again where another was first."""
        await _again(lambda: write(self.appended(deed)))

    async def newest(self, limit: int, *, before: int | None = None) -> list[Link]:
        """Newest first; `before` is exclusive."""
        top = (await self._store.head()).n if before is None else before - 1
        return list(reversed(await self._store.window(max(0, top - limit), top)))

    async def verify(self) -> tuple[Head, list[Fault]]:
        """How far the chain goes, and everything that does not hold. A chain cut at its end shows by its head."""
        end, reached, found = await self._store.head(), Head(), list[Fault]()
        place = 0
        while place < end.n:
            links = await self._store.window(place, place + PAGE)
            found += faults(self._key, links, reached)
            place += PAGE
            if links:
                reached = Head(links[-1].n, links[-1].hash)
        if reached.n < end.n:
            found.append(Fault(reached.n + 1, "missing"))
        elif reached.hash != end.hash:
            found.append(Fault(end.n, "is not the end that was written"))
        if await self._store.window(end.n, end.n + PAGE):
            found.append(Fault(end.n + 1, "stands behind the end that was written"))
        return end, found


async def _again(write: Callable[[], Awaitable[object]]) -> None:
    """All deeds of the server meet at the end of the chain."""
    for left in reversed(range(ATTEMPTS)):
        try:
            await write()
            return
        except Conflict:
            if left == 0:
                raise
