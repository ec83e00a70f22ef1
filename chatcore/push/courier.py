"""One push to one push service, and what its answer means."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal

import aiohttp

from chatcore.logs import get_logger
from chatcore.push.places import PublicResolver, require_allowed
from chatcore.push.records import Subscription
from chatcore.push.sealing import padded, seal
from chatcore.push.vapid import Vapid

log = get_logger("push")
Outcome = Literal["sent", "gone", "refused", "failed", "stale"]
KEPT_THERE_SECONDS: Final = 86_400  # how long a push service keeps it for a browser that is off
ANSWER_SECONDS: Final = 10.0
TRIES: Final = 3
PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 5.0  # a service that asks for more is left alone for that long, and holds no sender
CONNECTIONS: Final = 16
_GONE: Final = (404, 410)
_LATER: Final = 429
_HANGS: Final = -1


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a notice, and for how many seconds the service asks to be left alone."""

    outcome: Outcome
    wait_seconds: float = 0.0


class Courier:
    """Holds connections to push services. Follows no redirect, and reads of an answer its status and headers."""

    def __init__(self, vapid: Vapid, *, loopback: bool, pause_seconds: float = PAUSE_SECONDS):
        self._vapid = vapid
        self._loopback = loopback
        self._pause_seconds = pause_seconds
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self, to: Subscription, payload: bytes, *, topic: str, urgent: bool, still: Callable[[], Awaitable[bool]]
    ) -> Answer:
        """Tries three times where the service is not there or asks to wait a little, and once where it hangs or asks
        for more; asks `still` before each whether the browser is to be told at all. Never raises for what a service
        does."""
        body = seal(padded(payload), to.point, to.secret)
        headers = {
            "Authorization": self._vapid.authorization(to.endpoint),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(KEPT_THERE_SECONDS),
            "Topic": topic,
            "Urgency": "high" if urgent else "normal",
        }
        pause, asked = self._pause_seconds, 0.0
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(min(pause, LONGEST_PAUSE_SECONDS))
            if not await still():
                return Answer("stale")
            status, asked = await self._post(to.endpoint, headers, body)
            if 0 < status < 300:
                return Answer("sent")
            if status in _GONE:
                return Answer("gone")
            if 0 < status < 500 and status != _LATER:
                log.warning("push_refused", status=status)
                return Answer("refused")
            if status == _HANGS or asked > LONGEST_PAUSE_SECONDS:
                break
            pause = max(asked, pause * 2)
        return Answer("failed", asked)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _post(self, endpoint: str, headers: dict[str, str], body: bytes) -> tuple[int, float]:
        """The status, 0 without an answer and -1 where none came in time; and the seconds to wait that it asks for."""
        require_allowed(endpoint, loopback=self._loopback)
        try:
            async with self._opened().post(endpoint, data=body, headers=headers, allow_redirects=False) as answer:
                return answer.status, _seconds(answer.headers.get("Retry-After", ""))
        except TimeoutError as error:
            log.warning("push_failed", error=type(error).__name__)
            return _HANGS, 0.0
        except (aiohttp.ClientError, OSError) as error:
            log.warning("push_failed", error=type(error).__name__)
            return 0, 0.0

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = PublicResolver(loopback=self._loopback)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=resolver, limit=CONNECTIONS, use_dns_cache=False),
                timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
