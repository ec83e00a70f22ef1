"""The REST half of the contract: JSON in, shapes out, problem documents raised as ChatError."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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
TRANSFER_SECONDS = 900.0


def read_as(shape: type[S], data: object) -> S:
    """Typed, and blind to fields that a newer server adds."""
    return shape.model_validate(data, extra="ignore")


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request; `data` makes its body anew for each try."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    data: Callable[[], Any] = lambda: None
    seconds: float = MAX_WAIT_SECONDS


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
        headers = {"Content-Type": "application/json"} if body is not None else {}
        params = {name: str(value) for name, value in (query or {}).items() if value is not None}
        data = None if body is None else orjson.dumps(body)
        return _decoded(await self._patiently(_Asked(method, path, headers, params, lambda: data)))

    async def upload(self, shape: type[S], path: str, fields: Mapping[str, str], name: str, content: bytes) -> S:
        """A form with these fields and then the file."""

        def form() -> aiohttp.FormData:
            made = aiohttp.FormData(quote_fields=False)
            for label, value in fields.items():
                made.add_field(label, value)
            made.add_field("file", content, filename=name, content_type="application/octet-stream")
            return made

        return read_as(
            shape, _decoded(await self._patiently(_Asked("POST", path, data=form, seconds=TRANSFER_SECONDS)))
        )

    async def download(self, path: str) -> bytes:
        """The bytes behind a path that the server gave, such as a message's `media_url`."""
        return await self._patiently(_Asked("GET", path, {"Accept": "*/*"}, seconds=TRANSFER_SECONDS))

    async def _patiently(self, asked: _Asked) -> bytes:
        try:
            return await self._once(asked)
        except RateLimited as limited:
            await asyncio.sleep(min((limited.retry_after_ms or 1000) / 1000, MAX_WAIT_SECONDS))
        except TokenExpired:
            if self._renew is None or not await self._renew():
                raise
        return await self._once(asked)

    async def _once(self, asked: _Asked) -> bytes:
        token = self._token()
        signed = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            async with self._http.request(
                asked.method,
                f"{self._url}{asked.path}",
                params=asked.params,
                data=asked.data(),
                headers={"Accept": "application/json"} | signed | dict(asked.headers),
                timeout=aiohttp.ClientTimeout(total=asked.seconds),
            ) as answer:
                return _good(answer.status, await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise LinkLost(f"cannot reach {self._url}: {cause(error)}") from None


def _good(status: int, content: bytes) -> bytes:
    if status < 400:
        return content
    raise refusal(_decoded(content), fallback=f"The server answered {status}")


def _decoded(content: bytes) -> Any:
    try:
        return orjson.loads(content) if content else None
    except orjson.JSONDecodeError:
        return None


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
