"""Commands on the ledger of decisions and on prompt versions: REST alone, for people with a role on the server."""

from typing import Any

from chatcore.api.command import Command, Rest
from chatcore.contract import ai_admin as a
from chatcore.errors import Conflict, Forbidden, NotFound


def _admin(name: str, **fields: Any) -> Command:
    return Command(name=name, **({"tag": "admin", "limit": "read", "refuses": (Forbidden, NotFound)} | fields))


def _moves(name: str, path: str, **fields: Any) -> Command:
    refuses = (Forbidden, NotFound, Conflict)
    return _admin(
        name, rest=Rest("POST", f"/admin/prompts/{{versionId}}/{path}"), reply=a.PromptText, refuses=refuses, **fields
    )


COMMANDS: tuple[Command, ...] = (
    _admin(
        "list_decisions",
        rest=Rest("GET", "/admin/decisions"),
        request=a.ListDecisions,
        reply=a.Decisions,
        answer=lambda s, c, r: s.ai_admin.decisions(c, r),
        refuses=(Forbidden,),
        summary="The ledger of AI decisions, newest first, without content. For the role analyst.",
    ),
    _admin(
        "get_decision",
        rest=Rest("GET", "/admin/decisions/{decisionId}"),
        request=a.DecisionPath,
        reply=a.DecisionDetail,
        answer=lambda s, c, r: s.ai_admin.decision(c, r),
        summary="One decision; with its content when asked for. For the role analyst.",
    ),
    _admin(
        "list_prompts",
        rest=Rest("GET", "/admin/prompts"),
        request=a.ListPrompts,
        reply=a.Prompts,
        answer=lambda s, c, r: s.ai_admin.list_prompts(c, r),
        summary="Prompt versions and their states. For the roles operator and analyst.",
    ),
    _admin(
        "get_prompt",
        rest=Rest("GET", "/admin/prompts/{versionId}"),
        request=a.PromptPath,
        reply=a.PromptText,
        answer=lambda s, c, r: s.ai_admin.prompt(c, r),
        summary="One prompt version with its text. For the roles operator and analyst.",
    ),
    _admin(
        "add_prompt",
        rest=Rest("POST", "/admin/prompts", 201),
        request=a.AddPrompt,
        reply=a.PromptText,
        answer=lambda s, c, r: s.ai_admin.add_prompt(c, r),
        limit="groups",
        summary="Store a draft; the same text and parameters are the same version. For the role operator.",
    ),
    _moves(
        "shadow_prompt",
        "shadow",
        request=a.PromptPath,
        answer=lambda s, c, r: s.ai_admin.shadow(c, r),
        summary="Run a version beside the live one, seen by nobody. For the role operator.",
    ),
    _moves(
        "canary_prompt",
        "canary",
        request=a.StartCanary,
        answer=lambda s, c, r: s.ai_admin.canary(c, r),
        summary="Let a version that ran in shadow answer a share of the people. For the role operator.",
    ),
    _admin(
        "add_report",
        rest=Rest("POST", "/admin/reports", 201),
        request=a.Report,
        reply=a.Report,
        answer=lambda s, c, r: s.ai_admin.add_report(c, r),
        limit="groups",
        refuses=(Forbidden, NotFound, Conflict),
        summary="Hand in an evaluation report, once and for good; a repeat adds nothing. For the role operator.",
    ),
    _admin(
        "get_report",
        rest=Rest("GET", "/admin/reports/{reportId}"),
        request=a.ReportPath,
        reply=a.Report,
        answer=lambda s, c, r: s.ai_admin.report(c, r),
        summary="A report that was handed in. For the roles operator and analyst.",
    ),
    _moves(
        "promote_prompt",
        "promote",
        request=a.PromotePrompt,
        answer=lambda s, c, r: s.ai_admin.promote(c, r),
        summary="Make the canary live, on the strength of a passing evaluation report. For the role operator.",
    ),
    _moves(
        "rollback_prompt",
        "rollback",
        request=a.PromptPath,
        answer=lambda s, c, r: s.ai_admin.rollback(c, r),
        summary="Take a version out of use; the answer is what is live after it. For the role operator.",
    ),
)
