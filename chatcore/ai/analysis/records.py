"""Analyses as stored: sealed, found again by what was looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from chatcore.vault.envelope import Sealed

Look = Literal["summary", "topics", "action_items", "mood"]


@dataclass(frozen=True, slots=True)
class StoredAnalysis:
    """`key` names what was looked at: the prompt version, its parameters, and each message with its text.

    So a changed or deleted message is another key. `from_seq` and `to_seq` are where the messages stand in the log:
    what was made of a message that is gone must go too.
    """

    key: str
    group_id: str
    look: Look
    from_seq: int
    to_seq: int
    sealed: Sealed
    at: datetime


class AnalysisStore(Protocol):
    async def find(self, key: str) -> StoredAnalysis | None: ...

    async def keep(self, analysis: StoredAnalysis) -> None:
        """A repeat is a no-op."""
        ...

    async def forget(self, group_id: str, seqs: Sequence[int]) -> None:
        """Everything that was made of a stretch of the log in which one of these lies."""
        ...

    async def erase_group(self, group_id: str) -> None: ...
