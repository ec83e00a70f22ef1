"""Uploads of 10 MiB at once: how long the server's event loop is held up, and how much memory it takes for them.

The server runs in a process of its own with one more task, which sleeps and says how late it was woken.
"""

import asyncio
import io
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import aiohttp
import psutil
import uvloop

from benchmarks.live import CORES, SETTLE_SECONDS, pin
from benchmarks.rows import Row
from chatcore.app import open_chat
from chatcore.settings import Settings

UPLOAD_BYTES: Final = 10 * 1024 * 1024
FILES, PICTURES = 2, 2
NAP_SECONDS: Final = 0.002
LOOK_SECONDS: Final = 0.01
START_SECONDS: Final = 60
LAG_MS, MEMORY_MIB, BOMB_SECONDS = 50, 20, 2
BOMB_PIXELS: Final = (30_000, 30_000)  # 900 million in some hundred KiB
Say = Callable[[str], None]
Form = dict[str, tuple[str, bytes]]


class Uploads:
    def __init__(self) -> None:
        what = f"{FILES} files and {PICTURES} pictures of 10 MiB at once"
        where = f"{CORES}, decoders too"
        self.lag = Row(f"event loop held up, longest, {what}", "ms", "less", where, LAG_MS)
        self.lag_p99 = Row(f"event loop held up, p99, {what}", "ms", "less", where)
        self.memory = Row(f"server's memory beyond that at rest, peak, {what}", "MiB", "less", where, MEMORY_MIB)
        self.first = Row("the same for the first ones after the start", "MiB", "less", where, MEMORY_MIB)
        self.rate = Row(f"taken in, {what}", "MiB/s", "more", where)
        self.bomb = Row("a picture of 900 million pixels is refused after", "s", "less", where, BOMB_SECONDS)
        self.rows = [self.lag, self.lag_p99, self.memory, self.first, self.rate, self.bomb]

    def measure(self, home: Path, repetitions: int, say: Say) -> None:
        say("uploads: drawing pictures")
        files, picture, bomb = os.urandom(UPLOAD_BYTES), _picture(UPLOAD_BYTES), _bomb()
        with Watched(home) as server:
            forms = [("a.bin", files)] * FILES + [("b.jpg", picture)] * PICTURES
            asyncio.run(_send(server.url, [("note.txt", b"a first one")]))
            time.sleep(SETTLE_SECONDS)
            with server.watching() as first:
                asyncio.run(_send(server.url, forms))
            self.first.samples.append(first.grown_mib)
            for repetition in range(repetitions):
                say(f"uploads, {repetition + 1} of {repetitions}")
                time.sleep(SETTLE_SECONDS)
                began = time.monotonic()
                with server.watching() as seen:
                    asyncio.run(_send(server.url, forms))
                took = time.monotonic() - began
                self.lag.samples.append(max(seen.lags_ms))
                self.lag_p99.samples.append(quantiles(seen.lags_ms, n=100)[-1])
                self.memory.samples.append(seen.grown_mib)
                self.rate.samples.append(sum(len(body) for _, body in forms) / 2**20 / took)
                began = time.monotonic()
                asyncio.run(_send(server.url, [("bomb.png", bomb)], status=(413, 415)))
                self.bomb.samples.append(time.monotonic() - began)


class Seen:
    """What was seen of the server during one round."""

    def __init__(self, server: "Watched"):
        self._server = server
        self._done = threading.Event()
        self._looker = threading.Thread(target=self._look)
        self.lags_ms: list[float] = []
        self.grown_mib = 0.0

    def __enter__(self) -> "Seen":
        self._at_rest = self._server.rss_mib()
        self._server.tell("begin")
        self._looker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._looker.join()
        self.lags_ms = self._server.tell("end")

    def _look(self) -> None:
        while not self._done.wait(LOOK_SECONDS):
            self.grown_mib = max(self.grown_mib, self._server.rss_mib() - self._at_rest)


class Watched:
    """The chat server with a task beside it that measures the event loop."""

    def __init__(self, home: Path):
        home.mkdir(parents=True, exist_ok=True)
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(home, theirs), daemon=False)
        self.url = ""

    def __enter__(self) -> "Watched":
        self._process.start()
        if not self._pipe.poll(START_SECONDS):
            self._process.kill()
            raise RuntimeError("the server did not start")
        self.url = self._pipe.recv()
        self._seen = psutil.Process(self._process.pid)
        pin(self._seen)
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.send("stop")
        self._process.join(START_SECONDS)
        if self._process.is_alive():
            self._process.kill()

    def watching(self) -> Seen:
        return Seen(self)

    def rss_mib(self) -> float:
        return float(self._seen.memory_info().rss) / 2**20

    def tell(self, word: str) -> Any:
        self._pipe.send(word)
        return self._pipe.recv()


def _serve(home: Path, pipe: Connection) -> None:
    uvloop.run(_serving(home, pipe))


async def _serving(home: Path, pipe: Connection) -> None:
    settings = Settings(_env_file=None, chatcore_home=home, port=0, rate_limits=False, log_level="error", ai=False)
    lags: list[float] = []
    stopped = asyncio.Event()

    def hear() -> None:
        word = pipe.recv()
        if word == "stop":
            stopped.set()
            return
        pipe.send(list(lags))
        lags.clear()

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + NAP_SECONDS
            await asyncio.sleep(NAP_SECONDS)
            lags.append(max(0.0, loop.time() - due) * 1_000)

    async with open_chat(settings) as chat:
        asyncio.get_running_loop().add_reader(pipe.fileno(), hear)
        watching = asyncio.create_task(watch())
        pipe.send(chat.url)
        await stopped.wait()
        watching.cancel()


async def _send(url: str, uploads: list[tuple[str, bytes]], status: tuple[int, ...] = (201,)) -> None:
    """All at once, each by a person and to a group of their own."""
    async with aiohttp.ClientSession(url) as http:
        await asyncio.gather(*(_upload(http, f"u{at}", *each, status) for at, each in enumerate(uploads)))


async def _upload(http: aiohttp.ClientSession, person: str, name: str, body: bytes, status: tuple[int, ...]) -> None:
    async with http.post("/api/auth/dev-token", json={"name": person}) as answer:
        headers = {"Authorization": f"Bearer {(await answer.json())['token']}"}
    async with http.post("/api/groups", json={"name": "uploads"}, headers=headers) as answer:
        group_id = (await answer.json())["_id"]
    form = aiohttp.FormData()
    form.add_field("groupId", group_id)
    form.add_field("file", io.BytesIO(body), filename=name)
    async with http.post("/api/media/upload", data=form, headers=headers) as answer:
        if answer.status not in status:
            raise RuntimeError(f"{name}: {answer.status} {await answer.text()}")


def _picture(most_bytes: int) -> bytes:
    """Noise, which JPEG cannot pack: as many pixels as fit."""
    from PIL import Image  # noqa: PLC0415 - of the extra media, which only this part needs

    side = 2_600
    while True:
        out = io.BytesIO()
        Image.frombytes("RGB", (side, side), os.urandom(side * side * 3)).save(out, "JPEG", quality=80)
        if out.tell() <= most_bytes:
            return out.getvalue()
        side = int(side * 0.95)


def _bomb() -> bytes:
    from PIL import Image  # noqa: PLC0415

    out = io.BytesIO()
    Image.MAX_IMAGE_PIXELS = None
    Image.new("1", BOMB_PIXELS).save(out, "PNG")
    return out.getvalue()
