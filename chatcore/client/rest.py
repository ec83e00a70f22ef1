"""The REST half of the contract: JSON in, shapes out, problem documents raised as ChatError."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import orjson

from chatcore.client.link import LinkLost, cause
from chatcore.client.refusals import refusal
from chatcore.contract.base import Shape
from chatcore.contract.people import TokenIssued
from chatcore.errors import RateLimited, TokenExpired

S = TypeVar("S", bound=Shape)
MAX_WAIT_SECONDS = 30.0


def read_as(shape: type[S], data: object) -> S:
    """Typed, and blind to fields that a newer server adds."""
    return shape.model_validate(data, extra="ignore")


class Rest:
    """Calls to one server. A 429 is waited out once, an expired token renewed once where `renew` is given."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        token: Callable[[], str],
        renew: Callable[[], Awaitable[bool]] | None = None,
    ):
        self._http = http
        self._url = url.rstrip("/")
        self._token = token
        self._renew = renew

    async def get(self, shape: type[S], path: str, query: Mapping[str, object] | None = None) -> S:
        return read_as(shape, await self.request("GET", path, query=query))

    async def post(self, shape: type[S], path: str, body: Mapping[str, object] | None = None) -> S:
        return read_as(shape, await self.request("POST", path, body=body))

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Any:
        """The decoded answer. Raises ChatError for a refusal, LinkLost where the server does not answer."""
        try:
            return await self._once(method, path, body, query)
        except RateLimited as limited:
            await asyncio.sleep(min((limited.retry_after_ms or 1000) / 1000, MAX_WAIT_SECONDS))
        except TokenExpired:
            if self._renew is None or not await self._renew():
                raise
        return await self._once(method, path, body, query)

    async def _once(
        self, method: str, path: str, body: Mapping[str, object] | None, query: Mapping[str, object] | None
    ) -> Any:
        headers = {"Accept": "application/json"}
        if token := self._token():
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with self._http.request(
                method,
                f"{self._url}{path}",
                params={name: str(value) for name, value in (query or {}).items() if value is not None},
                data=None if body is None else orjson.dumps(body),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=MAX_WAIT_SECONDS),
            ) as answer:
                return _outcome(answer.status, await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LinkLost(f"cannot reach {self._url}: {cause(error)}") from None


def _outcome(status: int, content: bytes) -> Any:
    try:
        data = orjson.loads(content) if content else None
    except orjson.JSONDecodeError:
        data = None
    if status < 400:
        return data
    raise refusal(data, fallback=f"The server answered {status}")


async def log_in(url: str, name: str, password: str) -> TokenIssued:
    """A token for a local account."""
    return await _issued(url, "/api/auth/login", {"name": name, "password": password})


async def dev_token(url: str, name: str) -> TokenIssued:
    """A token for the asking: only servers in development on loopback give one."""
    return await _issued(url, "/api/auth/dev-token", {"name": name})


async def _issued(url: str, path: str, body: Mapping[str, object]) -> TokenIssued:
    async with aiohttp.ClientSession() as http:
        return await Rest(http, url, lambda: "").post(TokenIssued, path, body)


@asynccontextmanager
async def calls_for_many(url: str, *, at_once: int) -> AsyncIterator[Callable[[str], Rest]]:
    """Gives the `Rest` of a token; all share `at_once` TCP connections."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=at_once)) as http:
        yield lambda token: Rest(http, url, lambda: token)


async def fetch_info(url: str) -> dict[str, Any]:
    """What a server says about itself to anybody: service, version, uptime."""
    async with aiohttp.ClientSession() as http:
        info = await Rest(http, url, lambda: "").request("GET", "/info")
        return info if isinstance(info, dict) else {}
