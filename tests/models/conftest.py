import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientSession, web

from chatcore.models.loaded import Models
from chatcore.models.server import Endpoint

TOKEN = "a token of the tests"


@pytest.fixture(scope="session")
def models() -> Models:
    return Models.load()


@dataclass(frozen=True)
class Caller:
    """Calls a running endpoint over its socket."""

    session: ClientSession
    url: str

    async def post(self, path: str, body: object, **headers: str) -> tuple[int, dict[str, Any]]:
        async with self.session.post(f"{self.url}{path}", json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def ask(self, task: str, told: object, **more: object) -> tuple[int, dict[str, Any]]:
        return await self.post("/v1/chat/completions", chat(told) | more, **{"x-chatcore-task": task})


def chat(told: object) -> dict[str, Any]:
    content = f"Answer in the schema.\n<input>\n{json.dumps(told)}\n</input>\nOnly JSON."
    return {"model": "chatcore-tasks", "messages": [{"role": "user", "content": content}]}


async def served(endpoint: Endpoint) -> AsyncIterator[str]:
    runner = web.AppRunner(endpoint.make_app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    worker = asyncio.create_task(endpoint.turnstile.serve())
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        await runner.cleanup()


@pytest.fixture
async def caller(models: Models) -> AsyncIterator[Caller]:
    async for url in served(Endpoint(TOKEN, models)):
        async with ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
            yield Caller(session, url)
