"""Which prompt version answers whom, and moving versions up and down."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

from chatcore.ai.prompts.records import Change, PromptStore
from chatcore.ai.prompts.reports import require_consistent
from chatcore.ai.prompts.runtime import Runtimes
from chatcore.ai.prompts.states import LARGEST_SHARE, Move, Standing
from chatcore.ai.prompts.versions import Choice, PromptVersion, make_version
from chatcore.audit.chain import COMMAND_LINE, Deed
from chatcore.audit.service import Audit
from chatcore.contract.ai_admin import Report as Evaluation
from chatcore.errors import Conflict, Invalid, NotFound

POLL_SECONDS: Final = 2.0
"""How late a running server hears of a change that another process made."""
MAX_TEXT_CHARACTERS: Final = 64_000
MAX_PARAMETERS: Final = 100
ROUNDS: Final = 3  # of meeting somebody else's change
Moved = Callable[[Standing, Move], Standing]
T = TypeVar("T")


class Prompts:
    """Answers `choose` from memory: what is live, on trial and in shadow is read again every two seconds.

    With an `audit`, every move (`prompts.promote` and the like) and every report is one transaction with its
    line there.
    """

    def __init__(
        self,
        store: PromptStore,
        shipped: Mapping[str, PromptVersion],
        *,
        runtimes: Runtimes,
        audit: Audit | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        self._store, self._shipped, self._runtimes = store, shipped, runtimes
        self._audit, self._clock = audit, clock
        self._standings: dict[str, Standing] = {}
        self._versions: dict[str, PromptVersion] = {version.version_id: version for version in shipped.values()}

    @property
    def functions(self) -> list[str]:
        return sorted(self._shipped)

    async def start(self) -> None:
        """Store what this release ships, and let it take the place of what an earlier release shipped."""
        known = await self._store.versions([version.version_id for version in self._shipped.values()])
        if fresh := [version for key, version in self._shipped.items() if version.version_id not in known]:
            await self._store.add(fresh)
        placed = await self._store.standings(self.functions)
        for function, version in self._shipped.items():
            standing = placed.get(function)
            after = standing.released(version.version_id, self._clock()) if standing else self._first(function)
            if after != standing:
                await self._store.place(after)  # False: another process starts too, with the same release
        await self.refresh()

    async def refresh(self) -> None:
        """Raises Unavailable, and what is known stays in use."""
        standings = await self._store.standings(self.functions)
        used = {one for standing in standings.values() for one in _in_use(standing)}
        if missing := used - self._versions.keys():
            self._versions |= await self._store.versions(sorted(missing))
        self._standings = standings

    async def choose(self, function: str, user_id: str) -> Choice:
        """Sticky: the same person stays in the same arm as long as the canary and its share stay. Never waits for the
        database. Raises NotFound for a function that this release does not have."""
        if function not in self._shipped:
            raise NotFound(f"There is no function {function}")
        standing = self._standings.get(function) or self._first(function)
        arm = standing.arm_of(user_id)
        version = self._known(standing.canary if arm == "canary" else standing.live, standing)
        if version is None:
            return Choice(self._shipped[function], "live")
        shadows = [self._known(one, standing) for one in standing.shadows]
        return Choice(version, arm, tuple(shadow for shadow in shadows if shadow is not None))

    async def list(self, function: str = "") -> "list[PromptVersion]":
        """Every version with its state now, oldest first in each function."""
        found: list[PromptVersion] = []
        for name in [function] if function else self.functions:
            standing = await self.standing(name)
            found += [_standing_at(version, standing) for version in await self._store.versions_of(name)]
        return found

    async def get(self, version_id: str) -> PromptVersion:
        """With its state now. A function's name means its live version, and the beginning of a hash is enough where
        only one fits. Raises NotFound, or Invalid where several fit."""
        function, _, digest = version_id.partition("@")
        standing = await self.standing(function)
        if not digest:
            version_id = standing.live
        fitting = [one for one in await self._store.versions_of(function) if one.version_id.startswith(version_id)]
        if not fitting:
            raise NotFound(f"There is no version {version_id[:60]}; `prompts list` shows those there are")
        if len(fitting) > 1:
            raise Invalid("Several versions begin like this; give more of the hash", field="versionId")
        return _standing_at(fitting[0], standing)

    async def standing(self, function: str) -> Standing:
        """As stored now. Raises NotFound."""
        if function not in self._shipped:
            raise NotFound(f"There is no function {function[:60]}")
        return (await self._store.standings([function])).get(function) or self._first(function)

    async def add(self, function: str, text: str, parameters: Mapping[str, Any]) -> PromptVersion:
        """A draft. Raises Invalid where the text is not BAML that defines the function; a repeat is the same draft."""
        if function not in self._shipped:
            raise NotFound(f"There is no function {function[:60]}")
        if len(text) > MAX_TEXT_CHARACTERS or len(parameters) > MAX_PARAMETERS:
            raise Invalid("The prompt is too long", field="text")
        version = make_version(function, text, parameters)
        await asyncio.to_thread(self._runtimes.get, version)
        await self._store.add([version])
        return await self.get(version.version_id)

    async def shadow(self, version_id: str, *, by: str = "") -> PromptVersion:
        """Run beside the live version, unseen."""
        return await self._move(version_id, "shadow", Standing.to_shadow, by=by)

    async def canary(self, version_id: str, share: float, *, by: str = "") -> PromptVersion:
        """Answer this share of people, at most a half; also to change the share."""
        if not 0 < share <= LARGEST_SHARE:
            raise Invalid(f"A canary's share lies above 0 and is {LARGEST_SHARE} at most", field="share")
        return await self._move(version_id, "canary", Standing.to_canary, by=by, share=share)

    async def promote(self, version_id: str, report_id: str, *, by: str = "") -> PromptVersion:
        """Answer everybody. Raises Conflict without a passing report on exactly this version, in comparison with the
        one that is live now if in comparison with any."""
        version = await self.get(version_id)
        report = await self._store.report(report_id)
        if report is None:
            raise Conflict(f"There is no evaluation report {report_id[:60]}")
        if report.status != "passed":
            raise Conflict(f"The evaluation report {report_id} has not passed; it is {report.status or 'unfinished'}")
        if report.prompt != version.version_id:
            raise Conflict("The evaluation report is about another version")
        live = (await self.standing(version.function)).live
        if report.against and report.against != live:
            raise Conflict("The version that the report compares with is not live any more; evaluate again")
        return await self._move(version.version_id, "promote", Standing.to_live, by=by, report=report_id)

    async def add_report(self, report: Evaluation, *, by: str = "") -> None:
        """Once and for good. Raises Invalid where it contradicts itself, NotFound for a version that is not here,
        Conflict where another report has its id."""
        require_consistent(report)
        for version_id in filter(None, (report.prompt, report.against)):
            await self.get(version_id)
        facts = {"sha256": report.sha256, "prompt": report.prompt, "status": report.status}
        deed = Deed(by or COMMAND_LINE, "prompts.report", report.report_id, self._clock(), facts)
        if not await self._together(deed, lambda also: self._store.add_report(report, also)):
            raise Conflict(f"There is another report {report.report_id[:60]}; what was handed in does not change")

    async def handed_in(self, report_id: str) -> Evaluation:
        """Raises NotFound."""
        found = await self._store.handed_in(report_id)
        if found is None:
            raise NotFound(f"No report {report_id[:60]} was handed in")
        return found

    async def rollback(self, version_id: str, *, by: str = "") -> PromptVersion:
        """Take a version out of use; the live one makes room for the one before it. Returns what is live after it."""
        version = await self.get(version_id)
        await self._move(version.version_id, "rollback", Standing.back, by=by)
        return await self.get(version.function)

    async def _move(
        self, version_id: str, action: str, moved: Moved, *, by: str, report: str = "", share: float = 0.0
    ) -> PromptVersion:
        version = await self.get(version_id)
        move = Move(action, version.version_id, self._clock(), by, report, share)
        facts: dict[str, str | int | float | bool] = {"report": report, "share": share}
        deed = Deed(by or COMMAND_LINE, f"prompts.{action}", version.version_id, move.at, facts)
        for _ in range(ROUNDS):
            after = moved(await self.standing(version.function), move)
            if await self._together(deed, partial(self._store.place, after)):
                await self.refresh()
                return _standing_at(version, after)
        raise Conflict("Somebody else moves versions of this function; try again")

    async def _together(self, deed: Deed, write: Callable[[Sequence[Change]], Awaitable[T]]) -> T:
        """What `write` answers; the deed is part of its transaction."""
        if self._audit is None:
            return await write(())
        answers: list[T] = []

        async def audited(line: Change) -> None:
            answers.append(await write([line]))

        await self._audit.together(deed, audited)
        return answers[-1]

    def _known(self, version_id: str, standing: Standing) -> PromptVersion | None:
        version = self._versions.get(version_id)
        return _standing_at(version, standing) if version else None

    def _first(self, function: str) -> Standing:
        return Standing(function, self._shipped[function].version_id)


def _in_use(standing: Standing) -> list[str]:
    return [one for one in (standing.live, standing.canary, *standing.shadows) if one]


def _standing_at(version: PromptVersion, standing: Standing) -> PromptVersion:
    state = standing.state_of(version.version_id)
    return replace(version, state=state, share=standing.share if state == "canary" else 0.0)
