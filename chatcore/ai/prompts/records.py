"""What the prompts need of their store."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chatcore.ai.prompts.states import Standing
from chatcore.ai.prompts.versions import PromptVersion

Change = Callable[[Any, Sequence[Any]], Awaitable[None]]
"""A write of somebody else in the same transaction, as the audit's."""


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation run, as the workbench wrote it into `eval_runs`: `prompt` is the version it was about, which is
    the run's parameter of that name."""

    report_id: str
    status: str
    prompt: str


class PromptStore(Protocol):
    async def versions(self, version_ids: Sequence[str]) -> dict[str, PromptVersion]:
        """Those of these that are there, by id. Their content never changes."""
        ...

    async def versions_of(self, function: str) -> list[PromptVersion]:
        """Oldest first."""
        ...

    async def add(self, versions: Sequence[PromptVersion]) -> None:
        """A repeat adds nothing."""
        ...

    async def standings(self, functions: Sequence[str]) -> dict[str, Standing]: ...
    async def place(self, standing: Standing, also: Sequence[Change] = ()) -> bool:
        """Stores the first standing of a function, or the one that follows the stored revision; False where another
        was first."""
        ...

    async def report(self, report_id: str) -> Report | None: ...
