"""A supervised child is started, watched, started again, and never left behind."""

import asyncio
import os
import re
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from chatcore.embedded.supervisor import ProcessFailed, SupervisedProcess

ECHO = """
    import signal, socket, sys
    server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    print("serving", flush=True)
    while True:
        server.accept()[0].close()
"""
STUBBORN = "    import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + ECHO
DEAF = "    import time; print('deaf', flush=True); time.sleep(60)"
BROKEN = "    import sys; sys.exit('there is no such model')"
BUSY_WHILE_LOCKED = (
    """
    import os, sys
    if os.path.exists("lock"):
        sys.exit("folder is locked")
"""
    + ECHO
)

Make = Callable[..., SupervisedProcess]


async def answers(port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


def child(source: str, folder: Path, **options: object) -> SupervisedProcess:
    script = folder / "child.py"
    script.write_text(f"import os; os.chdir({str(folder)!r})\n" + textwrap.dedent(source))
    return SupervisedProcess(
        "child",
        command=lambda port: [sys.executable, str(script), str(port)],
        ready=answers,
        log_file=folder / "child.log",
        **options,  # type: ignore[arg-type]
    )


@pytest.fixture(params=["bound by the kernel", "bound by a watching shim"])
def bound_by_kernel(request: pytest.FixtureRequest) -> bool:
    if request.param == "bound by the kernel" and sys.platform != "linux":
        pytest.skip("prctl is Linux's")
    return str(request.param) == "bound by the kernel"


@pytest.fixture
async def make(tmp_path: Path, bound_by_kernel: bool) -> AsyncIterator[Make]:
    made: list[SupervisedProcess] = []

    def build(source: str, **options: object) -> SupervisedProcess:
        made.append(child(source, tmp_path, bound_by_kernel=bound_by_kernel, **options))
        return made[-1]

    yield build
    for process in made:
        await process.stop()


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not (await found if isinstance(found := condition(), Awaitable) else found):
            await asyncio.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def family(pid: int) -> list[int]:
    return [pid, *(relative.pid for relative in psutil.Process(pid).children(recursive=True))]


async def test_a_started_child_answers_and_a_stopped_one_is_gone(make: Make) -> None:
    process = make(ECHO)
    port = await process.start()
    await answers(port)
    assert process.health.state == "running"
    members = family(process.health.pid or 0)
    await process.stop()
    assert process.health.state == "stopped"
    await until(lambda: all(map(is_gone, members)))


async def test_a_kill_leaves_nobody_behind(make: Make) -> None:
    process = make(ECHO)
    await process.start()
    members = family(process.health.pid or 0)
    await process.kill()
    await until(lambda: all(map(is_gone, members)))


async def test_a_killed_child_comes_back_on_its_port_and_tells_so(make: Make) -> None:
    restarts: list[int] = []

    async def note() -> None:
        restarts.append(1)
        raise ValueError("a listener's fault")

    process = make(ECHO, on_restart=note)
    port = await process.start()
    for count in (1, 2):
        os.killpg(process.health.pid or 0, signal.SIGKILL)
        await until(lambda count=count: process.health.restarts == count and len(restarts) == count)  # type: ignore[misc]
        await answers(port)
    assert process.health.state == "running"
    assert process.health.last_exit_code == -signal.SIGKILL


async def test_supervision_outlives_a_fault_in_the_readiness_question(make: Make) -> None:
    process = make(ECHO)
    await process.start()
    faults = [ValueError("a fault of the caller's")]
    sound = process._ready

    async def faulty(port: int) -> None:
        if faults:
            raise faults.pop()
        await sound(port)

    process._ready = faulty
    os.killpg(process.health.pid or 0, signal.SIGKILL)
    await until(lambda: process.health.restarts == 1)
    assert not faults


async def test_a_child_that_ends_early_is_told_with_its_last_lines(make: Make) -> None:
    process = make(BROKEN, ready_seconds=60)
    with pytest.raises(ProcessFailed, match=r"exit code 1 (.|\n)*there is no such model"):
        await process.start()
    assert process.health.state == "stopped"


async def test_a_child_that_never_gets_ready_is_ended_and_told(make: Make) -> None:
    process = make(DEAF, ready_seconds=1)
    starting = asyncio.create_task(process.start())
    await until(lambda: process.health.pid is not None)
    pid = process.health.pid or 0
    with pytest.raises(ProcessFailed, match="was not ready after 1 s"):
        await starting
    await until(lambda: is_gone(pid))


async def test_a_cancelled_start_leaves_no_child(make: Make) -> None:
    process = make(DEAF)
    starting = asyncio.create_task(process.start())
    await until(lambda: process.health.pid is not None)
    pid = process.health.pid or 0
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert is_gone(pid)


async def test_a_child_that_ignores_the_request_to_stop_is_killed(make: Make) -> None:
    process = make(STUBBORN, stop_seconds=0.3)
    await process.start()
    members = family(process.health.pid or 0)
    await process.stop()
    await until(lambda: all(map(is_gone, members)))


async def test_a_stop_during_the_pause_before_a_restart_ends_the_supervision(make: Make, tmp_path: Path) -> None:
    process = make(BUSY_WHILE_LOCKED)
    await process.start()
    (tmp_path / "lock").touch()
    os.killpg(process.health.pid or 0, signal.SIGKILL)
    await until(lambda: process.health.state == "restarting")
    await process.stop()
    (tmp_path / "lock").unlink()
    assert process.health.state == "stopped"
    assert process.health.pid is None


async def test_a_locked_folder_is_waited_for(make: Make, tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    process = make(BUSY_WHILE_LOCKED, retry_when=re.compile("locked"))
    starting = asyncio.create_task(process.start())
    await until(
        lambda: b"locked" in (tmp_path / "child.log").read_bytes() if (tmp_path / "child.log").exists() else False
    )
    (tmp_path / "lock").unlink()
    await answers(await starting)


async def test_waiting_for_a_locked_folder_has_an_end(make: Make, tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    with pytest.raises(ProcessFailed, match="folder is locked"):
        await make(BUSY_WHILE_LOCKED, retry_when=re.compile("locked"), retry_seconds=0.3).start()


async def test_output_goes_to_a_private_file(make: Make, tmp_path: Path) -> None:
    await make(ECHO).start()
    log = tmp_path / "child.log"
    assert log.read_text() == "serving\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


PARENT = """
import asyncio, sys
from pathlib import Path
from tests.embedded.test_supervisor import ECHO, child, family

async def main():
    process = child(ECHO, Path(sys.argv[1]), bound_by_kernel=sys.argv[2] == "True")
    await process.start()
    print(*family(process.health.pid), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def _parent(folder: Path, bound_by_kernel: bool) -> tuple[subprocess.Popen[str], list[int]]:
    """A process that supervises a child, and the numbers of the child's processes."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder), str(bound_by_kernel)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        return parent, [int(pid) for pid in parent.stdout.readline().split()]


async def test_a_child_dies_with_its_parent(tmp_path: Path, bound_by_kernel: bool) -> None:
    parent, members = _parent(tmp_path, bound_by_kernel)
    assert len(members) == (1 if bound_by_kernel else 2)
    parent.kill()
    parent.wait()
    await until(lambda: all(map(is_gone, members)))
