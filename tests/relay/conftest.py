"""Two server processes on one database and one Redis, and people who are at one or the other."""

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from uuid import uuid4

import aiohttp
import pytest

from tests.relay.broker import RealRedis
from tests.servers import ServerProcess, start_process, stop_process
from tests.talking import People, Person


@dataclass
class Pair:
    """Server processes `first` and `second`."""

    redis: RealRedis
    first: ServerProcess
    second: ServerProcess


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    server = RealRedis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def pair(database_uri: str, redis: RealRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    variables = {
        "MONGODB_URI": database_uri,
        "DATABASE_NAME": f"relay-{uuid4().hex[:12]}",
        "ENCRYPTION_SECRET_KEY": secrets.token_urlsafe(32),
        "REDIS_URL": redis.url,
        "RATE_LIMITS": "off",
        "METRICS_TOKEN": "scrape",
        "LOG_LEVEL": "warning",
    }
    first = start_process(tmp_path_factory.mktemp("first"), **variables)
    second = start_process(tmp_path_factory.mktemp("second"), **variables)
    yield Pair(redis, first, second)
    stop_process(first.process)
    stop_process(second.process)


class Town:
    """Makes people at either server; `at_second` gives somebody a device there too."""

    def __init__(self, pair: Pair, http: aiohttp.ClientSession):
        self.pair = pair
        self.http = http
        self._sides = {url: People(url, http) for url in (pair.first.url, pair.second.url)}
        self._devices: list[Person] = []

    async def at_first(self, *names: str) -> list[Person]:
        return await self._sides[self.pair.first.url].connected(*names)

    async def at_second(self, *names: str) -> list[Person]:
        return await self._sides[self.pair.second.url].connected(*names)

    async def device_at_second(self, person: Person) -> Person:
        device = replace(person, url=self.pair.second.url, sockets=[])
        await device.connects()
        self._devices.append(device)
        return device

    async def metric(self, server: ServerProcess, name: str) -> float:
        """Sum over its labels."""
        headers = {"Authorization": "Bearer scrape"}
        async with self.http.get(f"{server.url}/metrics", headers=headers) as answer:
            lines = (await answer.text()).splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    async def close(self) -> None:
        for device in self._devices:
            await device.leaves_the_line()
        for people in self._sides.values():
            await people.close()


@pytest.fixture
async def town(pair: Pair) -> AsyncIterator[Town]:
    await pair.redis.ready()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        fresh = Town(pair, http)
        yield fresh
        await fresh.close()
