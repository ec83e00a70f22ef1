"""The live decision: tiers and policy put together for one text, and written into the ledger."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from chatcore.ai.calls import Served
from chatcore.ai.flows.prompted import Choices, Records
from chatcore.ai.ledger.records import Decision, Mode
from chatcore.ai.prompts.versions import Choice, PromptVersion
from chatcore.moderation.decide import Policy, Tier, decide, rule
from chatcore.moderation.records import Evidence, Ruling, Span, Subject
from chatcore.moderation.thresholds import DEFAULT, Thresholds
from chatcore.moderation.tiers import DEADLINE_SECONDS, FUNCTION, RULES, FirstLook, ModelTier, PromptTier, TextModels
from chatcore.moderation.together import Said, SaidTier, ask_together


@dataclass(frozen=True, slots=True)
class Judged:
    """A ruling with what it rests on. `choice` is the prompt version whose limits counted, None before a model."""

    decision_id: str
    ruling: Ruling
    evidence: tuple[Evidence, ...]
    served: Served = RULES
    choice: Choice | None = None

    @property
    def model_spoke(self) -> bool:
        return any(each.tier != "first" for each in self.evidence)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text came to stand, once it is stored."""

    message_id: str = ""
    seq: int | None = None
    rev: int = 0


class Judge:
    """`asks_prompt` says that a provider is there, whose prompt is
    worth its price where the moderation model leaves doubt; the embedded one would only say the same again."""

    def __init__(
        self,
        *,
        first: FirstLook,
        models: TextModels,
        prompts: Choices,
        ledger: Records,
        clock: Callable[[], datetime],
        asks_prompt: bool = False,
        thresholds: Thresholds = DEFAULT,
    ):
        self.first = first
        self._models = models
        self._prompts = prompts
        self._ledger = ledger
        self._clock = clock
        self._asks_prompt = asks_prompt
        self._thresholds = thresholds

    def new_id(self) -> str:
        return self._ledger.new_id()

    def judge_now(self, text: str, subject: Subject) -> Judged:
        """What the first tier alone says: no wait, no call."""
        return self._ruled(text, subject, self.first.look_now(text))

    async def judge_soon(self, text: str, subject: Subject) -> Judged:
        """The same, together with all that is sent in this turn of the loop."""
        return self._ruled(text, subject, await self.first.look_soon(text))

    def _ruled(self, text: str, subject: Subject, seen: Evidence | None) -> Judged:
        evidence = (seen,) if seen is not None else ()
        policy = Policy(self._thresholds, subject.overrides)
        return Judged(self._ledger.new_id(), rule(text, evidence, policy), evidence)

    async def ask_together(self, texts: Sequence[str]) -> list[Said]:
        """The moderation model about several texts in one call, for `judge`."""
        return await ask_together(self._models, texts, DEADLINE_SECONDS)

    async def judge(
        self,
        text: str,
        subject: Subject,
        known: Judged | None = None,
        *,
        said: Said | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> Judged:
        """The whole decision; what the first tier saw is taken from `known`, what the model said from `said`."""
        choice = await self._prompts.choose(FUNCTION, subject.user_id)
        model = SaidTier(said) if said else ModelTier(self._models, deadline_seconds=deadline_seconds)
        tiers: list[Tier] = [*([] if known and known.evidence else [self.first]), model]
        prompt = PromptTier(self._models, choice.version, deadline_seconds=deadline_seconds)
        if self._asks_prompt:
            tiers.append(prompt)
        seen = _Remembering(tiers)
        policy = Policy(self._thresholds, subject.overrides, limits_of(choice.version))
        ruling = await decide(text, subject, policy, seen.tiers, known.evidence if known else ())
        evidence = (*(known.evidence if known else ()), *seen.evidence)
        served = prompt.served or model.served or RULES
        return Judged(known.decision_id if known else self._ledger.new_id(), ruling, evidence, served, choice)

    async def record(self, judged: Judged, text: str, subject: Subject, place: Place, *, action: str = "") -> None:
        """Into the ledger. What was let through is kept as a reference, not as a copy: who deletes a message is not to
        find it there. What was not let through is kept, sealed, with its sanction. `action` is what was really done."""
        await self._ledger.record(self._decision(judged, text, subject, place, action or judged.ruling.action))

    def _decision(
        self,
        judged: Judged,
        text: str,
        subject: Subject,
        place: Place,
        action: str,
        *,
        mode: Mode = "live",
        version: PromptVersion | None = None,
    ) -> Decision:
        ruling, choice = judged.ruling, judged.choice
        prompt = version or (choice.version if choice is not None else None)
        return Decision(
            decision_id=judged.decision_id,
            feature="moderation",
            served=judged.served,
            input={"kind": subject.kind, "messageId": place.message_id, "rev": place.rev},
            output={
                "evidence": [evidence_as_json(each) for each in judged.evidence],
                "category": ruling.category,
                "flags": list(ruling.flags),
                "missing": ruling.missing,
            },
            group_id=subject.group_id,
            message_id=place.message_id,
            seq=place.seq,
            user_id=subject.user_id,
            prompt=prompt.version_id if prompt is not None else "",
            parameters={"overrides": {name: dict(each) for name, each in subject.overrides.items()}},
            scores=dict(ruling.scores),
            thresholds_version=ruling.thresholds_version,
            action=action,
            mode=mode,
            arm=choice.arm if choice is not None else "",
            at=self._clock(),
            input_sha256=sha256(text.encode("utf-8", "replace")).hexdigest(),
        )

    async def shadow(self, judged: Judged, text: str, subject: Subject, place: Place) -> None:
        """Let every shadow version judge the same text; nobody sees what it says but the ledger."""
        for version in judged.choice.shadows if judged.choice is not None else ():
            await self._ledger.record(await self._other(judged, text, subject, place, version=version, mode="shadow"))

    async def again(self, decision: Decision, text: str, subject: Subject, version: PromptVersion | None) -> Decision:
        """Replay: the same text by today's models, or by another prompt version. Nothing is done with it."""
        choice = await self._prompts.choose(FUNCTION, subject.user_id)
        chosen = version or choice.version
        judged = Judged(decision.decision_id, rule(text, (), Policy()), (), RULES, Choice(chosen, choice.arm))
        return await self._other(
            judged, text, subject, Place(decision.message_id, decision.seq), version=chosen, mode="replay"
        )

    async def _other(
        self, judged: Judged, text: str, subject: Subject, place: Place, *, version: PromptVersion, mode: Mode
    ) -> Decision:
        """What another version says. Its prompt is asked without waiting for doubt: it is what is being tried."""
        prompt = PromptTier(self._models, version, only_gray=False)
        known = tuple(each for each in judged.evidence if each.tier == "first")
        seen = _Remembering([*([] if known else [self.first]), prompt])
        policy = Policy(self._thresholds, subject.overrides, limits_of(version))
        ruling = await decide(text, subject, policy, seen.tiers, known)
        other = Judged(self._ledger.new_id(), ruling, (*known, *seen.evidence), prompt.served or RULES, judged.choice)
        decision = self._decision(other, text, subject, place, ruling.action, mode=mode, version=version)
        if mode == "shadow":
            return replace(decision, shadow_of=judged.decision_id)
        return replace(decision, replay_of=judged.decision_id)


class _Remembering:
    """Tiers that keep what they saw, for the ledger."""

    def __init__(self, tiers: Sequence[Tier]):
        self.evidence: list[Evidence] = []
        self.tiers: list[Tier] = [_Kept(tier, self.evidence) for tier in tiers]


class _Kept:
    def __init__(self, tier: Tier, evidence: list[Evidence]):
        self.only_gray = tier.only_gray
        self._tier = tier
        self._evidence = evidence

    async def look(self, text: str, subject: Subject) -> Evidence:
        seen = await self._tier.look(text, subject)
        self._evidence.append(seen)
        return seen


def limits_of(version: PromptVersion) -> dict[str, float]:
    """The flag limits that a prompt version brings; what is no number from 0 to 1 is left out."""
    given = version.parameters.get("thresholds", {})
    if not isinstance(given, Mapping):
        return {}
    return {str(k): float(v) for k, v in given.items() if isinstance(v, int | float) and 0 <= v <= 1}


def evidence_of(decision: Decision) -> tuple[Evidence, ...]:
    """What a recorded decision rested on, so that `rule` can be asked again without any model."""
    return evidence_from_json(decision.output.get("evidence", ()))


def evidence_from_json(rows: Iterable[Mapping[str, Any]]) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            row["tier"],
            dict(row["scores"]),
            tuple(Span(int(s), int(e), str(c), float(v)) for s, e, c, v in row.get("spans", ())),
            row.get("model", ""),
        )
        for row in rows
    )


def evidence_as_json(evidence: Evidence) -> dict[str, Any]:
    return {
        "tier": evidence.tier,
        "scores": {name: round(score, 5) for name, score in evidence.scores.items()},
        "spans": [[each.start, each.end, each.category, each.severity] for each in evidence.spans],
        "model": evidence.model,
    }
