"""The workbench moves a prompt version on a real server, as an operator with a token."""

from datetime import UTC, datetime

import pytest

from chatcore.ai.prompts.shipped import shipped
from chatcore.errors import ChatError
from chatcore.lab.admin import promote_prompt, rollback_prompt
from chatcore.lab.runs import RunRecord
from chatcore.lab.runs.store import MongoRuns
from tests.ai.end_to_end.test_promotion import somebody_with
from tests.servers import ServerInThread
from tests.talking import People

FUNCTION = "SmartReplies"


async def test_a_passed_run_makes_its_version_live_and_a_rollback_undoes_it(
    server: ServerInThread, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = await somebody_with(server, people, "operator")
    monkeypatch.setenv("CHATCORE_URL", server.url)
    monkeypatch.setenv("CHATCORE_TOKEN", operator.token)
    text = shipped()[FUNCTION].text.replace("You suggest what", "Do suggest what")
    version = str((await operator.rest("POST", "/admin/prompts", {"function": FUNCTION, "text": text}))["versionId"])
    await operator.post(f"/admin/prompts/{version}/shadow")
    await operator.post(f"/admin/prompts/{version}/canary", {"share": 0.1})
    run = RunRecord(
        run_id="smart-reply-1", job="smart-reply", notebook="n", parameters={"prompt": version}, status="failed",
        started_at=datetime.now(UTC),
    )  # fmt: skip
    runs = MongoRuns(server.chat.core.mongo.database)
    await server.inside(runs.save(run))
    with pytest.raises(ChatError, match="has not passed"):
        await promote_prompt(version, run.run_id)
    await server.inside(runs.save(run.model_copy(update={"status": "passed"})))
    assert (await promote_prompt(version, run.run_id))["versionId"] == version
    assert (await rollback_prompt(version))["versionId"] == shipped()[FUNCTION].version_id
