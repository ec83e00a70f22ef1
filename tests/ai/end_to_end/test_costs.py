"""What moderating a burst costs the database and the models, counted by the driver's own events and the metrics."""

import asyncio
from collections import Counter
from typing import Any

import pymongo
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from tests.ai.end_to_end.conftest import ready
from tests.servers import ServerInThread, people_of

MESSAGES, GROUPS = 48, 4
AI_COLLECTIONS = {"ai_decisions", "ai_budgets", "sanctions", "moderation_passes"}


class Counted(CommandListener):
    """Commands on the collections of moderation, and the decisions that each write of the ledger held."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.writes: list[list[dict[str, Any]]] = []

    def started(self, event: CommandStartedEvent) -> None:
        collection = str(event.command.get(event.command_name))
        if collection in AI_COLLECTIONS:
            self.seen[f"{event.command_name} {collection}"] += 1
        if event.command_name == "insert" and collection == "ai_decisions":
            self.writes.append([dict(document) for document in event.command["documents"]])

    def succeeded(self, event: CommandSucceededEvent) -> None:
        return None

    def failed(self, event: CommandFailedEvent) -> None:
        return None


COUNTED = Counted()
pymongo.monitoring.register(COUNTED)


def calls(server: ServerInThread) -> float:
    value = server.chat.core.metrics.registry.get_sample_value(
        "chatcore_ai_calls_total", {"task": "moderation", "outcome": "embedded"}
    )
    return value or 0.0


async def decided(server: ServerInThread) -> None:
    async with asyncio.timeout(30):
        while len(server.chat.core.moderation.later):
            await asyncio.sleep(0.02)
    await server.inside(server.chat.core.ai.ledger.flush())


async def test_a_burst_of_messages_shares_its_calls_and_its_writes(own_models: ServerInThread) -> None:
    await ready(own_models)
    async with people_of(own_models.url) as people:
        ada, bob = await people.connected("ada", "bob")
        groups = [await ada.creates_group(bob) for _ in range(GROUPS)]
        await ada.sends(groups[0], "the first loads what is needed")
        await decided(own_models)
        COUNTED.seen.clear()
        COUNTED.writes.clear()
        before = calls(own_models)
        texts = [(groups[number % GROUPS], f"so I said number {number}") for number in range(MESSAGES)]
        await asyncio.gather(*(ada.sends(group, text) for group, text in texts))
        await decided(own_models)
    rows = [row for write in COUNTED.writes for row in write if str(row.get("groupId")) in groups]
    assert len(rows) == MESSAGES
    assert {row["served"]["provider"] for row in rows} == {"embedded"}, "a model has read every one of them"
    assert 1 <= calls(own_models) - before <= MESSAGES / 3
    assert set(COUNTED.seen) == {"insert ai_decisions"}, "nothing is read, and nothing is updated"
    assert COUNTED.seen["insert ai_decisions"] <= MESSAGES / 3
