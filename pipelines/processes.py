"""One child process with a deadline, and no process of it left behind.

A kernel gets a session of its own from Jupyter, so killing the child's process group would spare it. Every descendant
inherits the variable CHATCORE_RUN_ID, and is found by it even when its parent is gone.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from pipelines.executors.protocol import Ended

MARK = "CHATCORE_RUN_ID"
LINE_BYTES = 1 << 20


async def run_child(
    arguments: Sequence[str],
    *,
    run_id: str,
    environment: Mapping[str, str],
    log: Path,
    timeout_seconds: float,
    on_progress: Callable[[int, int], None],
) -> Ended:
    """`python arguments...`. When this is cancelled, all of the family is ended first."""
    with log.open("ab") as errors:
        child = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, env={**environment, MARK: run_id}, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=errors, start_new_session=True, limit=LINE_BYTES,
        )  # fmt: skip
    last: dict[str, Any] = {}
    timed_out = False
    try:
        async with asyncio.timeout(timeout_seconds):
            await _listen(child, last, on_progress)
            await child.wait()
    except TimeoutError:
        timed_out = True
    finally:
        left_behind = await asyncio.to_thread(end_family, child.pid, run_id)
        # The transport's own bookkeeping; the process itself is gone.
        with contextlib.suppress(ProcessLookupError):
            await child.wait()
    status = None if timed_out else child.returncode
    return Ended(status, timed_out, str(last.get("error", "")), str(last.get("kind", "")), left_behind)


async def _listen(
    child: asyncio.subprocess.Process, last: dict[str, Any], on_progress: Callable[[int, int], None]
) -> None:
    assert child.stdout is not None
    async for line in child.stdout:
        try:
            said = json.loads(line)
        except ValueError:
            continue  # a library that prints
        if isinstance(said, dict) and "cells" in said:
            on_progress(said["cells"], said["of"])
        elif isinstance(said, dict):
            last.update(said)


def end_family(pid: int | None, run_id: str) -> int:
    """Kill the child, its group, its descendants, and whoever carries the run's mark. Returns how many there were
    besides the child itself. Without a child, whoever carries the mark."""
    ended = set()
    for _ in range(5):  # a process may fork while we look
        family = _family(pid, run_id)
        if not family:
            break
        if pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        for process in family:
            ended.add(process.pid)
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs([process for process in family if process.pid != pid], timeout=3)
        _until_dead(pid)
    return len(ended - {pid})


def _until_dead(pid: int | None) -> None:
    """Leaves its exit status to whoever started it: waiting for it here would take that away."""
    for _ in range(150):
        try:
            if pid is None or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.02)


def _family(pid: int | None, run_id: str) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    if pid is not None:
        with contextlib.suppress(psutil.Error):
            child = psutil.Process(pid)
            if child.status() != psutil.STATUS_ZOMBIE:
                found[pid] = child
            found |= {process.pid: process for process in child.children(recursive=True)}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == run_id and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process
    return [process for process in found.values() if process.pid != os.getpid()]
