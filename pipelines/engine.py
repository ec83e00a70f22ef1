"""Papermill as runs use it: sockets in the file system, and progress told after each cell."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import papermill
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.log import logger
from traitlets import default

from pipelines.disk import say_os_error

START_SECONDS = 60
OnCells = Callable[[int, int], None]


def kernel_manager_below(folder: Path) -> type[AsyncKernelManager]:
    """Sockets and connection file below `folder`: no port that another process could take or listen on.

    A socket's path has at most 107 characters, so the folder must be a short one.
    """

    class LocalKernelManager(AsyncKernelManager):
        @default("transport")
        def _use_files(self) -> str:
            return "ipc"

        @default("ip")
        def _socket(self) -> str:
            return str(folder / "k")

        @default("connection_file")
        def _connection(self) -> str:
            return str(folder / "kernel.json")

    return LocalKernelManager


class LocalEngine(Engine):
    """Unlike papermill's own it leaves this process's working directory alone, so several may run at once."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
        on_cells, finish, done = options["on_cells"], nb_man.cell_complete, 0
        total = sum(cell.cell_type == "code" for cell in nb_man.nb.cells)

        def report(cell: Any, *args: Any, **more: Any) -> Any:
            nonlocal done
            if cell.cell_type == "code":
                done += 1
                on_cells(done, total)
            return finish(cell, *args, **more)

        nb_man.cell_complete = report
        environment = options["environment"]
        client = PapermillNotebookClient(
            nb_man,
            kernel_name=kernel_name,
            kernel_manager_class=kernel_manager_below(options["short"]),
            resources={"metadata": {"path": options["folder"]}},
            timeout=options["cell_timeout"],
            startup_timeout=START_SECONDS,
            log=logger,
        )
        return client.execute(**({} if environment is None else {"env": dict(environment)}))


papermill_engines.register("chatcore", LocalEngine)


def execute(
    request: Mapping[str, Any], short: Path, on_cells: OnCells, *, environment: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """What went wrong, and of which kind; both are empty where every cell ran. Whatever happens, no more comes out.

    `environment` is the kernel's; None hands on this process's own.
    """
    try:
        papermill.execute_notebook(
            request["notebook"],
            request["output"],
            parameters=request["parameters"],
            engine_name="chatcore",
            kernel_name="python3",
            progress_bar=False,
            on_cells=on_cells,
            short=short,
            folder=request["folder"],
            cell_timeout=request["cell_timeout"],
            environment=environment,
        )
    except PapermillExecutionError as error:
        return f"cell {error.exec_count} failed: {error.ename}: {error.evalue}"[:2_000], "cell"
    except CellTimeoutError:
        return f"a cell ran longer than {request['cell_timeout']} s", "cell_timeout"
    except DeadKernelError:
        return "the kernel died: out of memory, or a library crashed; see log.txt", "dead_kernel"
    except OSError as error:
        return say_os_error(error), "disk"
    except Exception as error:  # noqa: BLE001 - the edge of the process: whatever it is becomes the run's reason
        return f"the notebook could not be run: {type(error).__name__}: {error}"[:2_000], "engine"
    return "", ""
