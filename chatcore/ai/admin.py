"""The ledger and the prompts for people with a role: `analyst` reads decisions, `operator` moves prompt versions."""

from datetime import UTC, datetime, timedelta
from typing import Final

from chatcore.ai.ledger.records import Decision, Query
from chatcore.ai.ledger.service import Ledger
from chatcore.ai.prompts.service import Prompts
from chatcore.ai.prompts.versions import PromptVersion
from chatcore.audit.chain import Deed
from chatcore.audit.service import Audit
from chatcore.contract import ai_admin as wire
from chatcore.ports import Caller

LOOK_BACK: Final = timedelta(days=3_650)


class AiAdmin:
    def __init__(self, ledger: Ledger, prompts: Prompts, audit: Audit):
        self._ledger, self._prompts, self._audit = ledger, prompts, audit

    async def decisions(self, caller: Caller, request: wire.ListDecisions) -> wire.Decisions:
        caller.require_role("analyst")
        until = request.until or datetime.now(UTC) + timedelta(seconds=1)
        query = Query(
            since=request.since or until - LOOK_BACK,
            until=until,
            feature=request.feature or "",
            group_id=request.group_id or "",
            prompt=request.prompt or "",
            mode=request.mode or "",
            limit=request.limit + 1,
        )
        found = await self._ledger.newest(query)
        lines = [wire.DecisionLine(**_line(decision)) for decision in found[: request.limit]]
        return wire.Decisions(decisions=lines, has_more=len(found) > request.limit)

    async def decision(self, caller: Caller, request: wire.DecisionPath) -> wire.DecisionDetail:
        """Raises NotFound. Who looks at content leaves a line in the audit, before it is shown."""
        caller.require_role("analyst")
        decision = await self._ledger.find(request.decision_id)
        wanted = request.include == "content" and not decision.unreadable
        if wanted:
            await self._audit.record(
                Deed(
                    caller.user_id,
                    "decision.read",
                    request.decision_id,
                    datetime.now(UTC),
                    {"group": decision.group_id},
                )
            )
        return wire.DecisionDetail(
            **_line(decision),
            content_gone=decision.unreadable,
            input=dict(decision.input) if wanted else None,
            output=dict(decision.output) if wanted else None,
        )

    async def list_prompts(self, caller: Caller, request: wire.ListPrompts) -> wire.Prompts:
        caller.require_role("operator", "analyst")
        versions = await self._prompts.list(request.function or "")
        return wire.Prompts(prompts=[wire.Prompt(**_prompt(version)) for version in versions])

    async def prompt(self, caller: Caller, request: wire.PromptPath) -> wire.PromptText:
        caller.require_role("operator", "analyst")
        return _shown(await self._prompts.get(request.version_id))

    async def add_prompt(self, caller: Caller, request: wire.AddPrompt) -> wire.PromptText:
        caller.require_role("operator")
        return _shown(await self._prompts.add(request.function, request.text, request.parameters))

    async def shadow(self, caller: Caller, request: wire.PromptPath) -> wire.PromptText:
        caller.require_role("operator")
        return _shown(await self._prompts.shadow(request.version_id, by=caller.user_id))

    async def canary(self, caller: Caller, request: wire.StartCanary) -> wire.PromptText:
        caller.require_role("operator")
        return _shown(await self._prompts.canary(request.version_id, request.share, by=caller.user_id))

    async def promote(self, caller: Caller, request: wire.PromotePrompt) -> wire.PromptText:
        caller.require_role("operator")
        return _shown(await self._prompts.promote(request.version_id, request.report_id, by=caller.user_id))

    async def add_report(self, caller: Caller, request: wire.Report) -> wire.Report:
        """Raises Invalid where the report contradicts itself, Conflict where another one has its id."""
        caller.require_role("operator")
        await self._prompts.add_report(request, by=caller.user_id)
        return request

    async def report(self, caller: Caller, request: wire.ReportPath) -> wire.Report:
        """Raises NotFound."""
        caller.require_role("operator", "analyst")
        return await self._prompts.handed_in(request.report_id)

    async def rollback(self, caller: Caller, request: wire.PromptPath) -> wire.PromptText:
        """What is live after it."""
        caller.require_role("operator")
        return _shown(await self._prompts.rollback(request.version_id, by=caller.user_id))


def _line(decision: Decision) -> dict[str, object]:
    served = decision.served
    return {
        "decision_id": decision.decision_id,
        "feature": decision.feature,
        "at": decision.at,
        "mode": decision.mode,
        "action": decision.action or None,
        "group_id": decision.group_id or None,
        "message_id": decision.message_id or None,
        "message_seq": decision.seq,
        "person": decision.user_id or None,
        "prompt": decision.prompt or None,
        "arm": decision.arm or None,
        "parameters": dict(decision.parameters),
        "scores": dict(decision.scores),
        "thresholds_version": decision.thresholds_version or None,
        "input_sha256": decision.input_sha256,
        "replay_of": decision.replay_of or None,
        "shadow_of": decision.shadow_of or None,
        "served": wire.ServedBy(
            provider=served.provider,
            model=served.model,
            degraded=served.degraded,
            request_id=served.request_id,
            latency_ms=round(served.latency_ms, 2),
            prompt_tokens=served.prompt_tokens,
            completion_tokens=served.completion_tokens,
            cost_usd=served.cost_usd,
            fallback=served.fallback or None,
        ),
        "human": decision.human,
        "appeal": decision.appeal,
        "exposure": decision.exposure,
    }


def _prompt(version: PromptVersion) -> dict[str, object]:
    return {
        "version_id": version.version_id,
        "function": version.function,
        "state": version.state,
        "origin": version.origin,
        "share": version.share or None,
        "parameters": dict(version.parameters),
    }


def _shown(version: PromptVersion) -> wire.PromptText:
    return wire.PromptText(**_prompt(version), text=version.text)
