"""A group's log as search reads it, and what search adds to it."""

from dataclasses import dataclass
from datetime import datetime

from chatcore.vault.envelope import Place, Sealed


@dataclass(frozen=True, slots=True)
class Space:
    """What makes two vectors comparable, and how they are kept."""

    model: str
    in_clear: bool = False


@dataclass(frozen=True, slots=True)
class StoredVector:
    """A message's vector. `rev` is the edit it was made of; another one makes it worthless.

    Exactly one of `sealed` (half-precision numbers, with the group's key) and `clear` (single precision) is there.
    `in_message`: it stands in the message's document still, where earlier versions kept it.
    """

    space: Space
    dimensions: int
    rev: int
    sealed: Sealed | None = None
    clear: bytes | None = None
    in_message: bool = False


@dataclass(frozen=True, slots=True)
class PlacedVector:
    """A vector with the message it belongs to."""

    group_id: str
    seq: int
    message_id: str
    vector: StoredVector


@dataclass(frozen=True, slots=True)
class LogLine:
    """One row of a group's log. Edits and deletions name their message by `target_id` and `target_seq`."""

    id: str
    group_id: str
    seq: int
    kind: str
    sender_id: str
    type: str = ""
    rev: int = 0
    is_deleted: bool = False
    sealed: Sealed | None = None
    vector: StoredVector | None = None
    target_id: str = ""
    target_seq: int = 0

    @property
    def searchable(self) -> bool:
        return self.kind == "message" and self.type != "system" and not self.is_deleted and self.sealed is not None

    @property
    def place(self) -> Place:
        return Place(self.group_id, self.id, self.sender_id, self.type, self.rev)

    @property
    def vector_place(self) -> Place:
        return Place(self.group_id, self.id, self.sender_id, "embedding", self.rev)

    def has_vector(self, space: Space) -> bool:
        """One that may be compared with others of this space, however it is kept."""
        vector = self.vector
        return vector is not None and vector.rev == self.rev and vector.space.model == space.model


@dataclass(frozen=True, slots=True)
class Progress:
    """Up to which log position a group's messages have their vectors, in which space."""

    group_id: str
    space: Space | None = None
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """Who works on a group's vectors, and until when nobody else does."""

    owner: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """How a group stands: how far it is, and whose it is or was."""

    progress: Progress
    claim: Claim
