"""A served application for each test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from chatcore.transport.server import SocketOptions
from tests.transport.talk import Application, Served, serving

Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """`await serve(application, ping_interval_ms=300)`: any option of SocketOptions by name."""
    async with AsyncExitStack() as stack:

        async def start(application: Application | None = None, **options: Any) -> Served:
            options.setdefault("disconnect_grace_seconds", 0.3)
            return await stack.enter_async_context(serving(application or Application(), SocketOptions(**options)))

        yield start


@pytest.fixture
async def served(serve: Serve) -> Served:
    return await serve()
