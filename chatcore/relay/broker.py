"""Two connections to Redis, one to publish and one to listen, made again whenever they break. Nobody waits for them.

Not redis-py's own reconnecting: what was said and heard meanwhile is lost either way, and must be known to be lost.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import orjson

from chatcore.background import end
from chatcore.logs import get_logger
from chatcore.relay.outbox import Outbox, Said
from chatcore.relay.seal import NotOurs, Seal
from chatcore.relay.words import Word

if TYPE_CHECKING:  # an extra: a server alone runs without it
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

IO_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 3.0  # without our own heartbeat coming back the connection counts as broken
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 0.5
SUBSCRIBE_AT_ONCE: Final = 500
MESSAGES_A_TURN: Final = 64
log = get_logger("relay")


@dataclass(frozen=True, slots=True)
class Listener:
    """Who hears. All are called on the loop and must return at once."""

    words: Callable[[str, Sequence[Word]], None]  # the process that said them
    listening: Callable[[Sequence[str]], None]  # channels from which everything is heard from now on
    deaf: Callable[[str], None]  # why: a kind of error
    sending: Callable[[Iterable[str]], None]  # it is possible again; of these groups words were dropped
    refused: Callable[[str], None]


class Broker:
    """`url` may hold a password: it is never logged. Call `send` and `listen` once each, as tasks."""

    def __init__(self, url: str, seal: Seal, listener: Listener):
        if find_spec("redis") is None:
            raise ValueError("REDIS_URL needs the package redis: run `pip install 'chatcore[redis]'`")
        self._url = url
        self._seal = seal
        self._listener = listener
        self.outbox = Outbox()
        self._wanted: dict[str, None] = {}
        self._unheard: set[str] = set()
        self._changed = asyncio.Event()
        self.is_listening = False
        self.reconnects = 0
        self._heartbeat_at = 0.0

    def say(self, channel: str, group_id: str, word: bytes) -> None:
        self.outbox.add(Said(channel, group_id, word))

    def listen_to(self, channel: str) -> None:
        self._wanted[channel] = None
        self._unheard.add(channel)
        self._changed.set()

    def stop_listening_to(self, channel: str) -> None:
        self._wanted.pop(channel, None)
        self._changed.set()

    def heartbeat_came_back(self) -> None:
        self._heartbeat_at = time.monotonic()

    @property
    def heartbeat_age_seconds(self) -> float:
        return time.monotonic() - self._heartbeat_at

    def _connect(self) -> "Redis":
        from redis.asyncio import Redis  # noqa: PLC0415
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415

        return Redis.from_url(
            self._url,
            protocol=2,
            socket_timeout=IO_SECONDS,
            socket_connect_timeout=IO_SECONDS,
            retry=Retry(NoBackoff(), 0),
            decode_responses=False,
        )

    # --- saying

    async def send(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            client = self._connect()
            try:
                async with asyncio.timeout(2 * IO_SECONDS):
                    await client.ping()
                self._listener.sending(self._take_lost())
                pause = FIRST_PAUSE_SECONDS
                await self._send_on(client)
            except Exception as error:  # noqa: BLE001 - whatever broke, the connection is made anew
                log.debug("relay_not_sending", reason=type(error).__name__)
            finally:
                await _close(client)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _take_lost(self) -> set[str]:
        lost, self.outbox.lost = self.outbox.lost, set()
        return lost

    async def _send_on(self, client: "Redis") -> None:
        while True:
            batch = await self.outbox.take()
            try:
                async with asyncio.timeout(2 * IO_SECONDS):
                    pipeline = client.pipeline(transaction=False)
                    for channel, words in _by_channel(batch).items():
                        _ = pipeline.publish(channel, self._seal.close(channel, b"[" + b",".join(words) + b"]"))
                    await pipeline.execute()
            except BaseException:
                self.outbox.drop(batch)
                raise
            self.outbox.sent()
            if self.outbox.lost:
                self._listener.sending(self._take_lost())

    # --- listening

    async def listen(self) -> None:
        pause, first, told = FIRST_PAUSE_SECONDS, True, False
        while True:
            client = self._connect()
            pubsub = client.pubsub()
            try:
                self._unheard = set(self._wanted)
                async with asyncio.timeout(2 * IO_SECONDS):
                    await self._subscribe(pubsub)
                self._heartbeat_at = time.monotonic()
                self.is_listening = True
                self.reconnects += not first
                pause, first, told = FIRST_PAUSE_SECONDS, False, False
                await _first_to_end(self._hear(pubsub), self._keep_subscribed(pubsub))
            except Exception as error:  # noqa: BLE001 - whatever broke, the connection is made anew
                self.is_listening = False
                if not told:
                    told = True
                    self._listener.deaf(_kind(error))
            finally:
                await _close(pubsub)
                await _close(client)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _keep_subscribed(self, pubsub: "PubSub") -> None:
        while True:
            await self._changed.wait()
            await self._subscribe(pubsub)

    async def _subscribe(self, pubsub: "PubSub") -> None:
        """Bring the connection's channels to what is wanted; which are heard is told as Redis confirms them."""
        self._changed.clear()
        have = {_text(channel) for channel in pubsub.channels}
        for channels in _slices([channel for channel in self._wanted if channel not in have]):
            await pubsub.subscribe(*channels)
        for channels in _slices([channel for channel in have if channel not in self._wanted]):
            await pubsub.unsubscribe(*channels)

    async def _hear(self, pubsub: "PubSub") -> None:
        while self.heartbeat_age_seconds < SILENT_SECONDS:
            message = await pubsub.get_message(timeout=IO_SECONDS / 2)
            confirmed: list[str] = []
            for _ in range(MESSAGES_A_TURN):
                if message is None:
                    break
                self._take(message, confirmed)
                message = await pubsub.get_message(timeout=0)
            else:
                if message is not None:
                    self._take(message, confirmed)
            if confirmed:
                self._listener.listening(confirmed)
            await asyncio.sleep(0)
        raise TimeoutError("our own heartbeat does not come back")

    def _take(self, message: dict[str, Any], confirmed: list[str]) -> None:
        channel = _text(message["channel"])
        if message["type"] == "subscribe" and channel in self._unheard:
            self._unheard.discard(channel)
            confirmed.append(channel)
        elif message["type"] == "message":
            self._open(channel, message["data"])

    def _open(self, channel: str, sealed: bytes) -> None:
        try:
            process, content = self._seal.open(channel, sealed)
            said = orjson.loads(content)
        except NotOurs as refused:
            self._listener.refused(refused.why)
        except ValueError:
            self._listener.refused("malformed")
        else:
            self._listener.words(process, said)


def _by_channel(batch: Sequence[Said]) -> dict[str, list[bytes]]:
    """Words to one channel share a message; their order is kept."""
    grouped: dict[str, list[bytes]] = defaultdict(list)
    for said in batch:
        grouped[said.channel].append(said.word)
    return grouped


async def _first_to_end(*work: Any) -> None:
    """Raises what ended the first; the others are cancelled."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end(tasks)


async def _close(connection: Any) -> None:
    with suppress(Exception):  # it is given up, in whichever state
        async with asyncio.timeout(IO_SECONDS):
            await connection.aclose()


def _slices(channels: list[str]) -> Iterable[list[str]]:
    for start in range(0, len(channels), SUBSCRIBE_AT_ONCE):
        yield channels[start : start + SUBSCRIBE_AT_ONCE]


def _kind(error: Exception) -> str:
    """What broke, which the client library wraps; no text, in which addresses may stand."""
    return type(error.__cause__ or error.__context__ or error).__name__


def _text(channel: bytes | str) -> str:
    return channel.decode() if isinstance(channel, bytes) else channel
