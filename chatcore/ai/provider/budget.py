"""Tokens a day at a provider, in all and for each user: reserved before a call, settled after it, never exceeded.

What a call may use at most is reserved in the database in one conditional step, so that neither several processes nor
a restart can spend more. A call whose use stays unknown (cut off, timed out) keeps its reservation. When the database
does not answer, nothing is spent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from chatcore.ai.provider.failures import RungFailed
from chatcore.errors import Unavailable
from chatcore.logs import get_logger

log = get_logger("ai")


class BudgetStore(Protocol):
    async def reserve(self, key: str, day: str, tokens: int, limit: int) -> bool:
        """Adds, unless that would exceed the limit."""
        ...

    async def add(self, key: str, day: str, tokens: int) -> None:
        """Corrects a reservation; negative gives back."""
        ...

    async def used(self, key: str, day: str) -> int: ...


@dataclass(frozen=True, slots=True)
class Reservation:
    day: str
    keys: tuple[str, ...]
    tokens: int


class Budget:
    """`person` turns a user's id into the name under which the database keeps the use."""

    def __init__(
        self,
        store: BudgetStore,
        *,
        daily: int | None,
        daily_per_user: int | None,
        person: Callable[[str], str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        self._store, self._daily, self._daily_per_user = store, daily, daily_per_user
        self._person, self._clock = person, clock

    async def reserve(self, user_id: str, tokens: int) -> Reservation:
        """Raises RungFailed: `budget` where it is used up, `budget_unknown` where nobody can tell."""
        day = self._clock().astimezone(UTC).date().isoformat()
        taken: list[str] = []
        try:
            for key, limit in self._bounds(user_id):
                if not await self._store.reserve(key, day, tokens, limit):
                    await self._give_back(taken, day, tokens)
                    raise RungFailed("budget")
                taken.append(key)
        except Unavailable:
            raise RungFailed("budget_unknown") from None
        return Reservation(day, tuple(taken), tokens)

    async def settle(self, reservation: Reservation, used: int) -> None:
        """What was not used is free again. A provider that reports more than was reserved is believed."""
        try:
            await self._give_back(reservation.keys, reservation.day, reservation.tokens - used)
        except Unavailable:
            log.warning("ai_budget_not_settled", count=reservation.tokens - used)

    def _bounds(self, user_id: str) -> list[tuple[str, int]]:
        bounds = [("all", self._daily)]
        if user_id:
            bounds.append((f"user:{self._person(user_id)}", self._daily_per_user))
        return [(key, limit) for key, limit in bounds if limit is not None]

    async def _give_back(self, keys: list[str] | tuple[str, ...], day: str, tokens: int) -> None:
        if tokens:
            for key in keys:
                await self._store.add(key, day, -tokens)
