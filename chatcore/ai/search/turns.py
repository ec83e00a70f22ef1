"""Who works on a group's vectors, and how far: held over many rounds in memory, written down seldom.

A bookmark in the database may be behind what was done, never before it. So a crash costs a second look at some lines,
which are found to have their vectors; and an update of a row, the dearest thing to ask of the embedded database, is
made once in half a minute for a group that is written to, and not with each message.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from chatcore.ai.search.records import Claim, Progress, Space
from chatcore.ai.search.store import SearchStore

CLAIM_SECONDS: Final = 60.0
RENEW_SECONDS: Final = 30.0  # of a claim in use; the write bears the bookmark too
WORTH_A_WRITE: Final = 32  # lines: after a restart fewer are looked at in the one read that is made anyway
MOST_HELD: Final = 5_000  # groups, about 1 KB each
WRITTEN_TOGETHER: Final = 200
LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Turn:
    """A group that this process works on. `until` is the end of the claim, in the past where there is none yet.

    `off`: its people have switched AI off, and the bookmark waits.
    """

    progress: Progress
    until: datetime = LONG_AGO
    stored_seq: int = 0
    off: bool = False

    @property
    def group_id(self) -> str:
        return self.progress.group_id

    @property
    def lag(self) -> int:
        """Lines that were done and are not written down."""
        return self.progress.seq - self.stored_seq


@dataclass(frozen=True, slots=True)
class Taken:
    """`free` are this process's to work on; `busy` are another one's for now."""

    free: Sequence[Turn]
    busy: Sequence[str]


class Turns:
    def __init__(self, store: SearchStore, space: Space, owner: str, clock: Callable[[], datetime]):
        self._store = store
        self._space = space
        self._owner = owner
        self._clock = clock
        self._held: dict[str, Turn] = {}

    def holds(self, group_id: str) -> bool:
        return group_id in self._held

    async def take(self, group_ids: Iterable[str]) -> Taken:
        """At most one write for all that are held, and one read for all that are not. The latter are claimed by `claim`
        once there turns out to be something to do."""
        wanted = list(group_ids)
        now = self._clock()
        due = [turn for id_ in wanted if (turn := self._held.get(id_)) is not None and _is_due(turn, now)]
        await self._write(due, now + timedelta(seconds=CLAIM_SECONDS))
        known = await self._store.standings([id_ for id_ in wanted if id_ not in self._held])
        free, busy = [], []
        for group_id in wanted:
            if (held := self._held.get(group_id)) is not None:
                free.append(held)
                continue
            standing = known.get(group_id)
            if standing is not None and standing.claim.owner != self._owner and standing.claim.until > now:
                busy.append(group_id)
            else:
                free.append(self._turn(standing.progress if standing is not None else Progress(group_id)))
        return Taken(free, busy)

    def _turn(self, progress: Progress) -> Turn:
        if progress.space != self._space:  # another model, or other keeping: from the beginning
            return Turn(Progress(progress.group_id, self._space))
        return Turn(progress, stored_seq=progress.seq)

    async def claim(self, turn: Turn) -> bool:
        """False where somebody else has worked on the group since it was looked at: look again."""
        if turn.group_id in self._held:
            return True
        now = self._clock()
        until = now + timedelta(seconds=CLAIM_SECONDS)
        progress = await self._store.claim(turn.group_id, Claim(self._owner, until), now)
        if progress is None or self._turn(progress).progress != turn.progress:
            return False
        turn.until = until
        self._held[turn.group_id] = turn
        return True

    async def let_go(self, turns: Sequence[Turn]) -> None:
        """Others may try."""
        await self._write([turn for turn in turns if turn.group_id in self._held], LONG_AGO)

    async def tidy(self) -> None:
        """Write down what was done in groups that are quiet now, and forget the quietest of too many."""
        now = self._clock()
        lapsed = [turn for turn in self._held.values() if turn.until <= now]
        many = max(0, len(self._held) - MOST_HELD)
        leaving = sorted(lapsed, key=lambda turn: turn.until)[:many]
        gone = {turn.group_id for turn in leaving}
        late = [turn for turn in lapsed if turn.lag >= WORTH_A_WRITE or (turn.lag and turn.group_id in gone)]
        await self._write(late, LONG_AGO)
        for turn in leaving:
            self._held.pop(turn.group_id, None)

    async def leave(self) -> None:
        """At an orderly stop: every bookmark, and no claim left."""
        now = self._clock()
        await self._write([turn for turn in self._held.values() if turn.lag or turn.until > now], LONG_AGO)
        self._held.clear()

    def forget(self, group_id: str) -> None:
        self._held.pop(group_id, None)

    async def _write(self, turns: Sequence[Turn], until: datetime) -> None:
        """Those that another process has taken meanwhile are let go without a word."""
        for start in range(0, len(turns), WRITTEN_TOGETHER):
            some = [(turn, turn.progress) for turn in turns[start : start + WRITTEN_TOGETHER]]
            ours = await self._store.advance([progress for _, progress in some], self._owner, until)
            for turn, progress in some:
                if turn.group_id in ours:
                    turn.until, turn.stored_seq = until, progress.seq
                else:
                    self._held.pop(turn.group_id, None)


def advanced(turn: Turn, seq: int) -> None:
    """Up to here all is stored that is to be."""
    turn.progress, turn.off = replace(turn.progress, seq=seq), False


def _is_due(turn: Turn, now: datetime) -> bool:
    return turn.until - now < timedelta(seconds=CLAIM_SECONDS - RENEW_SECONDS)
