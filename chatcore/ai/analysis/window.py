"""The messages that an analysis looks at."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from chatcore.ai.context import Conversations, GroupFacts, Line
from chatcore.contract.ai import TimeRange
from chatcore.ports import Caller

MOST_MESSAGES: Final = 400
MOST_CHARACTERS: Final = 60_000
"""About 15,000 tokens; older messages are left out, and the answer says `truncated`."""
RANGES: Final[dict[TimeRange, timedelta]] = {
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "12h": timedelta(hours=12),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}


@dataclass(frozen=True, slots=True)
class Window:
    """What the caller may read of a time range, oldest first."""

    facts: GroupFacts
    time_range: TimeRange
    lines: tuple[Line, ...]
    truncated: bool

    @property
    def group_id(self) -> str:
        return self.facts.group_id

    def turns(self) -> list[dict[str, Any]]:
        """As prompts get it, and the same for everybody who reads the same messages."""
        return [{"id": line.message_id, "sender": line.sender_name, "text": line.text} for line in self.lines]


async def load_window(
    conversations: Conversations, caller: Caller, group_id: str, time_range: TimeRange, clock: Callable[[], datetime]
) -> Window:
    """Raises NotFound for a group that the caller may not read."""
    facts = await conversations.facts(caller, group_id)
    lines = await conversations.since(caller, group_id, clock() - RANGES[time_range], MOST_MESSAGES + 1)
    kept: list[Line] = []
    characters = 0
    for line in reversed(lines[-MOST_MESSAGES:]):
        characters += len(line.text)
        if characters > MOST_CHARACTERS:
            break
        kept.append(line)
    return Window(facts, time_range, tuple(reversed(kept)), truncated=len(kept) < len(lines))
