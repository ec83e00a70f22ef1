"""Tokens used a day in MongoDB (`ai_budgets`), and their twin in memory."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from chatcore.mongo import Index, translate_errors

INDEXES: Final = (Index("ai_budgets", (("expiresAt", 1),), expire_after_seconds=0),)
KEPT: Final = timedelta(days=8)


class MongoBudgetStore:
    def __init__(self, database: AsyncDatabase[dict[str, Any]]):
        self._budgets = database["ai_budgets"]

    @translate_errors
    async def reserve(self, key: str, day: str, tokens: int, limit: int) -> bool:
        """One conditional upsert: where the row is there but too full, the insert meets its own `_id`."""
        if tokens > limit:
            return False
        fits = {"_id": f"{key}:{day}", "used": {"$lte": limit - tokens}}
        change = {"$inc": {"used": tokens}, "$setOnInsert": {"expiresAt": _expiry(day)}}
        for _ in range(2):  # a second try: the row may have come between the look and the insert
            try:
                await self._budgets.update_one(fits, change, upsert=True)
            except DuplicateKeyError:
                continue
            return True
        return False

    @translate_errors
    async def add(self, key: str, day: str, tokens: int) -> None:
        await self._budgets.update_one({"_id": f"{key}:{day}"}, {"$inc": {"used": tokens}})

    @translate_errors
    async def used(self, key: str, day: str) -> int:
        row = await self._budgets.find_one({"_id": f"{key}:{day}"})
        return int(row["used"]) if row else 0


class MemoryBudgetStore:
    def __init__(self) -> None:
        self._used: Counter[str] = Counter()

    async def reserve(self, key: str, day: str, tokens: int, limit: int) -> bool:
        if self._used[f"{key}:{day}"] + tokens > limit:
            return False
        self._used[f"{key}:{day}"] += tokens
        return True

    async def add(self, key: str, day: str, tokens: int) -> None:
        self._used[f"{key}:{day}"] += tokens

    async def used(self, key: str, day: str) -> int:
        return self._used[f"{key}:{day}"]


def _expiry(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC) + KEPT
