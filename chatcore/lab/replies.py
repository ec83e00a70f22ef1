"""Smart replies as a solver: the server's own flow on recorded conversations, with the version that is to be tried."""

import ast
import asyncio
import math
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final

import pandas as pd

from chatcore.ai.calls import Purpose, Served
from chatcore.ai.context import GroupFacts, Line
from chatcore.ai.flows.prompted import Prompted
from chatcore.ai.flows.reply import ReplyFlow, ReplyRequest
from chatcore.ai.flows.safety import Safety
from chatcore.ai.flows.templates import ReplyTemplates
from chatcore.ai.ledger.records import Decision
from chatcore.ai.prompts.versions import Choice, PromptVersion
from chatcore.background import Background
from chatcore.contract.people import User
from chatcore.errors import NotFound
from chatcore.lab import endpoint
from chatcore.lab.datasets.catalogue import FIRST_MOMENT
from chatcore.lab.datasets.vocabulary import Dataset, Sample, Turn
from chatcore.lab.evaluation.tasks import Output, Report
from chatcore.lab.pages import preview
from chatcore.lab.versions import LIVE, find_version, named
from chatcore.ports import Caller

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FUNCTION: Final = "SmartReplies"
PATIENCE_SECONDS: Final = 60.0
"""Nobody waits for an evaluation; a slow answer is an answer."""
MOST_ELSEWHERE, CHANCE = 400, 0.5
MEASURING: Final = Purpose("judge", deadline_seconds=PATIENCE_SECONDS)


class NotAsAsked(Exception):
    """Something below the first choice answered, so this says nothing about the version: missing data."""


def reply(version: PromptVersion | str = LIVE) -> "ReplySolver":
    """A solver for `lab.Task`: its answers are the texts that the server would suggest, best first.

    `version` as in `lab.find_version`. Its `version_id` belongs into the task's version and the run's record.
    """
    return ReplySolver(version if isinstance(version, PromptVersion) else find_version(FUNCTION, version))


class ReplySolver:
    """Each sample becomes a group of its own, read by the person who really answered it."""

    def __init__(self, version: PromptVersion):
        self.version = version
        self._groups = RecordedGroups()
        self._flow: ReplyFlow | None = None
        self._making = asyncio.Lock()

    @property
    def version_id(self) -> str:
        return self.version.version_id

    @property
    def name(self) -> str:
        """Short, for people."""
        return named(self.version)

    async def __call__(self, sample: Sample, epoch: int = 0) -> Output:
        """Raises NotAsAsked and what the flow raises: missing data, never an empty answer."""
        return await endpoint.elsewhere(self._answer(sample))

    async def _answer(self, sample: Sample) -> Output:
        flow = await self._ready()
        caller = _asker(sample)
        with self._groups.holding(sample) as group_id:
            found = await flow.suggest(ReplyRequest(caller, group_id))
        if found.served.fallback:
            raise NotAsAsked(f"the first choice did not answer: {found.served.fallback}")
        return output_of(list(found.texts), found.served)

    async def _ready(self) -> ReplyFlow:
        """On the loop of the models, where all that it holds belongs."""
        async with self._making:
            if self._flow is None:
                prompted = Prompted(
                    models=endpoint.models(), prompts=_Always(self.version), ledger=_Unkept(), background=Background()
                )
                flow = ReplyFlow(
                    conversations=self._groups,
                    prompted=prompted,
                    safety=Safety(),
                    templates=ReplyTemplates(),
                    similar=None,
                    timeout_seconds=PATIENCE_SECONDS,
                )
                await flow.warm()
                self._flow = flow
        return self._flow


class RecordedGroups:
    """Conversations as the flow reads them, each for as long as its sample is asked about."""

    def __init__(self) -> None:
        self._lines: dict[str, list[Line]] = {}

    @contextmanager
    def holding(self, sample: Sample) -> Iterator[str]:
        group_id = secrets.token_hex(12)
        self._lines[group_id] = _lines(sample, group_id)
        try:
            yield group_id
        finally:
            del self._lines[group_id]

    async def facts(self, caller: Caller, group_id: str) -> GroupFacts:
        lines = self._of(group_id)
        people = {caller.user_id, *(line.sender_id for line in lines)}
        return GroupFacts(group_id, True, "off", 0, len(lines), len(people))

    async def groups_of(self, caller: Caller) -> list[GroupFacts]:
        return [await self.facts(caller, group_id) for group_id in self._lines]

    async def recent(self, caller: Caller, group_id: str, limit: int, *, before: int | None = None) -> list[Line]:
        lines = self._of(group_id)
        return [line for line in lines if before is None or line.seq < before][-limit:]

    async def since(self, caller: Caller, group_id: str, start: datetime, limit: int) -> list[Line]:
        return [line for line in self._of(group_id) if line.at >= start][-limit:]

    async def by_ids(self, caller: Caller, message_ids: Sequence[str]) -> list[Line]:
        known = {line.message_id: line for lines in self._lines.values() for line in lines}
        return [known[one] for one in message_ids if one in known]

    def _of(self, group_id: str) -> list[Line]:
        if group_id not in self._lines:
            raise NotFound("There is no such recorded conversation")
        return self._lines[group_id]


