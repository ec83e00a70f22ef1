"""The audit's links in MongoDB, and their twin in memory. Nothing here changes or removes a link."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from chatcore.audit.chain import Deed, Head, Link, next_link
from chatcore.errors import Conflict
from chatcore.mongo import Index, translate_errors

INDEXES = (Index("audit", (("n", 1),), unique=True),)
HEAD = "audit-head"
OVERTAKEN = "Somebody else did something at the same moment; try again"
Document = dict[str, Any]
Change = Callable[[Any, Sequence[Any]], Awaitable[None]]
"""As the journal's: a write in somebody else's transaction."""


class AuditStore(Protocol):
    def appended(self, key: bytes, deed: Deed) -> Change:
        """The deed as the next link. Conflict where somebody appended at the same moment."""
        ...

    async def append(self, key: bytes, deed: Deed) -> None:
        """The deed alone. Conflict as above."""
        ...

    async def head(self) -> Head: ...
    async def window(self, after: int, up_to: int) -> list[Link]:
        """Links with `after < n <= up_to`, in order."""
        ...


class MongoAuditStore:
    def __init__(self, database: AsyncDatabase[Document]):
        self._client = database.client
        self._links = database["audit"]
        self._meta = database["meta"]

    def appended(self, key: bytes, deed: Deed) -> Change:
        async def change(session: AsyncClientSession, _: Sequence[Any]) -> None:
            found = await self._meta.find_one({"_id": HEAD}, session=session)
            link = next_link(key, _head(found), deed)
            fresh = {"n": link.n, "hash": link.hash}
            try:
                await self._links.insert_one(_document(link), session=session)
                if found is None:
                    await self._meta.insert_one({"_id": HEAD, **fresh}, session=session)
                    return
            except DuplicateKeyError:
                raise Conflict(OVERTAKEN) from None
            outcome = await self._meta.update_one({"_id": HEAD, "n": link.n - 1}, {"$set": fresh}, session=session)
            if outcome.matched_count == 0:
                raise Conflict(OVERTAKEN)

        return change

    @translate_errors
    async def append(self, key: bytes, deed: Deed) -> None:
        change = self.appended(key, deed)

        async def alone(session: AsyncClientSession) -> None:
            await change(session, ())

        async with self._client.start_session() as session:
            await session.with_transaction(alone)

    @translate_errors
    async def head(self) -> Head:
        return _head(await self._meta.find_one({"_id": HEAD}))

    @translate_errors
    async def window(self, after: int, up_to: int) -> list[Link]:
        found = self._links.find({"n": {"$gt": after, "$lte": up_to}})
        return sorted([_link(document) for document in await found.to_list()], key=lambda link: link.n)


def _head(document: Document | None) -> Head:
    return Head(document["n"], document["hash"]) if document else Head()


def _document(link: Link) -> Document:
    deed = link.deed
    return {
        "n": link.n,
        "at": deed.at,
        "actor": deed.actor,
        "action": deed.action,
        "target": deed.target,
        "facts": dict(deed.facts),
        "previous": link.previous,
        "hash": link.hash,
    }


def _link(row: Document) -> Link:
    deed = Deed(row["actor"], row["action"], row["target"], row["at"], row.get("facts") or {})
    return Link(row["n"], deed, row["previous"], row["hash"])


class MemoryAuditStore:
    """The same promises without a database."""

    def __init__(self) -> None:
        self.links: list[Link] = []

    def appended(self, key: bytes, deed: Deed) -> Change:
        async def change(_: Any, rows: Sequence[Any]) -> None:
            self.links.append(next_link(key, await self.head(), deed))

        return change

    async def append(self, key: bytes, deed: Deed) -> None:
        await self.appended(key, deed)(None, ())

    async def head(self) -> Head:
        return Head(self.links[-1].n, self.links[-1].hash) if self.links else Head()

    async def window(self, after: int, up_to: int) -> list[Link]:
        return [link for link in self.links if after < link.n <= up_to]
