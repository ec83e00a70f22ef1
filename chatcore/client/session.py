"""Keeps one connection alive: reconnects with back-off and jitter, renews the token, minds a server that drains."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from chatcore.client.events import ConnectionChanged
from chatcore.client.link import Link, LinkLost
from chatcore.client.refusals import refusal
from chatcore.errors import ChatError, Unauthenticated

RenewToken = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubling waits; each is drawn between half and all of its length, so that clients do not come back in step."""

    first_seconds: float = 0.5
    longest_seconds: float = 20.0

    def wait(self, attempt: int) -> float:
        full = min(self.first_seconds * 2.0 ** min(attempt, 16), self.longest_seconds)
        return full * random.uniform(0.5, 1.0)  # noqa: S311


class Session:
    """`on_event` gets each event in order of arrival; `on_ready` comes once per connection, after authentication."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        token: str,
        *,
        on_event: Callable[[str, Any], None],
        on_change: Callable[[ConnectionChanged], None],
        on_ready: Callable[[], None],
        renew: RenewToken | None,
        device_type: str,
        backoff: Backoff,
    ):
        self.token = token
        self._http = http
        self._url = url
        self._on_event = on_event
        self._on_change = on_change
        self._on_ready = on_ready
        self._renew = renew
        self._device_type = device_type
        self._backoff = backoff
        self._link: Link | None = None
        self._welcomed: set[str] = set()
        self._ready = asyncio.Event()
        self._failure: Exception | None = None
        self._drain_seconds = 0.0
        self._keeper: asyncio.Task[None] | None = None
        self._renewal: asyncio.Task[bool] | None = None

    @property
    def connected(self) -> bool:
        return self._ready.is_set() and self._failure is None

    async def start(self, *, timeout_seconds: float) -> None:
        """Connect for the first time. Raises LinkLost where no server answers and the ChatError of a refusal; one that
        asks to come again is heeded while there is time."""
        ends = asyncio.get_running_loop().time() + timeout_seconds
        attempt, renewed = 0, False
        while True:
            try:
                await self._connect(timeout_seconds)
                break
            except Unauthenticated:
                if renewed or not await self.renew_token():
                    raise
                renewed = True
            except ChatError as refused:
                seconds = (refused.retry_after_ms or 0) / 1000 or self._backoff.wait(attempt)
                if not refused.retryable or asyncio.get_running_loop().time() + seconds > ends:
                    raise
                attempt += 1
                await asyncio.sleep(seconds)
        self._keeper = asyncio.create_task(self._keep_connected(), name="chatcore-client-session")

    async def close(self) -> None:
        self._stop(LinkLost("the client is closed"))
        tasks = [task for task in (self._keeper, self._renewal) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._link is not None:
            await self._link.close()

    async def interrupt(self) -> None:
        """Drop the connection as a bad network would; the session comes back by itself."""
        if self._link is not None:
            await self._link.close(goodbye=False)

    async def call(self, event: str, payload: dict[str, Any], *, timeout_seconds: float) -> Any:
        """Wait for a connection, then for the ack. The outcome is unknown after LinkLost, also for a silent server."""
        await self._ready.wait()
        if self._failure is not None:
            raise self._failure
        link = self._link
        assert link is not None
        try:
            return await link.call(event, payload, timeout_seconds=timeout_seconds)
        except TimeoutError:
            raise LinkLost(f"no ack within {timeout_seconds:g} s") from None
        except LinkLost:
            # The keeper wakes up later than we do: without this a repeat would find the dead link again and again.
            if link is self._link and self._failure is None:
                self._ready.clear()
            raise

    @property
    def failure(self) -> Exception | None:
        """Why there will be no further connection; None while there may be one."""
        return self._failure

    async def emit(self, event: str, payload: dict[str, Any]) -> None:
        """Send if connected, else drop."""
        if self.connected and self._link is not None:
            await self._link.emit(event, payload)

    async def renew_token(self) -> bool:
        """A new token from the callback, if there is one. Calls at the same time share one renewal."""
        if self._renew is None:
            return False
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._fetch_token(self._renew), name="chatcore-client-renewal")
        return await asyncio.shield(self._renewal)

    async def _fetch_token(self, renew: RenewToken) -> bool:
        self.token = await renew()
        if self.connected:
            await self.emit("authenticate", {"token": self.token})
        return True

    async def _connect(self, timeout_seconds: float) -> None:
        self._welcomed.clear()
        welcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def hear(name: str, data: Any) -> None:
            if name == "authentication_error":
                _fail(welcome, refusal(data))
            self._hear(name, data)
            if {"authentication_success", "user_groups"} <= self._welcomed and not welcome.done():
                welcome.set_result(None)

        auth = {"token": self.token, "deviceType": self._device_type}
        link = await Link.open(self._http, self._url, auth=auth, on_event=hear, timeout_seconds=timeout_seconds)
        link.closed.add_done_callback(lambda closed: _fail(welcome, LinkLost(closed.result())))
        try:
            async with asyncio.timeout(timeout_seconds):
                await welcome
        except TimeoutError:
            await link.close()
            raise LinkLost("the server did not finish the authentication") from None
        except BaseException:
            await link.close()
            raise
        self._link = link
        self._ready.set()
        self._on_change(ConnectionChanged("connected"))
        self._on_ready()

    def _hear(self, name: str, data: Any) -> None:
        if name in ("authentication_success", "user_groups"):
            self._welcomed.add(name)
        elif name == "token_expiring" and self._renew is not None:
            if self._renewal is None or self._renewal.done():
                self._renewal = asyncio.create_task(self._fetch_token(self._renew), name="chatcore-client-renewal")
        elif name == "server_draining" and isinstance(data, dict):
            self._drain_seconds = max(float(data.get("retryAfterMs", 0)) / 1000, 0.0)
        self._on_event(name, data)

    async def _keep_connected(self) -> None:
        while self._link is not None and self._failure is None:
            reason = await asyncio.shield(self._link.closed)
            self._ready.clear()
            await self._reconnect(reason)

    async def _reconnect(self, reason: str) -> None:
        attempt, renewed = 0, False
        while True:
            seconds = self._backoff.wait(attempt)
            if self._drain_seconds:
                seconds, self._drain_seconds = self._drain_seconds * random.uniform(1.0, 1.5), 0.0  # noqa: S311
            self._on_change(ConnectionChanged("reconnecting", reason, seconds))
            await asyncio.sleep(seconds)
            attempt += 1
            try:
                await self._connect(timeout_seconds=10)
            except LinkLost as lost:
                reason = str(lost)
            except Unauthenticated as refused:
                if renewed or not await self.renew_token():
                    return self._stop(refused)
                renewed, attempt, reason = True, 0, refused.message
            except ChatError as refused:
                if not refused.retryable:
                    return self._stop(refused)
                reason = refused.message
                self._drain_seconds = (refused.retry_after_ms or 0) / 1000
            else:
                return None

    def _stop(self, failure: Exception) -> None:
        if self._failure is None:
            self._failure = failure
            self._on_change(ConnectionChanged("closed", str(failure)))
        self._ready.set()


def _fail(waiting: asyncio.Future[None], failure: Exception) -> None:
    if not waiting.done():
        waiting.set_exception(failure)
