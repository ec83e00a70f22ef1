"""Prompt versions through the server's admin API, with CHATCORE_URL and the operator's CHATCORE_TOKEN."""

from typing import Any
from urllib.parse import quote

from chatcore.client.link import LinkLost
from chatcore.client.rest import calls_for_many
from chatcore.lab.surroundings import settings

__all__ = ["LinkLost", "promote_prompt", "prompt_version", "rollback_prompt"]


async def promote_prompt(version: str, report_id: str) -> dict[str, Any]:
    """Make the canary live on the strength of this run. Raises ChatError where the server refuses, LinkLost."""
    return await _post(f"/api/admin/prompts/{quote(version, safe='@')}/promote", {"reportId": report_id})


async def rollback_prompt(version: str) -> dict[str, Any]:
    """Take a version out of use; the answer is what is live after it."""
    return await _post(f"/api/admin/prompts/{quote(version, safe='@')}/rollback", {})


async def prompt_version(name: str) -> dict[str, Any]:
    """A version with its text and its state, by its id, the beginning of one, or its function for the live one."""
    return await _ask("GET", f"/api/admin/prompts/{quote(name, safe='@')}")


async def _post(path: str, body: dict[str, str]) -> dict[str, Any]:
    return await _ask("POST", path, body)


async def _ask(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    ours = settings()
    async with calls_for_many(ours.chatcore_url, at_once=1) as rest_of:
        rest = rest_of(ours.chatcore_token.get_secret_value())
        answer: dict[str, Any] = await rest.request(method, path, body=body)
        return answer
