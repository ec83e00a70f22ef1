"""Search and asking, wired to groups, messages and models."""

import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chatcore.ai.flows.prompted import Prompted
from chatcore.ai.provider.models import Models
from chatcore.ai.search.ask import Ask
from chatcore.ai.search.atlas import AtlasVectors
from chatcore.ai.search.door import Door
from chatcore.ai.search.embedding import TIDY_SECONDS, Consent, Embedder, EmbedsTexts, Learn
from chatcore.ai.search.lane import Lane
from chatcore.ai.search.records import LogLine, Space
from chatcore.ai.search.retrieval import Retrieval
from chatcore.ai.search.service import Records, Search
from chatcore.ai.search.store import MongoSearchStore, SearchStore
from chatcore.ai.search.vectors import Embedded
from chatcore.background import Background
from chatcore.errors import ChatError, NotFound
from chatcore.groups.rooms import Rooms
from chatcore.groups.service import Groups
from chatcore.identity.service import Identity
from chatcore.logs import get_logger
from chatcore.messages.changes import Change
from chatcore.messages.context import MemberView
from chatcore.messages.missed import MissedRows
from chatcore.messages.service import Messages
from chatcore.mongo import Mongo
from chatcore.settings import Settings
from chatcore.vault.service import Vault

if TYPE_CHECKING:
    from chatcore.ai.search.library import Library

log = get_logger("search")
ALONE: Final = "the only process"


@dataclass(frozen=True)
class SearchParts:
    """`embedder` is None where AI is off: nothing gets a vector then, and search goes by words alone."""

    search: Search
    retrieval: Retrieval
    embedder: Embedder | None
    door: Door

    def start(self, background: Background) -> None:
        if self.embedder is not None:
            background.watch("embed-messages", self.embedder.run())
            background.every(TIDY_SECONDS, "embedding-bookmarks", self.embedder.tidy)

    async def settle(self) -> None:
        """Write down how far the vectors are. What is not is looked at again at the next start."""
        if self.embedder is not None:
            try:
                await self.embedder.leave()
            except ChatError as error:
                log.info("bookmarks_not_saved", code=error.code)

    async def close(self) -> None:
        await self.door.close()


@dataclass(frozen=True)
class Switches:
    """The two lower switches: a group's, and a person's."""

    rooms: Rooms
    identity: Identity

    async def group(self, group_id: str) -> bool:
        try:
            return (await self.rooms.load(group_id)).record.settings.ai
        except NotFound:
            return False

    async def person(self, user_id: str) -> bool:
        return (await self.people([user_id])).get(user_id, False)

    async def people(self, user_ids: Sequence[str]) -> Mapping[str, bool]:
        """Who is not known here any more has not agreed to anything."""
        records = await self.identity.directory.records(user_ids)
        return {user_id: record.settings.ai for user_id, record in records.items()}


def compose_search(
    *,
    store: SearchStore,
    space: Space,
    vault: Vault,
    rooms: Rooms,
    identity: Identity,
    groups: Groups,
    messages: Messages,
    conversations: MemberView,
    models: EmbedsTexts,
    prompted: Prompted,
    ledger: Records,
    atlas_index: str = "",
    owner: str = "",
) -> SearchParts:
    """`space.model` is "" where AI is off. `atlas_index` names the vector index of a database that has vector search
    and may see the vectors; "" for matrices in this process. Claims of the same `owner` are its own after a
    restart too; "" makes one for this process."""
    switches = Switches(rooms, identity)
    door = Door(lambda: _library(store, space, vault, atlas_index))
    retrieval = Retrieval(conversations, models, door, user_ai=switches.person)
    embedder: Embedder | None = None
    if space.model:
        consent = Consent(switches.group, switches.people)
        learn = _learner(door, always=bool(atlas_index))
        embedder = Embedder(store, vault, models, space, consent=consent, learn=learn, owner=owner)
        messages.changes.listen(_telling(embedder))
    groups.on_erase(_eraser(store, door, embedder))
    asking = Ask(conversations, retrieval, prompted, user_ai=switches.person)
    return SearchParts(Search(conversations, retrieval, asking, ledger), retrieval, embedder, door)


def live_search(
    settings: Settings,
    mongo: Mongo,
    models: Models,
    *,
    vault: Vault,
    rooms: Rooms,
    identity: Identity,
    groups: Groups,
    messages: Messages,
    conversations: MemberView,
    prompted: Prompted,
    ledger: Records,
    missed: MissedRows,
    alone: bool,
) -> SearchParts:
    """On the database, with its own vector search where it has one and the settings let it see the vectors. `alone`: no
    other process is at work on this database, so that the claims of one that died are ours."""
    in_database = mongo.abilities.vector_search and settings.vectors_in_clear
    parts = compose_search(
        store=MongoSearchStore(mongo.database),
        space=Space(models.embedding_space, settings.vectors_in_clear),
        vault=vault,
        rooms=rooms,
        identity=identity,
        groups=groups,
        messages=messages,
        conversations=conversations,
        models=models,
        prompted=prompted,
        ledger=ledger,
        atlas_index=settings.vector_index_name if in_database else "",
        owner=ALONE if alone else "",
    )
    if parts.embedder is not None:
        missed.heard = parts.embedder.heard
    return parts


def _library(store: SearchStore, space: Space, vault: Vault, atlas_index: str) -> "Library":
    """Its modules were imported by the door."""
    lane, shelves = Lane(), importlib.import_module("chatcore.ai.search.library")
    if atlas_index:
        assert isinstance(store, MongoSearchStore)
        vectors: object = AtlasVectors(store, space, atlas_index)
    else:
        vectors = importlib.import_module("chatcore.ai.search.exact").ExactVectors(lane)
    library: Library = shelves.Library(store, vault, vectors, space, lane=lane)
    return library


def _learner(door: Door, *, always: bool) -> Learn:
    """A library that nobody has opened yet reads the vectors from the documents; the database's index must be made."""

    async def learn(group_id: str, entries: Sequence[Embedded]) -> None:
        library = await door.library() if always else door.known
        if library is not None:
            await library.learn(group_id, entries)

    return learn


def _telling(embedder: Embedder) -> Callable[[Change], None]:
    def tell(change: Change) -> None:
        row = change.row
        if change.kind == "new":
            embedder.stored(
                LogLine(row.id, row.group_id, row.seq, row.kind, row.sender_id, row.type, row.rev, sealed=row.sealed)
            )
        elif change.kind == "edited":  # its line in the log is another one: read from there
            embedder.wake(change.room.id)

    return tell


def _eraser(
    store: SearchStore, door: Door, embedder: Embedder | None
) -> Callable[[str, Sequence[str]], Awaitable[None]]:
    async def erase(group_id: str, _: Sequence[str]) -> None:
        """The vectors go with the messages' documents."""
        if embedder is not None:
            embedder.forget(group_id)
        await store.forget(group_id)
        if door.known is not None:
            await door.known.drop(group_id)

    return erase
