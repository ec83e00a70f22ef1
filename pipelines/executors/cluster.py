"""On many machines, by Dask. At least once: when a worker dies, another begins the same attempt anew.

Whoever reaches a scheduler can run code on its workers, also from another account of this machine, so all three sides
show certificates.
"""

import asyncio
import base64
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import distributed

from chatcore.lab.surroundings import VariableNotSet, settings
from pipelines.disk import say_os_error
from pipelines.executors.process import ProcessExecutor
from pipelines.executors.protocol import OUTPUT, Ended, Execution, OnCells
from pipelines.leaks import guard, withhold
from pipelines.processes import end_family
from pipelines.specs import BadSpec

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
ROLES = ("client", "worker", "scheduler")
MAX_BYTES = 256 * 1024 * 1024  # of all files of one run, which pass through the scheduler
LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 60.0  # without any worker
CONNECT_SECONDS = 15.0
HOW_TO_MAKE = "`python -m pipelines certificates FOLDER` makes one"
WHAT_TO_DO = (
    f"use tls:// with PIPELINES_TLS_DIR ({HOW_TO_MAKE}), "
    "or set PIPELINES_PLAIN_TCP=true where you trust everybody on this machine"
)
UNDER_WAY: set[str] = set()  # runs that this worker is at


class ClusterExecutor:
    """Sends the notebook and its parameters; secrets are those of the worker's own environment."""

    def __init__(
        self,
        address: str,
        security: distributed.Security | None,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        connect_seconds: float = CONNECT_SECONDS,
    ):
        self._address = address
        self._security = security
        self._patience_seconds = patience_seconds
        self._connect_seconds = connect_seconds

    def require(self, secrets: Sequence[str]) -> None:
        """Nothing is asked of this machine: the secrets are the worker's."""

    async def execute(self, execution: Execution, on_cells: OnCells) -> Ended:
        try:
            async with distributed.Client(
                self._address,
                security=self._security,
                asynchronous=True,
                timeout=self._connect_seconds,
                set_as_default=False,
            ) as client:
                return await self._on(client, execution, on_cells)
        except (OSError, CancelledError, distributed.KilledWorker) as error:
            return _failed(f"the cluster at {self._address} is lost: {type(error).__name__}: {error}")

    async def _on(self, client: Any, execution: Execution, on_cells: OnCells) -> Ended:
        content = await asyncio.to_thread(execution.notebook.read_bytes)
        client.subscribe_topic(execution.run_id, lambda event: on_cells(*event[1]))
        future = client.submit(execute_here, _portable(execution, content), key=execution.run_id, pure=False, retries=0)
        answer = asyncio.ensure_future(future.result())
        try:
            if not await self._somebody_answers(client, answer):
                return _failed(f"no worker at {self._address}; start one: python -m pipelines worker {self._address}")
            found: Mapping[str, Any] = answer.result()
        finally:
            client.unsubscribe_topic(execution.run_id)
            if not answer.done():  # cancelled: a task that runs cannot be, its processes can
                answer.cancel()
                await future.cancel()
                await client.run(end_family, None, execution.run_id, on_error="ignore")
        if absent := found.get("absent"):
            raise VariableNotSet(f"{absent} (on the worker)")
        await asyncio.to_thread(_unpack, execution.folder, found["files"])
        return Ended(**found["ended"])

    async def _somebody_answers(self, client: Any, answer: "asyncio.Future[Any]") -> bool:
        """False where there was no worker for too long."""
        alone = 0.0
        while not answer.done():
            await asyncio.wait({answer}, timeout=LOOK_SECONDS)
            alone = 0.0 if client.scheduler_info(n_workers=-1)["workers"] else alone + LOOK_SECONDS
            if alone >= self._patience_seconds:
                return False
        return True


def _failed(why: str) -> Ended:
    return Ended(exit_status=1, timed_out=False, error=why, kind="cluster", left_behind=0)


def _portable(execution: Execution, content: bytes) -> dict[str, Any]:
    return {
        "run_id": execution.run_id,
        "notebook": execution.notebook.name,
        "content": base64.b64encode(content).decode(),
        "parameters": dict(execution.parameters),
        "secrets": list(execution.secrets),
        "timeout_seconds": execution.timeout_seconds,
        "cell_timeout_seconds": execution.cell_timeout_seconds,
    }


def execute_here(task: Mapping[str, Any]) -> dict[str, Any]:
    """On a worker: in a process and a folder of its own. Returns how it ended, and every file it left."""
    run_id = str(task["run_id"])
    worker = distributed.get_worker()
    UNDER_WAY.add(run_id)
    try:
        with tempfile.TemporaryDirectory(prefix="chatcore-run-") as folder:
            return asyncio.run(_in(Path(folder), task, lambda done, total: worker.log_event(run_id, (done, total))))
    except VariableNotSet as error:
        return {"ended": asdict(_failed(str(error))), "files": {}, "absent": str(error)}
    except OSError as error:
        return {"ended": asdict(_failed(f"{worker.name}: {say_os_error(error)}")), "files": {}}
    finally:
        UNDER_WAY.discard(run_id)


