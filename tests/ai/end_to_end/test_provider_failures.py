"""A provider that goes wrong: each feature falls back or refuses by name, and its tokens are in the ledger."""

from collections.abc import Iterator

import pytest

from tests.ai.end_to_end.conftest import ready
from tests.ai.end_to_end.test_promotion import somebody_with
from tests.ai.fake_provider import FakeProvider, Mode
from tests.servers import ServerInThread, people_of
from tests.talking import Person

AT_ONCE: tuple[Mode, ...] = (
    "429", "500", "401", "garbage", "truncated", "wrong_schema", "refusal", "cut_off", "not_json", "huge",
)  # fmt: skip
"""Those that answer with no delay: that a call which hangs or drips ends in time is told in test_ladder.py."""


@pytest.fixture
def rested(with_provider: ServerInThread, provider: FakeProvider) -> Iterator[FakeProvider]:
    """Good again, and with no failure counted, before and after."""

    def forget_failures() -> None:
        provider.mode = "good"
        for rung in with_provider.chat.core.ai.models._rungs:
            rung.breaker.succeeded()

    forget_failures()
    yield provider
    forget_failures()


async def talked(ann: Person, bob: Person) -> str:
    garden = await ann.creates_group(bob)
    for text in ("Shall we have lunch tomorrow?", "I bring the salad.", "The train leaves at 18:40."):
        await bob.sends(garden, text)
    return garden


@pytest.mark.parametrize("mode", AT_ONCE)
async def test_each_feature_falls_back_or_says_that_it_cannot(
    with_provider: ServerInThread, rested: FakeProvider, mode: Mode
) -> None:
    await ready(with_provider)
    async with people_of(with_provider.url) as people:
        ann, bob = await people.connected("ann", "bob")
        garden = await talked(ann, bob)
        analyst = await somebody_with(with_provider, people, "analyst")
        rested.mode = mode
        for path, body in (
            ("/ai/smart-replies", {"groupId": garden}),
            ("/ai/summarize", {"groupId": garden}),
            ("/ai/ask", {"groupId": garden, "question": "When does the train leave?"}),
            ("/ai/moderate-content", {"content": f"a harmless line for {mode}"}),
        ):
            answer = await ann.post(path, body)
            assert (answer["provider"], answer["degraded"]) == ("embedded", True), path
            served = (await analyst.get(f"/admin/decisions/{answer['decisionId']}"))["served"]
            assert served["fallback"], path
        refused = await ann.rest("POST", "/ai/translate", {"content": "Good morning", "targetLanguage": "de"})
        assert (refused.status, refused.code) == (503, "unavailable")
        sent = await ann.sends(garden, f"the chat goes on in spite of {mode}")
        assert sent["seq"]


async def test_the_ledger_counts_the_tokens_that_the_provider_counted(
    with_provider: ServerInThread, rested: FakeProvider
) -> None:
    await ready(with_provider)
    async with people_of(with_provider.url) as people:
        ann, bob = await people.connected("ann", "bob")
        garden = await talked(ann, bob)
        analyst = await somebody_with(with_provider, people, "analyst")
        for path, body in (
            ("/ai/smart-replies", {"groupId": garden}),
            ("/ai/typing-suggestions", {"groupId": garden, "currentText": "shall we"}),
            ("/ai/summarize", {"groupId": garden}),
            ("/ai/sentiment", {"content": "I love it"}),
            ("/ai/translate", {"content": "Good morning", "targetLanguage": "de"}),
            ("/ai/ask", {"groupId": garden, "question": "When does the train leave?"}),
        ):
            answer = await ann.post(path, body)
            served = (await analyst.get(f"/admin/decisions/{answer['decisionId']}"))["served"]
            assert (served["promptTokens"], served["completionTokens"], served["requestId"]) == (57, 21, "req_fake"), (
                path
            )
            assert (served["model"], served["degraded"]) == ("gpt-4o-mini-2024-07-18", False), path
            # No price list holds for any other endpoint than OpenAI's own; its prices are told in test_budget.py.
            assert served.get("costUsd") is None