class _Always:
    """One version for everybody, without a shadow."""

    def __init__(self, version: PromptVersion):
        self._choice = Choice(version, "live")

    async def choose(self, function: str, user_id: str) -> Choice:
        return self._choice


class _Unkept:
    """Recorded conversations belong to an evaluation; their decisions are in its report and in no ledger."""

    def new_id(self) -> str:
        return secrets.token_hex(12)

    async def record(self, decision: Decision) -> None:
        return None


def _lines(sample: Sample, group_id: str) -> list[Line]:
    if isinstance(sample.input, str):
        turns: tuple[Turn, ...] = (Turn("somebody", sample.input),)
    else:
        turns = sample.input
    return [
        Line(f"{group_id}{seq:04}", group_id, seq, turn.sender, turn.sender, turn.text, FIRST_MOMENT)
        for seq, turn in enumerate(turns, start=1)
    ]


def _asker(sample: Sample) -> Caller:
    """Whoever said what the target is; samples name them with their conversation."""
    name = sample.sender.rpartition("/")[2] or "the person who asks"
    return Caller(user_id=name, session_id="", user=User(user_id=name, name=name))


def output_of(value: object, served: Served) -> Output:
    """An answer with its origin, as evaluations count it; a price that nobody knows is missing, not zero."""
    cost = math.nan if served.cost_usd is None else served.cost_usd
    tokens = served.prompt_tokens + served.completion_tokens
    return Output(value, f"{served.provider} {served.model}", served.degraded, tokens, cost)


class LineUp:
    """Do the suggestions point at what was really said? The share of other people's answers that it beats.

    The real answer stands in a line with answers from elsewhere in `data`; each is as near as its nearest suggestion,
    by cosine of sentence vectors. 1: nothing is nearer than the real answer. 0.5: chance, which is where replies
    that fit everything end up, and where nothing was suggested. There is no one right answer in a chat, so this
    compares versions and grades none; and the embedded vectors know English alone.
    """

    def __init__(self, data: Dataset):
        self._targets = [str(sample.target) for sample in data.take(MOST_ELSEWHERE)]
        self._known: dict[str, NDArray[np.float32]] = {}
        self._elsewhere: NDArray[np.float32] | None = None
        self._preparing = asyncio.Lock()

    async def __call__(self, sample: Sample, output: Output) -> float:
        import numpy as np  # noqa: PLC0415 - not for those who only look up names

        texts = [str(text) for text in output.value]
        if not texts:
            return CHANCE
        elsewhere = await self._others()
        target, *near = await self._vectors([str(sample.target), *texts])
        offered = np.stack(near)
        reached = (offered @ target).max()
        others = (offered @ elsewhere.T).max(axis=0)
        return float(((others < reached).sum() + 0.5 * (others == reached).sum()) / len(others))

    async def _others(self) -> "NDArray[np.float32]":
        import numpy as np  # noqa: PLC0415 - as above

        async with self._preparing:
            if self._elsewhere is None:
                self._elsewhere = np.stack(await self._vectors(self._targets))
        return self._elsewhere

    async def _vectors(self, texts: Sequence[str]) -> "list[NDArray[np.float32]]":
        if fresh := [text for text in dict.fromkeys(texts) if text not in self._known]:
            called = await endpoint.elsewhere(endpoint.models().embed(fresh, MEASURING))
            if called.served.fallback:
                raise NotAsAsked(f"the first choice did not answer: {called.served.fallback}")
            self._known.update(zip(fresh, called.value, strict=True))
        return [self._known[text] for text in texts]


def line_up(data: Dataset) -> LineUp:
    """A scorer for suggested replies; see LineUp. One for all tasks that are compared saves half of the vectors."""
    return LineUp(data)


def changed(report: Report, data: Dataset, *, most: int = 4) -> "pd.DataFrame":
    """Where the candidate gained and lost most: what was said, what was really answered, and what both suggested."""
    if report.against is None:
        raise ValueError("only a comparison has something that changed")
    live = report.against.table.drop_duplicates("sample").set_index("sample")
    ours = report.table.drop_duplicates("sample").set_index("sample")
    gain = (ours["score"] - live["score"]).dropna()
    gain = gain[gain != 0].sort_values(ascending=False)
    chosen = list(dict.fromkeys([*gain.index[:most], *gain.index[-most:]]))
    samples = {sample.id: sample for sample in data}
    rows = [
        {
            "gain": round(float(gain[key]), 3),
            "said": preview(last_turn(samples[key]), 90),
            "really answered": preview(str(samples[key].target), 90),
            "live suggests": preview(" | ".join(_texts(live.loc[key, "answer"])), 120),
            "candidate suggests": preview(" | ".join(_texts(ours.loc[key, "answer"])), 120),
        }
        for key in chosen
    ]
    return pd.DataFrame(rows)


def last_turn(sample: Sample) -> str:
    """What is to be answered."""
    return sample.input if isinstance(sample.input, str) else sample.input[-1].text


def _texts(answer: object) -> list[str]:
    """An answer as the report's table keeps it."""
    return [str(text) for text in ast.literal_eval(str(answer))]
