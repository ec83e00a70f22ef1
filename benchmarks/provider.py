"""A provider that goes wrong: `python -m benchmarks.provider --mode hangs`. Prints its base URL, serves until it ends.

`hangs` never answers, `fails` always refuses, `wavers` refuses four of five calls, so that no breaker opens.
"""

import argparse
import asyncio
import contextlib
import itertools
import subprocess
import sys
from collections.abc import Iterator
from typing import Literal, get_args

from aiohttp import web

Mode = Literal["hangs", "fails", "wavers"]
FAILURES_BETWEEN = 4
SCORES = dict.fromkeys(("harassment", "hate", "self-harm", "sexual", "violence"), 0.001)


def make_app(mode: Mode) -> web.Application:
    calls = itertools.count(1)

    async def answer(request: web.Request) -> web.Response:
        if mode == "hangs":
            await asyncio.Event().wait()
        path = request.match_info["path"]
        if mode == "fails" or path != "moderations" or next(calls) % (FAILURES_BETWEEN + 1):
            error = {"message": "out of order", "type": "server_error", "param": None, "code": "server_error"}
            return web.json_response({"error": error}, status=500)
        texts = (await request.json())["input"]
        result = {"flagged": False, "categories": dict.fromkeys(SCORES, False), "category_scores": SCORES}
        return web.json_response({"id": "modr-1", "model": "omni-moderation-latest", "results": [result] * len(texts)})

    app = web.Application(client_max_size=32 * 1024 * 1024)
    app.router.add_post("/v1/{path:.*}", answer)
    return app


@contextlib.contextmanager
def failing_provider(mode: Mode) -> Iterator[str]:
    """Its base URL, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.provider", "--mode", mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def _serve(mode: Mode) -> None:
    runner = web.AppRunner(make_app(mode), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=get_args(Mode), required=True)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args().mode))


if __name__ == "__main__":
    main()
