"""In a process of its own, or in this one."""

import asyncio
import json
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from chatcore.lab.runs import FOLDER_VARIABLE
from chatcore.lab.surroundings import notebook_environment
from pipelines.executors.protocol import LOG, OUTPUT, REQUEST, Ended, Execution, OnCells
from pipelines.processes import MARK, end_family, run_child

ROOT = Path(__file__).parents[2]


class ProcessExecutor:
    """The usual one: a child process with a kernel, killed as a family when its time is over."""

    def require(self, secrets: Sequence[str]) -> None:
        notebook_environment(secrets)

    async def execute(self, execution: Execution, on_cells: OnCells) -> Ended:
        request = await asyncio.to_thread(write_request, execution)
        with tempfile.TemporaryDirectory(prefix="cc-") as short:
            return await run_child(
                ["-m", "pipelines.child", str(request), short],
                run_id=execution.run_id,
                environment=environment_of(execution, Path(short)),
                log=execution.folder / LOG,
                timeout_seconds=execution.timeout_seconds,
                on_progress=on_cells,
            )


class InlineExecutor:
    """Papermill in this process, for a debugger or a machine with little memory; only the kernel is a process."""

    def require(self, secrets: Sequence[str]) -> None:
        notebook_environment(secrets)

    async def execute(self, execution: Execution, on_cells: OnCells) -> Ended:
        request = json.loads((await asyncio.to_thread(write_request, execution)).read_bytes())
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[tuple[str, str]] = loop.create_future()

        def settle(found: tuple[str, str]) -> None:
            if not outcome.done():
                outcome.set_result(found)

        def tell(done: int, total: int) -> None:
            loop.call_soon_threadsafe(on_cells, done, total)

        def work(short: Path, environment: Mapping[str, str]) -> None:
            from pipelines.engine import execute  # noqa: PLC0415 - papermill, which no other executor needs here

            found = execute(request, short, tell, environment=environment)
            loop.call_soon_threadsafe(settle, found)

        with tempfile.TemporaryDirectory(prefix="cc-") as short:
            environment = environment_of(execution, Path(short)) | {MARK: execution.run_id}
            thread = threading.Thread(target=work, args=(Path(short), environment), daemon=True)
            thread.start()
            timed_out, error, kind = False, "", ""
            try:
                async with asyncio.timeout(execution.timeout_seconds):
                    error, kind = await outcome
            except TimeoutError:
                timed_out = True
            finally:
                left_behind = await asyncio.to_thread(end_family, None, execution.run_id)
                await asyncio.to_thread(thread.join, 10)
        return Ended(None if timed_out else int(bool(error)), timed_out, error, kind, left_behind)


def write_request(execution: Execution) -> Path:
    """What the child reads, kept beside its results."""
    request = {
        "notebook": str(execution.notebook.resolve()),
        "output": str(execution.folder / OUTPUT),
        "folder": str(execution.folder),
        "parameters": dict(execution.parameters),
        "cell_timeout": execution.cell_timeout_seconds,
    }
    path = execution.folder / REQUEST
    path.write_text(json.dumps(request, indent=2), "utf-8")
    return path


def environment_of(execution: Execution, short: Path) -> dict[str, str]:
    """What the notebook's process may see. Raises VariableNotSet."""
    found = notebook_environment(execution.secrets)
    found |= {FOLDER_VARIABLE: str(execution.folder), "JUPYTER_RUNTIME_DIR": str(short)}
    found["PYTHONPATH"] = f"{ROOT}:{found['PYTHONPATH']}" if found.get("PYTHONPATH") else str(ROOT)
    return found | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}
