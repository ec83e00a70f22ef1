"""An answer's decision is found by its id, made again from the command line beside the running server, and compared."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.ai.end_to_end.conftest import ready
from tests.ai.end_to_end.test_promotion import somebody_with
from tests.servers import ROOT, ServerInThread, people_of
from tests.talking import People


@pytest.fixture
async def people(own_models: ServerInThread) -> AsyncIterator[People]:
    await ready(own_models)
    async with people_of(own_models.url) as fresh:
        yield fresh


async def command(server: ServerInThread, *words: str) -> str:
    """What `python -m chatcore` prints beside this server."""
    environment = {**os.environ, "CHATCORE_HOME": str(server._settings.chatcore_home)}
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "chatcore", *words],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def replayed(server: ServerInThread, *words: str) -> dict[str, dict[str, Any]]:
    """By decision."""
    printed = await command(server, "decisions", "replay", "--since", "30m", "--limit", "500", "--json", "-", *words)
    return {row["decision_id"]: row for row in json.loads(printed)["decisions"]}


async def test_a_decision_is_found_made_again_and_measured_against_another_version(
    own_models: ServerInThread, people: People
) -> None:
    ann, bob = await people.connected("ann", "bob")
    garden = await ann.creates_group(bob)
    sent = await bob.sends(garden, "Shall we have lunch tomorrow?")
    answer = await ann.post("/ai/smart-replies", {"groupId": garden})
    judged = await ann.post("/ai/moderate-content", {"content": "a text that stands nowhere"})
    found = await ann.post("/ai/search", {"groupId": garden, "query": "lunch"})
    analyst = await somebody_with(own_models, people, "analyst")
    async with asyncio.timeout(20):
        while not (moderated := [
            row for row in (await analyst.get("/admin/decisions", feature="moderation", groupId=garden))["decisions"]
            if row.get("messageId") == sent["messageId"]
        ]):  # fmt: skip
            await asyncio.sleep(0.05)

    same = await replayed(own_models)
    for decision in (answer["decisionId"], moderated[0]["decisionId"]):
        row = same[decision]
        assert (row["error"], row["identical"], row["action"]) == ("", True, ""), row
    assert same[judged["decisionId"]]["error"] == "unreadable", "the ledger keeps no copy of what was let through"
    assert same[found["decisionId"]]["error"] == "no_prompt"

    added = await command(own_models, "prompts", "add", "SmartReplies", "--set", "cosine_floor=0.995")
    version = added.split()[0]
    other = (await replayed(own_models, "--prompt", version))[answer["decisionId"]]
    assert (other["identical"], other["after"].startswith(version)) == (False, True)
    assert other["words"] > 0
    assert other["scores"] > 0
    told = await analyst.get(f"/admin/decisions/{answer['decisionId']}")
    assert (told["mode"], other["before"]) == ("live", told["prompt"])
    again = await ann.post("/ai/smart-replies", {"groupId": garden})
    assert again["suggestions"] == answer["suggestions"], "a draft and a replay change nothing for anybody"
