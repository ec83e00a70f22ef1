"""Everybody who is or was in a group, as far as its log tells: those who left are still named by those who stay."""

from collections import OrderedDict
from typing import Final

from chatcore.journal.store import JournalStore

ROWS_AT_ONCE: Final = 1_000
GROUPS_REMEMBERED: Final = 64


class EverThere:
    """Reads each group's log once, and from then on what came since."""

    def __init__(self, journal: JournalStore):
        self._journal = journal
        self._met: OrderedDict[str, tuple[int, set[str]]] = OrderedDict()

    async def people(self, group_id: str, *, first_seq: int, head: int) -> set[str]:
        """User ids of who wrote, was mentioned, was let in or taken out. What retention erased is not told any more."""
        read, met = self._met.pop(group_id, (first_seq - 1, set[str]()))
        while read < head:
            end = min(head, read + ROWS_AT_ONCE)
            for row in await self._journal.window(group_id, read, end):
                met.update((row.sender_id, *row.mentions))
                if isinstance(other := row.data.get("userId"), str):
                    met.add(other)
            read = end
        self._met[group_id] = read, met
        while len(self._met) > GROUPS_REMEMBERED:
            self._met.popitem(last=False)
        return met
