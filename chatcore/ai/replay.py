"""Making decisions again, with the same version or another, and measuring how far the answers lie apart.

A replay goes the way of the live call: the same models, prompts and checks, with `mode=replay` in the ledger. Hosted
models change and small differences of floating point exist, so this measures divergence; it promises no equality.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from chatcore.ai.calls import Feature, Purpose, Served
from chatcore.ai.ledger.records import Decision, Query
from chatcore.ai.ledger.service import Ledger
from chatcore.ai.prompts.service import Prompts
from chatcore.ai.prompts.versions import PromptVersion
from chatcore.ai.provider.models import Models
from chatcore.errors import ChatError

DEADLINE_SECONDS: Final = 60.0
"""Nobody waits for a replay, and its first call may wait for imports."""
UNREADABLE: Final = "unreadable"
NO_PROMPT: Final = "no_prompt"
_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Redone:
    """What came out this time."""

    output: Mapping[str, Any]
    served: Served
    action: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)


class ContentGone(Exception):
    """What was decided on is kept nowhere any more."""


class Replayer(Protocol):
    """For features whose decision is more than a prompt's answer, such as moderation: through their own `decide`."""

    async def redo(self, decision: Decision, version: PromptVersion | None) -> Redone:
        """Raises ContentGone, or a ChatError where it cannot be made again."""
        ...


@dataclass(frozen=True, slots=True)
class Divergence:
    """`words`: 1 minus the shared part of all words (Jaccard), 0 for the same. `scores`: the largest difference of a
    score that both have, None without any. `action`: "before -> after" where it changed, else "". `error`: `unreadable`
    where the content is gone, `no_prompt` where the decision rests on no prompt, such as a search, else the code with
    which the replay was refused; the rest is then empty."""

    decision_id: str
    feature: str
    at: datetime
    before: str
    after: str
    identical: bool = False
    words: float = 1.0
    scores: float | None = None
    action: str = ""
    served_by: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """`unreadable` decisions have lost their content, `without_prompt` ones rest on none: neither can be made again.
    `failed` ones were refused."""

    decisions: int
    replayed: int
    failed: int
    unreadable: int
    without_prompt: int
    identical: int
    mean_words: float
    largest_score: float
    actions_changed: int


class Replay:
    def __init__(self, ledger: Ledger, models: Models, prompts: Prompts):
        self._ledger, self._models, self._prompts = ledger, models, prompts
        self._replayers: dict[Feature, Replayer] = {}

    def use(self, feature: Feature, replayer: Replayer) -> None:
        self._replayers[feature] = replayer

    async def run(self, query: Query, version: PromptVersion | None = None) -> AsyncIterator[Divergence]:
        """Newest first. Without a version each decision is made again with its own. Only live decisions count, and of
        these only those of the version's function."""
        for line in await self._ledger.newest(replace(query, mode="live")):
            if version is None or line.prompt.startswith(f"{version.function}@"):
                yield await self._once(await self._ledger.find(line.decision_id), version)

    async def _once(self, decision: Decision, version: PromptVersion | None) -> Divergence:
        after = version.version_id if version else decision.prompt
        bare = Divergence(decision.decision_id, decision.feature, decision.at, decision.prompt, after)
        if not decision.prompt and decision.feature not in self._replayers:
            return replace(bare, error=NO_PROMPT)
        if decision.unreadable:
            return replace(bare, error=UNREADABLE)
        try:
            redone = await self._redo(decision, version)
        except ContentGone:
            return replace(bare, error=UNREADABLE)
        except ChatError as error:
            return replace(bare, error=error.code)
        await self._ledger.record(_replayed(self._ledger.new_id(), decision, redone, after, version))
        before, after_it = _comparable(decision.output, redone.output)
        changed = redone.action and redone.action != decision.action
        return replace(
            bare,
            identical=_same(before, after_it),
            words=_word_distance(before, after_it),
            scores=_score_distance(decision, redone),
            action=f"{decision.action or '-'} -> {redone.action}" if changed else "",
            served_by=f"{redone.served.provider} {redone.served.model}",
        )

    async def _redo(self, decision: Decision, version: PromptVersion | None) -> Redone:
        if (own := self._replayers.get(decision.feature)) is not None:
            return await own.redo(decision, version)
        chosen = version or replace(await self._prompts.get(decision.prompt), parameters=decision.parameters)
        purpose = Purpose(decision.feature, group_id=decision.group_id, deadline_seconds=DEADLINE_SECONDS)
        called = await self._models.call(chosen.function, decision.input, purpose, version=chosen)
        return Redone({"answer": called.value}, called.served)


def summarize(found: list[Divergence]) -> Summary:
    done = [one for one in found if not one.error]
    scores = [one.scores for one in done if one.scores is not None]
    return Summary(
        decisions=len(found),
        replayed=len(done),
        failed=sum(1 for one in found if one.error not in ("", UNREADABLE, NO_PROMPT)),
        unreadable=sum(1 for one in found if one.error == UNREADABLE),
        without_prompt=sum(1 for one in found if one.error == NO_PROMPT),
        identical=sum(1 for one in done if one.identical),
        mean_words=sum(one.words for one in done) / len(done) if done else 0.0,
        largest_score=max(scores, default=0.0),
        actions_changed=sum(1 for one in done if one.action),
    )


def _replayed(
    decision_id: str, decision: Decision, redone: Redone, prompt: str, version: PromptVersion | None
) -> Decision:
    return Decision(
        decision_id=decision_id,
        feature=decision.feature,
        served=redone.served,
        input=decision.input,
        output=redone.output,
        group_id=decision.group_id,
        message_id=decision.message_id,
        seq=decision.seq,
        prompt=prompt,
        parameters=version.parameters if version else decision.parameters,
        scores=redone.scores,
        thresholds_version=decision.thresholds_version,
        action=redone.action,
        mode="replay",
        at=datetime.now(UTC),
        replay_of=decision.decision_id,
    )


def _comparable(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Any, Any]:
    """What both say of the same things: the model's answer without what was made of it, and of that what both have."""
    one, other = _answer(before), _answer(after)
    if isinstance(one, Mapping) and isinstance(other, Mapping) and (shared := one.keys() & other.keys()):
        return {name: one[name] for name in shared}, {name: other[name] for name in shared}
    return one, other


def _same(before: Any, after: Any) -> bool:
    return list(_leaves(before)) == list(_leaves(after))


def _answer(output: Mapping[str, Any]) -> Any:
    return output.get("answer", output)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _leaves(value[key], f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, member in enumerate(value):
            yield from _leaves(member, f"{path}.{index}")
    else:
        yield path, value


def _word_distance(before: Any, after: Any) -> float:
    one, other = (
        {word for _, leaf in _leaves(told) if isinstance(leaf, str) for word in _WORD.findall(leaf.lower())}
        for told in (before, after)
    )
    return 1 - len(one & other) / len(one | other) if one | other else 0.0


def _score_distance(decision: Decision, redone: Redone) -> float | None:
    before = dict(decision.scores) or _numbers(decision.output)
    after = dict(redone.scores) or _numbers(redone.output)
    shared = before.keys() & after.keys()
    return max(abs(before[name] - after[name]) for name in shared) if shared else None


def _numbers(output: Mapping[str, Any]) -> dict[str, float]:
    return {path: float(leaf) for path, leaf in _leaves(_answer(output)) if isinstance(leaf, float)}
