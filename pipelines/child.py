"""The process of one notebook: `python -m pipelines.child request.json`. Papermill, with progress as lines of JSON.

Exit status 0: every cell ran. 1: a cell failed, ran too long, or the kernel died; the last line tells which.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import papermill
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from traitlets import default


class LocalKernelManager(AsyncKernelManager):
    """Sockets in the file system: no port that another process could take or listen on."""

    @default("transport")
    def _use_files(self) -> str:
        return "ipc"

    @default("ip")
    def _short_path(self) -> str:
        """A socket's path has at most 107 characters, so the run's own folder may be too deep."""
        return str(Path(sys.argv[2]) / "k")


class Engine(NBClientEngine):
    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
        total = sum(cell.cell_type == "code" for cell in nb_man.nb.cells)
        finish, done = nb_man.cell_complete, 0

        def report(cell: Any, *args: Any, **more: Any) -> Any:
            nonlocal done
            if cell.cell_type == "code":
                done += 1
                say(cells=done, of=total)
            return finish(cell, *args, **more)

        nb_man.cell_complete = report
        return super().execute_managed_notebook(nb_man, kernel_name, kernel_manager_class=LocalKernelManager, **options)


def say(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def end_with(parent: int) -> None:
    """A service that is killed cannot end its runs, so they end themselves; the kernel watches us in the same way."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(130)


def main() -> int:
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    request = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    papermill_engines.register("chatcore", Engine)
    try:
        papermill.execute_notebook(
            request["notebook"],
            request["output"],
            parameters=request["parameters"],
            engine_name="chatcore",
            kernel_name="python3",
            progress_bar=False,
            cwd=request["folder"],
            execution_timeout=request["cell_timeout"],
        )
    except PapermillExecutionError as error:
        say(error=f"cell {error.exec_count} failed: {error.ename}: {error.evalue}"[:2_000])
    except CellTimeoutError:
        say(error=f"a cell ran longer than {request['cell_timeout']} s", kind="cell_timeout")
    except DeadKernelError:
        say(error="the kernel died", kind="dead_kernel")
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
