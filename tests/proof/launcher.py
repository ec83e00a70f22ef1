"""Starts servers: `server.py` as it is, or with one thing changed: it dies at a named point, or breaks one promise.

A script of the tests, so that the product needs no switch for it. Each line on standard input is an order in JSON.
`start` forks a process that has all imports done (they take three times as long as the rest of a start) and answers
with its id; `wait` answers with its exit code, negative for a signal. At the end of the input all servers are killed.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from chatcore.app import base
from chatcore.cli.serve import serve
from chatcore.journal.rows import Change, Inserted, Row
from chatcore.journal.store import MongoJournalStore
from chatcore.settings import load_settings


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Dying(MongoJournalStore):
    """Dies at the `count`-th shared write, or transaction, after the start."""

    point = ""
    count = 1

    def _now(self, point: str) -> bool:
        if point != self.point:
            return False
        type(self).count -= 1
        return self.count == 0

    async def insert(self, rows: Sequence[Row]) -> Inserted:
        if self._now("before-commit"):
            die()
        if self._now("amid-batch"):
            await super().insert(rows[: max(1, len(rows) // 2)])
            die()
        if self._now("amid-write"):
            asyncio.get_running_loop().call_later(0.001, die)
        outcome = await super().insert(rows)
        if self._now("after-commit"):
            die()
        if self._now("after-ack"):
            asyncio.get_running_loop().call_later(0.002, die)
        return outcome

    async def transact(self, rows: Sequence[Row], changes: Sequence[Change], *, claim: bool = False) -> None:
        if self._now("before-transaction"):
            die()
        await super().transact(rows, changes, claim=claim)
        if self._now("after-transaction"):
            die()


class AcknowledgesEarly(MongoJournalStore):
    """Says `stored` at once and stores later."""

    def __init__(self, database: Any):
        super().__init__(database)
        self._later: set[asyncio.Task[Inserted]] = set()

    async def insert(self, rows: Sequence[Row]) -> Inserted:
        task = asyncio.create_task(self._store_later(rows))
        self._later.add(task)
        task.add_done_callback(self._later.discard)
        return Inserted(len(rows))

    async def _store_later(self, rows: Sequence[Row]) -> Inserted:
        await asyncio.sleep(0.05)
        return await super().insert(rows)


def dying(point: str, count: str) -> None:
    Dying.point, Dying.count = point, int(count or 1)
    base.MongoJournalStore = Dying  # type: ignore[attr-defined,misc]


def acknowledging_early(point: str, count: str) -> None:
    base.MongoJournalStore = AcknowledgesEarly  # type: ignore[attr-defined,misc]


VARIANTS: dict[str, Callable[[str, str], None]] = {"ack-before-commit": acknowledging_early}


def run(order: dict[str, Any]) -> int:
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if variant := order["variant"]:
        name, _, number = variant.partition(":")
        VARIANTS.get(name, dying)(name, number)
    return serve(load_settings())


def answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main() -> int:
    servers: list[int] = []
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "start":
            server = os.fork()
            if server == 0:
                return run(order)
            servers.append(server)
            answer(server)
        else:
            _, status = os.waitpid(order["server"], 0)
            servers.remove(order["server"])
            answer(os.waitstatus_to_exitcode(status))
    for server in servers:
        os.kill(server, signal.SIGKILL)
    return 0


if __name__ == "__main__":
    sys.exit(main())
