"""Several server processes on one port: `python server.py --workers N`.

The supervisor holds the port and the embedded database and broker; it serves nothing itself. Each worker listens on the
port of its own (SO_REUSEPORT), and the kernel deals out the connections. A worker that dies is started again.
"""

import asyncio
import json
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Final

from chatcore import logs
from chatcore.app.ai import has_embedded_models, why_disabled
from chatcore.embedded.broker import EmbeddedBroker, find_redis_server
from chatcore.embedded.database import EmbeddedDatabase
from chatcore.embedded.models import EmbeddedModels
from chatcore.embedded.supervisor import ProcessFailed
from chatcore.logs import get_logger
from chatcore.settings import Settings
from chatcore.vault.local import local_master_key

READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 25.0  # a worker drains for up to 20 s
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, STEADY_SECONDS = 0.2, 10.0, 30.0
log = get_logger("workers")


class WorkerProcess:
    """`order` holds passwords, so it goes through a pipe and not through arguments or the environment."""

    def __init__(self, number: int):
        self.number = number
        self._order: dict[str, object] = {}
        self._process: Process | None = None

    async def spawn(self) -> None:
        """It loads its modules, which takes longest, and waits for its order."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "chatcore.cli.worker",
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops the workers in order
        )

    async def begin(self, order: dict[str, object]) -> str:
        """Returns its address once it serves. Raises ProcessFailed; why stands in what it wrote."""
        self._order, process = order, self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order).encode() + b"\n")
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(READY_SECONDS):
                await process.stdin.drain()
                word, _, url = (await process.stdout.readline()).decode().strip().partition(" ")
                if word == "ready":
                    return url
        await self.stop()
        raise ProcessFailed(f"worker {self.number} did not start; the lines above say why")

    async def ended(self) -> int:
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """In order, and by force when that takes too long."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def keep_alive(self) -> None:
        """Start it again whenever it ends, until cancelled."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = loop.time()
            code = await self.ended()
            log.error("child_died", child=f"worker-{self.number}", exit_code=code)
            pause = FIRST_PAUSE_SECONDS if loop.time() - began > STEADY_SECONDS else pause
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            try:
                await self.spawn()
                await self.begin(self._order)
                log.warning("child_restarted", child=f"worker-{self.number}")
            except (OSError, ProcessFailed):
                log.exception("child_not_restarted", child=f"worker-{self.number}")


async def supervise(settings: Settings, stop: Awaitable[object], ready: Callable[[str, bool], None]) -> None:
    """Until `stop` is done. `ready` hears the address, and whether there is a broker. Raises as the server does."""
    logs.set_up(settings.log_level, as_json={"json": True, "console": False}.get(settings.log_format))
    async with AsyncExitStack() as stack:
        port = stack.enter_context(_reserve(settings.listen_host, settings.port))
        workers = [WorkerProcess(number) for number in range(1, settings.workers + 1)]
        for worker in workers:
            await worker.spawn()
            stack.push_async_callback(worker.stop)  # also where something below does not start
        order: dict[str, object] = {
            "host": settings.listen_host,
            "port": port.getsockname()[1],
            "database_uri": await _database(settings, stack),
            "redis_url": await _broker(settings, stack),
        }
        await _models(settings, stack)
        stack.push_async_callback(_stop_all, workers)  # before the database they use
        orders = [order | {"metrics_port": _metrics_port(settings, worker)} for worker in workers]
        url = await workers[0].begin(orders[0])  # alone: it makes indexes and keys
        await asyncio.gather(*(worker.begin(own) for worker, own in zip(workers[1:], orders[1:], strict=True)))
        watchers = [asyncio.create_task(worker.keep_alive()) for worker in workers]
        ready(url, bool(order["redis_url"]))
        await stop
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)


def _metrics_port(settings: Settings, worker: WorkerProcess) -> int | None:
    """One port for each worker, the first being METRICS_PORT: a scrape must not meet another process each time."""
    first = settings.metrics_port
    return first and first + worker.number - 1


async def _stop_all(workers: Sequence[WorkerProcess]) -> None:
    await asyncio.gather(*(worker.stop() for worker in workers))


def _reserve(host: str, port: int) -> socket.socket:
    """Bound and never listening: the workers share its port, and no other program gets it."""
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ValueError("several workers need SO_REUSEPORT, which this system does not have; set WORKERS=1")
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    with socket.socket(family) as probe:  # without sharing: fails where another program listens, sharing or not
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        port = probe.getsockname()[1]
    reserved = socket.socket(family)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind((host, port))
    return reserved


async def _database(settings: Settings, stack: AsyncExitStack) -> str:
    """The URI of the embedded one, or nothing where the workers read theirs from the settings."""
    given = (
        settings.encryption_secret_key.get_secret_value(),
        settings.master_keys.get_secret_value(),
        settings.kms_key_id,
    )
    if not any(given):
        local_master_key(settings.chatcore_home)  # before several want to make it
    if not settings.embedded_database:
        return ""
    database = EmbeddedDatabase(settings.chatcore_home)
    uri = await database.start()
    stack.push_async_callback(database.stop)
    return uri


async def _models(settings: Settings, stack: AsyncExitStack) -> None:
    """Loading goes on while the workers start; they find it by a file of its folder."""
    if why_disabled(settings) or not has_embedded_models():
        return
    models = EmbeddedModels(settings.chatcore_home, shared=True)
    await models.start()
    stack.push_async_callback(models.stop)


async def _broker(settings: Settings, stack: AsyncExitStack) -> str:
    """REDIS_URL, or an embedded Redis where its wheel is installed; else the workers follow the database."""
    if url := settings.redis_url.get_secret_value():
        return url
    program = find_redis_server()
    if program is None:
        return ""
    broker = EmbeddedBroker(settings.chatcore_home, program)
    url = await broker.start()
    stack.push_async_callback(broker.stop)
    return url