async def _in(folder: Path, task: Mapping[str, Any], on_cells: OnCells) -> dict[str, Any]:
    notebook = folder / str(task["notebook"])
    notebook.write_bytes(base64.b64decode(task["content"]))
    results = folder / "results"
    results.mkdir()
    execution = Execution(
        task["run_id"], notebook, results, task["parameters"], task["secrets"], task["timeout_seconds"],
        task["cell_timeout_seconds"],
    )  # fmt: skip
    ended = await ProcessExecutor().execute(execution, on_cells)
    # Here, as nobody else knows the values of this worker's secrets.
    if leaks := await asyncio.to_thread(withhold, results, guard(execution.secrets)):
        ended = _failed(f"not to be shown, and withheld: {'; '.join(leaks)}"[:1_000])
    files = {path.name: path.read_bytes() for path in sorted(results.iterdir()) if path.is_file()}
    if (size := sum(map(len, files.values()))) > MAX_BYTES:
        ended = _failed(f"its files take {size:,} bytes, and {MAX_BYTES:,} can travel")
        files = {name: content for name, content in files.items() if name != OUTPUT and len(content) < MAX_BYTES // 16}
    return {"ended": asdict(ended), "files": files}


def _unpack(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / Path(name).name).write_bytes(content)


def cluster_executor() -> ClusterExecutor:
    """By the settings. Raises BadSpec where they name no cluster, or one that is not safe."""
    ours = settings()
    if not ours.pipelines_cluster:
        raise BadSpec(["a job with executor: dask needs PIPELINES_CLUSTER, such as tls://host:8786"])
    return ClusterExecutor(
        ours.pipelines_cluster,
        security_of(ours.pipelines_cluster, ours.pipelines_tls_dir, plain_tcp=ours.pipelines_plain_tcp),
    )


def security_of(address: str, tls: Path | None, *, plain_tcp: bool = False) -> distributed.Security | None:
    """Raises BadSpec: plain TCP stays on this machine and has to be asked for, and TLS needs certificates."""
    parts = urlsplit(address)
    if parts.scheme == "tcp":
        if parts.hostname not in LOOPBACK:
            raise BadSpec([f"{address}: beyond this machine a cluster is reached by tls:// only"])
        if not plain_tcp:
            raise BadSpec([f"{address}: every account of this machine could run code through it; {WHAT_TO_DO}"])
        return None
    if parts.scheme != "tls" or not parts.hostname:
        raise BadSpec([f"{address}: a cluster's address is tls://host:port"])
    if tls is None:
        raise BadSpec([f"{address}: set PIPELINES_TLS_DIR to a folder with ca.crt, tls.crt and tls.key; {HOW_TO_MAKE}"])
    names = {"ca": tls / "ca.crt", "cert": tls / "tls.crt", "key": tls / "tls.key"}
    if absent := [str(path) for path in names.values() if not path.is_file()]:
        raise BadSpec([f"PIPELINES_TLS_DIR: {', '.join(absent)} is not there"])
    pair = {
        f"tls_{role}_{part}": str(names[part]) for role in ("client", "worker", "scheduler") for part in ("cert", "key")
    }
    return distributed.Security(require_encryption=True, tls_ca_file=str(names["ca"]), **pair)


async def work_for(
    address: str, security: distributed.Security | None, *, slots: int, name: str, ready: Callable[[str], None]
) -> None:
    """A worker with room for `slots` runs, until cancelled; then its runs are ended, and others begin them anew."""
    make = partial(
        distributed.Worker, address, nthreads=slots, name=name or None, memory_limit=0, dashboard=False,
        dashboard_address="127.0.0.1:0", security=security, **_listen_as(address),
    )  # fmt: skip
    await _until_done(make, ready, _end_runs)


async def schedule_at(address: str, security: distributed.Security | None, *, ready: Callable[[str], None]) -> None:
    """A scheduler that listens at the address, until cancelled. Its pages of HTTP stay on this machine."""
    parts = urlsplit(address)
    make = partial(
        distributed.Scheduler, host=parts.hostname, port=parts.port or 0, protocol=parts.scheme, dashboard=False,
        dashboard_address="127.0.0.1:0", security=security,
    )  # fmt: skip
    await _until_done(make, ready, _nothing)


def _listen_as(address: str) -> dict[str, str]:
    """A worker listens as well: on this machine alone where its scheduler is there."""
    parts = urlsplit(address)
    return {"protocol": parts.scheme} | ({"host": "127.0.0.1"} if parts.hostname in LOOPBACK else {})


async def _until_done(
    make: Callable[[], Any], ready: Callable[[str], None], stop: Callable[[], Awaitable[None]]
) -> None:
    async with make() as server:
        ready(server.address)
        try:
            await server.finished()
        finally:
            await stop()


async def _end_runs() -> None:
    for run_id in list(UNDER_WAY):
        await asyncio.to_thread(end_family, None, run_id)


async def _nothing() -> None:
    return None
