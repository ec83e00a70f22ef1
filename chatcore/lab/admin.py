"""Prompt versions and reports through the server's admin API, with CHATCORE_URL and the operator's CHATCORE_TOKEN."""

from typing import Any
from urllib.parse import quote

from chatcore.ai.prompts.reports import sealed
from chatcore.client.link import LinkLost
from chatcore.client.rest import calls_for_many
from chatcore.contract.ai_admin import Report as ReportOfRun
from chatcore.contract.ai_admin import ReportGate as GateOfReport
from chatcore.lab.surroundings import settings

__all__ = [
    "GateOfReport",
    "LinkLost",
    "ReportOfRun",
    "hand_in",
    "promote_prompt",
    "prompt_version",
    "rollback_prompt",
    "sealed",
]


async def hand_in(report: ReportOfRun) -> None:
    """Once and for good; a repeat adds nothing. Raises ChatError where the server does not believe it, LinkLost."""
    await _post("/api/admin/reports", report.model_dump(mode="json", by_alias=True))


async def promote_prompt(version: str, report_id: str) -> dict[str, Any]:
    """Make the canary live on the strength of this run. Raises ChatError where the server refuses, LinkLost."""
    return await _post(f"/api/admin/prompts/{quote(version, safe='@')}/promote", {"reportId": report_id})


async def rollback_prompt(version: str) -> dict[str, Any]:
    """Take a version out of use; the answer is what is live after it."""
    return await _post(f"/api/admin/prompts/{quote(version, safe='@')}/rollback", {})


async def prompt_version(name: str) -> dict[str, Any]:
    """A version with its text and its state, by its id, the beginning of one, or its function for the live one."""
    return await _ask("GET", f"/api/admin/prompts/{quote(name, safe='@')}")


async def _post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    return await _ask("POST", path, body)


async def _ask(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    ours = settings()
    async with calls_for_many(ours.chatcore_url, at_once=1) as rest_of:
        rest = rest_of(ours.chatcore_token.get_secret_value())
        answer: dict[str, Any] = await rest.request(method, path, body=body)
        return answer
