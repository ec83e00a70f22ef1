"""Decisions made again: through the live path, seen by nobody, with their distance measured."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chatcore.ai.calls import Purpose
from chatcore.ai.ledger.records import Decision, Query
from chatcore.ai.ledger.service import Ledger
from chatcore.ai.ledger.store import MemoryLedgerStore
from chatcore.ai.prompts.runtime import Runtimes
from chatcore.ai.prompts.service import Prompts
from chatcore.ai.prompts.shipped import shipped
from chatcore.ai.prompts.store import MemoryPromptStore
from chatcore.ai.prompts.versions import PromptVersion
from chatcore.ai.provider.models import Models
from chatcore.ai.replay import Divergence, Redone, Replay, summarize
from chatcore.vault.master import MasterKeys
from chatcore.vault.service import Vault
from chatcore.vault.store import MemoryKeyStore
from tests.ai.conftest import Bench
from tests.ai.fake_provider import FakeProvider

GROUP = "a" * 24
TALK = {"messages": [{"id": "1", "text": "Shall we have lunch?"}], "limit": 3}


class Past:
    """Some live decisions, and the means to make them again."""

    def __init__(self, models: Models):
        self.models, self.rows = models, MemoryLedgerStore()
        self.vault = Vault(MasterKeys({"k1": b"m" * 32}), MemoryKeyStore())
        self.ledger = Ledger(self.rows, self.vault, secret=b"s" * 32, retention_days=30)
        self.prompts = Prompts(MemoryPromptStore(), shipped(), runtimes=Runtimes())
        self.replay = Replay(self.ledger, models, self.prompts)

    async def decides(self, function: str = "SmartReplies", **fields: Any) -> str:
        called = await self.models.call(function, TALK, Purpose("smart_reply", user_id="ana", group_id=GROUP))
        decision = Decision(
            decision_id=self.ledger.new_id(), feature="smart_reply", group_id=GROUP, user_id="ana", input=TALK,
            output={"answer": called.value, "used": {"shown": 3}}, served=called.served, action="shown",
            prompt=shipped()[function].version_id,
        )  # fmt: skip
        await self.ledger.record(decision)
        return decision.decision_id

    async def again(self, version: PromptVersion | None = None, **fields: Any) -> list[Divergence]:
        now = datetime.now(UTC)
        query = Query(now - timedelta(hours=1), now + timedelta(hours=1), **fields)
        return [one async for one in self.replay.run(query, version)]


@pytest.fixture
async def past(bench: Bench) -> Past:
    past = Past(bench.models(seconds=60))
    await past.prompts.start()
    return past


async def test_the_same_answer_lies_nowhere_apart(past: Past) -> None:
    decided = await past.decides()
    (found,) = await past.again()
    assert (found.decision_id, found.identical, found.words, found.scores) == (decided, True, 0.0, 0.0)
    assert found.before == found.after


async def test_another_answer_is_measured(past: Past, fake: FakeProvider) -> None:
    await past.decides()
    fake.answers["SmartReplies"] = lambda told: {
        "replies": [{"text": "Sounds good to me.", "score": 0.4, "intent": "agree"}], "confidence": 0.8,
    }  # fmt: skip
    (found,) = await past.again()
    assert not found.identical
    assert 0 < found.words < 1
    assert found.scores == pytest.approx(0.5)


async def test_a_replay_is_a_row_of_its_own_that_changes_nothing_else(past: Past) -> None:
    decided = await past.decides()
    before = await past.ledger.find(decided)
    await past.again()
    await past.again()
    await past.ledger.flush()
    assert await past.ledger.find(decided) == before
    replays = [row.decision for row in past.rows.rows.values() if row.decision.mode == "replay"]
    assert [row.replay_of for row in replays] == [decided, decided], "and replays are not replayed"
    assert all(row.user_id == "" for row in replays)


async def test_another_version_is_asked_and_only_for_its_own_function(past: Past, fake: FakeProvider) -> None:
    await past.decides()
    await past.decides("DetectLanguage")
    text = shipped()["SmartReplies"].text.replace("You suggest", "Thou suggestest")
    version = await past.prompts.add("SmartReplies", text, {"context_turns": 5})
    asked = len(fake.chats)
    (found,) = await past.again(version)
    (call,) = fake.chats[asked:]
    assert "Thou suggestest" in call.text
    assert call.input["parameters"] == {"context_turns": 5}
    assert found.after == version.version_id != found.before


async def test_what_cannot_be_made_again_is_told_and_counted(past: Past, fake: FakeProvider) -> None:
    await past.decides()
    await past.ledger.erase_user("ana")
    await past.decides()
    fake.mode = "500"
    found = await past.again()
    assert sorted(one.error for one in found) == ["unavailable", "unreadable"]
    summary = summarize(found)
    assert (summary.decisions, summary.replayed, summary.failed, summary.unreadable) == (2, 0, 1, 1)


async def test_a_search_rests_on_no_prompt_and_is_no_failure(past: Past, fake: FakeProvider) -> None:
    served = (await past.ledger.find(await past.decides())).served
    await past.ledger.record(
        Decision(decision_id=past.ledger.new_id(), feature="search", group_id=GROUP, input={}, output={}, served=served)
    )
    found = await past.again(feature="search")
    assert [one.error for one in found] == ["no_prompt"]
    summary = summarize(found)
    assert (summary.replayed, summary.failed, summary.unreadable, summary.without_prompt) == (0, 0, 0, 1)


async def test_a_feature_with_a_decision_of_its_own_is_asked_itself(past: Past, fake: FakeProvider) -> None:
    decided = await past.decides()
    served = (await past.ledger.find(decided)).served

    class Own:
        async def redo(self, decision: Decision, version: PromptVersion | None) -> Redone:
            return Redone({"answer": decision.output["answer"]}, served, action="hidden", scores={"hate": 0.4})

    past.replay.use("smart_reply", Own())
    asked = len(fake.requests)
    (found,) = await past.again()
    assert (found.action, found.identical) == ("shown -> hidden", True)
    assert summarize([found]).actions_changed == 1
    assert len(fake.requests) == asked
