"""People in memory whose server asks a provider of the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from chatcore.ai.provider.models import Models
from chatcore.contract.base import Shape
from chatcore.ports import Caller
from tests.memory import Household


class Talk(Household):
    """`told` is what single connections were told."""

    def __init__(self, models: Models, seconds: float):
        super().__init__(models=models, ai_seconds=seconds)
        self.told: list[tuple[str, str, Shape]] = []
        self.fanout.tell_connection = self._tell  # type: ignore[method-assign]

    def _tell(self, connection_id: str, event: str, payload: Shape) -> None:
        self.told.append((connection_id, event, payload))

    async def says(self, caller: Caller, group_id: str, *texts: str) -> list[str]:
        """The ids of these messages."""
        return [(await self.sends(caller, group_id, text)).message_id for text in texts]


@asynccontextmanager
async def talk(models: Models, *, seconds: float = 8.0) -> AsyncIterator[Talk]:
    async with Talk(models, seconds) as household:
        yield household
    await models.close()


def connected(caller: Caller) -> Caller:
    return replace(caller, connection_id=f"c-{caller.user_id}", request_id="r1")
