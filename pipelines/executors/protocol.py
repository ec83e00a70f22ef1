"""Where a notebook is executed: what an executor is given, and what it answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

OUTPUT, LOG, REQUEST = "output.ipynb", "log.txt", "request.json"
OnCells = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Execution:
    """One attempt. Whatever it leaves comes to `folder`: the notebook's output, log.txt, metrics.json and more.

    `secrets` are names: their values come from the environment of the machine that executes, and never travel.
    """

    run_id: str
    notebook: Path
    folder: Path
    parameters: Mapping[str, Any]
    secrets: Sequence[str]
    timeout_seconds: float
    cell_timeout_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """`error` is the child's own last word. `left_behind` counts processes that outlived the child and were ended."""

    exit_status: int | None
    timed_out: bool
    error: str
    kind: str
    left_behind: int


class Executor(Protocol):
    def require(self, secrets: Sequence[str]) -> None:
        """Before anything starts. Raises VariableNotSet where a secret is not there."""
        ...

    async def execute(self, execution: Execution, on_cells: OnCells) -> Ended:
        """Ends within its timeout and leaves no process behind, also when it is cancelled.

        Raises OSError where the disk refuses, VariableNotSet.
        """
        ...
