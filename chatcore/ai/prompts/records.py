"""What the prompts need of their store."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chatcore.ai.prompts.states import Standing
from chatcore.ai.prompts.versions import PromptVersion
from chatcore.contract import ai_admin as wire

Change = Callable[[Any, Sequence[Any]], Awaitable[None]]
"""A write of somebody else in the same transaction, as the audit's."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a promotion asks of an evaluation: `prompt` is the version it was about, `against` the one it was compared
    with, "" without any."""

    report_id: str
    status: str
    prompt: str
    against: str = ""


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

    async def report(self, report_id: str) -> Report | None:
        """Handed in, or written into `eval_runs` by a workbench that has the database itself: there `prompt` is the
        run's parameter of that name."""
        ...

    async def add_report(self, report: wire.Report, also: Sequence[Change] = ()) -> bool:
        """With `also` in one transaction. A repeat adds nothing; False where another report has this id."""
        ...

    async def handed_in(self, report_id: str) -> wire.Report | None: ...
