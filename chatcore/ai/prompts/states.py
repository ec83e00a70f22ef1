"""Where the versions of one function stand, and the moves that people may make. Nothing here waits or stores.

    draft -> shadow -> canary(share) -> live -> retired

Up one step at a time, to live only with a passing report; down from anywhere at once.
"""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from chatcore.ai.prompts.versions import State
from chatcore.errors import Conflict

MAX_SHADOWS: Final = 2
MAX_REMEMBERED: Final = 50
LARGEST_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Move:
    """One line of a function's history. `by` is a user's id, "" for the command line of the server itself."""

    action: str
    version_id: str
    at: datetime
    by: str = ""
    report: str = ""
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """`earlier` are former live versions, the last one newest; `decided` says that a person has chosen the live one, so
    that a new release does not replace it."""

    function: str
    live: str
    revision: int = 0
    decided: bool = False
    canary: str = ""
    share: float = 0.0
    shadows: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()
    history: tuple[Move, ...] = field(default=())

    def state_of(self, version_id: str) -> State:
        if version_id == self.live:
            return "live"
        if version_id == self.canary:
            return "canary"
        if version_id in self.shadows:
            return "shadow"
        return "retired" if version_id in (*self.earlier, *self.retired) else "draft"

    def arm_of(self, user_id: str) -> str:
        """`canary` or `live`; the same person always lands at the same place between 0 and 1 for one canary."""
        if not self.canary or not user_id:
            return "live"
        digest = hashlib.sha256(f"{self.canary}\0{user_id}".encode()).digest()
        return "canary" if int.from_bytes(digest[:8], "big") / 2**64 < self.share else "live"

    def to_shadow(self, move: Move) -> "Standing":
        if self.state_of(move.version_id) not in ("draft", "retired", "canary"):
            raise Conflict("Only a draft, a retired version or the canary can become a shadow")
        if len(self.shadows) >= MAX_SHADOWS:
            raise Conflict(f"At most {MAX_SHADOWS} versions run in shadow; roll one back first")
        calmed = _without(self, move.version_id)
        return _moved(calmed, move, shadows=(*calmed.shadows, move.version_id))

    def to_canary(self, move: Move) -> "Standing":
        state = self.state_of(move.version_id)
        if state not in ("shadow", "canary"):
            raise Conflict(f"A version runs in shadow before it is a canary; this one is {state}")
        if self.canary not in ("", move.version_id):
            raise Conflict("There is a canary already; promote it or roll it back first")
        return _moved(_without(self, move.version_id), move, canary=move.version_id, share=move.share)

    def to_live(self, move: Move) -> "Standing":
        state = self.state_of(move.version_id)
        if state != "canary":
            raise Conflict(f"A version is a canary before it is live; this one is {state}")
        earlier = (*(one for one in self.earlier if one != self.live), self.live)[-MAX_REMEMBERED:]
        return _moved(_without(self, move.version_id), move, live=move.version_id, earlier=earlier, decided=True)

    def back(self, move: Move) -> "Standing":
        """Take a version down: the live one for the one before it, any other out of use."""
        state = self.state_of(move.version_id)
        if state == "live":
            if not self.earlier:
                raise Conflict("There is no earlier live version to go back to")
            gone = self._remembered(self.live)
            return _moved(self, move, live=self.earlier[-1], earlier=self.earlier[:-1], retired=gone, decided=True)
        if state in ("shadow", "canary"):
            return _moved(_without(self, move.version_id), move, retired=self._remembered(move.version_id))
        raise Conflict(f"This version is not in use; it is {state}")

    def released(self, version_id: str, at: datetime) -> "Standing":
        """What a new release of the server ships takes the place of what an earlier one shipped, and of nothing that
        a person chose."""
        if self.decided or self.live == version_id:
            return self
        move = Move("release", version_id, at)
        return _moved(_without(self, version_id), move, live=version_id, retired=self._remembered(self.live))

    def _remembered(self, version_id: str) -> tuple[str, ...]:
        return (*(one for one in self.retired if one != version_id), version_id)[-MAX_REMEMBERED:]


def _without(standing: Standing, version_id: str) -> Standing:
    is_canary = standing.canary == version_id
    return replace(
        standing,
        canary="" if is_canary else standing.canary,
        share=0.0 if is_canary else standing.share,
        shadows=tuple(one for one in standing.shadows if one != version_id),
        earlier=tuple(one for one in standing.earlier if one != version_id),
        retired=tuple(one for one in standing.retired if one != version_id),
    )


def _moved(standing: Standing, move: Move, **changes: object) -> Standing:
    history = (*standing.history, move)[-MAX_REMEMBERED:]
    return replace(standing, revision=standing.revision + 1, history=history, **changes)  # type: ignore[arg-type]
