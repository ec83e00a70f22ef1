"""One endpoint of the ladder: its address, its models, its breaker, and what it is known not to be able to do."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from chatcore.ai.calls import Provider
from chatcore.ai.provider.breaker import Breaker
from chatcore.ai.provider.failures import RungFailed
from chatcore.ai.provider.wire import Wire

UNSUPPORTED_SECONDS: Final = 600.0
MODERATION_MODEL: Final = "omni-moderation-latest"
EMBEDDED_CHAT, EMBEDDED_MODERATION, EMBEDDED_SPACE = "chatcore-tasks", "chatcore-moderation", "all-MiniLM-L6-v2-int8"


class Endpoint(Protocol):
    """Where to call. `url` is None while nothing serves there; it may come, go and change."""

    @property
    def url(self) -> str | None: ...

    @property
    def token(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Configured:
    """An endpoint out of the settings."""

    url: str
    token: str


@dataclass(frozen=True, slots=True)
class ModelNames:
    chat: str
    embedding: str
    moderation: str


@dataclass
class Rung:
    """`metered` calls count against the budget. `on_this_machine`: no proxy of the environment is used."""

    provider: Provider
    endpoint: Endpoint
    models: ModelNames
    breaker: Breaker
    clock: Callable[[], float]
    metered: bool = False
    on_this_machine: bool = False
    _wired_to: tuple[str, str] = field(default=("", ""), init=False)
    _making: asyncio.Task[Wire] | None = field(default=None, init=False)
    _unsupported: dict[str, float] = field(default_factory=dict, init=False)

    @property
    def degraded(self) -> bool:
        return self.provider in ("embedded", "rules")

    def can(self, capability: str) -> bool:
        """False for some minutes after the endpoint said that it does not have this."""
        until = self._unsupported.get(capability)
        return until is None or self.clock() >= until

    def cannot(self, capability: str) -> None:
        self._unsupported[capability] = self.clock() + UNSUPPORTED_SECONDS

    async def wire(self) -> Wire:
        """Raises RungFailed while nothing serves there. The first one takes seconds of imports on a cold disk; they
        go on when the caller does not wait for them."""
        url = self.endpoint.url
        if url is None:
            raise RungFailed("loading")
        to = (url, self.endpoint.token)
        if self._making is None or self._wired_to != to:
            await self.close()
            self._wired_to = to
            self._making = asyncio.create_task(
                asyncio.to_thread(Wire, *to, on_this_machine=self.on_this_machine), name=f"wire:{self.provider}"
            )
        return await asyncio.shield(self._making)

    async def close(self) -> None:
        making, self._making = self._making, None
        if making is not None:
            with contextlib.suppress(Exception):  # whoever asked has heard why it could not be made
                await (await making).close()
