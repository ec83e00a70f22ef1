"""One of several server processes on a port: run by their supervisor, which tells it on standard input how to start.

It says `ready URL` when it serves, and stops in order on SIGTERM, or when its supervisor is gone.
"""

import asyncio
import json
import os
import signal
import sys
from io import FileIO

from chatcore.app import Worker, open_chat
from chatcore.cli.serve import CANNOT_START, loop_factory, stop_or_leave
from chatcore.settings import BadSettings, load_settings

ORPHANED_SECONDS = 5.0


async def work(order: dict[str, object]) -> None:
    settings = load_settings(
        host=order["host"], port=order["port"], redis_url=order["redis_url"], metrics_port=order["metrics_port"]
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop_or_leave, stop, number)
    loop.add_reader(sys.stdin.fileno(), _read_to_end, loop, stop)
    async with open_chat(settings, Worker(database_uri=str(order["database_uri"]))) as chat:
        print(f"ready {chat.url}", flush=True)
        await stop.wait()


def _read_to_end(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Nothing more is ever said: the supervisor's end closes when it dies, and with it died what we need to store."""
    if not os.read(sys.stdin.fileno(), 4096):
        loop.remove_reader(sys.stdin.fileno())
        loop.call_later(ORPHANED_SECONDS, os._exit, 1)
        stop.set()


def main() -> int:
    line = FileIO(sys.stdin.fileno(), closefd=False).readline()  # unbuffered: the rest is watched
    if not line:  # the supervisor did not get that far
        return 0
    order = json.loads(line)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(work(order))
    except (*CANNOT_START, BadSettings) as error:
        print(f"chatcore worker did not start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
